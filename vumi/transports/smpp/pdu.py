"""SMPP 3.4 on the wire: bytes to PDUs and back.

Knows every PDU of the specification and no more: no sockets, no sessions, nothing of what a
message means. What it does not know (a vendor's command, a vendor's optional parameter) is kept as
it is, so that it can be passed on.

Texts of a PDU (addresses, ids, times) are octets without a NUL; here they are :class:`str` by
Latin-1, which has a character for each octet. Short messages are :class:`bytes`: what they say
depends on the data coding (:mod:`vumi.transports.smpp.text`). Numbers are plain integers.

Strict in what is sent, liberal in what is read: a field that is longer than the specification
allows is read but not written, and of a *response* whose body is missing or cut short is read what
is there; to throw it away would lose the outcome of a request. A *request* whose mandatory part is
malformed is an error that says which status should answer it. What is wrong behind that part is
only noted: refusing a message from a person makes the SMSC send it for ever.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import ClassVar, cast

from vumi.transports.smpp.constants import RESPONSE_BIT, CommandId, CommandStatus, command_name
from vumi.transports.smpp.pdu_base import (
    HEADER,
    HEADER_LENGTH,
    MAX_SHORT_MESSAGE,
    GenericNack,
    Layout,
    List,
    Octet,
    Octets,
    Pdu,
    PduDecodeError,
    PduEncodeError,
    PduError,
    PduFramingError,
    Text,
    Tlv,
    read_text,
    read_tlvs,
    tlv,
)

__all__ = [
    "DEFAULT_MAX_LENGTH",
    "HEADER_LENGTH",
    "MAX_SHORT_MESSAGE",
    "AlertNotification",
    "BindReceiver",
    "BindReceiverResp",
    "BindTransceiver",
    "BindTransceiverResp",
    "BindTransmitter",
    "BindTransmitterResp",
    "CancelSm",
    "CancelSmResp",
    "DataSm",
    "DataSmResp",
    "DeliverSm",
    "DeliverSmResp",
    "DistributionList",
    "EnquireLink",
    "EnquireLinkResp",
    "GenericNack",
    "Outbind",
    "Pdu",
    "PduDecodeError",
    "PduEncodeError",
    "PduError",
    "PduFramingError",
    "PduReader",
    "QuerySm",
    "QuerySmResp",
    "ReplaceSm",
    "ReplaceSmResp",
    "SmeAddress",
    "SubmitMulti",
    "SubmitMultiResp",
    "SubmitSm",
    "SubmitSmResp",
    "Tlv",
    "Unbind",
    "UnbindResp",
    "UnknownPdu",
    "Unsuccess",
    "decode",
    "response_class",
    "tlv",
]

#: No PDU is longer by default. A message_payload may have 64 KiB.
DEFAULT_MAX_LENGTH = 0x20000

_U32 = struct.Struct(">I")

_SERVICE_ROOM, _ADDRESS_ROOM, _LONG_ADDRESS_ROOM, _TIME_ROOM, _ID_ROOM = 6, 21, 65, 17, 65
_SOURCE: Layout = (
    Octet("source_addr_ton"),
    Octet("source_addr_npi"),
    Text("source_addr", _ADDRESS_ROOM),
)
_DESTINATION: Layout = (
    Octet("dest_addr_ton"),
    Octet("dest_addr_npi"),
    Text("destination_addr", _ADDRESS_ROOM),
)


# Binding, section 4.1


@dataclass(slots=True, kw_only=True)
class _Bind(Pdu):
    # A password may have 8 octets by the specification, but many SMSCs want longer ones.
    LAYOUT: ClassVar[Layout] = (
        Text("system_id", 16),
        Text("password", None),
        Text("system_type", 13),
        Octet("interface_version"),
        Octet("addr_ton"),
        Octet("addr_npi"),
        Text("address_range", 41),
    )

    system_id: str = ""
    password: str = field(default="", repr=False)
    system_type: str = ""
    interface_version: int = 0x34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""


@dataclass(slots=True, kw_only=True)
class _BindResp(Pdu):
    BODY_OPTIONAL: ClassVar[bool] = True
    LAYOUT: ClassVar[Layout] = (Text("system_id", 16),)

    system_id: str = ""


@dataclass(slots=True, kw_only=True)
class BindReceiverResp(_BindResp):
    """bind_receiver_resp, 4.1.4."""

    COMMAND: ClassVar[int] = CommandId.bind_receiver_resp.value


@dataclass(slots=True, kw_only=True)
class BindReceiver(_Bind):
    """bind_receiver, 4.1.3: to get messages."""

    COMMAND: ClassVar[int] = CommandId.bind_receiver.value
    RESPONSE: ClassVar[type[Pdu] | None] = BindReceiverResp


@dataclass(slots=True, kw_only=True)
class BindTransmitterResp(_BindResp):
    """bind_transmitter_resp, 4.1.2."""

    COMMAND: ClassVar[int] = CommandId.bind_transmitter_resp.value


@dataclass(slots=True, kw_only=True)
class BindTransmitter(_Bind):
    """bind_transmitter, 4.1.1: to send messages."""

    COMMAND: ClassVar[int] = CommandId.bind_transmitter.value
    RESPONSE: ClassVar[type[Pdu] | None] = BindTransmitterResp


@dataclass(slots=True, kw_only=True)
class BindTransceiverResp(_BindResp):
    """bind_transceiver_resp, 4.1.6."""

    COMMAND: ClassVar[int] = CommandId.bind_transceiver_resp.value


@dataclass(slots=True, kw_only=True)
class BindTransceiver(_Bind):
    """bind_transceiver, 4.1.5: to send and get messages."""

    COMMAND: ClassVar[int] = CommandId.bind_transceiver.value
    RESPONSE: ClassVar[type[Pdu] | None] = BindTransceiverResp


@dataclass(slots=True, kw_only=True)
class Outbind(Pdu):
    """outbind, 4.1.7: an SMSC asks to be bound to. Has no response."""

    COMMAND: ClassVar[int] = CommandId.outbind.value
    LAYOUT: ClassVar[Layout] = (Text("system_id", 16), Text("password", None))

    system_id: str = ""
    password: str = field(default="", repr=False)


@dataclass(slots=True, kw_only=True)
class UnbindResp(Pdu):
    """unbind_resp, 4.2.2."""

    COMMAND: ClassVar[int] = CommandId.unbind_resp.value


@dataclass(slots=True, kw_only=True)
class Unbind(Pdu):
    """unbind, 4.2.1."""

    COMMAND: ClassVar[int] = CommandId.unbind.value
    RESPONSE: ClassVar[type[Pdu] | None] = UnbindResp


# Sending, sections 4.4 to 4.7


@dataclass(slots=True, kw_only=True)
class _ShortMessage(Pdu):
    """submit_sm and deliver_sm have the same body, and are what nearly all PDUs are.

    So these two are read and written without a look at the layout, which says the same.
    """

    LAYOUT: ClassVar[Layout] = (
        Text("service_type", _SERVICE_ROOM),
        *_SOURCE,
        *_DESTINATION,
        Octet("esm_class"),
        Octet("protocol_id"),
        Octet("priority_flag"),
        Text("schedule_delivery_time", _TIME_ROOM),
        Text("validity_period", _TIME_ROOM),
        Octet("registered_delivery"),
        Octet("replace_if_present_flag"),
        Octet("data_coding"),
        Octet("sm_default_msg_id"),
        Octets("short_message"),
    )

    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""

    def _encode_body(self) -> bytes:
        service_type = self.service_type.encode("latin-1")
        source = self.source_addr.encode("latin-1")
        destination = self.destination_addr.encode("latin-1")
        schedule = self.schedule_delivery_time.encode("latin-1")
        validity = self.validity_period.encode("latin-1")
        short_message = self.short_message
        if (
            b"\0" in service_type + source + destination + schedule + validity
            or len(source) >= _ADDRESS_ROOM
            or len(destination) >= _ADDRESS_ROOM
            or len(service_type) >= _SERVICE_ROOM
            or len(schedule) >= _TIME_ROOM
            or len(validity) >= _TIME_ROOM
            or len(short_message) > MAX_SHORT_MESSAGE
        ):
            # Finds out which of them it is, and says it.
            return Pdu._encode_body(self)
        return b"%b\0%c%c%b\0%c%c%b\0%c%c%c%b\0%b\0%c%c%c%c%c%b" % (
            service_type,
            self.source_addr_ton,
            self.source_addr_npi,
            source,
            self.dest_addr_ton,
            self.dest_addr_npi,
            destination,
            self.esm_class,
            self.protocol_id,
            self.priority_flag,
            schedule,
            validity,
            self.registered_delivery,
            self.replace_if_present_flag,
            self.data_coding,
            self.sm_default_msg_id,
            len(short_message),
            short_message,
        )

    @classmethod
    def _decode_body(cls, data: bytes, status: int, sequence_number: int, lenient: bool) -> Pdu:
        try:
            service_end = data.index(0, HEADER_LENGTH)
            source_end = data.index(0, service_end + 3)
            dest_end = data.index(0, source_end + 3)
            schedule_end = data.index(0, dest_end + 4)
            validity_end = data.index(0, schedule_end + 1)
            start = validity_end + 6
            end = start + data[start - 1]
            if end > len(data):
                raise PduDecodeError(
                    "its short message is shorter than it says", CommandStatus.ESME_RINVMSGLEN
                )
        except (ValueError, IndexError):
            raise PduDecodeError(
                "its body ends too early", CommandStatus.ESME_RINVCMDLEN
            ) from None
        tlvs: tuple[Tlv, ...] = ()
        damage = ""
        if end < len(data):
            tlvs, damage = read_tlvs(data, end)
        return cls(
            sequence_number=sequence_number,
            command_status=status,
            tlvs=tlvs,
            damage=damage,
            service_type=data[HEADER_LENGTH:service_end].decode("latin-1"),
            source_addr_ton=data[service_end + 1],
            source_addr_npi=data[service_end + 2],
            source_addr=data[service_end + 3 : source_end].decode("latin-1"),
            dest_addr_ton=data[source_end + 1],
            dest_addr_npi=data[source_end + 2],
            destination_addr=data[source_end + 3 : dest_end].decode("latin-1"),
            esm_class=data[dest_end + 1],
            protocol_id=data[dest_end + 2],
            priority_flag=data[dest_end + 3],
            schedule_delivery_time=data[dest_end + 4 : schedule_end].decode("latin-1"),
            validity_period=data[schedule_end + 1 : validity_end].decode("latin-1"),
            registered_delivery=data[validity_end + 1],
            replace_if_present_flag=data[validity_end + 2],
            data_coding=data[validity_end + 3],
            sm_default_msg_id=data[validity_end + 4],
            short_message=data[start:end],
        )


@dataclass(slots=True, kw_only=True)
class _MessageIdResp(Pdu):
    BODY_OPTIONAL: ClassVar[bool] = True
    LAYOUT: ClassVar[Layout] = (Text("message_id", _ID_ROOM),)

    message_id: str = ""


@dataclass(slots=True, kw_only=True)
class SubmitSmResp(_MessageIdResp):
    """submit_sm_resp, 4.4.2."""

    COMMAND: ClassVar[int] = CommandId.submit_sm_resp.value


@dataclass(slots=True, kw_only=True)
class SubmitSm(_ShortMessage):
    """submit_sm, 4.4.1: a message to a phone."""

    COMMAND: ClassVar[int] = CommandId.submit_sm.value
    RESPONSE: ClassVar[type[Pdu] | None] = SubmitSmResp


@dataclass(slots=True, kw_only=True)
class DeliverSmResp(_MessageIdResp):
    """deliver_sm_resp, 4.6.2. Its message_id is not used, but there."""

    COMMAND: ClassVar[int] = CommandId.deliver_sm_resp.value
    BODY_OPTIONAL: ClassVar[bool] = False


@dataclass(slots=True, kw_only=True)
class DeliverSm(_ShortMessage):
    """deliver_sm, 4.6.1: a message or a delivery report from the SMSC."""

    COMMAND: ClassVar[int] = CommandId.deliver_sm.value
    RESPONSE: ClassVar[type[Pdu] | None] = DeliverSmResp


@dataclass(slots=True, kw_only=True)
class DataSmResp(_MessageIdResp):
    """data_sm_resp, 4.7.2."""

    COMMAND: ClassVar[int] = CommandId.data_sm_resp.value


@dataclass(slots=True, kw_only=True)
class DataSm(Pdu):
    """data_sm, 4.7.1: a message either way, its text in the TLV message_payload."""

    COMMAND: ClassVar[int] = CommandId.data_sm.value
    RESPONSE: ClassVar[type[Pdu] | None] = DataSmResp
    LAYOUT: ClassVar[Layout] = (
        Text("service_type", _SERVICE_ROOM),
        Octet("source_addr_ton"),
        Octet("source_addr_npi"),
        Text("source_addr", _LONG_ADDRESS_ROOM),
        Octet("dest_addr_ton"),
        Octet("dest_addr_npi"),
        Text("destination_addr", _LONG_ADDRESS_ROOM),
        Octet("esm_class"),
        Octet("registered_delivery"),
        Octet("data_coding"),
    )

    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    registered_delivery: int = 0
    data_coding: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SmeAddress:
    """One destination of a submit_multi."""

    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""

    def encode(self) -> bytes:
        """Its bytes, with the flag before them."""
        address = _entry_text(self.destination_addr, _ADDRESS_ROOM)
        return bytes((1, self.dest_addr_ton, self.dest_addr_npi)) + address


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionList:
    """A list of destinations, kept by the SMSC, that a submit_multi goes to."""

    dl_name: str = ""

    def encode(self) -> bytes:
        """Its bytes, with the flag before them."""
        return b"\2" + _entry_text(self.dl_name, _ADDRESS_ROOM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsuccess:
    """A destination that a submit_multi was not sent to, and why."""

    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    error_status_code: int = 0

    def encode(self) -> bytes:
        """Its bytes."""
        address = _entry_text(self.destination_addr, _ADDRESS_ROOM)
        numbers = bytes((self.dest_addr_ton, self.dest_addr_npi))
        return numbers + address + _U32.pack(self.error_status_code)


def _entry_text(value: str, room: int) -> bytes:
    if len(value) >= room or "\0" in value:
        raise ValueError(f"{value!r} has a NUL in it or more than {room - 1} octets")
    return value.encode("latin-1") + b"\0"


def _read_destination(data: bytes, position: int) -> tuple[SmeAddress | DistributionList, int]:
    flag = data[position]
    if flag == 1:
        ton, npi = data[position + 1], data[position + 2]
        address, end = read_text(data, position + 3, lenient=False)
        return SmeAddress(dest_addr_ton=ton, dest_addr_npi=npi, destination_addr=address), end
    if flag == 2:
        name, end = read_text(data, position + 1, lenient=False)
        return DistributionList(dl_name=name), end
    raise PduDecodeError(
        f"a destination in it is of unknown kind {flag}", CommandStatus.ESME_RINVDESTFLAG
    )


def _read_unsuccess(data: bytes, position: int) -> tuple[Unsuccess, int]:
    ton, npi = data[position], data[position + 1]
    address, end = read_text(data, position + 2, lenient=False)
    (status,) = _U32.unpack_from(data, end)
    return Unsuccess(
        dest_addr_ton=ton, dest_addr_npi=npi, destination_addr=address, error_status_code=status
    ), end + 4


@dataclass(slots=True, kw_only=True)
class SubmitMultiResp(Pdu):
    """submit_multi_resp, 4.5.2."""

    COMMAND: ClassVar[int] = CommandId.submit_multi_resp.value
    BODY_OPTIONAL: ClassVar[bool] = True
    LAYOUT: ClassVar[Layout] = (
        Text("message_id", _ID_ROOM),
        List("unsuccess_smes", _read_unsuccess),
    )

    message_id: str = ""
    unsuccess_smes: tuple[Unsuccess, ...] = ()


@dataclass(slots=True, kw_only=True)
class SubmitMulti(Pdu):
    """submit_multi, 4.5.1: one message to many phones."""

    COMMAND: ClassVar[int] = CommandId.submit_multi.value
    RESPONSE: ClassVar[type[Pdu] | None] = SubmitMultiResp
    LAYOUT: ClassVar[Layout] = (
        Text("service_type", _SERVICE_ROOM),
        *_SOURCE,
        List("dest_addresses", _read_destination),
        Octet("esm_class"),
        Octet("protocol_id"),
        Octet("priority_flag"),
        Text("schedule_delivery_time", _TIME_ROOM),
        Text("validity_period", _TIME_ROOM),
        Octet("registered_delivery"),
        Octet("replace_if_present_flag"),
        Octet("data_coding"),
        Octet("sm_default_msg_id"),
        Octets("short_message"),
    )

    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addresses: tuple[SmeAddress | DistributionList, ...] = ()
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""


# What else is asked about a message, sections 4.8 to 4.10


@dataclass(slots=True, kw_only=True)
class QuerySmResp(Pdu):
    """query_sm_resp, 4.8.2."""

    COMMAND: ClassVar[int] = CommandId.query_sm_resp.value
    BODY_OPTIONAL: ClassVar[bool] = True
    LAYOUT: ClassVar[Layout] = (
        Text("message_id", _ID_ROOM),
        Text("final_date", _TIME_ROOM),
        Octet("message_state"),
        Octet("error_code"),
    )

    message_id: str = ""
    final_date: str = ""
    message_state: int = 0
    error_code: int = 0


@dataclass(slots=True, kw_only=True)
class QuerySm(Pdu):
    """query_sm, 4.8.1: what has become of a message."""

    COMMAND: ClassVar[int] = CommandId.query_sm.value
    RESPONSE: ClassVar[type[Pdu] | None] = QuerySmResp
    LAYOUT: ClassVar[Layout] = (Text("message_id", _ID_ROOM), *_SOURCE)

    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""


@dataclass(slots=True, kw_only=True)
class CancelSmResp(Pdu):
    """cancel_sm_resp, 4.9.2."""

    COMMAND: ClassVar[int] = CommandId.cancel_sm_resp.value


@dataclass(slots=True, kw_only=True)
class CancelSm(Pdu):
    """cancel_sm, 4.9.1: don't deliver a message."""

    COMMAND: ClassVar[int] = CommandId.cancel_sm.value
    RESPONSE: ClassVar[type[Pdu] | None] = CancelSmResp
    LAYOUT: ClassVar[Layout] = (
        Text("service_type", _SERVICE_ROOM),
        Text("message_id", _ID_ROOM),
        *_SOURCE,
        *_DESTINATION,
    )

    service_type: str = ""
    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""


@dataclass(slots=True, kw_only=True)
class ReplaceSmResp(Pdu):
    """replace_sm_resp, 4.10.2."""

    COMMAND: ClassVar[int] = CommandId.replace_sm_resp.value


@dataclass(slots=True, kw_only=True)
class ReplaceSm(Pdu):
    """replace_sm, 4.10.1: deliver another text."""

    COMMAND: ClassVar[int] = CommandId.replace_sm.value
    RESPONSE: ClassVar[type[Pdu] | None] = ReplaceSmResp
    LAYOUT: ClassVar[Layout] = (
        Text("message_id", _ID_ROOM),
        *_SOURCE,
        Text("schedule_delivery_time", _TIME_ROOM),
        Text("validity_period", _TIME_ROOM),
        Octet("registered_delivery"),
        Octet("sm_default_msg_id"),
        Octets("short_message"),
    )

    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""


# The link, sections 4.11 and 4.12


@dataclass(slots=True, kw_only=True)
class EnquireLinkResp(Pdu):
    """enquire_link_resp, 4.11.2."""

    COMMAND: ClassVar[int] = CommandId.enquire_link_resp.value


@dataclass(slots=True, kw_only=True)
class EnquireLink(Pdu):
    """enquire_link, 4.11.1: is somebody there?"""

    COMMAND: ClassVar[int] = CommandId.enquire_link.value
    RESPONSE: ClassVar[type[Pdu] | None] = EnquireLinkResp


@dataclass(slots=True, kw_only=True)
class AlertNotification(Pdu):
    """alert_notification, 4.12.1: a phone can be reached again. Has no response."""

    COMMAND: ClassVar[int] = CommandId.alert_notification.value
    LAYOUT: ClassVar[Layout] = (
        Octet("source_addr_ton"),
        Octet("source_addr_npi"),
        Text("source_addr", _LONG_ADDRESS_ROOM),
        Octet("esme_addr_ton"),
        Octet("esme_addr_npi"),
        Text("esme_addr", _LONG_ADDRESS_ROOM),
    )

    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    esme_addr_ton: int = 0
    esme_addr_npi: int = 0
    esme_addr: str = ""


@dataclass(slots=True, kw_only=True)
class UnknownPdu(Pdu):
    """A PDU whose command the specification does not have; its body is kept as it came."""

    unknown_command_id: int = 0
    body: bytes = b""

    @property
    def command_id(self) -> int:
        """The command's number."""
        return self.unknown_command_id

    def _encode_body(self) -> bytes:
        return self.body


_PDU_CLASSES: dict[int, type[Pdu]] = {
    cls.COMMAND: cls
    for cls in (
        *(BindReceiver, BindReceiverResp, BindTransmitter, BindTransmitterResp),
        *(BindTransceiver, BindTransceiverResp, Outbind, Unbind, UnbindResp, GenericNack),
        *(SubmitSm, SubmitSmResp, DeliverSm, DeliverSmResp, DataSm, DataSmResp),
        *(SubmitMulti, SubmitMultiResp, QuerySm, QuerySmResp, CancelSm, CancelSmResp),
        *(ReplaceSm, ReplaceSmResp, EnquireLink, EnquireLinkResp, AlertNotification),
    )
}


def response_class(command_id: int) -> type[Pdu] | None:
    """What answers a command; ``None`` if nothing does, or it is not known."""
    cls = _PDU_CLASSES.get(command_id)
    return None if cls is None else cls.RESPONSE


def decode(data: bytes) -> Pdu:
    """Read one PDU.

    :param data: All its octets, from its length on.
    :returns: An object of the command's class; an :class:`UnknownPdu` if it is not SMPP 3.4's.
    :raises PduDecodeError: it is none. The error has the sequence number, the command and the
        status to answer with.
    """
    if len(data) < HEADER_LENGTH:
        raise PduDecodeError(
            f"{len(data)} octets are no PDU: its header alone has {HEADER_LENGTH}.",
            CommandStatus.ESME_RINVCMDLEN,
        )
    length, command_id, status, sequence_number = HEADER.unpack_from(data)
    if length != len(data):
        raise PduDecodeError(
            f"A PDU of {len(data)} octets says that it has {length}.",
            CommandStatus.ESME_RINVCMDLEN,
            command_id,
            sequence_number,
        )
    cls = _PDU_CLASSES.get(command_id)
    if cls is None:
        return UnknownPdu(
            sequence_number=sequence_number,
            command_status=status,
            unknown_command_id=command_id,
            body=data[HEADER_LENGTH:],
        )
    try:
        return cls._decode_body(data, status, sequence_number, command_id >= RESPONSE_BIT)
    except PduDecodeError as error:
        # Where it was found only the fault was known, not whose it is.
        raise PduDecodeError(
            f"This {command_name(command_id)} is malformed: {error}.",
            error.status,
            command_id,
            sequence_number,
        ) from None


class PduReader:
    """Cuts a stream into PDUs, wherever a chunk begins or ends.

    :param max_length: No PDU has more octets: a length beyond it is taken for nonsense.
    """

    def __init__(self, max_length: int = DEFAULT_MAX_LENGTH) -> None:
        self.max_length = max_length
        #: Why the stream can't be read any more. Nothing after that is read.
        self.error: PduFramingError | None = None
        self._buffer = b""

    @property
    def pending(self) -> int:
        """How many octets of a PDU have come that is not complete yet."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk.

        :returns: The PDUs that are complete now, each to be given to :func:`decode`. If
            :attr:`error` is set, they are those before the fault.
        """
        if self.error is not None:
            return []
        data = self._buffer + chunk if self._buffer else chunk
        frames: list[bytes] = []
        position, available = 0, len(data)
        while available - position >= HEADER_LENGTH:
            (length,) = _U32.unpack_from(data, position)
            if not HEADER_LENGTH <= length <= self.max_length:
                self._break(data, position, cast("int", length))
                return frames
            end = position + length
            if end > available:
                break
            frames.append(data[position:end])
            position = end
        self._buffer = data[position:]
        return frames

    def _break(self, data: bytes, position: int, length: int) -> None:
        _, command_id, _, sequence_number = HEADER.unpack_from(data, position)
        self.error = PduFramingError(
            f"A PDU can't have {length} octets: it has {HEADER_LENGTH} at least and "
            f"{self.max_length} at most.",
            CommandStatus.ESME_RINVCMDLEN,
            command_id,
            sequence_number,
        )
        self._buffer = b""
