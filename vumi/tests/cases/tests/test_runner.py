"""The runner: what it complains about, and in which words."""

from __future__ import annotations

import socket
import sys
import unittest
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet import reactor

from vumi.tests.cases import TransportCases
from vumi.tests.cases.fuzz import _paths, _with
from vumi.tests.cases.pretend import PretendReactor, no_sockets
from vumi.tests.cases.tests.toys import ToyTransport

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {"web_path": "toy", "api_url": "https://api.example/send", "api_key": "key-5417"}
GIVEN = """
given:
  request: {GET: /toy, query: {from: "1", text: hi}}
  call:
    POST: https://api.example/send
    query: {a: b}
    json: {to: "+27820001001", text: Hello}
    answer: {json: {id: ID-7}}
"""
BALANCED = f"""{GIVEN}
inbound:
  good: {{request: {{}}, message: hi, reply: hello, response: 200}}
  bad: {{request: {{query: {{text: ~}}}}, response: 400}}
outbound:
  good: {{send: Hello, call: {{}}}}
  bad: {{send: Hello, call: {{answer: 500}}, event: nack}}
"""


def run(folder: Path, table: str, fault: str = "", **attributes: Any) -> dict[str, str]:
    """Run the tests that a table makes; gives those that failed, with their words."""
    cases = folder / "cases"
    cases.mkdir()
    (cases / "x.yaml").write_text(table, "utf-8")
    members = {
        "transport_class": ToyTransport,
        "config": {**CONFIG, "fault": fault},
        "tables": cases,
        "fuzz_examples": 0,
        **attributes,
    }
    test_case: Any = type("Tests", (TransportCases,), members)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(test_case).run(result)
    return {
        str(test.id()).rpartition(".")[2]: text for test, text in result.failures + result.errors
    }


def complaint(folder: Path, case: str, fault: str = "") -> str:
    """What is said about one case."""
    table = f"{GIVEN}\ninbound:\n  a case:\n" + "\n".join(
        f"    {line}" for line in case.strip("\n").split("\n")
    )
    failed = run(folder, table, fault)
    return failed.get("test_inbound_a_case", "")


GOOD = {
    "a message and its reply": """
request: {}
message: {content: hi, session_event: new}
reply: Hello
response: {headers: {Content-Type: application/json}, json: {say: Hello, end: false}}
event: {ack: <sent id>}
""",
    "ids": """
request: {}
message: {content: hi, message_id: <message id>}
reply: <message id>
response: {json: {say: <message id 1>, end: false}}
""",
    "the same id in every run": """
- send: {content: Hello}
  call: {}
  event: {user_message_id: a-case, ack: ID-7}
- send: {content: Hello}
  call: {}
  event: {user_message_id: a-case-2, ack: ID-7}
""",
    "nothing is said of a response": """
request: {}
message: hi
reply: Hello
""",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_case_that_is_as_it_should_be(name: str, tmp_path: Path) -> None:
    assert complaint(tmp_path, GOOD[name]) == ""


BAD = {
    "another content": (
        "request: {}\nmessage: ho",
        'line 13, case \'a case\': message: content: "ho" is expected, not "hi"',
    ),
    "no message expected": (
        "request: {}\nreply: x",
        'there is a message that is not expected: {"content": "hi"',
    ),
    "no message came": (
        "request: {query: {text: ~}}\nmessage: hi",
        'there is no such message: {"content": "hi"}',
    ),
    "a field that must be absent": (
        "request: {}\nmessage: {absent: [transport_metadata.toy]}\nreply: x",
        "transport_metadata.toy: must not be there",
    ),
    "another status": (
        "request: {query: {text: ~}}\nresponse: 404",
        "line 13, case 'a case': response: the status 404 is expected, not 400 "
        'with "wrong"'.replace('"wrong"', "b'wrong'"),
    ),
    "an error nobody expects": (
        "request: {query: {text: ~}}",
        "the status 200 is expected, not 400",
    ),
    "another header": (
        "request: {query: {text: ~}}\nresponse: {status: 400, headers: {A: b}}",
        'response: header A: "b" is expected, but it is not there',
    ),
    "a header that must not be there": (
        "request: {query: {text: ~}}\nresponse: {status: 400, headers: {Content-Type: ~}}",
        "response: header Content-Type: must not be there, but is",
    ),
    "another body": (
        "request: {}\nmessage: hi\nreply: x\nresponse: {json: {say: x, end: true}}",
        "response: body.end: true is expected, not false",
    ),
    "it is not answered": (
        "request: {}\nmessage: hi",
        "the request was not answered, and the case doesn't say that",
    ),
    "never answered": ("request: {}\nmessage: hi\nresponse: 504", "the request is not answered"),
    "there is nothing to reply to": ("reply: x", "there is no message to reply to"),
    "no request to answer": (
        "send: Hello\ncall: {}\nresponse: 200",
        "there is no request that could be answered",
    ),
    "another event": (
        "send: Hello\ncall: {}\nevent: {ack: ID-8}",
        'event: sent_message_id: "ID-8" is expected, not "ID-7"',
    ),
    "no such event": (
        "send: Hello\ncall: {}\nevents: [ack, {delivered: a-case}]",
        "there is no such event: ",
    ),
    "a nack nobody expects": (
        "send: Hello\ncall: {answer: refused}",
        "there is no ack of message 'a-case'",
    ),
    "a failure nobody expects": (
        "send: Hello\ncall: {answer: refused}",
        "there is a failure that is not expected",
    ),
    "another failure": (
        "send: Hello\ncall: {answer: refused}\nevent: nack\nfailure: permanent",
        'failure: failure_code: "permanent" is expected, not null',
    ),
    "a status": ("send: Hello\ncall: {}\nstatus: {component: a}", "there is no such status"),
    "another URL": (
        "send: Hello\ncall: {POST: https://api.example/recv}",
        'call: URL: "https://api.example/recv" is expected, not "https://api.example/send"',
    ),
    "another method": (
        "send: Hello\ncall: {PUT: https://api.example/send}",
        "call: the method PUT is expected, not POST",
    ),
    "another query": ("send: Hello\ncall: {query: {a: c}}", 'call: query.a: "c" is expected'),
    "another login": ("send: Hello\ncall: {auth: 'a:b'}", "call: auth: a:b is expected, not"),
    "another body of a call": (
        "send: Hello\ncall: {json: {text: Bye}}",
        'call: json.text: "Bye" is expected, not "Hello"',
    ),
    "a call that was not made": (
        "request: {query: {text: ~}}\ncall: {}\nresponse: 400",
        "POST https://api.example/send was not called",
    ),
    "an answer that was not used": (
        "request: {query: {text: ~}}\ncall: {}\nresponse: 400",
        "https://api.example/send was not called",
    ),
    "a call nobody expects": (
        "send: Hello\nevent: nack",
        "a request was made that is not expected: POST https://api.exa",
    ),
    "an id that is not there": (
        "send: Hello\ncall: {}\nevent: {ack: <message id>}",
        "there is no <message id> (yet)",
    ),
    "the step is told": (
        "- request: {query: {text: ~}}\n  response: 400\n- request: {}\n  message: ho\n  reply: x",
        "step 2, message: content",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_case_that_is_not_as_it_should_be(name: str, tmp_path: Path) -> None:
    case, words = BAD[name]
    told = complaint(tmp_path, case)
    assert words in told
    assert "cases/x.yaml, line " in told
    assert "case 'a case'" in told


FAULTS = {
    "two answers": (
        "twice",
        "test_inbound_good",
        'there is an event that is not expected: {"event_type": "nack"',
    ),
    "no answer": ("silent", "test_outbound_good", "there is no ack of message 'good'"),
    "no answer to trouble": (
        "silent",
        "test_one_answer_to_a_text_in_any_script",
        "exactly one ack or nack is needed, there is none",
    ),
    "a secret in the log": (
        "log",
        "test_inbound_good",
        "a secret ('key-5417') is shown in the log: ",
    ),
    "an error in the log": (
        "error",
        "test_inbound_good",
        "an error was logged that has no failure message",
    ),
    "a timer is left": (
        "timer",
        "test_inbound_bad",
        "a call in 3600 seconds is left: ToyTransport.forgotten",
    ),
    "a port is left": (
        "port",
        "test_it_can_be_stopped_and_started_again",
        "the first time: it still listens on port 40000",
    ),
    "a connection is left": (
        "pool",
        "test_outbound_good",
        "a connection to https://api.example is still open",
    ),
    "no health": (
        "no health",
        "test_it_can_be_stopped_and_started_again",
        "the health path answers 404",
    ),
    "a request that leaves": (
        "socket",
        "test_outbound_good",
        "something would have left the process: socket.connect(('192.0.2.1', 80),) was called",
    ),
    "a lookup that leaves": ("lookup", "test_outbound_good", "socket.getaddrinfo("),
    "another way to connect": (
        "endpoint",
        "test_outbound_good",
        "a connection to 192.0.2.1:80 was tried",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_transport_that_has_a_fault(name: str, tmp_path: Path) -> None:
    fault, test, words = FAULTS[name]
    assert words in run(tmp_path, BALANCED, fault)[test]


def test_a_transport_without_a_fault(tmp_path: Path) -> None:
    assert run(tmp_path, BALANCED, fuzz_examples=5) == {}


def test_tables_without_bad_cases(tmp_path: Path) -> None:
    table = f"{GIVEN}\ninbound: {{a: {{send: Hello, call: {{}}}}}}"
    told = run(tmp_path, table)["test_there_are_good_and_bad_cases_each_way"]
    assert "no case of an inbound request that leads to a message or event" in told
    assert "no case of a message that is nacked" in told
    assert "no case of a message that is acked" not in told


def test_an_option_that_is_not_missed(tmp_path: Path) -> None:
    class Careless(ToyTransport):
        @classmethod
        def check_config(cls, config: dict[str, Any]) -> list[str]:
            return [] if "api_key" not in config else super().check_config(config)

    told = run(tmp_path, BALANCED, transport_class=Careless)
    assert list(told) == ["test_each_required_option_is_missed_by_its_name"]
    assert "the option 'api_key' is required, but nobody complains" in "".join(told.values())


def test_tables_that_can_not_be_read_are_one_failing_test(tmp_path: Path) -> None:
    told = run(tmp_path, "inbound: {a: {requst: {}}}")
    assert list(told) == ["test_tables_can_be_read"]
    assert "cases/x.yaml, line 1, case 'a': unknown key 'requst'" in "".join(told.values())


def test_fuzzing_finds_a_crash_and_tells_the_request(tmp_path: Path) -> None:
    told = run(tmp_path, BALANCED, "crash", fuzz_examples=200)
    [words] = told.values()
    assert list(told) == ["test_any_request_is_answered"]
    assert "it is answered 500" in words
    assert "ZeroDivisionError" in words
    assert "text=" in words


def test_a_configuration_that_is_wrong_is_told_with_its_case(tmp_path: Path) -> None:
    told = run(tmp_path, f"{BALANCED}  ugly: {{config: {{web_port: x}}, send: Hello}}\n")
    assert list(told) == ["test_outbound_ugly"]
    assert "case 'ugly': Field 'web_port' could not be converted to int." in "".join(told.values())


def test_options_that_all_cases_have_are_those_of_the_checks(tmp_path: Path) -> None:
    table = f"config: {{api_key: key-5417}}\n{BALANCED}"
    config = {name: value for name, value in CONFIG.items() if name != "api_key"}
    assert run(tmp_path, table, config=config) == {}


def test_without_hypothesis_made_up_requests_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "vumi.tests.cases.fuzz", raising=False)
    assert run(tmp_path, BALANCED, fuzz_examples=5) == {}


def test_requests_are_spoiled_anywhere_in_their_data() -> None:
    data = {"a": [{"b": 1}], "c": 2}
    assert [p for p in _paths(data) if "unknown" not in p] == [
        (),
        ("a",),
        ("a", 0),
        ("a", 0, "b"),
        ("c",),
    ]
    assert _with(data, ("a", 0, "b"), None) == {"a": [{"b": None}], "c": 2}
    assert _with(data, ("a", 0, "b"), ...) == {"a": [{}], "c": 2}
    assert _with(data, ("a", 0), 5) == {"a": [5], "c": 2}
    assert _with(data, (), []) == []
    assert data == {"a": [{"b": 1}], "c": 2}


def test_a_class_signs_its_requests(tmp_path: Path) -> None:
    signed = []

    def sign(self: Any, request: Any) -> None:
        request.headers.setdefault("X-Signature", "abc")
        signed.append(request.headers["X-Signature"])

    assert run(tmp_path, BALANCED, sign=sign) == {}
    assert signed == ["abc", "abc"]


# Sockets


def test_no_socket_can_be_used_past_twisted() -> None:
    pretended = PretendReactor(0)
    with no_sockets(pretended), socket.socket() as real, pytest.raises(ConnectionRefusedError):
        real.connect(("127.0.0.1", 9))
    assert pretended.strays == ["socket.connect(('127.0.0.1', 9),) was called"]
    with no_sockets(pretended), pytest.raises(ConnectionRefusedError):
        socket.getaddrinfo("api.example", 80)
    assert "connect" not in vars(socket.socket)


def test_what_twisted_listens_on_is_in_memory() -> None:
    from twisted.internet.protocol import Factory

    pretended = PretendReactor(0)
    running: Any = reactor
    factory = Factory()
    with no_sockets(pretended):
        port = running.listenTCP(0, factory)
    assert port.getHost().port == 40000
    assert factory.numPorts == 1
    assert pretended.ports == [port]
    assert port.stopListening().called
    assert factory.numPorts == 0
    assert pretended.ports == []
