"""How a text is counted and cut on its way to a phone. Pure.

Knows the alphabets and lengths of the networks, and where a text may be cut. Knows no message, no
PDU and no state.

3GPP TS 23.038 and 23.040: an SMS has 140 octets, which are 160 septets of the GSM alphabet, or 70
UTF-16 units if one character is not in that alphabet. Each part of a longer text spends six octets
on a header: 153 septets, 67 units. A USSD message has 160 octets: 182 septets, or 80 units.

A text is cut between graphemes, as far as possible: what a reader takes for one character (a
letter with its marks, an emoji with its skin tone) stays whole.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vumi.codecs.vumi_codecs import GSM7BitCodec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "GSM",
    "SMS_OCTETS",
    "SMS_PART_OCTETS",
    "UCS2",
    "Alphabet",
    "Length",
    "alphabet_of",
    "begins_inside",
    "cut_octets",
    "fits_gsm",
    "graphemes",
    "inside_escape",
    "inside_ucs2",
    "measure",
    "septets",
    "utf16_units",
]

_GSM_CODEC = GSM7BitCodec()

#: The octets that one SMS has, and each part of several.
SMS_OCTETS, SMS_PART_OCTETS = 140, 134


def fits_gsm(text: str) -> bool:
    """Whether the GSM alphabet has all characters of a text."""
    try:
        _GSM_CODEC.encode(text)
    except UnicodeEncodeError:
        return False
    return True


def septets(text: str) -> int:
    """How many septets a text has: ``€``, ``[`` and a few others count twice.

    :raises UnicodeEncodeError: The GSM alphabet lacks a character.
    """
    return len(_GSM_CODEC.encode(text)[0])


def utf16_units(text: str) -> int:
    """How many UTF-16 units a text has: characters beyond U+FFFF, as most emoji, count twice."""
    return len(text) + sum(character > "\uffff" for character in text)


@dataclass(frozen=True)
class Alphabet:
    """An alphabet of the network, and how much has room in it.

    :ivar units: How many units a text has.
    :ivar sms: The units of one SMS.
    :ivar sms_part: The units of each part of a longer SMS.
    :ivar ussd: The units of a USSD message.
    """

    units: Callable[[str], int]
    sms: int
    sms_part: int
    ussd: int


GSM = Alphabet(septets, 160, 153, 182)
UCS2 = Alphabet(utf16_units, 70, 67, 80)


def alphabet_of(text: str) -> Alphabet:
    """The alphabet that a network sends a text in: GSM if it has all characters, else UCS-2."""
    return GSM if fits_gsm(text) else UCS2


@dataclass(frozen=True)
class Length:
    """A text's length.

    :ivar characters: How many characters it has.
    :ivar is_gsm: Whether all of them are in the GSM alphabet.
    :ivar units: How many of the units that messages are counted in: septets or UTF-16 units.
    :ivar sms_parts: How many SMS it needs.
    """

    characters: int
    is_gsm: bool
    units: int
    sms_parts: int

    @property
    def ussd_limit(self) -> int:
        """How many units a USSD message has."""
        return (GSM if self.is_gsm else UCS2).ussd

    @property
    def fits_ussd(self) -> bool:
        """Whether a USSD message has room for it."""
        return self.units <= self.ussd_limit


def measure(text: str) -> Length:
    """How long a text is."""
    alphabet = alphabet_of(text)
    total = alphabet.units(text)
    parts = 1
    if total > alphabet.sms:
        parts = _parts(map(alphabet.units, text), alphabet.sms_part)
    return Length(len(text), alphabet is GSM, total, parts)


def _parts(units: Iterable[int], room: int) -> int:
    parts, used = 1, 0
    for unit in units:
        if used + unit > room:
            parts, used = parts + 1, 0
        used += unit
    return parts


# Where a text may be cut

_ZERO_WIDTH_JOINER = "\u200d"
#: Letters that are written onto the character before, and so never begin a line: Thai and Lao am.
_SPACING_VOWELS = "\u0e33\u0eb3"


def _extends(character: str) -> bool:
    """Whether a character belongs to the one before: a mark, a joiner, an emoji's skin tone."""
    return (
        unicodedata.category(character)[0] == "M"
        or character in _SPACING_VOWELS
        or character in "\u200c\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
        # Medial vowels and final consonants of Hangul written in letters.
        or "\u1160" <= character <= "\u11ff"
    )


def _is_regional(character: str) -> bool:
    """Whether a character is half of a flag."""
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def graphemes(text: str) -> Iterator[str]:
    """A text as what a reader takes for its characters; joined they are the text.

    Follows Unicode Standard Annex #29, extended grapheme clusters, as far as Python's own tables
    allow: marks, variation selectors, joined emoji, flags, and a carriage return with its line
    feed stay with what they belong to.
    """
    cluster = ""
    for character in text:
        if not cluster:
            cluster = character
        elif (
            (_extends(character) and cluster[-1] not in "\r\n")
            # Only symbols are joined; a letter after a joiner is a letter of its own.
            or (cluster[-1] == _ZERO_WIDTH_JOINER and unicodedata.category(character) == "So")
            or (len(cluster) == 1 and _is_regional(cluster) and _is_regional(character))
            or (cluster == "\r" and character == "\n")
        ):
            cluster += character
        else:
            yield cluster
            cluster = character
    if cluster:
        yield cluster


def begins_inside(text: str) -> bool:
    """Whether a text begins inside of a grapheme: with a mark, say."""
    return bool(text) and next(graphemes("a" + text)) != "a"


def cut_octets(data: bytes, room: int, is_inside: Callable[[bytes, int], bool]) -> Iterator[bytes]:
    """Cut an encoded text into as few pieces as have room.

    :param room: How many octets a piece may have.
    :param is_inside: Whether a position is inside of a character.
    """
    start = 0
    while start < len(data):
        end = min(start + room, len(data))
        # A codec of the user's may give what looks like nothing but escapes.
        while start + 1 < end < len(data) and is_inside(data, end):
            end -= 1
        yield data[start:end]
        start = end


def inside_escape(data: bytes, position: int) -> bool:
    """Whether a position is between GSM's escape and what it escapes."""
    # An escape is never the second one of a pair in what we have encoded ourselves.
    return data[position - 1] == 0x1B


def inside_ucs2(data: bytes, position: int) -> bool:
    """Whether a position is inside of a UTF-16 unit, or between two surrogates."""
    return position % 2 == 1 or 0xDC <= data[position] <= 0xDF
