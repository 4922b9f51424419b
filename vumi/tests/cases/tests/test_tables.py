"""Tables: their short forms, what is given, and what they may not say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from vumi.tests.cases.model import Answer, Body, Case
from vumi.tests.cases.nodes import CaseError, parse_yaml
from vumi.tests.cases.tables import load_tables, read_table

if TYPE_CHECKING:
    from pathlib import Path


def table(text: str) -> list[Case]:
    return read_table(parse_yaml(text, "cases/x.yaml"))


def case(text: str, given: str = "{}") -> Case:
    [found] = table(f"given: {given}\ninbound:\n  a case:\n    {text}\n")
    return found


def test_a_table_has_config_given_and_cases() -> None:
    inbound, outbound = table(
        """
config: {a: 1, b: 2}
now: 2025-05-01 10:00:00
given: {request: {GET: /x, query: {one: 1, two: 2}}}
inbound:
  "Somebody dials *120#!":
    config: {b: 3}
    request: {query: {two: ~, three: 03}}
outbound:
  steps:
    now: 2026-01-01 00:00:00
    steps:
      - send: Hello
      - after: 5
"""
    )
    assert (inbound.table, inbound.slug) == ("inbound", "somebody-dials-120")
    assert inbound.config == {"a": 1, "b": 3}
    assert inbound.now == datetime(2025, 5, 1, 10, tzinfo=UTC)
    request = inbound.steps[0].request
    assert request is not None
    assert (request.method, request.target) == ("GET", "/x")
    assert request.query == {"one": "1", "two": None, "three": "03"}
    assert outbound.config == {"a": 1, "b": 2}
    assert outbound.now == datetime(2026, 1, 1, tzinfo=UTC)
    assert [step.after for step in outbound.steps] == [0, 5]
    assert outbound.place.line == 11


@pytest.mark.parametrize(
    ("written", "method", "target", "body"),
    [
        ("{}", "GET", "", None),
        ("{GET: /a}", "GET", "/a", None),
        ("{POST: }", "POST", "", None),
        ("{form: {a: 1}}", "POST", "", Body("form", {"a": "1"})),
        ("{method: BREW, path: /tea}", "BREW", "/tea", None),
        ("{json: {a: [1, true]}}", "POST", "", Body("json", {"a": [1, True]})),
        ("{PUT: /b, text: hi, charset: latin-1}", "PUT", "/b", Body("text", "hi", "latin-1")),
    ],
)
def test_requests(written: str, method: str, target: str, body: Body | None) -> None:
    request = case(f"request: {written}").steps[0].request
    assert request is not None
    assert (request.method, request.target, request.body) == (method, target, body)


def test_a_body_takes_the_place_of_one_given_of_another_kind() -> None:
    step = case("request: {text: hi}", "{request: {POST: /x, form: {a: 1}}}").steps[0]
    assert step.request is not None
    assert step.request.body == Body("text", "hi")
    step = case("request: {form: {b: 2}}", "{request: {POST: /x, form: {a: 1}}}").steps[0]
    assert step.request is not None
    assert step.request.body == Body("form", {"a": "1", "b": "2"})


def test_a_member_that_is_given_can_be_left_out_of_json() -> None:
    step = case(
        "request: {json: {a: {b: <without>, c: ~}}}",
        "{request: {POST: /x, json: {a: {b: 1, c: 2, d: 3}, e: 4}}}",
    ).steps[0]
    assert step.request is not None
    assert step.request.body == Body("json", {"a": {"c": None, "d": 3}, "e": 4})


@pytest.mark.parametrize(
    ("written", "status", "body"),
    [
        ("404", 404, None),
        ("CON hello", 200, Body("text", "CON hello")),
        ('"200"', 200, Body("text", "200")),
        ("{status: 202, json: ~}", 202, Body("json", None)),
    ],
)
def test_responses(written: str, status: int, body: Body | None) -> None:
    response = case(f"request: {{}}\n    response: {written}").steps[0].response
    assert response is not None
    assert (response.status, response.body) == (status, body)


@pytest.mark.parametrize("trouble", ["refused", "timeout", "reset", "garbage"])
def test_calls_and_what_comes_of_them(trouble: str) -> None:
    step = case(
        f"send: hi\n    calls:\n    - POST: https://x/y\n    - answer: {trouble}\n"
        "    - {answer: 500, times: 3}\n    - answer: ok\n",
        "{call: {headers: {Key: a}, answer: {headers: {B: c}}}}",
    ).steps[0]
    first, second, third, fourth = step.calls
    assert first.request.target == "https://x/y"
    assert first.request.headers == {"Key": "a"}
    assert first.answer.headers == {"B": "c"}
    assert second.answer.trouble == trouble
    assert (third.answer.status, third.times) == (500, 3)
    assert fourth.answer.body == Body("text", "ok")
    assert isinstance(fourth.answer, Answer)


@pytest.mark.parametrize(
    ("written", "fields"),
    [
        ("ack", {"event_type": "ack"}),
        ("{ack: 007}", {"event_type": "ack", "sent_message_id": "007"}),
        ("{nack: no}", {"event_type": "nack", "nack_reason": "no"}),
        (
            "{delivered: m1}",
            {
                "event_type": "delivery_report",
                "delivery_status": "delivered",
                "user_message_id": "m1",
            },
        ),
        ("{event_type: ack, transport_metadata: {a: 1}}", None),
    ],
)
def test_events(written: str, fields: dict[str, str] | None) -> None:
    [event] = case(f"send: x\n    event: {written}").steps[0].events or ()
    assert event.fields == (
        {"event_type": "ack", "transport_metadata": {"a": 1}} if fields is None else fields
    )


def test_replies() -> None:
    step = case(
        "request: {}\n    reply: 1\n    last_reply: {content: ~, endpoint: menu}",
        "{reply: {helper_metadata: {a: 1}}}",
    ).steps[0]
    first, last = step.replies
    assert first.fields == {"content": "1", "helper_metadata": {"a": 1}}
    assert last.fields == {
        "content": None,
        "session_event": "close",
        "helper_metadata": {"a": 1},
    }
    assert last.endpoint == "menu"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{}", "line 4, case 'a case': nothing happens: a step has a 'request'"),
        ("[]", "nothing happens in this case"),
        ("requests: {}", "unknown key 'requests': did you mean 'request'?"),
        ("request: {GET: /a, PUT: /a}", "which method?"),
        ("request: {GET: /a, path: /b}", "'GET' says it already"),
        ("request: {url: http://x}", "unknown key 'url'"),
        ("request: {form: {}, json: {}}", "there is 'form' too: a body is of one kind"),
        ("request: {hex: abc}", "pairs of hex digits are expected"),
        ("request: {auth: me}", "name:password is expected"),
        ("request: {}\n    response: {code: 200}", "line 5, case 'a case': unknown key 'code'"),
        ("request: {}\n    response: {status: ok}", "a whole number is expected, not 'ok'"),
        ("send: {contents: x}", "unknown key 'contents': did you mean 'content'?"),
        ("send: {session_event: open}", "there is no session event 'open'"),
        ("send: {content: [1]}", "a text is expected, not a list"),
        ("send: x\n    event: acked", "unknown event 'acked'"),
        ("send: x\n    event: {ack: 1, nack: 2}", "either ack or nack"),
        ("send: x\n    events: []\n    event: ack", "there is 'event' too: say one of them"),
        ("send: x\n    failure: late", "temporary, permanent, unspecified is expected"),
        ("send: x\n    status: {component: a, state: ok}", "unknown key 'state'"),
        ("send: x\n    call: {answer: [1]}", "a mapping is expected, not a list"),
        ("{send: x, steps: [{send: y}]}", "a case with 'steps' says everything else in them"),
        ("{send: x, now: today}", "a time in UTC is expected"),
        ("{send: x, after: -1}", "a number is expected, not '-1'"),
        ("{request: {}, disconnect: yes}", "true or false is expected, not 'yes'"),
    ],
)
def test_what_a_case_may_not_say(written: str, words: str) -> None:
    with pytest.raises(CaseError) as raised:
        case(written)
    assert words in str(raised.value)
    assert str(raised.value).startswith("cases/x.yaml, line ")
    assert ", case 'a case': " in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("inbound: {}", "there is no case in it"),
        ("in: {}", "unknown key 'in'"),
        ("given: {answer: 1}\ninbound: {a: {send: x}}", "line 1: unknown key 'answer'"),
        ("inbound:\n  a: {send: x}\n  a: {send: y}", "line 3: 'a' stands here twice"),
        ('inbound: {"": {send: x}}', "a case needs a label"),
    ],
)
def test_what_a_table_may_not_say(text: str, words: str) -> None:
    with pytest.raises(CaseError) as raised:
        table(text)
    assert words in str(raised.value)


def test_all_tables_of_a_folder_are_read_and_labels_are_unique(tmp_path: Path) -> None:
    folder = tmp_path / "cases"
    folder.mkdir()
    with pytest.raises(CaseError, match=r"cases: there are no tables \(\*.yaml\) in this folder"):
        load_tables(folder)
    (folder / "b.yaml").write_text("inbound: {a case: {send: x}}")
    (folder / "a.yaml").write_text("outbound: {a case: {send: x}}")
    assert [case.place.file for case in load_tables(folder).cases] == [
        "cases/a.yaml",
        "cases/b.yaml",
    ]
    (folder / "c.yaml").write_text("\n\ninbound: {A CASE!: {send: x}}")
    with pytest.raises(CaseError) as raised:
        load_tables(folder)
    assert str(raised.value) == (
        "cases/c.yaml, line 3, case 'A CASE!': there is a case of this label in cases/b.yaml, "
        "line 1"
    )
