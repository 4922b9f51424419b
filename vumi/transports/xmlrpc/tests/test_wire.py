"""XML-RPC in bytes: what it carries arrives, and nothing else gets through."""

from __future__ import annotations

import xmlrpc.client
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.transports.xmlrpc.wire import (
    Fault,
    MalformedCall,
    encode_fault,
    encode_result,
    parse_call,
)

# XML turns a carriage return into a line feed.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n"))
SCALARS = TEXTS | st.integers(-(2**31), 2**31 - 1) | st.booleans() | st.binary()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=10
)


def is_xml(value: Any) -> bool:
    return "\ufffe" not in repr(value) and "\uffff" not in repr(value)


@given(st.lists(VALUES.filter(is_xml), max_size=3))
def test_calls_are_read_as_they_were_made(parameters: list[Any]) -> None:
    body = xmlrpc.client.dumps(tuple(parameters), "USSD.INIT").encode()
    assert parse_call(body) == ("USSD.INIT", tuple(parameters))


@given(VALUES.filter(is_xml))
def test_results_are_read_as_they_were_given(value: Any) -> None:
    [read], _ = xmlrpc.client.loads(encode_result(value), use_builtin_types=True)
    assert read == value


def test_dates_and_faults() -> None:
    now = datetime(2024, 1, 17, 8, 30)
    [read], _ = xmlrpc.client.loads(encode_result({"now": now}), use_builtin_types=True)
    assert read == {"now": now}
    with pytest.raises(xmlrpc.client.Fault) as caught:
        xmlrpc.client.loads(encode_fault(Fault(8002, "er\0ror")))
    assert (caught.value.faultCode, caught.value.faultString) == (8002, "error")


def test_what_xml_can_not_carry_is_left_out() -> None:
    [read], _ = xmlrpc.client.loads(encode_result(["a\0b\x1b\ufffec", {"\x08k": ("\ud800",)}]))
    assert read == ["abc", {"k": ["\ufffd"]}]


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
    b"<methodCall><methodName>&b;</methodName></methodCall>"
)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (b"caf\xe9", "caf\ufffd"),
        (b"ok &#55357;&#56832;", "ok 😀"),
        (b"ok &#xD83D;", "ok \ufffd"),
        (b"a\x00b", "a\ufffdb"),
    ],
)
def test_a_damaged_character_cost_the_call(text: bytes, read: str) -> None:
    body = (
        b"<methodCall><methodName>m</methodName><params><param><value>%b</value></param></params>"
        b"</methodCall>" % text
    )
    assert parse_call(body) == ("m", (read,))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"text",
        b"<methodCall/>",
        b"<methodCall><methodName></methodName></methodCall>",
        b"<methodResponse><params/></methodResponse>",
        xmlrpc.client.dumps(xmlrpc.client.Fault(1, "x")).encode(),
        b"<methodCall><methodName>m</methodName><params><param><value><int>x</int>"
        b"</value></param></params></methodCall>",
        b"\xff\xfe" + BOMB,
        BOMB,
        BOMB.decode().encode("utf-16"),
    ],
)
def test_what_is_no_call_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedCall):
        parse_call(body)


PIECES = st.sampled_from(
    b"<methodCall> <methodName>m</methodName> <params> <param> <value> <int> 1 </int> </value> "
    b"</param> </params> </methodCall> <struct> <member> <name> <array> <data> </data> </array> "
    b"<nil/> &".split()
)


@given(st.binary() | st.lists(PIECES).map(b"".join))
def test_whatever_comes_in_raises_nothing_else(body: bytes) -> None:
    try:
        method, parameters = parse_call(body)
    except MalformedCall:
        return
    assert isinstance(method, str)
    assert isinstance(parameters, tuple)
