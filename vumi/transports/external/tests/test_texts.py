"""Texts and their parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.transports.external.texts import fits_gsm, septets, split_text, text_values


@pytest.mark.parametrize(
    ("text", "most", "parts"),
    [
        ("", 5, [""]),
        ("hello", 5, ["hello"]),
        ("hello you", 6, ["hello ", "you"]),
        ("hello you", 5, ["hello", " you"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("a bcdefgh", 4, ["a ", "bcde", "fgh"]),
        ("☃☃☃", 1, ["☃", "☃", "☃"]),
    ],
)
def test_a_text_is_split_after_spaces(text: str, most: int, parts: list[str]) -> None:
    assert split_text(text, most) == parts


@given(st.text(), st.integers(1, 20))
def test_nothing_of_a_text_is_lost(text: str, most: int) -> None:
    parts = split_text(text, most)
    assert "".join(parts) == text
    assert all(0 < len(part) <= most for part in parts if text)


@given(st.text("ab {}€^\n"), st.integers(2, 20))
def test_some_letters_take_two_places(text: str, most: int) -> None:
    parts = split_text(text, most, in_septets=True)
    assert "".join(parts) == text
    assert all(septets(part) <= most for part in parts)


def test_a_letter_that_is_longer_than_a_part_is_a_part() -> None:
    assert split_text("€€", 1, in_septets=True) == ["€", "€"]


@given(st.text())
def test_a_text_is_in_one_alphabet(text: str) -> None:
    values = text_values(text, {"gsm": "0", "unicode": "8"})
    assert (values["text_gsm"] is None) != (values["text_utf16_hex"] is None)
    assert values["alphabet"] == ("0" if fits_gsm(text) else "8")
    if values["text_utf16_hex"]:
        assert bytes.fromhex(values["text_utf16_hex"]).decode("utf-16-be") == values["text"]
