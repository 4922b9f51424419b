"""What is shown at a terminal and in a log controls neither."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.printable import counted, printable, printable_lines


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Habari é ✓ 你好 😀", "Habari é ✓ 你好 😀"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\u202eevil\u2066\u200f", r"\u202eevil\u2066\u200f"),
        ("line\u2028break", r"line\u2028break"),
        ("half \ud83d", r"half \ud83d"),
        (3, "3"),
        (Unspeakable(), "<Unspeakable>"),
    ],
)
def test_what_controls_a_terminal_is_shown_as_an_escape(value: object, shown: str) -> None:
    assert printable(value) == shown


def test_several_lines_stay_several_lines() -> None:
    assert printable_lines("a\n\tb\r\x1b[0m") == "a\n\tb\\r\\x1b[0m"


@given(st.text(st.characters(exclude_categories=())))
def test_anything_becomes_printable_and_can_be_written(text: str) -> None:
    assert printable(text).isprintable()
    assert printable_lines(text).replace("\n", "").replace("\t", "").isprintable()
    printable(text).encode("utf-8")


def test_one_is_not_plural() -> None:
    assert [counted(number, "letter") for number in (0, 1, 2)] == [
        "0 letters",
        "1 letter",
        "2 letters",
    ]
