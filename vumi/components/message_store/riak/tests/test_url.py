"""The URL of a Riak archive."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.components.message_store.riak.url import RiakNode, RiakPlace, parse_riak_url
from vumi.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("riak://h/?bucket_prefix=p", {}),
        ("riak://h?bucket_prefix=p", {}),
        ("riak://h:8098/?bucket_prefix=p.", {"bucket_prefix": "p."}),
        (
            "riak://h1:1,h2,[::1]:3,[fe80::1]/?bucket_prefix=p",
            {
                "nodes": (
                    RiakNode("h1", 1),
                    RiakNode("h2"),
                    RiakNode("::1", 3),
                    RiakNode("fe80::1"),
                )
            },
        ),
        ("riak://h,h/?bucket_prefix=p", {}),
        (
            "riak://us%40er:p%3A%2F:w@h/?bucket_prefix=p",
            {"user": "us@er", "password": "p:/:w"},
        ),
        ("riaks://h/?bucket_prefix=p", {"tls": True}),
        ("riak://h/?bucket_prefix=p&tls=true", {"tls": True}),
        (
            "riak://h/?bucket_prefix=p&bucket_type=t&timeout=2.5&patience=1&connections=3"
            "&set_properties=no",
            {
                "bucket_type": "t",
                "timeout": 2.5,
                "patience": 1.0,
                "connections": 3,
                "set_properties": False,
            },
        ),
        (
            "riak://h/?bucket_prefix=p&r=1&w=one&dw=quorum&pr=0&pw=default",
            {"quorums": {"r": "1", "w": "one", "dw": "quorum", "pr": "0", "pw": "default"}},
        ),
        ("riak://h/?bucket_prefix=%E2%98%83%26", {"bucket_prefix": "\N{SNOWMAN}&"}),
    ],
)
def test_what_a_url_says(url: str, expected: dict[str, Any]) -> None:
    defaults: dict[str, Any] = {"nodes": (RiakNode("h", 8098),), "bucket_prefix": "p"}
    assert parse_riak_url(url) == RiakPlace(**{**defaults, **expected})


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://h/?bucket_prefix=p", "'http' is not the scheme"),
        ("riak:h", "not the scheme"),
        ("riak:///?bucket_prefix=p", "'' is not host or host:port"),
        ("riak://h:x/?bucket_prefix=p", "'h:x' is not host or host:port"),
        ("riak://h:0/?bucket_prefix=p", "'h:0' is not host or host:port"),
        ("riak://h,,i/?bucket_prefix=p", "'' is not host or host:port"),
        ("riak://h/", "bucket_prefix is missing"),
        ("riak://h/?bucket_prefix=", "bucket_prefix is empty"),
        ("riak://h/db?bucket_prefix=p", "'/db' is too much"),
        ("riak://:secret@h/?bucket_prefix=p", "no user"),
        ("riak://h/?bucket_prefix=p&r=two", "r must be a number of nodes, or default, one"),
        ("riak://h/?bucket_prefix=p&pw=-1", "pw must be a number of nodes"),
        ("riak://h/?bucket_prefix=p&timeout=0", "timeout must be a number of seconds over 0"),
        ("riak://h/?bucket_prefix=p&timeout=nan", "timeout must be a number of seconds"),
        ("riak://h/?bucket_prefix=p&connections=1.5", "connections must be a whole number"),
        ("riak://h/?bucket_prefix=p&tls=maybe", "tls must be true or false"),
        ("riaks://h/?bucket_prefix=p&tls=no", "riaks:// is TLS"),
        ("riak://h/?bucket_prefix=p&bucket_prefix=q", "bucket_prefix is given twice"),
        ("riak://h/?bucket_prefix=p&n_val=2", "There is no option 'n_val'"),
        ("riak://h/?bucket_prefix=p#x", "'#' must be written"),
    ],
)
def test_what_is_wrong_is_said(url: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_riak_url(url)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_riak_url("riak://user:secret@h:x/?r=two&timeout=x")
    assert len(caught.value.problems) == 4
    assert "secret" not in str(caught.value)


def test_the_address_has_no_credentials() -> None:
    place = parse_riak_url("riaks://user:secret@h,[::1]:1/?bucket_prefix=%26&bucket_type=t&r=1")
    assert place.address == "riaks://h:8098,[::1]:1/?bucket_prefix=%26&bucket_type=t"
    assert "secret" not in repr(place)


@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    for url in (text, f"riak://{text}", f"riak://h/?{text}"):
        with suppress(ConfigError):
            parse_riak_url(url)
