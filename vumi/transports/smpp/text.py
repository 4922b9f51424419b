"""What a text becomes in short messages: encoded, and cut where it has to be.

Knows encodings, data codings and the headers of a long message's parts. Knows no session and no
vumi message; of PDUs it knows the fields that hold a text.

A short message has room for 140 octets on the air: 160 characters of GSM's seven bits, 140 of
eight bits, 70 of sixteen. A part of a long message has less, as each begins with a header that
says which part it is: 153, 134, 67. Over SMPP a GSM character travels in an octet of its own and
is packed by the SMSC; so the room is counted in septets for GSM and in octets for all else.

No cut is inside of a character: not between GSM's escape and what it escapes, not between two
surrogates, and not between the octets of any other encoding's character.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from vumi.codecs import VumiCodec, VumiCodecException
from vumi.errors import VumiError
from vumi.sms_text import GSM, SMS_OCTETS, SMS_PART_OCTETS, cut_octets, inside_escape, inside_ucs2
from vumi.transports.smpp.constants import DataCoding, EsmClass, Tag
from vumi.transports.smpp.data_coding import DATA_CODING_ENCODINGS
from vumi.transports.smpp.pdu import MAX_SHORT_MESSAGE, Tlv, tlv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vumi.codecs import IVumiCodec

__all__ = [
    "AUTO",
    "AUTO_ENCODINGS",
    "DATA_CODING_ENCODINGS",
    "MAX_PARTS",
    "EncodedText",
    "Segment",
    "SplitMode",
    "TextError",
    "TextNotEncodable",
    "TextTooLong",
    "data_coding_of",
    "encode",
    "gsm_length",
    "split",
]

#: Choose the encoding by the text.
AUTO = "auto"
#: What is tried, in this order.
AUTO_ENCODINGS: tuple[str, ...] = ("gsm0338", "ucs2")
#: A part's number has one octet (3GPP TS 23.040, section 9.2.3.24.1).
MAX_PARTS = 255

#: Other names for the same, without what may stand between the letters.
_ALIASES: dict[str, str] = {
    "gsm": "gsm0338",
    "gsm338": "gsm0338",
    "gsm7": "gsm0338",
    "gsm7bit": "gsm0338",
    "gsm0338": "gsm0338",
    "ucs2": "ucs2",
    "utf16be": "ucs2",
    "latin1": "latin-1",
    "iso88591": "latin-1",
    "l1": "latin-1",
    "ascii": "ascii",
    "usascii": "ascii",
    "iso88595": "iso8859_5",
    "iso88598": "iso8859_8",
    "iso2022jp": "iso2022_jp",
    "shiftjis": "shift_jis",
    "sjis": "shift_jis",
    "euckr": "euc_kr",
}
_DATA_CODINGS: dict[str, int] = {
    encoding: int(data_coding) for data_coding, encoding in reversed(DATA_CODING_ENCODINGS.items())
}
#: Data codings that the SMSC packs as septets if it can.
_SEPTET_CODINGS = frozenset((int(DataCoding.SMSC_DEFAULT), int(DataCoding.IA5_ASCII)))

#: Of a part with a 16-bit reference, whose header has an octet more.
_PART_SEPTETS_16, _PART_OCTETS_16 = GSM.sms_part - 1, SMS_PART_OCTETS - 1


class TextError(VumiError):
    """A text can't be sent."""


class TextTooLong(TextError):
    """A text has no room in what it was to be sent in."""


class TextNotEncodable(TextError):
    """A text has a character that its encoding lacks."""


class SplitMode(Enum):
    """How a long text is sent."""

    #: Not at all: what has no room in one short_message is refused.
    NONE = "none"
    #: In parts, told by the TLVs sar_*.
    SAR = "sar"
    #: In parts, told by a user data header with a reference of 8 bits.
    UDH8 = "udh8"
    #: In parts, told by a user data header with a reference of 16 bits.
    UDH16 = "udh16"
    #: In the TLV message_payload; short texts, too.
    PAYLOAD = "payload"
    #: As one if it has room on the air, else as UDH8.
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A text, ready to be cut.

    :ivar text: The text.
    :ivar data: Its bytes.
    :ivar encoding: The encoding's name.
    :ivar data_coding: The number that tells the phone.
    """

    text: str
    data: bytes
    encoding: str
    data_coding: int

    @property
    def in_septets(self) -> bool:
        """Whether a character takes seven bits on the air rather than its octets."""
        if self.encoding == "gsm0338":
            return self.data_coding in _SEPTET_CODINGS
        # An encoding of Python's with GSM's data coding, as old configurations have it: what is
        # ASCII is taken for GSM by the SMSC, and what is not is anybody's guess.
        return (
            self.data_coding in _SEPTET_CODINGS and self.encoding != "ucs2" and self.data.isascii()
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """What one PDU has of a text.

    :ivar short_message: Its short_message, with the user data header if it has one.
    :ivar data_coding: Its data_coding.
    :ivar esm_class: Bits to be set in its esm_class.
    :ivar tlvs: Optional parameters that it needs.
    """

    short_message: bytes
    data_coding: int
    esm_class: int = 0
    tlvs: tuple[Tlv, ...] = ()


def encode(
    text: str,
    encoding: str = AUTO,
    data_coding: int | None = None,
    *,
    codec: IVumiCodec | None = None,
    auto_encodings: Sequence[str] = AUTO_ENCODINGS,
) -> EncodedText:
    """Encode a text.

    :param text: The text.
    :param encoding: ``gsm0338``, ``latin-1``, ``ucs2``, any other that `codec` knows (as
        :class:`~vumi.codecs.VumiCodec` does Python's), or ``auto``: the first of `auto_encodings`
        that has all its characters.
    :param data_coding: The number to tell the phone; ``None``: the encoding's own; 0 if it has
        none. With ``auto``, where it would be wrong for another encoding, it is not looked at.
    :param codec: What encodes; ``None``: a :class:`~vumi.codecs.VumiCodec`.
    :param auto_encodings: What ``auto`` tries, in this order.
    :raises TextNotEncodable: the encoding lacks a character of it, or there is no such encoding.
    """
    codec = codec or VumiCodec()
    if encoding.lower() == AUTO:
        for candidate in auto_encodings[:-1]:
            try:
                return encode(text, candidate, codec=codec)
            except TextNotEncodable:
                continue
        return encode(text, auto_encodings[-1], codec=codec)
    name = _canonical(encoding)
    try:
        data = codec.encode(text, name)
    except UnicodeEncodeError as error:
        raise TextNotEncodable(
            f"The character {text[error.start : error.end]!r} does not exist in {name}."
        ) from error
    except (LookupError, VumiCodecException) as error:
        raise TextNotEncodable(f"The text can't be encoded in {name!r}: {error}.") from error
    if data_coding is None:
        data_coding = _DATA_CODINGS.get(name, int(DataCoding.SMSC_DEFAULT))
    return EncodedText(text, data, name, data_coding)


def data_coding_of(encoding: str) -> int | None:
    """The data coding that stands for an encoding; ``None`` if SMPP has none for it."""
    return _DATA_CODINGS.get(_canonical(encoding))


def gsm_length(text: str) -> int:
    """How many septets a text takes: two for a character of GSM's extension table.

    :raises TextNotEncodable: GSM lacks a character of it.
    """
    return len(encode(text, "gsm0338").data)


def split(
    text: str,
    mode: SplitMode | str = SplitMode.AUTO,
    encoding: str = AUTO,
    data_coding: int | None = None,
    *,
    reference: int | Callable[[], int] = 0,
    codec: IVumiCodec | None = None,
    auto_encodings: Sequence[str] = AUTO_ENCODINGS,
) -> list[Segment]:
    """Make of a text what is to be sent.

    :param text: The text; an empty one makes one segment, too.
    :param mode: A :class:`SplitMode`, or its value.
    :param encoding: As for :func:`encode`.
    :param data_coding: As for :func:`encode`.
    :param reference: What the parts of the text have in common, or what gives it; asked only if
        there are several. As many of its bits are taken as have room.
    :param codec: As for :func:`encode`.
    :param auto_encodings: As for :func:`encode`.
    :raises TextNotEncodable: as :func:`encode`.
    :raises TextTooLong: it needs more than 255 parts, or has no room in the one PDU that it is to
        be in.
    """
    encoded = encode(text, encoding, data_coding, codec=codec, auto_encodings=auto_encodings)
    mode = SplitMode(mode)
    if mode is SplitMode.PAYLOAD:
        return [_payload(encoded)]
    if mode is SplitMode.NONE:
        if len(encoded.data) > MAX_SHORT_MESSAGE:
            raise TextTooLong(
                f"The text has {len(encoded.data)} octets, and a short message has room for "
                f"{MAX_SHORT_MESSAGE}. To send longer ones, allow several parts."
            )
        return [Segment(encoded.data, encoded.data_coding)]
    if len(encoded.data) <= (GSM.sms if encoded.in_septets else SMS_OCTETS):
        return [Segment(encoded.data, encoded.data_coding)]
    wide = mode is SplitMode.UDH16
    if encoded.in_septets:
        room = _PART_SEPTETS_16 if wide else GSM.sms_part
    else:
        room = _PART_OCTETS_16 if wide else SMS_PART_OCTETS
    chunks = list(_chunks(encoded, room, codec or VumiCodec()))
    if len(chunks) > MAX_PARTS:
        raise TextTooLong(
            f"The text needs {len(chunks)} parts, and a message may have {MAX_PARTS}."
        )
    number = reference if isinstance(reference, int) else reference()
    if mode is SplitMode.SAR:
        return _sar_segments(chunks, encoded.data_coding, number & 0xFFFF)
    header = b"\x06\x08\x04" if wide else b"\x05\x00\x03"
    header += (number & 0xFFFF).to_bytes(2, "big") if wide else bytes((number & 0xFF,))
    return [
        Segment(
            header + bytes((len(chunks), index)) + chunk,
            encoded.data_coding,
            int(EsmClass.UDHI),
        )
        for index, chunk in enumerate(chunks, 1)
    ]


def _canonical(encoding: str) -> str:
    letters = encoding.lower().replace("-", "").replace("_", "").replace(" ", "").replace(".", "")
    return _ALIASES.get(letters, encoding)


def _payload(encoded: EncodedText) -> Segment:
    if len(encoded.data) > 0xFFFF:
        raise TextTooLong(
            f"The text has {len(encoded.data)} octets, and message_payload has room for 65,535."
        )
    return Segment(b"", encoded.data_coding, tlvs=(tlv(Tag.message_payload, encoded.data),))


def _sar_segments(chunks: Sequence[bytes], data_coding: int, reference: int) -> list[Segment]:
    return [
        Segment(
            chunk,
            data_coding,
            tlvs=(
                tlv(Tag.sar_msg_ref_num, reference),
                tlv(Tag.sar_total_segments, len(chunks)),
                tlv(Tag.sar_segment_seqnum, index),
            ),
        )
        for index, chunk in enumerate(chunks, 1)
    ]


def _chunks(encoded: EncodedText, room: int, codec: IVumiCodec) -> Iterator[bytes]:
    """Cut an encoded text into as few pieces as have room."""
    if encoded.encoding == "gsm0338":
        return cut_octets(encoded.data, room, inside_escape)
    if encoded.encoding == "ucs2":
        return cut_octets(encoded.data, room, inside_ucs2)
    if len(encoded.data) == len(encoded.text):
        return cut_octets(encoded.data, room, lambda data, position: False)
    return _cut_text(encoded, room, codec)


def _cut_text(encoded: EncodedText, room: int, codec: IVumiCodec) -> Iterator[bytes]:
    """Cut by characters of any number of octets, shift sequences between them included."""
    text = encoded.text
    start = 0
    while start < len(text):
        fits = codec.encode(text[start : start + 1], encoded.encoding)
        if len(fits) > room:
            raise TextTooLong(
                f"The character {text[start]!r} alone has no room in a part of {room} octets."
            )
        # Between these is where it no longer fits.
        low, high = start + 1, min(start + room, len(text)) + 1
        while high - low > 1:
            middle = (low + high) // 2
            candidate = codec.encode(text[start:middle], encoded.encoding)
            if len(candidate) <= room:
                low, fits = middle, candidate
            else:
                high = middle
        yield fits
        start = low
