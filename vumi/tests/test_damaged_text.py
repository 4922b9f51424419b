"""Damaged texts: what can be read of them is kept."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.damaged_text import decode_text, mend_data, mend_text, read_json

ENCODINGS = ("utf-8", "ascii", "latin-1", "utf-16-be", "utf-16", "ucs2", "gsm0338", "cp1252")


@pytest.mark.parametrize(
    ("octets", "encoding", "text"),
    [
        (b"caf\xc3\xa9", "utf-8", "café"),
        (b"caf\xe9!", "utf-8", "caf\ufffd!"),
        (b"\xef\xbb\xbfhi", "utf-8", "hi"),
        (b"\xf0\x9f\x98", "utf-8", "\ufffd"),
        (b"\xed\xa0\xbd", "utf-8", "\ufffd\ufffd\ufffd"),
        (b"\x00h\x00i\xd8\x3d", "utf-16-be", "hi\ufffd"),
        (b"\x00h\x00i\xd8\x3d", "ucs2", "hi\ufffd"),
        (b"\xde\x00\x00h", "ucs2", "\ufffdh"),
        (b"\x00h\x00", "ucs2", "h\ufffd"),
        (b"\xfe\xff\x00h", "ucs2", "h"),
        (b"\xd8\x3d\xde\x00", "ucs2", "😀"),
        (b"a\x1be\x80b\x1b", "gsm0338", "a€\ufffdb\ufffd"),
        (b"pay \x1bA now", "gsm0338", "pay A now"),
        (b"a\x1b\x1bb", "gsm0338", "a b"),
        (b"\xff\xfeh\x00", "ucs2", "h"),
        (b"\xff\xfeh\x00", "UTF-16BE", "h"),
        (b"a\x80", "ascii", "a\ufffd"),
    ],
)
def test_octets_that_mean_nothing_cost_no_text(octets: bytes, encoding: str, text: str) -> None:
    assert decode_text(octets, encoding) == text


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("plain", "plain"),
        ("ok \ud83d", "ok \ufffd"),
        ("\ude00 ok", "\ufffd ok"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d\ud83d\ude00\ude00", "\ufffd😀\ufffd"),
        ("é \ud83d é", "é \ufffd é"),
    ],
)
def test_halves_of_a_character_are_joined_or_replaced(text: str, mended: str) -> None:
    assert mend_text(text) == mended


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b'"ok \\ud83d"', "ok \ufffd"),
        (b'["\\uD83D\\uDE00", "\\udE00x"]', ["😀", "\ufffdx"]),
        (b'{"\\ud83d": [{"a": "\\ud83d"}]}', {"\ufffd": [{"a": "\ufffd"}]}),
        (b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}),
        (b'{"a": "\xed\xa0\xbd"}', {"a": "\ufffd\ufffd\ufffd"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b"18446744073709551617", 2**64 + 1),
    ],
)
def test_a_damaged_text_in_json_costs_no_other(body: bytes, data: object) -> None:
    assert read_json(body) == data


@pytest.mark.parametrize(
    "body", [b"", b"{", b"NaN", b"[-Infinity]", b"[" * 5000, b"{'a': 1}", b'"\\u12"', b'"\n"']
)
def test_what_is_no_json_is_one_declared_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read_json(body)


def test_data_that_is_sent_is_mended_too() -> None:
    assert mend_data({"\ud83d": ("\ud83d", [1, None, "a"])}) == {
        "\ufffd": ["\ufffd", [1, None, "a"]]
    }


@given(st.binary(), st.sampled_from(ENCODINGS))
def test_any_octets_become_a_text_that_can_be_sent(octets: bytes, encoding: str) -> None:
    decode_text(octets, encoding).encode("utf-8")


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_in_json_can_be_read_and_sent(text: str) -> None:
    read_json(json.dumps([text]).encode())[0].encode("utf-8")
    assert mend_text(mend_text(text)) == mend_text(text)
