"""Comparing: what counts as equal, and how a difference is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.tests.cases.bodies import body_differences, encode_body, encode_form, form_differences
from vumi.tests.cases.matching import Ids, absent_differences, differences
from vumi.tests.cases.model import Body

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="ab<>", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("expected", "actual", "subset", "words"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True, []),
        ({"a": 1}, {"a": 1, "b": 2}, False, ["x.b: is not expected, but there is 2"]),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, True, []),
        ({"a": None}, {}, True, []),
        ({"a": None}, {}, False, ["x.a: null is expected, but it is not there"]),
        ({"a": 1}, {}, True, ["x.a: 1 is expected, but it is not there"]),
        ([1], [1, 2], True, ["x: [1] is expected, not [1, 2]"]),
        ([{"a": 1}], [{"a": 2}], True, ["x[1].a: 1 is expected, not 2"]),
        ("1", 1, True, ['x: "1" is expected, not 1 (of another type)']),
        (True, 1, True, ["x: true is expected, not 1"]),
        (1.0, 1, True, []),
        ("<any>", 0, True, []),
        ("<any>", None, True, ["x: <any> is expected, not null"]),
        ("<number>", 1.5, True, []),
        ("<number>", True, True, ["x: <number> is expected, not true"]),
        ("<text>", 1, True, ["x: <text> is expected, not 1"]),
        ("<matches a+\n?>", "aa\n", True, []),
        ("<matches a+>", "aab", True, ['x: <matches a+> is expected, not "aab"']),
        ("<a>", "<a>", True, []),
    ],
)
def test_differences(expected: Any, actual: Any, subset: bool, words: list[str]) -> None:
    assert list(differences(expected, actual, "x", subset)) == words


@given(JSON)
def test_data_equals_itself(data: Any) -> None:
    assert list(differences(data, data, "x")) == []
    body = Body("json", data)
    assert list(body_differences(body, encode_body(body)[0], "x")) == []


def test_what_must_be_absent() -> None:
    payload = {"a": None, "b": {"c": 1}}
    assert list(absent_differences(["a", "b.d", "e.f", "a.b"], payload)) == []
    assert list(absent_differences(["b.c"], payload)) == ["b.c: must not be there, but is 1"]


def test_ids_are_put_in() -> None:
    ids = Ids(["m1", "m2"], ["s1"])
    assert ids.fill({"a": ["<message id>", "<message id 1>"], "b": "x <sent id> y", "c": 1}) == {
        "a": ["m2", "m1"],
        "b": "x s1 y",
        "c": 1,
    }
    with pytest.raises(LookupError, match="there is no <sent id 2>"):
        ids.fill("<sent id 2>")
    with pytest.raises(LookupError, match="there is no <message id>"):
        Ids().fill("<message id>")


# Bodies


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text(), min_size=2, max_size=3)))
def test_a_form_equals_itself(form: dict[str, Any]) -> None:
    assert list(form_differences(form, encode_form(form), "x")) == []


def test_forms() -> None:
    assert encode_form({"a": "1 &", "b": None, "c": ["x", "y"], "d": "<raw %ff>"}) == (
        "a=1+%26&c=x&c=y&d=%ff"
    )
    assert list(form_differences({"d": "<raw %ff>"}, b"d=%FF", "x")) == []
    assert list(form_differences({"a": "1"}, "a=2&b=", "form")) == [
        'form.a: "1" is expected, not "2"',
        'form.b: is not expected, but there is ""',
    ]
    assert list(form_differences("a=1&b=2", "b=2&a=1", "x")) == []


@pytest.mark.parametrize(
    ("body", "actual", "words"),
    [
        (Body("text", "é", "latin-1"), b"\xe9", ""),
        (Body("text", "a"), b"\xe9", "is no utf-8"),
        (Body("hex", "00 ff"), b"\x00\xff", ""),
        (Body("hex", "00"), b"\x01", "the bytes 00 are expected, not 01"),
        (Body("json", {"a": 1}), b"{", "JSON is expected"),
        (Body("xml", "<a x='1' y='2'> <b/> </a>"), b'<a y="2" x="1"><b></b></a>', ""),
        (Body("xml", "<a>1</a>"), b"<a>2</a>", "<a>1</a> is expected, not <a>2</a>"),
        (Body("xml", "<a/>"), b"<a", "XML is expected"),
        (Body("xmlrpc", {"a": 1}), b"<a/>", "XML-RPC is expected"),
        (Body("form", {"a": "1"}), b"a=1", ""),
    ],
)
def test_bodies(body: Body, actual: bytes, words: str) -> None:
    found = list(body_differences(body, actual, "body"))
    assert words in "".join(found)
    assert bool(found) is bool(words)


@pytest.mark.parametrize(
    ("value", "is_answer"),
    [
        ({"handleUSSD": [{"MSISDN": "1"}]}, False),
        ({"MSISDN": "1", "n": 2}, True),
        ({"fault": [8002, "error"]}, True),
    ],
)
def test_xmlrpc_there_and_back(value: Any, is_answer: bool) -> None:
    body = Body("xmlrpc", value)
    assert list(body_differences(body, encode_body(body, is_answer)[0], "x")) == []
    assert list(body_differences(Body("xmlrpc", "no"), encode_body(body, is_answer)[0], "x"))
