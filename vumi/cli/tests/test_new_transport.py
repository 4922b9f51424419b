"""Tests of vumi new transport: what it writes works, and keeps the rules."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import unittest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import vumi as package
import vumi.transports
from vumi.cli.command import vumi as command
from vumi.cli.new.transport import STARTERS, TRANSPORT_FILES, transport_files
from vumi.cli.new.writing import TEMPLATES
from vumi.tests.catalogue import FAMILIES, Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(package.__file__).parents[1]
TIMEOUT = 120


def call(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, ["new", "transport", *args])
    return result.exit_code, result.output


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if "pigeon" in name:
            del sys.modules[name]
    importlib.invalidate_caches()


def run_tests(module_name: str) -> unittest.TestResult:
    importlib.invalidate_caches()
    module: Any = importlib.import_module(module_name)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromModule(module).run(result)
    return result


def tracebacks(result: unittest.TestResult) -> str:
    return "\n".join(text for _, text in result.failures + result.errors)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_passes_its_tests_and_keeps_the_rules(
    family: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    status, output = call("pigeon_post", "--family", family)
    assert status == 0, output
    assert "    python -m pytest pigeon_post\n" in output
    result = run_tests("pigeon_post.tests.test_pigeon_post")
    assert result.testsRun >= 8
    assert result.failures + result.errors == [], tracebacks(result)
    entry = Entry("pigeon_post", "pigeon_post", folder)
    assert list(map(str, entry.problems())) == []
    assert entry.facts.directions == "in and out"
    assert entry.facts.sessions is (family != "httpsms")
    assert entry.facts.receipts is (family == "httpsms")


@pytest.mark.parametrize("family", FAMILIES)
def test_in_a_tree_with_transports_it_becomes_one_of_them(
    family: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "vumi/transports").mkdir(parents=True)
    status, output = call("pigeon", "--family", family)
    assert status == 0, output
    assert "    python -m pytest vumi/transports/pigeon\n" in output
    path = [*vumi.transports.__path__, str(folder / "vumi/transports")]
    monkeypatch.setattr(vumi.transports, "__path__", path)
    try:
        result = run_tests("vumi.transports.pigeon.tests.test_pigeon")
        assert result.failures + result.errors == [], tracebacks(result)
        entry = Entry("pigeon", "vumi.transports.pigeon", folder)
        assert list(map(str, entry.problems())) == []
    finally:
        vars(vumi.transports).pop("pigeon", None)


def test_nothing_is_overwritten(folder: Path) -> None:
    assert call("pigeon", "--family", "httprpc", "--directory", "deep/down")[0] == 0
    status, output = call("pigeon", "--family", "xmlrpc", "--directory", "deep/down")
    assert status == 1
    assert output.startswith("Error: deep/down has pigeon/__init__.py, pigeon/pigeon.py, ")
    assert "Ussd" in (folder / "deep/down/pigeon/pigeon.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Pigeon", "--family", "httprpc"], "Maybe 'pigeon'?"),
        (["class", "--family", "httprpc"], "a word of Python"),
        (["json", "--family", "httprpc"], "there is a module of that name"),
        (["pigeon", "--family", "smoke"], "'smoke' is not one of"),
        (["pigeon"], "Missing option '--family'"),
    ],
)
def test_what_can_not_be_is_refused(folder: Path, arguments: list[str], words: str) -> None:
    status, output = call(*arguments)
    assert status != 0
    assert words in " ".join(output.split())
    assert not list(folder.iterdir())


def test_a_module_that_others_have_is_no_obstacle_in_a_package(folder: Path) -> None:
    (folder / "vumi/transports").mkdir(parents=True)
    assert call("json", "--family", "httprpc")[0] == 0


def test_every_family_has_its_templates_and_every_template_is_used() -> None:
    assert set(STARTERS) == set(FAMILIES)
    used = {
        template.format(family=family)
        for template in TRANSPORT_FILES.values()
        for family in FAMILIES
    }
    assert used == {path.name for path in (TEMPLATES / "transport").iterdir()}
    for family in FAMILIES:
        for content in transport_files("pigeon", family, "pigeon").values():
            assert "$" not in content


@pytest.mark.integration
def test_the_tests_run_by_pytest_and_by_trial(folder: Path) -> None:
    assert call("pigeon", "--family", "httpsms")[0] == 0
    for runner in (
        ["pytest", "-q", "-p", "no:cacheprovider", "pigeon"],
        ["twisted.trial", "pigeon"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *runner],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
        assert done.returncode == 0, f"{runner}\n{done.stdout}\n{done.stderr}"
