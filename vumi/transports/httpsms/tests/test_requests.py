"""The usual forms of requests, in UTF-8."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from vumi.transports.httpsms import form_request, json_request, query_request

TEXTS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)


@given(TEXTS)
def test_texts_arrive_as_they_were(texts: dict[str, str]) -> None:
    # The old Vumi failed with whatever is not ASCII.
    expected = {name: [text] for name, text in texts.items()}
    query = query_request("http://a/b", texts)
    assert parse_qs(urlsplit(query.url).query) == expected
    assert (query.method, query.body) == ("GET", b"")
    form = form_request("http://a/b", list(texts.items()))
    assert parse_qs(form.body.decode("ascii")) == expected
    assert (form.method, form.url) == ("POST", "http://a/b")
    assert form.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    data = json_request("http://a/b", texts, method="PUT")
    assert json.loads(data.body) == texts
    assert (data.method, data.headers["Content-Type"].split(";")[0]) == ("PUT", "application/json")


def test_details() -> None:
    pairs: Any = (("a", "1"), ("a", "2"), ("b", None))
    query = query_request("http://h/p?x=y#f", pairs, {"X-A": "b"}, "POST")
    assert (query.method, query.url) == ("POST", "http://h/p?x=y&a=1&a=2#f")
    assert query.headers == {"X-A": "b"}
    assert query_request("http://h/p", {}).url == "http://h/p"
    assert form_request("http://h", {}, {"Content-Type": "x"}).headers == {"Content-Type": "x"}


def test_half_a_character_is_sent_as_one_that_all_can_read() -> None:
    halves = {"a": "ok \ud83d", "b": "\ud83d\ude00"}
    encoded = "a=ok+%EF%BF%BD&b=%F0%9F%98%80"
    assert form_request("http://h", halves).body == encoded.encode()
    assert query_request("http://h", halves).url == f"http://h?{encoded}"
    assert json_request("http://h", halves).body == '{"a":"ok \ufffd","b":"😀"}'.encode()
