"""Regular expressions whose cost grows in step with the text, whatever the expression: RE2.

Python's ``re`` goes back and tries again, so an expression such as ``(a+)+$`` and a text of thirty
characters stop a process for minutes. Expressions that come over HTTP or with a command are
compiled here. Those in a worker's own configuration file stay Python's: see
the page about the message store.

RE2's syntax is https://github.com/google/re2/wiki/Syntax. What it can't express in linear time is
refused: backreferences, look-around, possessive and atomic groups. ``\\d``, ``\\w`` and ``\\b``
are about ASCII, as in JavaScript.

Knows RE2. Knows no messages.
"""

from __future__ import annotations

from typing import Any

import re2

from vumi.damaged_text import mend_text
from vumi.errors import VumiError

__all__ = ["LinearRegex", "PatternError"]

#: Characters that an expression may have.
MAX_PATTERN = 1000
#: Instructions that it may be compiled to. ``x{1000}`` has a thousand, and each may be looked at
#: for each character of the text.
MAX_PROGRAM = 2000
#: What RE2 calls what it refuses, and the word that people use.
_UNKNOWN = (
    ("invalid perl operator: (?P", "a backreference by name is not known"),
    ("invalid perl operator: (?>", "an atomic group is not known"),
    ("invalid perl operator: (?", "look-around is not known"),
    ("invalid escape sequence: \\", "a backreference or this escape is not known"),
    ("bad repetition operator", "possessive repetition is not known"),
)


class PatternError(VumiError, ValueError):
    """A regular expression can't be used; the words say why."""


class LinearRegex:
    """A compiled expression.

    :param pattern: RE2's syntax, at most 1,000 characters.
    :param flags: Some of ``i`` (case does not matter), ``m`` (``^`` and ``$`` at line ends) and
        ``s`` (a dot is a line end too).
    :raises PatternError: It is not one, is too large, or has what RE2 does not know.
    """

    def __init__(self, pattern: str, flags: str = "") -> None:
        if len(pattern) > MAX_PATTERN:
            raise PatternError(f"it has more than {MAX_PATTERN} characters")
        options = re2.Options()
        # To standard error, otherwise.
        options.log_errors = False
        prefix = f"(?{''.join(sorted(set(flags)))})" if flags else ""
        try:
            self._compiled: Any = re2.compile(f"{prefix}{mend_text(pattern)}", options)
        except re2.error as error:
            raise PatternError(_words(error)) from None
        if self._compiled.programsize > MAX_PROGRAM:
            raise PatternError("it repeats too much: use smaller numbers in braces")

    def search(self, text: str) -> bool:
        """Whether it is found anywhere in a text. Other threads run meanwhile."""
        return self._compiled.search(mend_text(text)) is not None

    def match(self, text: str) -> bool:
        """Whether a text begins with it."""
        return self._compiled.match(mend_text(text)) is not None

    def fullmatch(self, text: str) -> bool:
        """Whether a whole text is it."""
        return self._compiled.fullmatch(mend_text(text)) is not None

    def split(self, text: str) -> list[str]:
        """The parts of a text between its matches, and its groups, as ``re.split`` gives them."""
        parts: list[str] = self._compiled.split(mend_text(text))
        return parts


def _words(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    for begin, meaning in _UNKNOWN:
        if words.startswith(begin):
            return f"{meaning} ({words}); see RE2's syntax"
    return words
