"""Tables of cases: what a YAML file may say.

Knows the parts of a table (``docs/transports/add-a-transport.rst`` shows them all); what stands in
a step is read by :mod:`.rows`. Runs nothing. A table has

* ``config``: options for all its cases, on top of those of the test;
* ``given``: what every ``request``, ``message``, ``reply``, ``response``, ``send`` and ``call`` in
  the file has unless it says otherwise;
* ``inbound`` and ``outbound``: cases by their label.

A case is one step, or a list of them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from vumi.tests.cases.model import INBOUND, OUTBOUND, Case, Step, Tables
from vumi.tests.cases.nodes import CaseError, Part, Place, read_yaml
from vumi.tests.cases.rows import (
    read_call,
    read_event,
    read_failure,
    read_message,
    read_outbound,
    read_request,
    read_response,
    read_status,
    without,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from vumi.tests.cases.model import Outbound

__all__ = ["load_tables", "read_table"]

T = TypeVar("T")

_FILE_KEYS = ("config", "now", "given", INBOUND, OUTBOUND)
_GIVEN_KEYS = ("request", "message", "reply", "response", "send", "call")
_CASE_KEYS = ("config", "now", "steps")
#: One -> the same for several.
_PLURALS = {
    "message": "messages",
    "reply": "replies",
    "send": "sends",
    "call": "calls",
    "event": "events",
    "failure": "failures",
    "status": "statuses",
}
_STEP_KEYS = (
    *("after", "request", "disconnect", "last_reply", "reply_after", "response"),
    *_PLURALS,
    *_PLURALS.values(),
)
#: A step has at least one of them.
_HAPPENINGS = {"request", "send", "sends", "reply", "replies", "last_reply", "after"}
_DEFAULT_NOW = datetime(2024, 1, 17, 8, 30, tzinfo=UTC)


# Files


def load_tables(folder: Path, shown_as: str | None = None) -> Tables:
    """Read all tables in a folder.

    :param folder: It has ``*.yaml`` files.
    :param shown_as: What to call the folder in errors; its own name by default.
    :raises CaseError: Something in them is wrong.
    """
    name = shown_as or folder.name
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise CaseError("there are no tables (*.yaml) in this folder", Place(name))
    cases: list[Case] = []
    for path in paths:
        cases += read_table(read_yaml(path, f"{name}/{path.name}"))
    _check_labels(cases)
    return Tables(tuple(cases))


def _check_labels(cases: Iterable[Case]) -> None:
    known: dict[tuple[str, str], Case] = {}
    for case in cases:
        first = known.setdefault((case.table, case.slug), case)
        if first is not case:
            other = f"{first.place.file}, line {first.place.line}"
            raise CaseError(f"there is a case of this label in {other}", case.place)


def read_table(part: Part) -> list[Case]:
    """Read one table.

    :raises CaseError: Something in it is wrong.
    """
    keys = part.mapping(_FILE_KEYS)
    given = keys["given"].mapping(_GIVEN_KEYS) if "given" in keys else {}
    config = _config(keys.get("config"))
    now = _moment(keys.get("now"), _DEFAULT_NOW)
    cases = []
    for table in (INBOUND, OUTBOUND):
        if table in keys:
            for label, case in keys[table].mapping().items():
                cases.append(_case(table, label, case.of_case(label), given, config, now))
    if not cases:
        part.fail("there is no case in it: 'inbound' and 'outbound' have them, by their labels")
    return cases


def _config(part: Part | None) -> dict[str, Any]:
    if part is None or part.is_null:
        return {}
    config: dict[str, Any] = {name: value.data() for name, value in part.mapping().items()}
    return config


def _moment(part: Part | None, default: datetime) -> datetime:
    if part is None:
        return default
    try:
        return datetime.strptime(part.text(), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        part.fail("a time in UTC is expected, as 2024-01-17 08:30:00")


def _case(
    table: str,
    label: str,
    part: Part,
    given: dict[str, Part],
    config: dict[str, Any],
    now: datetime,
) -> Case:
    if not label.strip():
        part.fail("a case needs a label")
    keys: dict[str, Part] = {}
    step_parts = part.items()
    if part.is_mapping:
        every = part.mapping((*_CASE_KEYS, *_STEP_KEYS))
        keys = {name: value for name, value in every.items() if name in _CASE_KEYS}
        if "steps" in keys:
            if len(keys) != len(every):
                part.fail("a case with 'steps' says everything else in them")
            step_parts = keys["steps"].items()
        else:
            step_parts = [without(part, _CASE_KEYS)]
    if not step_parts:
        part.fail("nothing happens in this case")
    steps = tuple(_StepReader(step, given).read() for step in step_parts)
    return Case(
        table,
        label,
        part.place,
        steps,
        {**config, **_config(keys.get("config"))},
        _moment(keys.get("now"), now),
    )


# Steps


class _StepReader:
    """Makes a step of its part of the file."""

    def __init__(self, part: Part, given: dict[str, Part]) -> None:
        self.part = part
        self.given = given
        self.keys = part.mapping(_STEP_KEYS)

    def read(self) -> Step:
        keys = self.keys
        if not _HAPPENINGS & set(keys):
            self.part.fail("nothing happens: a step has a 'request', a 'send' or a 'reply'")
        return Step(
            self.part.place,
            after=keys["after"].number() if "after" in keys else 0.0,
            request=self._one("request", read_request),
            disconnect="disconnect" in keys and keys["disconnect"].flag(),
            messages=self._several("message", read_message) or (),
            replies=self._replies(),
            reply_after=keys["reply_after"].number() if "reply_after" in keys else 0.0,
            sends=self._several("send", read_outbound) or (),
            calls=self._several("call", read_call) or (),
            response=self._one("response", read_response),
            events=self._several("event", read_event),
            failures=self._several("failure", read_failure),
            statuses=self._several("status", read_status),
        )

    def _one(self, name: str, read: Callable[[Part, Part | None], T]) -> T | None:
        part = self.keys.get(name)
        return None if part is None else read(part, self.given.get(name))

    def _several(self, name: str, read: Callable[[Part, Part | None], T]) -> tuple[T, ...] | None:
        plural = _PLURALS[name]
        if name in self.keys and plural in self.keys:
            self.keys[plural].fail(f"there is '{name}' too: say one of them")
        part = self.keys.get(name, self.keys.get(plural))
        if part is None:
            return None
        return tuple(read(item, self.given.get(name)) for item in part.items())

    def _replies(self) -> tuple[Outbound, ...]:
        replies = self._several("reply", read_outbound) or ()
        if "last_reply" not in self.keys:
            return replies
        last = read_outbound(self.keys["last_reply"], self.given.get("reply"))
        return (*replies, replace(last, fields={"session_event": "close", **last.fields}))
