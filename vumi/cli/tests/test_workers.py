"""Tests of vumi workers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from vumi.application import ApplicationWorker
from vumi.checking import load_worker_class
from vumi.cli import workers
from vumi.cli.command import vumi
from vumi.cli.tests import samples
from vumi.cli.workers import PACKAGES, _first_sentence, find_workers
from vumi.service import Worker
from vumi.transports import Transport
from vumi.worker import BaseWorker

if TYPE_CHECKING:
    from pathlib import Path

MODULES = {
    "__init__": "from shop.line import LineTransport\n__all__ = ['LineTransport']",
    "line": """
from vumi.transports import Transport
class LineTransport(Transport):
    '''Speaks to a line. And more
    of it.

    A second paragraph.'''
    def handle_outbound_message(self, message):
        pass
Alias = LineTransport
class _Hidden(LineTransport):
    '''Not shown.'''
class Base(Transport):
    '''Not shown: sends nothing.'''
""",
    "base": """
from shop.line import LineTransport
class Skeleton(LineTransport):
    '''Not shown.'''
""",
    "inner/__init__": "",
    "inner/deep": """
from shop.line import LineTransport
class DeepTransport(LineTransport):
    pass
""",
    "tests/__init__": "raise AssertionError('tests were imported')",
    "needy": "import no_such_package",
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with workers, which is asked for transports."""
    for name, code in MODULES.items():
        path = tmp_path / "shop" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(PACKAGES, "transport", ("shop",))
    for name in [name for name in sys.modules if name.split(".")[0] == "shop"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("shop")
def test_workers_that_can_be_started_are_found_wherever_they_are() -> None:
    unusable: list[str] = []
    found = [(entry.class_path, entry.summary) for entry in find_workers("transport", unusable)]
    assert found == [
        ("shop.LineTransport", "Speaks to a line."),
        ("shop.inner.deep.DeepTransport", ""),
    ]
    assert unusable == ["Not usable: shop.needy: No module named 'no_such_package'."]


@pytest.mark.usefixtures("shop")
def test_one_line_for_each_and_modules_that_lack_something_are_told() -> None:
    result = CliRunner().invoke(vumi, ["workers", "--kind", "transport"])
    assert result.exit_code == 0
    assert result.stdout == (
        "  shop.LineTransport: Speaks to a line.\n  shop.inner.deep.DeepTransport: \n"
        "  vumi.transports.Transport: (to derive from) "
        f"{_first_sentence(Transport)}\n"
    )
    assert "no_such_package" in result.stderr


@pytest.mark.parametrize(
    ("candidate", "answer"),
    [
        (Worker, False),
        (BaseWorker, False),
        (Transport, False),
        (samples.QuietWorker, True),
        (samples.QuietApplication, True),
        (samples.PortTransport, True),
        (samples.NoWorker, False),
        (samples.QuietWorker({}, {}), False),
        ("text", False),
    ],
)
def test_a_base_class_cannot_be_started(candidate: Any, answer: bool) -> None:
    assert workers._can_be_started(candidate) is answer


def test_what_comes_with_vumi_is_listed_by_kind_and_can_be_loaded() -> None:
    result = CliRunner().invoke(vumi, ["workers"])
    assert result.exit_code == 0
    entries = [line for line in result.stdout.splitlines() if line.startswith("  ")]
    assert entries
    for entry in entries:
        class_path, _, summary = entry.strip().partition(": ")
        assert issubclass(load_worker_class(class_path), Worker)
        assert summary.endswith("."), entry
    for kind in PACKAGES:
        for found in find_workers(kind, []):
            assert any(line.startswith(f"  {found.class_path}: ") for line in entries)
            worker_class = load_worker_class(found.class_path)
            if kind == "application":
                assert issubclass(worker_class, ApplicationWorker)
            if kind == "transport":
                # Not only transports: a simulated network is one's other side.
                assert worker_class.__module__.startswith("vumi.transports.")


def test_a_transport_made_by_configuration_and_menus_are_listed() -> None:
    result = CliRunner().invoke(vumi, ["workers"])
    assert "  vumi.transports.external.ExternalTransport: " in result.stdout
    assert "  vumi.application.menus.MenuApplication: (to derive from) " in result.stdout
