"""What counts as a word when texts are searched.

The same in every archive that can search: they get words that are separated by spaces, and need
not know anything of scripts. Knows Unicode only.
"""

from __future__ import annotations

import re
from typing import Any
from unicodedata import category, normalize

__all__ = ["searchable", "words"]

#: Of a longer text the rest is not searchable.
MAX_CHARACTERS = 50_000
#: Of a longer word the rest does not count.
MAX_WORD_CHARACTERS = 100

_ASCII_WORD = re.compile("[a-z0-9]+")


def words(text: str) -> list[str]:
    """The different words of a text: letters, digits and marks, without case.

    Accents count; compatible forms (full-width letters, ligatures) are the same.

    :returns: Each once, in the order of their first places.
    """
    text = text[:MAX_CHARACTERS]
    if text.isascii():
        # Most are, and need no look at each character.
        return _unique(_ASCII_WORD.findall(text.lower()))
    text = normalize("NFKC", text).casefold()
    separated = "".join(character if _in_word(character) else " " for character in text)
    return _unique(separated.split())


def _unique(found: list[str]) -> list[str]:
    return list(dict.fromkeys(word[:MAX_WORD_CHARACTERS] for word in found))


def _in_word(character: str) -> bool:
    # Marks: the vowel signs of Indic scripts, among others, are part of their words.
    return character.isalnum() or (character > "\u02ff" and category(character)[0] == "M")


def searchable(content: Any) -> str | None:
    """A message's content as its words, with spaces between; ``None``: it has none."""
    return " ".join(words(content)) or None if isinstance(content, str) else None
