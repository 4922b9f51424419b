"""Texts cut into pages that fit a message.

Knows lengths in characters, lines and words. Knows no state and no user.

A text that fits is one page. Else every page but the last ends with a line like ``0. More``: who
sends that number reads the next. The last page of a menu leads back to the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TURN", "numbered", "room_for_text", "split_pages"]

#: What a user sends to turn the page. No choice has this number.
TURN = "0"

#: Fewer characters than this beside the line that turns the page, and pages make no sense.
LEAST_ROOM = 20


def numbered(labels: Sequence[str]) -> list[str]:
    """The lines of a menu: labels with their numbers, from 1."""
    return [f"{number}. {label}" for number, label in enumerate(labels, 1)]


def room_for_text(limit: int, more: str, back: str) -> int:
    """How many characters a page has besides the line that turns it."""
    return limit - max(len(_footer(more)), len(_footer(back)))


def split_pages(
    text: str, lines: Sequence[str], limit: int, more: str = "More", back: str = "Back"
) -> list[str]:
    """Cut a text with a menu below it into pages.

    Lines stay whole where that is possible; what is longer than a page is cut between words.

    :param text: What stands above the menu.
    :param lines: The menu's numbered lines, if there are any.
    :param limit: How many characters a page may have; 0 is any number.
    :param more: What the line says that leads to the next page.
    :param back: What the line says that leads from a menu's last page to its first.
    :returns: At least one page.
    :raises ValueError: The limit leaves fewer than 20 characters for the text.
    """
    whole = "\n".join([text, *lines]) if text else "\n".join(lines)
    if not limit or len(whole) <= limit:
        return [whole]
    room = room_for_text(limit, more, back)
    if room < LEAST_ROOM:
        raise ValueError(
            f"With {limit} characters a page has no room for text beside {more!r} and {back!r}."
        )
    filling = _Filling(room)
    for line in text.split("\n"):
        filling.add_flowing(line)
    for line in lines:
        filling.add_whole(line)
    *before, last = filling.finished()
    return [
        *(page + _footer(more) for page in before),
        last + _footer(back) if lines and before else last,
    ]


def _footer(label: str) -> str:
    return f"\n{TURN}. {label}"


class _Filling:
    """Pages being filled, one line after another."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._full: list[str] = []
        self._page = ""

    def add_flowing(self, line: str) -> None:
        """Add a line of a text; it may go on on the next page."""
        while len(line) > self._left():
            part, rest = _cut(line, self._left(), must=not self._page)
            if part:
                self._append(part)
            self._turn()
            line = rest
        self._append(line)

    def add_whole(self, line: str) -> None:
        """Add a line that is to be on one page, if it is not too long for that."""
        if len(line) > self._left():
            self._turn()
        self.add_flowing(line)

    def finished(self) -> list[str]:
        self._turn()
        return self._full or [""]

    def _left(self) -> int:
        return self._room - len(self._page) - 1 if self._page else self._room

    def _append(self, line: str) -> None:
        # No page begins with an empty line.
        self._page = f"{self._page}\n{line}" if self._page else line

    def _turn(self) -> None:
        if self._page.strip():
            self._full.append(self._page)
        self._page = ""


def _cut(line: str, width: int, must: bool) -> tuple[str, str]:
    """Cut a line between two words so that its first part fits.

    :param must: Whether to cut a word if it alone is too long.
    :returns: The part that fits, and the rest; without the spaces between.
    """
    if width <= 0:
        return "", line
    space = width if line[width] == " " else line.rfind(" ", 0, width)
    if space > 0 and line[:space].strip():
        return line[:space].rstrip(), line[space:].lstrip()
    return (line[:width], line[width:]) if must else ("", line)
