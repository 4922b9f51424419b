"""What a PDU carries: the text's octets, and what their header says of parts and alphabets. Pure.

Knows user data headers (3GPP TS 23.040, section 9.2.3.24), the parameters ``sar_*``, and which of
them counts if a PDU has several. Knows no store and no encoding: a part is octets.

The precedence:

1. The octets are those of the parameter ``message_payload``; of ``short_message`` if it is empty.
2. If the PDU says that they begin with a header, that is taken off. A header that is longer than
   the octets is none: then all of them are the text.
3. Which part of a message it is, the header says; if it does not, or its numbers can't be, the
   parameters ``sar_*``. Numbers that can't be are those of no part: it is a whole message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vumi.codecs.gsm_shifts import NO_SHIFTS, Shifts
from vumi.transports.smpp.constants import EsmClass, Tag

__all__ = [
    "LOCKING_SHIFT",
    "SINGLE_SHIFT",
    "IncompleteMessage",
    "Part",
    "Payload",
    "find_legacy_part",
    "find_udh_part",
    "payload_of",
    "read_payload",
    "split_udh",
]

#: Information elements that say which part of a message this is.
CONCATENATED_8_BIT, CONCATENATED_16_BIT = 0x00, 0x08
#: Information elements that name the tables of a national language.
SINGLE_SHIFT, LOCKING_SHIFT = 0x24, 0x25


@dataclass(frozen=True)
class Part:
    """One part of a message.

    :ivar reference: What the parts of one message have in common.
    :ivar total: How many there are, from 2 to 255.
    :ivar number: Which one this is, from 1.
    :ivar payload: Its octets, without headers.
    :ivar data_coding: How they are encoded.
    :ivar kind: Where the reference comes from: references of different kinds are never the same.
    :ivar shifts: The tables of a national language that they use.
    """

    reference: int
    total: int
    number: int
    payload: bytes
    data_coding: int = 0
    kind: str = "udh"
    shifts: Shifts = NO_SHIFTS

    @property
    def sensible(self) -> bool:
        """Whether the numbers can be; else they are to be ignored (9.2.3.24.1)."""
        return 1 <= self.number <= self.total <= 255


@dataclass(frozen=True)
class Payload:
    """What a PDU carries.

    :ivar octets: The text's octets, without a header.
    :ivar shifts: The tables of a national language that they use.
    :ivar part: Which part of a message they are; ``None``: a whole one.
    """

    octets: bytes
    shifts: Shifts = NO_SHIFTS
    part: Part | None = None


class IncompleteMessage(ValueError):
    """A user data header is longer than what it is in."""


def payload_of(pdu: Any) -> bytes:
    """The message that a PDU carries, user data header included."""
    payload: bytes | None = pdu.tlv(Tag.message_payload)
    short: bytes = getattr(pdu, "short_message", b"")
    return payload or short


def read_payload(pdu: Any, legacy_headers: bool = False) -> Payload:
    """Find out what a PDU carries; see the module for what counts if it says several things.

    :param legacy_headers: Whether :func:`find_legacy_part` is asked if nothing else says that it
        is a part.
    """
    octets, coding = payload_of(pdu), pdu.data_coding
    shifts, part = NO_SHIFTS, None
    has_header = bool(pdu.esm_class & EsmClass.UDHI)
    if has_header:
        elements, octets = _read_udh(octets)
        shifts = _shifts(elements)
        part = _udh_part(elements, octets, coding, shifts)
    if part is None and pdu.tlvs:
        part = _sar_part(pdu, octets, shifts)
    if part is None and legacy_headers and not has_header:
        part = find_legacy_part(octets, coding)
    return Payload(octets, shifts, part)


def split_udh(data: bytes) -> tuple[dict[int, bytes], bytes]:
    """Split what begins with a user data header.

    :param data: What a PDU with the UDHI bit has as its message.
    :returns: The information elements by their number (of several alike the last), and the rest.
    :raises IncompleteMessage: The header says that it is longer.
    """
    if not data:
        raise IncompleteMessage("There is no user data header.")
    end = data[0] + 1
    if end > len(data):
        raise IncompleteMessage("The user data header is cut off.")
    elements: dict[int, bytes] = {}
    position = 1
    while position < end:
        if position + 2 > end or position + 2 + data[position + 1] > end:
            raise IncompleteMessage("An information element is cut off.")
        start, length = position + 2, data[position + 1]
        elements[data[position]] = data[start : start + length]
        position = start + length
    return elements, data[end:]


def _read_udh(data: bytes) -> tuple[dict[int, bytes], bytes]:
    """As :func:`split_udh`; what is wrong with a header costs the header, not the text."""
    try:
        return split_udh(data)
    except IncompleteMessage:
        whole = bool(data) and data[0] < len(data)
        return {}, data[data[0] + 1 :] if whole else data


def find_udh_part(data: bytes, data_coding: int) -> tuple[Part | None, bytes]:
    """Find out which part something with a user data header is.

    :returns: The part, or ``None`` if it is not one of several; and the message without header.
    :raises IncompleteMessage: The header is cut off.
    """
    elements, payload = split_udh(data)
    return _udh_part(elements, payload, data_coding, _shifts(elements)), payload


def _udh_part(
    elements: dict[int, bytes], payload: bytes, data_coding: int, shifts: Shifts
) -> Part | None:
    long, short = elements.get(CONCATENATED_16_BIT, b""), elements.get(CONCATENATED_8_BIT, b"")
    part = None
    if len(long) == 4:
        reference = int.from_bytes(long[:2], "big")
        part = Part(reference, long[2], long[3], payload, data_coding, "udh16", shifts)
    if (part is None or not part.sensible) and len(short) == 3:
        part = Part(short[0], short[1], short[2], payload, data_coding, "udh8", shifts)
    return part if part is not None and part.sensible else None


def _sar_part(pdu: Any, payload: bytes, shifts: Shifts) -> Part | None:
    total = pdu.tlv_int(Tag.sar_total_segments)
    reference = pdu.tlv_int(Tag.sar_msg_ref_num)
    number = pdu.tlv_int(Tag.sar_segment_seqnum)
    if total is None or reference is None or number is None:
        return None
    part = Part(reference, total, number, payload, pdu.data_coding, "sar", shifts)
    return part if part.sensible else None


def _shifts(elements: dict[int, bytes]) -> Shifts:
    locking, single = elements.get(LOCKING_SHIFT, b""), elements.get(SINGLE_SHIFT, b"")
    return Shifts(locking[0] if locking else 0, single[0] if single else 0)


def find_legacy_part(data: bytes, data_coding: int) -> Part | None:
    """Find one of the headers that the old Vumi took for one, whatever the PDU said.

    Besides the 8-bit header these are two that no standard has: one without its own length, and a
    16-bit one with the number of the 8-bit one. A text that begins so is taken for a part.
    """
    if data.startswith(b"\x05\x00\x03") and len(data) >= 6:
        part = Part(data[3], data[4], data[5], data[6:], data_coding, "udh8")
    elif data.startswith(b"\x00\x03") and len(data) >= 5:
        part = Part(data[2], data[3], data[4], data[5:], data_coding, "legacy5")
    elif data.startswith(b"\x06\x00\x04") and len(data) >= 7:
        reference = int.from_bytes(data[3:5], "big")
        part = Part(reference, data[5], data[6], data[7:], data_coding, "legacy6")
    else:
        return None
    return part if part.sensible else None
