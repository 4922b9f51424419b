"""A line that is being typed, and those typed before.

Knows text, a cursor and widths of characters. Knows no keys and no terminal.
"""

from __future__ import annotations

from vumi.printable import width_of

__all__ = ["LineEditor"]

#: How many lines are kept.
HISTORY = 500


class LineEditor:
    """A line being typed.

    :ivar text: What it says.
    :ivar cursor: Before which of its characters the cursor stands, from 0.
    """

    def __init__(self) -> None:
        self.text = ""
        self.cursor = 0
        self._history: list[str] = []
        #: Which line of the history is shown; its length: the one being typed
        self._shown = 0
        self._typed = ""

    # Typing

    def insert(self, characters: str) -> None:
        """Type something."""
        self._set(
            self.text[: self.cursor] + characters + self.text[self.cursor :],
            self.cursor + len(characters),
        )

    def delete_before(self) -> None:
        """Delete the character before the cursor."""
        if self.cursor:
            self._set(self.text[: self.cursor - 1] + self.text[self.cursor :], self.cursor - 1)

    def delete_after(self) -> None:
        """Delete the character at the cursor."""
        self._set(self.text[: self.cursor] + self.text[self.cursor + 1 :], self.cursor)

    def delete_word(self) -> None:
        """Delete the word before the cursor."""
        kept = self.text[: self.cursor].rstrip(" ")
        kept = kept[: kept.rfind(" ") + 1]
        self._set(kept + self.text[self.cursor :], len(kept))

    def delete_to_start(self) -> None:
        """Delete all before the cursor."""
        self._set(self.text[self.cursor :], 0)

    def delete_to_end(self) -> None:
        """Delete all from the cursor on."""
        self._set(self.text[: self.cursor], self.cursor)

    def _set(self, text: str, cursor: int) -> None:
        self.text, self.cursor = text, cursor

    # Moving

    def move(self, by: int) -> None:
        """Move the cursor by a number of characters, as far as there are any."""
        self.cursor = min(max(self.cursor + by, 0), len(self.text))

    def to_start(self) -> None:
        """Move the cursor before the first character."""
        self.cursor = 0

    def to_end(self) -> None:
        """Move the cursor behind the last character."""
        self.cursor = len(self.text)

    # Lines before

    def finish(self) -> str:
        """Take the line; the next one begins empty."""
        text = self.text
        if text.strip() and self._history[-1:] != [text]:
            self._history.append(text)
            del self._history[:-HISTORY]
        self._shown, self._typed = len(self._history), ""
        self._set("", 0)
        return text

    def earlier(self) -> None:
        """Show the line before."""
        self._show(self._shown - 1)

    def later(self) -> None:
        """Show the line after, at last the one being typed."""
        self._show(self._shown + 1)

    def _show(self, index: int) -> None:
        if not 0 <= index <= len(self._history):
            return
        if self._shown == len(self._history):
            self._typed = self.text
        self._shown = index
        text = self._typed if index == len(self._history) else self._history[index]
        self._set(text, len(text))

    # Showing

    def visible(self, columns: int) -> tuple[str, int]:
        """The part of the line that a terminal has room for, around the cursor.

        :param columns: How many columns there are.
        :returns: The part, and in which of the columns the cursor stands, from 0.
        """
        columns = max(columns, 2)
        start = self.cursor
        # One column is for the cursor itself when it stands behind the text.
        while start and width_of(self.text[start - 1 : self.cursor]) < columns:
            start -= 1
        if width_of(self.text[start : self.cursor]) >= columns:
            start += 1
        end = self.cursor
        while end < len(self.text) and width_of(self.text[start : end + 1]) <= columns:
            end += 1
        return self.text[start:end], width_of(self.text[start : self.cursor])
