"""Texts that are the same words, and texts that are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.text_matching import bare, decimal_number, first_word, folded

STOP = "STOP"
SAME: list[tuple[str, str]] = [
    (STOP, "STOP\u2757\ufe0f"),
    # Emoji whose compatibility forms are letters.
    (STOP, "STOP\u2122\ufe0f"),
    (STOP, "\u2139\ufe0fSTOP\u24c2\ufe0f"),
    (STOP, "STOP \U0001f21a"),
    (STOP, "\uff33\uff34\uff2f\uff30"),
    (STOP, "S\u200bTOP"),
    (STOP, "ST\u00adOP"),
    (STOP, "\ufeff\u200eStop\u200f"),
    (STOP, "stop."),
    (STOP, '"STOP"'),
    (STOP, "\u00abstop\u00bb"),
    (STOP, "STOP \U0001f600"),
    (STOP, "\U0001f64f\U0001f3fd\u200d\u2640\ufe0f stop \U0001f1ff\U0001f1e6 !!"),
    (STOP, "  \t\nstop\u00a0\u3000"),
    (STOP, "S\u0336T\u0336O\u0336P\u0336"),
    (STOP, "\U0001d412\U0001d413\U0001d40e\U0001d40f"),
    (STOP, "*stop*\x00"),
    ("ARR\u00caT", "ARRE\u0302T"),
    ("arr\u00eat", "ARRE\u0302T!"),
    ("\u0130PTAL", "iptal"),
    ("\u0130PTAL", "IPTAL"),
    ("\u0130PTAL", "I\u0307ptal"),
    ("KAPI", "kap\u0131"),
    ("STRASSE", "stra\u00dfe"),
    ("\u039b\u0391\u039f\u03a3", "\u03bb\u03b1\u03bf\u03c2"),
    ("don't know", "Don\u2019t  know"),
    ("e-mail", "E\u2011mail"),
    ("\u0642\u0641", "\u0642\u0640\u0640\u0641"),
    ("\ufedf\ufe8e", "\u0644\u0627"),
    ("12", "\u0661\u0662"),
    ("12", "\uff11\uff12"),
    ("1", "1\ufe0f\u20e3"),
    ("\u1ed3", "o\u0302\u0300"),
]

DIFFERENT: list[tuple[str, str]] = [
    (STOP, "STOP NOW"),
    (STOP, "STOPS"),
    ("ou", "o\u00f9"),
    # Vowel signs of Hindi, Thai, Arabic and Hebrew.
    ("\u0915", "\u0915\u093f"),
    ("\u0915\u093e", "\u0915\u0940"),
    ("\u0e01", "\u0e01\u0e34"),
    ("\u0643\u062a\u0628", "\u0643\u064f\u062a\u0628"),
    ("\u05e9\u05c1", "\u05e9\u05c2"),
    ("\u0628", "\u062a"),
    ("", "0"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_words(one: str, other: str) -> None:
    assert bare(one) == bare(other) != ""


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_other_words(one: str, other: str) -> None:
    assert bare(one) != bare(other)


def test_marks_at_the_end_of_a_word_stay() -> None:
    assert bare("\u0915\u093f!") == "\u0915\u093f"
    assert bare("ok\u2764\u0301") == "ok"


def test_what_has_no_words_is_nothing_bare_and_something_folded() -> None:
    assert (bare("\u2757\ufe0f!"), folded("\u2757\ufe0f!")) == ("", "\u2757!")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("JOIN now", "join"),
        ("\U0001f389 \u201cJoin\u201d now", "join"),
        ("?!", ""),
        ("", ""),
        ("J\u200bOIN", "join"),
    ],
)
def test_the_first_word(text: str, word: str) -> None:
    assert first_word(text) == word


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        (" 1. ", 1),
        ("(2)", 2),
        ("3)", 3),
        ("#4", 4),
        ("0.", 0),
        ("\u0660", 0),
        ("\u0661.", 1),
        ("\uff11", 1),
        ("1\ufe0f\u20e3", 1),
        ("1 \U0001f44d", 1),
        ("\u200e1", 1),
        ("007", 7),
        ("-1", None),
        ("+1", None),
        ("\u22121", None),
        ("1,5", None),
        ("1 2", None),
        ("\u00b2", None),
        ("\u2460", None),
        ("one", None),
        ("", None),
        ("9" * 4301, None),
        # Signs of all widths.
        ("\uff0d1", None),
        ("\uff0b1", None),
        ("\ufe631", None),
    ],
)
def test_numbers(text: str, number: int | None) -> None:
    assert decimal_number(text) == number


@given(st.text())
def test_any_text_can_be_compared_and_folding_twice_changes_nothing(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    assert bare(bare(text)) == bare(text)
    decimal_number(text)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_ascii_is_folded_the_short_way_with_the_same_result(text: str) -> None:
    assert bare(text) == bare(text + "\u200b")
