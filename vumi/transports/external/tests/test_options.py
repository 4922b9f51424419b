"""Every mistake in the options is told at the start, with its path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.errors import ConfigError
from vumi.transports.external import ExternalTransportConfig

FIELDS = {
    "from_addr": {"parameter": "from"},
    "to_addr": {"constant": 8123},
    "content": {"parameter": "text"},
}
SEND = {"url": "https://api.example/send", "json": {"text": "{{text}}"}}
RECEIPTS = {"id": {"parameter": "id"}, "status": {"parameter": "status"}}
BASE: dict[str, Any] = {
    "transport_name": "t",
    "web_path": "/sms",
    "secrets": {"key": "opensesame"},
    "send": SEND,
    "inbound": {"fields": FIELDS},
}


def problems_of(**options: Any) -> list[str]:
    config = {name: value for name, value in {**BASE, **options}.items() if value is not None}
    try:
        ExternalTransportConfig(config, static=True)
    except ConfigError as error:
        return list(error.problems)
    return []


def test_they_may_be_right() -> None:
    assert problems_of() == []
    assert problems_of(inbound=None) == []
    assert problems_of(send=None) == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"send": None, "inbound": None}, "There is nothing to do"),
        ({"secrets": {"key": [1]}}, "secrets.key is no text."),
        ({"secrets": {"key": ""}}, "secrets.key is empty."),
        ({"encoding": "klingon"}, "encoding is no encoding: 'klingon'."),
        # send
        ({"send": {**SEND, "url": None}}, "send.url is missing."),
        ({"send": {**SEND, "url": "ftp://a/b"}}, "send.url is no URL"),
        ({"send": {**SEND, "url": "https://{{to}}.example/"}}, "send.url is no URL"),
        ({"send": {**SEND, "url": "https://ann:pw@a.example/"}}, "send.url is no URL"),
        ({"send": {**SEND, "url": "https://a/{{txt}}"}}, "send.url has {{txt}}, which is not"),
        (
            {"send": {**SEND, "json": {"a": [{"b": "{{secrets.no}}"}]}}},
            "send.json.a.0.b has {{secrets.no}}, which is not known: there are alphabet, from, ",
        ),
        ({"send": {**SEND, "json": {"a": "{{metadata.x}}"}}}, "send.json.a has {{metadata.x}}"),
        ({"send": {**SEND, "json": {"a": {1, 2}}}}, "send.json.a is neither text nor number"),
        ({"send": {**SEND, "form": {"a": "b"}}}, "send has form and json: a body is one of them"),
        ({"send": {"url": "http://a/", "form": [1]}}, "send.form is no mapping of names"),
        ({"send": {"url": "http://a/", "xml": "<a>{{to}}"}}, "send.xml would be no XML"),
        ({"send": {**SEND, "method": "GET"}}, "send.method can't be GET with a body (json)."),
        ({"send": {**SEND, "method": "FLY"}}, "send.method is one of GET, POST"),
        ({"send": {**SEND, "urls": 1}}, "send.urls is no option there is: did you mean 'url'?"),
        ({"send": {**SEND, "headers": {"a b": "c"}}}, "send.headers has 'a b'"),
        ({"send": {**SEND, "username": "ann"}}, "send.username and password go together."),
        ({"send": {**SEND, "max_length": 0}}, "send.max_length is no whole number from 1 up."),
        ({"send": {**SEND, "max_length": {"gsm": "x"}}}, "send.max_length.gsm is no whole number"),
        ({"send": {**SEND, "long_text": "cut"}}, "send.long_text is one of refuse, split"),
        ({"send": {**SEND, "long_text": "split"}}, "send.long_text needs max_length."),
        ({"send": {**SEND, "alphabet": {"gsm": 0}}}, "send.alphabet says what the network calls"),
        ({"send": {**SEND, "retry_statuses": [200]}}, "send.retry_statuses is no list of HTTP"),
        # answer
        ({"answer": {"id": {}}}, "answer.id says where to find it by one of parameter, json"),
        ({"answer": {"id": "x"}}, "answer.id is no mapping of options."),
        ({"answer": {"id": {"json": "a", "xml": "b"}}}, "answer.id says where to find it by one"),
        ({"answer": {"id": {"jsn": "a"}}}, "answer.id.jsn is no option there is: did you mean"),
        ({"answer": {"id": {"xml": "a["}}}, "answer.id.xml is no path such as message/@id"),
        ({"answer": {"id": {"regex": "("}}}, "answer.id.regex is no regular expression"),
        ({"answer": {"id": {"json": "a", "charset": "x-no"}}}, "answer.id.charset is no encoding"),
        ({"answer": {"id": {"json": "a", "charset": "ascii"}}}, "answer.id.charset is only for"),
        ({"answer": {"status": {"json": "a"}}}, "answer.statuses and status go together."),
        (
            {"answer": {"status": {"json": "a"}, "statuses": {0: "ok"}}},
            "answer.statuses.0 is one of accepted, rejected, later, not 'ok'.",
        ),
        ({"answer": {"status": {"json": "a"}, "statuses": [0]}}, "answer.statuses is no mapping."),
        # login
        ({"login": {"url": "http://a/"}}, "login.read is missing."),
        ({"login": {"url": "http://a/", "read": {"json": "t"}}}, "login is of no use: send has"),
        (
            {"login": {"url": "http://a/{{to}}", "read": {"json": "t"}}},
            "login.url has {{to}}, which is not known: there are secrets.key",
        ),
        # inbound
        ({"inbound": {}}, "inbound.fields is missing."),
        ({"inbound": {"fields": {**FIELDS, "to_addr": None}}}, "inbound.fields.to_addr is missin"),
        ({"inbound": {"fields": {**FIELDS, "txt": {}}}}, "inbound.fields.txt is no option there"),
        (
            {"inbound": {"fields": {**FIELDS, "session_event": {"constant": "old"}}}},
            "inbound.fields.session_event is one of new, resume, close, not 'old'.",
        ),
        ({"inbound": {"fields": FIELDS, "metadata": {"a": "b"}}}, "inbound.metadata.a is no mapp"),
        (
            {"inbound": {"fields": FIELDS, "response": {"text": "{{id}}"}}},
            "inbound.response.text has {{id}}, which is not known: there are message_id.",
        ),
        (
            {"inbound": {"fields": FIELDS, "response": {"status": 404}}},
            "inbound.response.status is no whole number from 200 to 299.",
        ),
        # receipts
        ({"receipts": {}}, "receipts.id is missing."),
        ({"receipts": {**RECEIPTS, "id_is": "mine"}}, "receipts.id_is is one of ours, theirs"),
        (
            {"receipts": {**RECEIPTS, "statuses": {"OK": "done"}}},
            "receipts.statuses.OK is one of pending, delivered, failed, ignored, not 'done'.",
        ),
        ({"receipts": {**RECEIPTS, "path": "sms/"}}, "receipts.path is web_path: leave it out."),
        ({"receipts": {**RECEIPTS, "path": "/sms/dlr"}}, "receipts.path can't be below web_path"),
        ({"receipts": {**RECEIPTS, "path": "/health"}}, "receipts.path is health_path."),
        ({"receipts": {**RECEIPTS, "response": {}}}, "receipts.response needs path"),
        ({"error_response": {"json": "{{text}}"}}, "error_response.json has {{text}}"),
        # replies
        ({"replies": {}}, "replies.goes_on is missing."),
        ({"replies": {"goes_on": {}}}, "send and replies exclude each other."),
        (
            {"replies": {"goes_on": {}}, "send": None, "inbound": None},
            "replies needs inbound: a request that waits for them.",
        ),
        (
            {
                "replies": {"goes_on": {}},
                "send": None,
                "inbound": {"fields": FIELDS, "response": {}},
            },
            "inbound.response and replies exclude each other.",
        ),
        # who may
        ({"signature": {"header": "X"}}, "signature.key is missing."),
        ({"signature": {"header": "X", "key": "no"}}, "signature.key is the name of none of secr"),
        ({"signature": {"header": "X", "key": "key", "digest": "md5"}}, "signature.digest is one"),
        ({"access": {"key": "key"}}, "access says one of parameter and header."),
    ],
)
def test_a_mistake_is_told_with_its_path(options: dict[str, Any], problem: str) -> None:
    problems = problems_of(**options)
    assert any(told.startswith(problem) for told in problems), problems


def test_all_mistakes_are_told_at_once_and_no_secret_with_them() -> None:
    problems = problems_of(
        send={**SEND, "url": "x", "colour": "opensesame"},
        answer={"id": {}},
        receipts={},
        signature={"header": "X", "key": "opensesame2"},
    )
    paths = ("send.url", "send.colour", "answer.id", "receipts.id", "receipts.status", "signature")
    for path in paths:
        assert any(told.startswith(path) for told in problems), (path, problems)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda items: (
        st.lists(items, max_size=3)
        | st.dictionaries(
            st.sampled_from(["url", "id", "json", "regex", "status", "fields", "text", "key"])
            | st.integers(),
            items,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("secrets", "send", "answer", "login", "inbound", "replies"),
                *("receipts", "error_response", "signature", "access"),
            ]
        ),
        st.dictionaries(
            st.sampled_from(
                [
                    *("url", "json", "id", "fields", "status", "statuses", "max_length", "each"),
                    *("goes_on", "response", "metadata", "headers", "key", "read", "text"),
                ]
            ),
            ANYTHING,
            max_size=5,
        ),
    )
)
def test_whatever_the_options_are_they_are_right_or_told_to_be_wrong(options: Any) -> None:
    problems_of(**options)
