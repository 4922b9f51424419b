"""Lengths of texts on their way to a phone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.handset.lengths import Length, measure

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
