"""Texts cut into pages that fit a message.

Knows lengths, graphemes, lines and words. Knows no state and no user.

A text that fits is one page. Else every page but the last ends with a line like ``0. More``: who
sends that number reads the next. The last page of a menu leads back to the first.

A page is counted as the network counts it: in septets if the GSM alphabet has all its characters,
else in UTF-16 units, of which fewer have room (:mod:`vumi.sms_text`).
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from vumi.sms_text import GSM, alphabet_of, begins_inside, graphemes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["TURN", "fits", "numbered", "room_for_text", "shortened", "split_pages"]

#: What a user sends to turn the page. No choice has this number.
TURN = "0"

#: Fewer characters than this beside the line that turns the page, and pages make no sense.
LEAST_ROOM = 20

_ELLIPSIS = "..."


def numbered(labels: Sequence[str]) -> list[str]:
    """The lines of a menu: labels with their numbers, from 1."""
    return [f"{number}. {label}" for number, label in enumerate(labels, 1)]


def fits(text: str, limit: int) -> bool:
    """Whether a text is no longer than a message may be.

    :param limit: How many septets a message may have; 0 is any number. The UTF-16 units that have
        room in as many octets are the limit of a text that is not in the GSM alphabet: of 160
        septets 70, of 182 septets 80.
    """
    if not limit or 2 * len(text) <= _units_limit(limit):
        return True
    if len(text) > limit:
        return False
    alphabet = alphabet_of(text)
    return alphabet.units(text) <= (limit if alphabet is GSM else _units_limit(limit))


def _units_limit(limit: int) -> int:
    return -(-limit * 7 // 8) // 2


def room_for_text(limit: int, more: str, back: str) -> int:
    """How many units of the GSM alphabet a page has besides the line that turns it."""
    return limit - max(_units(_footer(more)), _units(_footer(back)))


def _units(text: str) -> int:
    return alphabet_of(text).units(text)


def shortened(text: str, after: str, limit: int) -> str:
    """A text as long as it may be for another one to stand below it in one message.

    :param after: What stands below.
    :returns: The text itself if it fits, else its beginning with three dots, else ``""``.
    """
    if fits(f"{text}\n{after}", limit):
        return text
    part = _longest(
        graphemes(text[:limit]), lambda part: fits(f"{part}{_ELLIPSIS}\n{after}", limit)
    )
    part = part[: part.rfind(" ")] if " " in part else part
    return f"{part.rstrip(' ,;:.')}{_ELLIPSIS}" if part.strip() else ""


def split_pages(
    text: str, lines: Sequence[str], limit: int, more: str = "More", back: str = "Back"
) -> list[str]:
    """Cut a text with a menu below it into pages.

    Lines stay whole where that is possible; what is longer than a page is cut between words, and a
    word that is longer between graphemes.

    :param text: What stands above the menu.
    :param lines: The menu's numbered lines, if there are any.
    :param limit: How long a page may be, as for :func:`fits`.
    :param more: What the line says that leads to the next page.
    :param back: What the line says that leads from a menu's last page to its first.
    :returns: At least one page.
    :raises ValueError: The limit leaves fewer than 20 characters for the text.
    """
    whole = "\n".join([text, *lines]) if text else "\n".join(lines)
    if fits(whole, limit):
        return [whole]
    if room_for_text(limit, more, back) < LEAST_ROOM:
        raise ValueError(
            f"With {limit} characters a page has no room for text beside {more!r} and {back!r}."
        )
    footer = max(_footer(more), _footer(back), key=_units)
    filling = _Filling(limit, footer)
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

    def __init__(self, limit: int, footer: str) -> None:
        self._limit = limit
        self._footer = footer
        self._full: list[str] = []
        self._page = ""

    def add_flowing(self, line: str) -> None:
        """Add a line of a text; it may go on on the next page."""
        while not self._has_room(line):
            if not line:
                self._turn()
                return
            part, rest = self._cut(line)
            if part:
                self._append(part)
            self._turn()
            line = rest
        self._append(line)

    def add_whole(self, line: str) -> None:
        """Add a line that is to be on one page, if it is not too long for that."""
        if not self._has_room(line):
            self._turn()
        self.add_flowing(line)

    def finished(self) -> list[str]:
        self._turn()
        return self._full or [""]

    def _has_room(self, line: str) -> bool:
        return fits(self._with(line) + self._footer, self._limit)

    def _with(self, line: str) -> str:
        # No page begins with an empty line.
        return f"{self._page}\n{line}" if self._page else line

    def _append(self, line: str) -> None:
        self._page = self._with(line)

    def _turn(self) -> None:
        if self._page.strip():
            self._full.append(self._page)
        self._page = ""

    def _cut(self, line: str) -> tuple[str, str]:
        """Cut a line that has no room so that its first part has; between words if possible.

        :returns: The part that fits, and the rest; without the spaces between.
        """
        # No beginning of more characters than this has room.
        beginning = line[: self._limit + 1]
        part = _longest(graphemes(beginning), self._has_room)
        space = len(part) if line[len(part)] == " " else part.rfind(" ")
        while space > 0 and begins_inside(line[space:].lstrip()):
            space = part.rfind(" ", 0, space)
        if space > 0 and line[:space].strip():
            return line[:space].rstrip(), line[space:].lstrip()
        if self._page:
            # The next page has room for more of the word.
            return "", line
        if not part:
            # One grapheme is longer than a page, such as a letter with a hundred marks.
            part = _longest(beginning, self._has_room) or line[0]
        return part, line[len(part) :]


def _longest(pieces: Iterable[str], has_room: Callable[[str], bool]) -> str:
    """As many of the first pieces of a text as have room together."""
    beginnings = [""]
    for piece in pieces:
        beginnings.append(beginnings[-1] + piece)
    fitting = bisect_left(beginnings, True, key=lambda text: not has_room(text))
    return beginnings[max(fitting - 1, 0)]
