"""Whether two texts are the same words, however a phone has written them. Pure.

Knows Unicode. Knows no keyword, no menu and no message; opt-out, the router by keyword, menus and
searches all compare by this one rule.

The same are: upper and lower case, the dotted and the dotless i of Turkish among them; composed
and decomposed letters; full-width and other compatibility forms, and the decimal digits of all
scripts; words with and without characters that can't be seen (zero-width characters, soft hyphens,
variation selectors, direction marks), with lines drawn through or around them, and with Arabic
letters stretched or not; typographic and plain apostrophes and hyphens.

Not the same are letters with different marks (``ou`` and ``où``) and vowel signs of Arabic, Hebrew
and Indian scripts: there they make other words.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["bare", "decimal_number", "first_word", "folded"]

#: Drawn over, under, through or around a character: decoration, not a letter's mark.
_DECORATION = "\u0305\u0332\u0333\u0335-\u0338\u033f\u0488\u0489\u20d0-\u20f0"
#: Characters without a look of their own that are not in the category Cf: variation selectors,
#: fillers of Hangul, the combining grapheme joiner, Mongolian selectors.
_IGNORABLE = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
)
_TATWEEL = "\u0640"
_DROPPED = re.compile(f"[{_DECORATION}{_IGNORABLE}{_TATWEEL}]")

_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201b\u02bc\u00b4`", "'"),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        "\u0131": "i",
    }
)

#: Emoji whose compatibility forms are letters: the trade mark, the information sign and the like.
_EMOJI_OF_LETTERS = re.compile(
    "[\u2122\u2139\u24c2\u3297\u3299"
    "\U0001f201\U0001f202\U0001f21a\U0001f22f\U0001f232-\U0001f23a\U0001f250\U0001f251]"
)
_SIGNS = "+-\u2212\u207a\u207b\u208a\u208b\ufe62\ufe63\uff0b\uff0d"

#: More digits than this are no number that anybody chooses by.
_MOST_DIGITS = 18


def folded(text: str) -> str:
    """A text as it is compared: what is the same words is then the same text.

    :returns: Without spaces around it, and with one between words.
    """
    if text.isascii() and text.isprintable():
        # Nothing below changes more of it than this.
        return " ".join(text.casefold().replace("`", "'").split())
    text = unicodedata.normalize("NFKC", _EMOJI_OF_LETTERS.sub(" ", _visible(text))).casefold()
    # Decomposed, so that the dot that folding leaves on an i is seen as one.
    text = unicodedata.normalize("NFKD", text).replace("i\u0307", "i")
    text = unicodedata.normalize("NFC", _DROPPED.sub("", text))
    text = "".join(_ascii_digit(character) for character in text.translate(_PLAIN))
    return " ".join(text.split())


def bare(text: str) -> str:
    """A text as it is compared, without the punctuation, symbols and emoji around its words.

    :returns: ``""`` if it has no letter and no digit.
    """
    text = folded(text)
    start, end = 0, len(text)
    while start < end and not text[start].isalnum():
        start += 1
    while end > start and not text[end - 1].isalnum() and not _is_mark_of_word(text, end - 1):
        end -= 1
    return text[start:end]


def first_word(text: str) -> str:
    """The first word of a text, bare; ``""`` if it has none."""
    for piece in folded(text).split():
        if word := bare(piece):
            return word
    return ""


def decimal_number(text: str) -> int | None:
    """The number that a text is, whatever punctuation or emoji are around it: ``1``, ``(1)``.

    :returns: ``None`` if it is none, has a sign, or has more digits than anybody means.
    """
    word = _visible(text).strip()
    start, end = 0, len(word)
    while start < end and not word[start].isalnum() and word[start] not in _SIGNS:
        start += 1
    while end > start and not word[end - 1].isalnum():
        end -= 1
    digits = word[start:end]
    return int(digits) if digits.isdecimal() and len(digits) <= _MOST_DIGITS else None


def _visible(text: str) -> str:
    """A text without the characters that can't be seen."""
    return "".join(
        character
        for character in _DROPPED.sub("", text)
        # Lone surrogates (Cs) stay: what they were part of is not known.
        if character.isspace() or unicodedata.category(character) not in ("Cf", "Cc")
    )


def _ascii_digit(character: str) -> str:
    return str(unicodedata.decimal(character)) if character.isdecimal() else character


def _is_mark_of_word(text: str, position: int) -> bool:
    """Whether a character is a mark on a letter or digit."""
    while position > 0 and unicodedata.category(text[position])[0] == "M":
        position -= 1
        if text[position].isalnum():
            return True
    return False
