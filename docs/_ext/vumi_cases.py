"""A transport's cases as tables, in short: what ``.. vumi-cases::`` shows.

Knows cases. What most of them have in common is told once, above the tables, and in each only what
is not so.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vumi_tables import Tabled, list_table

from vumi.tests.cases.model import INBOUND, OUTBOUND
from vumi.tests.catalogue import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vumi.tests.cases.model import Body, Call, Case, Expected, Outbound, Request, Step, Tables

__all__ = ["CasesDirective"]

MAX_SHOWN = 90


class CasesDirective(Tabled):
    """Shows a transport's cases."""

    required_arguments = 1

    def lines(self) -> Iterator[str]:
        package = self.arguments[0]
        entry = Entry(package.rpartition(".")[2], package, Path())
        for path in (entry.folder / "cases").rglob("*.yaml"):
            self.env.note_dependency(str(path))
        usual = Usual(entry.tables)
        yield f"What is tested, from ``{package.replace('.', '/')}/cases``."
        if usual.values:
            yield "Unless a case says otherwise:"
            yield ""
            for what, values in usual.values.items():
                yield f"* {what}: {_literal(_joined(values))}"
        yield ""
        for table, words in ((INBOUND, "Inbound"), (OUTBOUND, "Outbound")):
            cases = entry.tables.of(table)
            if cases:
                rows = [_case_row(case, usual) for case in cases]
                heading = (words, "What happens", "What comes of it")
                yield from list_table([heading, *rows], (26, 34, 40))


class Usual:
    """What most cases have in common, so that it need not be told in each.

    :ivar values: What it is about -> name -> value.
    """

    def __init__(self, tables: Tables) -> None:
        found: dict[str, list[dict[str, Any]]] = {}
        for step in tables.steps:
            for what, values in _said(step):
                found.setdefault(what, []).append(values)
        self.values = {
            what: common for what, all_values in found.items() if (common := _common(all_values))
        }

    def rest(self, what: str, values: dict[str, Any]) -> dict[str, Any]:
        """What is not as usual: values, and ``None`` for what is missing."""
        usual = self.values.get(what, {})
        missing = {name: None for name in usual if name not in values}
        return missing | {
            name: value
            for name, value in values.items()
            if name not in usual or usual[name] != value
        }


def _said(step: Step) -> Iterator[tuple[str, dict[str, Any]]]:
    if step.request is not None:
        yield "the request", _parameters(step.request)
    for message in step.messages:
        yield "the message", message.fields
    for call in step.calls:
        yield "the request that goes out", _parameters(call.request)


def _parameters(request: Request) -> dict[str, Any]:
    """A request as names and values; its body too, if it has names."""
    said: dict[str, Any] = {}
    for part in (request.query, request.body.value if request.body else None):
        if isinstance(part, dict):
            said.update({name: value for name, value in part.items() if value is not None})
    return {"": f"{request.method} {request.target}".strip(), **said}


def _common(all_values: list[dict[str, Any]]) -> dict[str, Any]:
    """For each name the value that more than half of them have."""
    common: dict[str, Any] = {}
    for name in dict.fromkeys(name for values in all_values for name in values):
        counted = Counter(json.dumps(v[name], default=str) for v in all_values if name in v)
        text, count = counted.most_common(1)[0]
        if 2 * count > len(all_values) > 1:
            common[name] = json.loads(text)
    return common


def _joined(values: dict[str, Any]) -> str:
    """Names and values in a line."""
    return " ".join(
        _short(value) if not name else f"{name}={_short(value)}" for name, value in values.items()
    )


def _case_row(case: Case, usual: Usual) -> list[str]:
    happens: list[str] = []
    comes: list[str] = []
    for number, step in enumerate(case.steps, 1):
        mark = f"{number}. " if len(case.steps) > 1 else ""
        happens += _marked(mark, _happenings(step, usual))
        comes += _marked(mark, _outcomes(step, usual))
    if case.config:
        happens.insert(0, f"with {_literal(_short(case.config))}")
    return [_escaped(case.label), _lines(happens), _lines(comes)]


def _marked(mark: str, lines: Iterable[str]) -> list[str]:
    return [f"{_escaped(mark)}{line}" for line in lines]


def _happenings(step: Step, usual: Usual) -> Iterator[str]:
    if step.after:
        yield f"after {step.after:g} s"
    if step.request is not None:
        yield f"a request{_told(step.request, 'the request', usual)}"
    if step.disconnect:
        yield "the client hangs up"
    for outbound in step.replies:
        wait = f" after {step.reply_after:g} s" if step.reply_after else ""
        yield f"the reply{wait}: {_message(outbound)}"
    for outbound in step.sends:
        yield f"a message: {_message(outbound)}"
    for call in step.calls:
        yield f"the other side {_call_outcome(call)}"


def _call_outcome(call: Call) -> str:
    troubles = {
        "refused": "refuses the connection",
        "timeout": "does not answer",
        "reset": "cuts the connection",
        "garbage": "answers what is no HTTP",
    }
    answer = call.answer
    if answer.trouble:
        return troubles.get(answer.trouble, answer.trouble)
    body = _body(answer.body)
    return f"answers {answer.status}" + (f" {_literal(body)}" if body else "")


def _outcomes(step: Step, usual: Usual) -> Iterator[str]:
    for message in step.messages:
        rest = usual.rest("the message", message.fields)
        # What a message doesn't mention is not checked, so nothing is missing.
        told = {name: value for name, value in rest.items() if name in message.fields}
        yield "a message" + (f": {_literal(_joined(told))}" if told else "")
    for call in step.calls:
        times = f" ({call.times} times)" if call.times > 1 else ""
        told_call = _told(call.request, "the request that goes out", usual)
        yield f"a request goes out{times}{told_call}"
    if step.response is not None:
        body = _body(step.response.body)
        yield f"the answer {step.response.status}" + (f" {_literal(body)}" if body else "")
    if step.events is None and (step.sends or step.replies):
        yield "ack"
    for event in step.events or ():
        yield _event(event)


def _event(event: Expected) -> str:
    fields = event.fields
    kind = fields.get("delivery_status") or fields.get("event_type") or "event"
    reason = fields.get("nack_reason")
    return f"{kind}: {_literal(reason)}" if reason else str(kind)


def _message(outbound: Outbound) -> str:
    closes = " (the last)" if outbound.fields.get("session_event") == "close" else ""
    content = outbound.fields.get("content")
    return (_literal(content) if content else "no text") + closes


def _told(request: Request, what: str, usual: Usual) -> str:
    """What is unusual in a request, after a colon."""
    said = _parameters(request)
    rest = usual.rest(what, said)
    words = [_joined({name: rest[name] for name in rest if name in said})]
    words += [request.query] if isinstance(request.query, str) else []
    body = request.body
    has_names = body is None or isinstance(body.value, dict)
    if not has_names:
        words.append(_body(body))
    told = [_literal(" ".join(filter(None, words)))] if any(words) else []
    missing = [name for name in rest if name and name not in said]
    if missing and has_names:
        told.append(f"no {', '.join(map(_literal, missing))}")
    return f": {', '.join(told)}" if told else ""


def _body(body: Body | None) -> str:
    return "" if body is None else _short(body.value)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


# reStructuredText


def _literal(text: str) -> str:
    text = " ".join(str(text).split())
    return _escaped(text) if "`" in text or not text else f"``{text}``"


def _escaped(text: str) -> str:
    for mark in ("\\", "*", "`", "|", "_"):
        text = text.replace(mark, "\\" + mark)
    return text


def _lines(lines: list[str]) -> str:
    """Lines below each other, in a cell."""
    return "\n".join(f"| {line}" for line in lines)
