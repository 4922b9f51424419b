"""Which encoding a data coding stands for. Pure.

Up to 14 they are SMPP's own (section 5.2.19). All others are GSM's (3GPP TS 23.038, section 4),
which come in groups; whatever alphabet can be read off a group is read, also if the group says
that a message is compressed: SMSCs unpack texts, and leave the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vumi.transports.smpp.constants import DataCoding

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DATA_CODINGS", "DATA_CODING_ENCODINGS", "GSM_DEFAULT", "encoding_of"]

#: The encoding of GSM's default alphabet.
GSM_DEFAULT = "gsm0338"

#: The encoding that one of SMPP's data codings stands for, and the other way round.
DATA_CODING_ENCODINGS: dict[int, str] = {
    DataCoding.SMSC_DEFAULT: GSM_DEFAULT,
    DataCoding.IA5_ASCII: "ascii",
    DataCoding.LATIN_1: "latin-1",
    DataCoding.JIS: "iso2022_jp",
    DataCoding.CYRILLIC: "iso8859_5",
    DataCoding.LATIN_HEBREW: "iso8859_8",
    DataCoding.UCS2: "ucs2",
    DataCoding.PICTOGRAM: "shift_jis",
    DataCoding.ISO_2022_JP: "iso2022_jp",
    DataCoding.EXTENDED_KANJI_JIS: "iso2022_jp_1",
    DataCoding.KS_C_5601: "euc_kr",
}

_SMPP_LAST = 0x0F
#: The alphabet in bits 3 and 2, where a group has it there; 8-bit data is no text.
_ALPHABETS: tuple[str | None, ...] = (GSM_DEFAULT, None, "ucs2", GSM_DEFAULT)


def encoding_of(data_coding: int) -> str | None:
    """The encoding of a data coding.

    :param data_coding: 0 to 255.
    :returns: A name; ``None`` for what is binary, and thus no text.
    """
    if data_coding <= _SMPP_LAST:
        if data_coding in (DataCoding.OCTET, DataCoding.OCTET_4):
            return None
        # The specification reserves the others; a receiver of SMS takes such for the default.
        return DATA_CODING_ENCODINGS.get(data_coding, GSM_DEFAULT)
    group = data_coding >> 4
    if group <= 0x7:
        # General and automatic deletion, compressed or not, with a class or without.
        return _ALPHABETS[data_coding >> 2 & 3]
    if group == 0xE:
        # Message waiting, store, UCS-2.
        return "ucs2"
    if group == 0xF:
        # Data coding and class: bit 2 says 8-bit data.
        return None if data_coding & 4 else GSM_DEFAULT
    # Message waiting (0xC, 0xD), and reserved groups (0x8 to 0xB).
    return GSM_DEFAULT


#: The encodings of all data codings, but for the binary ones; that of 0 is an option.
DATA_CODINGS: Mapping[int, str] = {
    coding: encoding for coding in range(1, 0x100) if (encoding := encoding_of(coding)) is not None
}
