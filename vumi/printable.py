"""Text from outside, made safe to show at a terminal and in a log. Pure: text to text.

What a phone, a gateway or another program has sent may hold terminal control sequences, or marks
that turn the writing direction and so show one thing and mean another. Every command and every
log passes what it shows through here. Knows no stream and no command.
"""

from __future__ import annotations

import unicodedata

__all__ = ["counted", "printable", "printable_lines", "width_of"]


def printable(value: object) -> str:
    """One line of text in which nothing controls a terminal.

    Control characters, line ends, format characters (the bidi marks are among them), private and
    unassigned characters and lone surrogates are shown as Python escapes, such as ``\\x1b``.

    :param value: A text, or anything else; its ``str()`` is taken. A ``str()`` that fails is
        shown as the name of the type.
    """
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 (an exception's own __str__ may raise anything)
        text = f"<{type(value).__name__}>"
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else _escape(character) for character in text
    )


def printable_lines(text: str) -> str:
    """The same for a text of several lines: line feeds and tabs stay as they are."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in "\n\t" else _escape(character)
        for character in text
    )


def counted(number: int, noun: str) -> str:
    """A number and its noun, in the plural if need be: ``1 letter``, ``2 letters``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def width_of(text: str) -> int:
    """How many columns a terminal needs for a text."""
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
