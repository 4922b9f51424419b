"""How long a text is on its way to a phone.

Knows the lengths that networks of phones allow. 3GPP TS 23.038 and 23.040: an SMS has 140 bytes,
160 characters of the GSM alphabet, or 70 UTF-16 units if a character is not in that; of each part
of a longer text six bytes are spent on saying which part it is. A character never stands in two
parts. A USSD message has 160 bytes: 182 characters of the GSM alphabet, or 80 UTF-16 units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vumi.codecs.vumi_codecs import GSM7BitCodec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Length", "measure"]

#: Alphabet -> the units that one SMS has, each part of several SMS, and one USSD message.
GSM, UCS2 = (160, 153, 182), (70, 67, 80)


@dataclass(frozen=True)
class Length:
    """A text's length.

    :ivar characters: How many characters it has.
    :ivar is_gsm: Whether all of them are in the GSM alphabet.
    :ivar units: How many of the units that messages are counted in: septets of the GSM alphabet
        (€, [ and a few others have two), or else UTF-16 units.
    :ivar sms_parts: How many SMS it needs.
    """

    characters: int
    is_gsm: bool
    units: int
    sms_parts: int

    @property
    def ussd_limit(self) -> int:
        """How many units a USSD message has."""
        return (GSM if self.is_gsm else UCS2)[2]

    @property
    def fits_ussd(self) -> bool:
        """Whether a USSD message has room for it."""
        return self.units <= self.ussd_limit


def measure(text: str) -> Length:
    """How long a text is."""
    codec = GSM7BitCodec()
    try:
        units = [len(codec.encode(character)[0]) for character in text]
        single, part, _ = GSM
        is_gsm = True
    except UnicodeEncodeError:
        units = [2 if ord(character) > 0xFFFF else 1 for character in text]
        single, part, _ = UCS2
        is_gsm = False
    total = sum(units)
    parts = 1 if total <= single else _parts(units, part)
    return Length(len(text), is_gsm, total, parts)


def _parts(units: Iterable[int], room: int) -> int:
    parts, used = 1, 0
    for unit in units:
        if used + unit > room:
            parts, used = parts + 1, 0
        used += unit
    return parts
