"""The GSM alphabet with national languages' tables, a septet in each octet. Pure.

3GPP TS 23.038, section 6.2.1.2. A *locking shift* table replaces the default alphabet, a *single
shift* table replaces what the escape (0x1B) leads to. Which ones a message uses is said in its
user data header. A pair of language identifiers, 0 for the default table, names both.

Decoding never fails. As the standard asks of a phone (section 6.2.1.1): an escape before a code
that the extension table does not have is left out, and the code is read in the main table; two
escapes are a space. Octets that are no septets, codes that a table does not use, and an escape
at the end become U+FFFD.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from vumi.codecs.gsm_languages import LANGUAGES, LOCKING_SHIFTS, SINGLE_SHIFTS
from vumi.codecs.vumi_codecs import GSM_ALPHABET, GSM_EXTENSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["LANGUAGES", "NO_SHIFTS", "Shifts", "decode_gsm", "encode_gsm", "shifts_for"]

ESCAPE = 0x1B
REPLACEMENT = "\ufffd"


class Shifts(NamedTuple):
    """Which tables a text uses, by national language identifier; 0 is the default table.

    :ivar locking: The table in place of the default alphabet.
    :ivar single: The table in place of the default extension.
    """

    locking: int = 0
    single: int = 0


NO_SHIFTS = Shifts()


def _single(language: int) -> Mapping[int, str]:
    runs = SINGLE_SHIFTS.get(language)
    if runs is None:
        return GSM_EXTENSION
    return {
        start + offset: character
        for start, characters in runs.items()
        for offset, character in enumerate(characters)
    }


@cache
def _decoding(shifts: Shifts) -> tuple[str, Mapping[int, str]]:
    """The main table, and the one behind the escape. An unknown language has the default ones."""
    return LOCKING_SHIFTS.get(shifts.locking, GSM_ALPHABET), _single(shifts.single)


@cache
def _encoding(shifts: Shifts) -> Mapping[str, bytes]:
    main, extension = _decoding(shifts)
    table: dict[str, bytes] = {}
    for code, character in sorted(extension.items(), reverse=True):
        table[character] = bytes((ESCAPE, code))
    for code, character in enumerate(main):
        if code != ESCAPE and character != REPLACEMENT:
            table[character] = bytes((code,))
    return table


def decode_gsm(octets: bytes, shifts: Shifts = NO_SHIFTS) -> str:
    """Decode a text; see the module for what means nothing.

    :param shifts: The tables that the message says it uses.
    """
    main, extension = _decoding(shifts)
    characters: list[str] = []
    position, end = 0, len(octets)
    while position < end:
        code = octets[position]
        position += 1
        if code == ESCAPE:
            if position == end:
                characters.append(REPLACEMENT)
                break
            code = octets[position]
            position += 1
            if code == ESCAPE:
                characters.append(" ")
                continue
            if code in extension:
                characters.append(extension[code])
                continue
        characters.append(main[code] if code < len(main) else REPLACEMENT)
    return "".join(characters)


def encode_gsm(text: str, shifts: Shifts = NO_SHIFTS) -> bytes:
    """Encode a text.

    :raises UnicodeEncodeError: These tables lack a character.
    """
    table = _encoding(shifts)
    encoded = bytearray()
    for position, character in enumerate(text):
        octets = table.get(character)
        if octets is None:
            raise UnicodeEncodeError(
                "gsm0338", text, position, position + 1, "not in the GSM alphabet"
            )
        encoded += octets
    return bytes(encoded)


def shifts_for(language: str) -> Iterator[Shifts]:
    """The pairs of tables with which a text of a language may be sent.

    Those that cost fewer octets of header come first.

    :param language: One of :data:`LANGUAGES`.
    """
    number = LANGUAGES[language]
    yield Shifts(single=number)
    if number in LOCKING_SHIFTS:
        yield Shifts(locking=number)
        yield Shifts(number, number)
