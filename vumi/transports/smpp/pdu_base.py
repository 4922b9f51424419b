"""What all PDUs have: a header, fields by a layout, optional parameters; and their errors.

Knows how the parts of a PDU are written and read. Which PDUs there are, and what each is made of,
is in :mod:`vumi.transports.smpp.pdu`, which has all public names of this module, too.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from vumi.errors import VumiError
from vumi.transports.smpp.constants import (
    RESPONSE_BIT,
    CommandId,
    CommandStatus,
    Tag,
    command_name,
    status_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "HEADER",
    "HEADER_LENGTH",
    "MAX_SHORT_MESSAGE",
    "GenericNack",
    "Layout",
    "List",
    "Octet",
    "Octets",
    "Pdu",
    "PduDecodeError",
    "PduEncodeError",
    "PduError",
    "PduFramingError",
    "Text",
    "Tlv",
    "read_text",
    "read_tlvs",
    "tlv",
]

#: The octets before a PDU's body: its length, command id, command status and sequence number.
HEADER_LENGTH = 16
HEADER = struct.Struct(">IIII")
#: The octets that a short_message may have (section 5.2.22).
MAX_SHORT_MESSAGE = 254

#: An optional parameter: its tag and its value.
Tlv: TypeAlias = tuple[int, bytes]

_TLV_HEADER = struct.Struct(">HH")
_OK = int(CommandStatus.ESME_ROK)


class PduError(VumiError):
    """Something is no PDU.

    :param message: What is wrong, in words.
    :param status: The command status that says so to the other side.
    :param command_id: The command of the PDU, as far as it is known.
    :param sequence_number: The number of the PDU, as far as it is known.
    """

    def __init__(
        self,
        message: str,
        status: int = CommandStatus.ESME_RSYSERR,
        command_id: int | None = None,
        sequence_number: int = 0,
    ) -> None:
        super().__init__(message)
        self.status = int(status)
        self.command_id = command_id
        self.sequence_number = sequence_number


class PduFramingError(PduError):
    """A PDU's length is impossible: nothing that follows in the stream can be read."""


class PduDecodeError(PduError):
    """The bytes of one PDU do not make sense; the stream goes on after it."""


class PduEncodeError(PduError):
    """A PDU has a value that SMPP has no room for. It is ours: nothing was sent."""


# Optional parameters

_INTEGER_WIDTHS: dict[int, int] = {
    Tag.dest_addr_subunit: 1,
    Tag.dest_network_type: 1,
    Tag.dest_bearer_type: 1,
    Tag.dest_telematics_id: 2,
    Tag.source_addr_subunit: 1,
    Tag.source_network_type: 1,
    Tag.source_bearer_type: 1,
    Tag.source_telematics_id: 1,
    Tag.qos_time_to_live: 4,
    Tag.payload_type: 1,
    Tag.ms_msg_wait_facilities: 1,
    Tag.privacy_indicator: 1,
    Tag.user_message_reference: 2,
    Tag.user_response_code: 1,
    Tag.source_port: 2,
    Tag.destination_port: 2,
    Tag.sar_msg_ref_num: 2,
    Tag.language_indicator: 1,
    Tag.sar_total_segments: 1,
    Tag.sar_segment_seqnum: 1,
    Tag.sc_interface_version: 1,
    Tag.callback_num_pres_ind: 1,
    Tag.number_of_messages: 1,
    Tag.dpf_result: 1,
    Tag.set_dpf: 1,
    Tag.ms_availability_status: 1,
    Tag.delivery_failure_reason: 1,
    Tag.more_messages_to_send: 1,
    Tag.message_state: 1,
    Tag.ussd_service_op: 1,
    Tag.display_time: 1,
    Tag.sms_signal: 2,
    Tag.ms_validity: 1,
    Tag.its_reply_type: 1,
    Tag.its_session_info: 2,
}
#: Texts that end with a NUL.
_TEXT_TAGS: frozenset[int] = frozenset((Tag.additional_status_info_text, Tag.receipted_message_id))


def tlv(tag: int, value: int | str | bytes) -> Tlv:
    """Make an optional parameter.

    :param tag: What it is; see :class:`~vumi.transports.smpp.constants.Tag`.
    :param value: Bytes are taken as they are. A number takes as many octets as the specification
        says for the tag; for an unknown tag, as few as it needs. A text is Latin-1, and ends with
        a NUL where the specification says so.
    :raises PduEncodeError: tag or value have no room in an optional parameter.
    """
    try:
        if isinstance(value, int):
            width = _INTEGER_WIDTHS.get(tag) or max(1, (value.bit_length() + 7) // 8)
            value = value.to_bytes(width, "big")
        elif isinstance(value, str):
            value = value.encode("latin-1") + (b"\0" if tag in _TEXT_TAGS else b"")
    except (OverflowError, UnicodeEncodeError) as error:
        raise PduEncodeError(
            f"The optional parameter 0x{tag:04X} can't be {value!r}: {error}.",
            CommandStatus.ESME_RINVOPTPARAMVAL,
        ) from None
    if not 0 <= tag <= 0xFFFF or len(value) > 0xFFFF:
        raise PduEncodeError(
            f"No optional parameter has tag {tag!r} and {len(value)} octets: each must be less "
            "than 65,536.",
            CommandStatus.ESME_RINVPARLEN,
        )
    return int(tag), value


# The layout of bodies: what fields follow each other, each of one kind.


@dataclass(frozen=True, slots=True)
class Text:
    """A C-octet string: ends with a NUL.

    :param room: The octets that the specification allows, the NUL counted; None: any.
    """

    name: str
    room: int | None


@dataclass(frozen=True, slots=True)
class Octet:
    """A number of one octet."""

    name: str


@dataclass(frozen=True, slots=True)
class Octets:
    """Octets after an octet that says how many they are: a short message."""

    name: str


@dataclass(frozen=True, slots=True)
class List:
    """Things after an octet that says how many they are.

    :param read: Takes the bytes, and where a thing begins; gives the thing and where it ends.
    """

    name: str
    read: Callable[[bytes, int], tuple[Any, int]]


Layout: TypeAlias = tuple[Text | Octet | Octets | List, ...]


@dataclass(slots=True, kw_only=True)
class Pdu:
    """What all PDUs have. Fields are those of the specification, under its names.

    :param sequence_number: Ties a response to its request; 0 until a session gives it one.
    :param command_status: How a request fared; 0 in requests.
    :param tlvs: Optional parameters in their order; known and unknown, and one more than once.
    :param damage: What is wrong behind the mandatory part, in words; what could be read was.
    """

    #: The PDU's command; :class:`UnknownPdu` has its own.
    COMMAND: ClassVar[int] = 0
    #: What answers a request.
    RESPONSE: ClassVar[type[Pdu] | None] = None
    #: A response that says an error comes without a body.
    BODY_OPTIONAL: ClassVar[bool] = False
    LAYOUT: ClassVar[Layout] = ()

    sequence_number: int = 0
    command_status: int = 0
    tlvs: tuple[Tlv, ...] = ()
    damage: str = field(default="", compare=False)

    @property
    def command_id(self) -> int:
        """The command's number."""
        return self.COMMAND

    @property
    def name(self) -> str:
        """The command's name: ``submit_sm``."""
        return command_name(self.command_id)

    @property
    def is_response(self) -> bool:
        """Whether it answers a request."""
        return bool(self.command_id & RESPONSE_BIT)

    @property
    def ok(self) -> bool:
        """Whether the status is ``ESME_ROK``."""
        return self.command_status == _OK

    @property
    def status_name(self) -> str:
        """The status in words: ``ESME_RINVDSTADR``, and ``0x00000400`` if it has no name."""
        return status_name(self.command_status)

    def tlv(self, tag: int) -> bytes | None:
        """The value of an optional parameter, of the first one if there are several."""
        for own_tag, value in self.tlvs:
            if own_tag == tag:
                return value
        return None

    def tlv_int(self, tag: int) -> int | None:
        """The number that an optional parameter is, however many octets it was sent with."""
        value = self.tlv(tag)
        return None if value is None else int.from_bytes(value, "big")

    def tlv_text(self, tag: int) -> str | None:
        """The text that an optional parameter is, with its NUL or without."""
        value = self.tlv(tag)
        return None if value is None else value.split(b"\0", 1)[0].decode("latin-1")

    def respond(self, status: int = CommandStatus.ESME_ROK, **fields: Any) -> Pdu:
        """Make the response to this request.

        :param status: How it fared.
        :param fields: The response's fields, such as ``message_id``.
        :returns: The command's response; a :class:`GenericNack` if the command has none.
        """
        response = self.RESPONSE or GenericNack
        return response(sequence_number=self.sequence_number, command_status=int(status), **fields)

    def encode(self) -> bytes:
        """The PDU as bytes.

        :raises PduEncodeError: a field has a value that it can't have.
        """
        try:
            body = self._encode_body()
            if self.tlvs:
                body += _encode_tlvs(self.tlvs)
            return (
                HEADER.pack(
                    HEADER_LENGTH + len(body),
                    self.command_id,
                    self.command_status,
                    self.sequence_number,
                )
                + body
            )
        except (struct.error, ValueError, OverflowError, TypeError, AttributeError) as error:
            # Of these only, and only here: what the fields hold is anything until it is packed.
            raise self._refused(str(error)) from error

    def _refused(
        self, reason: str, status: int = CommandStatus.ESME_RUNKNOWNERR
    ) -> PduEncodeError:
        return PduEncodeError(
            f"This {self.name} can't be sent: {reason}.",
            status,
            self.command_id,
            self.sequence_number,
        )

    def _encode_body(self) -> bytes:
        if self.BODY_OPTIONAL and self.command_status != _OK and self._is_bare():
            return b""
        body = bytearray()
        for part in self.LAYOUT:
            value = getattr(self, part.name)
            if isinstance(part, Octet):
                body.append(value)
            elif isinstance(part, Text):
                body += self._text(part.name, value, part.room)
            elif isinstance(part, Octets):
                body += self._short(part.name, value)
            else:
                if len(value) > 0xFF:
                    raise self._refused(
                        f"{part.name} has {len(value)} entries, and 255 are allowed",
                        CommandStatus.ESME_RINVNUMDESTS,
                    )
                body.append(len(value))
                for entry in value:
                    body += entry.encode()
        return bytes(body)

    def _is_bare(self) -> bool:
        return not self.tlvs and not any(getattr(self, part.name) for part in self.LAYOUT)

    def _text(self, name: str, value: str, room: int | None) -> bytes:
        octets = value.encode("latin-1")
        if room is not None and len(octets) >= room:
            raise self._refused(
                f"{name} has {len(octets)} octets, and {room - 1} are allowed",
                _TOO_LONG.get(name, CommandStatus.ESME_RINVCMDLEN),
            )
        if b"\0" in octets:
            raise self._refused(f"{name} has a NUL in it")
        return octets + b"\0"

    def _short(self, name: str, value: bytes) -> bytes:
        if len(value) > MAX_SHORT_MESSAGE:
            raise self._refused(
                f"{name} has {len(value)} octets, and {MAX_SHORT_MESSAGE} are allowed",
                CommandStatus.ESME_RINVMSGLEN,
            )
        return bytes((len(value),)) + value

    @classmethod
    def _decode_body(cls, data: bytes, status: int, sequence_number: int, lenient: bool) -> Pdu:
        fields: dict[str, Any] = {}
        position = HEADER_LENGTH
        tlvs: tuple[Tlv, ...] = ()
        damage = ""
        try:
            for part in cls.LAYOUT:
                if isinstance(part, Octet):
                    fields[part.name] = data[position]
                    position += 1
                elif isinstance(part, Text):
                    fields[part.name], position = read_text(data, position, lenient)
                elif isinstance(part, Octets):
                    fields[part.name], position = _read_short(data, position)
                else:
                    fields[part.name], position = _read_list(data, position, part.read)
            if position < len(data):
                tlvs, damage = read_tlvs(data, position)
        except (IndexError, struct.error):
            if not lenient:
                raise PduDecodeError(
                    "its body ends too early", CommandStatus.ESME_RINVCMDLEN
                ) from None
        except PduDecodeError:
            if not lenient:
                raise
        return cls(
            sequence_number=sequence_number,
            command_status=status,
            tlvs=tlvs,
            damage=damage,
            **fields,
        )


@dataclass(slots=True, kw_only=True)
class GenericNack(Pdu):
    """generic_nack, 4.3.1: answers what is no valid PDU."""

    COMMAND: ClassVar[int] = CommandId.generic_nack.value


_TOO_LONG: dict[str, int] = {
    "source_addr": CommandStatus.ESME_RINVSRCADR,
    "destination_addr": CommandStatus.ESME_RINVDSTADR,
    "service_type": CommandStatus.ESME_RINVSERTYP,
    "schedule_delivery_time": CommandStatus.ESME_RINVSCHED,
    "validity_period": CommandStatus.ESME_RINVEXPIRY,
    "message_id": CommandStatus.ESME_RINVMSGID,
    "system_id": CommandStatus.ESME_RINVSYSID,
    "system_type": CommandStatus.ESME_RINVSYSTYP,
}


def _encode_tlvs(tlvs: Iterable[Tlv]) -> bytes:
    pack = _TLV_HEADER.pack
    return b"".join([pack(tag, len(value)) + value for tag, value in tlvs])


def read_text(data: bytes, position: int, lenient: bool) -> tuple[str, int]:
    end = data.find(0, position)
    if end < 0:
        if not lenient:
            raise PduDecodeError("a text in it has no end", CommandStatus.ESME_RINVCMDLEN)
        end = len(data)
    return data[position:end].decode("latin-1"), end + 1


def _read_short(data: bytes, position: int) -> tuple[bytes, int]:
    start = position + 1
    end = start + data[position]
    if end > len(data):
        raise PduDecodeError(
            "its short message is shorter than it says", CommandStatus.ESME_RINVMSGLEN
        )
    return data[start:end], end


def _read_list(
    data: bytes, position: int, read: Callable[[bytes, int], tuple[Any, int]]
) -> tuple[tuple[Any, ...], int]:
    count = data[position]
    position += 1
    entries = []
    for _ in range(count):
        entry, position = read(data, position)
        entries.append(entry)
    return tuple(entries), position


def read_tlvs(data: bytes, position: int) -> tuple[tuple[Tlv, ...], str]:
    """Read the optional parameters at the end of a PDU, as far as they are whole.

    Some SMSCs put a NUL between the mandatory part and the parameters. Of a message_payload that
    is cut short what is there is taken.

    :returns: The parameters, and what is wrong with them, in words.
    """
    tlvs, damage = _read_tlvs(data, position)
    if damage and data[position] == 0:
        behind_nul, still_damaged = _read_tlvs(data, position + 1)
        if not still_damaged:
            return behind_nul, "a stray NUL follows its mandatory part"
    return tlvs, damage


def _read_tlvs(data: bytes, position: int) -> tuple[tuple[Tlv, ...], str]:
    tlvs: list[Tlv] = []
    length = len(data)
    while position < length:
        if position + 4 > length:
            return tuple(tlvs), f"{length - position} stray octets are at its end"
        tag, width = _TLV_HEADER.unpack_from(data, position)
        position += 4
        end = position + width
        if end > length:
            if tag == Tag.message_payload:
                tlvs.append((tag, data[position:]))
            return tuple(tlvs), f"its optional parameter 0x{tag:04X} is shorter than it says"
        tlvs.append((tag, data[position:end]))
        position = end
    return tuple(tlvs), ""
