"""The tables about transports: short, and about what the case is about."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from doc_blocks import ROOT

from vumi.tests.cases.model import Tables
from vumi.tests.cases.nodes import parse_yaml
from vumi.tests.cases.tables import read_table

if TYPE_CHECKING:
    from types import ModuleType

TABLE = """
given:
  request: {GET: /ussd, query: {session: s-1, text: ""}}
  message: {from_addr: "1", session_event: resume}
  call: {POST: https://x.example/y, json: {to: "1", text: hi}}
inbound:
  a "*120#" case:
    config: {strict: false}
    request: {query: {text: 1|2}}
    message: {content: 1|2}
    last_reply: Bye
    response: {json: {say: Bye}}
  nothing:
    request: {}
    response: 204
  missing:
    request: {query: {session: ~}}
    response: 400
  too late:
    request: {}
    message: {}
    disconnect: true
    reply: {content: ~}
    event: {nack: Gone.}
outbound:
  two:
    - send: hi
      call: {}
    - after: 60
      send: ho
      calls:
        - {answer: refused, times: 2}
        - {json: {text: ho}, answer: {json: {id: 7}}}
"""


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "docs/_ext"))
    import vumi_cases

    return sys.modules[vumi_cases.__name__]


def rows(cases: Any) -> list[list[str]]:
    tables = Tables(tuple(read_table(parse_yaml(TABLE, "x"))))
    usual = cases.Usual(tables)
    assert usual.values["the request"] == {"": "GET /ussd", "session": "s-1", "text": ""}
    return [cases._case_row(case, usual) for case in tables.cases]


def test_what_is_usual_is_told_once_and_the_rest_in_its_case(cases: ModuleType) -> None:
    assert rows(cases) == [
        [
            'a "\\*120#" case',
            '| with ``{"strict": false}``\n| a request: ``text=1|2``\n'
            "| the reply: ``Bye`` (the last)",
            '| a message: ``content=1|2``\n| the answer 200 ``{"say": "Bye"}``\n| ack',
        ],
        ["nothing", "| a request", "| the answer 204"],
        ["missing", "| a request: no ``session``", "| the answer 400"],
        [
            "too late",
            "| a request\n| the client hangs up\n| the reply: no text",
            "| a message\n| nack: ``Gone.``",
        ],
        [
            "two",
            "| 1. a message: ``hi``\n| 1. the other side answers 200\n| 2. after 60 s\n"
            "| 2. a message: ``ho``\n| 2. the other side refuses the connection\n"
            '| 2. the other side answers 200 ``{"id": 7}``',
            "| 1. a request goes out\n| 1. ack\n| 2. a request goes out (2 times)\n"
            "| 2. a request goes out: ``text=ho``\n| 2. ack",
        ],
    ]
