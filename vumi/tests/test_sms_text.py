"""Lengths of texts on their way to a phone, and where they may be cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.handset import lengths
from vumi.sms_text import Length, graphemes, measure, utf16_units

CASES: dict[str, tuple[str, Length]] = {
    "nothing": ("", Length(0, True, 0, 1)),
    "one SMS": ("a" * 160, Length(160, True, 160, 1)),
    "two SMS": ("a" * 161, Length(161, True, 161, 2)),
    "two full SMS": ("a" * 306, Length(306, True, 306, 2)),
    "three SMS": ("a" * 307, Length(307, True, 307, 3)),
    "the extension counts twice": ("€" * 80, Length(80, True, 160, 1)),
    "and no character is cut in two": ("a" * 152 + "€" * 77, Length(229, True, 306, 3)),
    "one SMS outside of the alphabet": ("ŋ" * 70, Length(70, False, 70, 1)),
    "two SMS outside of the alphabet": ("ŋ" * 71, Length(71, False, 71, 2)),
    "one character outside is enough": ("a" * 133 + "ŋ", Length(134, False, 134, 2)),
    "an emoji is two units": ("\N{GRINNING FACE}" * 35, Length(35, False, 70, 1)),
    "and is not cut in two": ("\N{GRINNING FACE}" * 67, Length(67, False, 134, 3)),
}


@pytest.mark.parametrize(("text", "length"), CASES.values(), ids=CASES.keys())
def test_lengths(text: str, length: Length) -> None:
    assert measure(text) == length


@pytest.mark.parametrize(
    ("text", "fits"),
    [("a" * 182, True), ("a" * 183, False), ("ŋ" * 80, True), ("ŋ" * 81, False)],
)
def test_a_ussd_message_has_182_or_80_characters(text: str, fits: bool) -> None:
    assert measure(text).fits_ussd is fits


@given(st.text())
def test_every_text_has_a_length(text: str) -> None:
    length = measure(text)
    assert length.characters == len(text)
    assert length.units >= length.characters
    assert length.sms_parts >= 1


def test_the_old_path_has_the_same_objects() -> None:
    assert (lengths.measure, lengths.Length) == (measure, Length)


CLUSTERS: dict[str, list[str]] = {
    "letters": ["a", "b"],
    "Vietnamese, decomposed": ["o\u031b\u0309", "i"],
    "Thai": ["\u0e1b\u0e35\u0e48", "\u0e19\u0e49\u0e33"],
    "Devanagari": ["\u0928", "\u092e", "\u0938\u094d", "\u0924\u0947"],
    "Hangul in letters": ["\u1112\u1161\u11ab", "\u1100\u1173\u11af"],
    "a family": ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "!"],
    "a skin tone": ["\U0001f44d\U0001f3fd", "x"],
    "an emoji's selector": ["\u2757\ufe0f", "\u2757"],
    "two flags": ["\U0001f1e8\U0001f1ee", "\U0001f1f3\U0001f1ec"],
    "a flag and a half": ["\U0001f1e8\U0001f1ee", "\U0001f1f3"],
    "line ends": ["a", "\r\n", "\n", "\u0301"],
    "a joiner between letters": ["\u0915\u094d\u200d", "\u0937"],
}


@pytest.mark.parametrize("clusters", CLUSTERS.values(), ids=CLUSTERS.keys())
def test_a_text_is_cut_between_what_readers_take_for_characters(clusters: list[str]) -> None:
    assert list(graphemes("".join(clusters))) == clusters


@given(st.text())
def test_graphemes_are_the_text(text: str) -> None:
    assert "".join(graphemes(text)) == text


@given(st.text())
def test_units_are_those_of_utf_16(text: str) -> None:
    assert utf16_units(text) == len(text.encode("utf-16-be", "surrogatepass")) // 2
