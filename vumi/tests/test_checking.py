"""Tests for vumi.checking."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from twisted.internet.task import deferLater

from vumi.application import ApplicationWorker
from vumi.checking import Findings, check_worker, load_worker_class
from vumi.dispatchers import RoutingTableDispatcher
from vumi.errors import ConfigError
from vumi.process_reactor import process_reactor
from vumi.service import Worker

if TYPE_CHECKING:
    from pathlib import Path

HERE = __name__


class PlainWorker(Worker):
    """Declares no options."""


class PickyWorker(ApplicationWorker):
    """Has a check of its own that fails in the way it is told to."""

    error: ClassVar[Exception]

    def validate_config(self) -> None:
        raise self.error


class NoWorker:
    pass


def test_a_worker_class_is_found() -> None:
    assert load_worker_class(f"{HERE}.PlainWorker") is PlainWorker


@pytest.mark.parametrize(
    ("class_path", "words"),
    [
        (f"{HERE}.NoWorker", "is not a worker class."),
        (f"{HERE}.HERE", "is not a worker class."),
        (f"{HERE}.Nobody", f"module '{HERE}' has no 'Nobody'"),
        ("no_such_module.Worker", "can't be loaded: No module named 'no_such_module'"),
        ("vumi.no_such_module.Worker", "can't be loaded: No module named 'vumi.no_such_module'"),
        ("Worker", "is no dotted path"),
        ("", "is no dotted path"),
        (".a.B", "is no dotted path"),
    ],
)
def test_what_is_no_worker_class_is_told(class_path: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_worker_class(class_path)
    assert words in str(caught.value)
    assert repr(class_path) in str(caught.value)
    # Nobody but who wrote the path is to blame: no place in the code is named.
    assert ", line " not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("\nimport no_such_module", "No module named 'no_such_module' ({path}, line 2)"),
        ("x = nobody", "NameError: name 'nobody' is not defined ({path}, line 1)"),
        ("def x(:", "SyntaxError: invalid syntax (module_with_a_mistake.py, line 1)"),
        ("raise RuntimeError", "RuntimeError ({path}, line 1)"),
    ],
)
def test_a_module_with_a_mistake_is_told_with_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    path = tmp_path / "module_with_a_mistake.py"
    path.write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "module_with_a_mistake", raising=False)
    with pytest.raises(ConfigError) as caught:
        load_worker_class("module_with_a_mistake.Worker")
    assert str(caught.value).endswith(words.format(path=path))


@pytest.mark.parametrize(
    ("worker_class", "config", "errors", "warnings"),
    [
        (ApplicationWorker, {"transport_name": "x"}, 0, 0),
        (ApplicationWorker, {"transport_nam": "x"}, 1, 1),
        (ApplicationWorker, {"worker_concurrency": "x", "a": 1, "b": 2}, 2, 2),
        (PlainWorker, {"whatever": 1}, 0, 0),
    ],
)
def test_everything_is_found_at_once(
    worker_class: type[Worker], config: dict[str, Any], errors: int, warnings: int
) -> None:
    found = check_worker(worker_class, config)
    assert (len(found.errors), len(found.warnings)) == (errors, warnings)
    assert found.problems == found.errors + found.warnings


def test_nothing_is_put_into_the_config() -> None:
    config = {"transport_name": "x"}
    check_worker(ApplicationWorker, config)
    assert config == {"transport_name": "x"}


def test_a_workers_own_check_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PickyWorker, "error", ConfigError("Not so."), raising=False)
    assert check_worker(PickyWorker, {"transport_name": "x"}) == Findings(("Not so.",))


class SlowWorker(ApplicationWorker):
    """Has an asynchronous check of its own."""

    waits: ClassVar[bool]

    async def validate_config(self) -> None:
        if self.waits:
            await deferLater(process_reactor(), 0, lambda: None)
        raise ConfigError("Not so.")


@pytest.mark.parametrize("waits", [False, True])
def test_an_asynchronous_check_is_run(monkeypatch: pytest.MonkeyPatch, waits: bool) -> None:
    monkeypatch.setattr(SlowWorker, "waits", waits, raising=False)
    assert check_worker(SlowWorker, {"transport_name": "x"}) == Findings(("Not so.",))


def test_a_dispatcher_is_made_once_to_be_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    make = RoutingTableDispatcher.__init__

    def counted(self: Any, *args: Any) -> None:
        made.append(self)
        make(self, *args)

    monkeypatch.setattr(RoutingTableDispatcher, "__init__", counted)
    names = {"receive_inbound_connectors": ["t"], "receive_outbound_connectors": ["a"]}
    found = check_worker(RoutingTableDispatcher, {**names, "routing_table": {}})
    assert (len(found.errors), len(found.warnings), len(made)) == (0, 2, 1)


def test_a_mistake_in_a_workers_own_check_is_told_with_the_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PickyWorker, "error", KeyError("port"), raising=False)
    [problem] = check_worker(PickyWorker, {"transport_name": "x"}).errors
    assert problem.startswith("The configuration could not be checked: KeyError: 'port' (")
    assert __file__ in problem
