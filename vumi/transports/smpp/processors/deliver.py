"""Messages from phones, as the SMPP specification has them.

Knows how texts are encoded, where in a PDU the parts of a long message are numbered, and the USSD
parameters in the way that most networks use them. What becomes of a message that was made is the
transport's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from vumi.codecs import VumiCodecException
from vumi.codecs.gsm_shifts import NO_SHIFTS, Shifts, decode_gsm
from vumi.config import Config, ConfigBool, ConfigDict, ConfigText
from vumi.damaged_text import decode_text, mend_text
from vumi.message import TransportUserMessage
from vumi.tasks import settle
from vumi.transports.smpp.constants import DataCoding, EsmClass, Tag
from vumi.transports.smpp.data_coding import DATA_CODINGS, GSM_DEFAULT
from vumi.transports.smpp.iprocessors import DecodingError, IDeliverShortMessageProcessor
from vumi.transports.smpp.pdu import tlv
from vumi.transports.smpp.udh import Part, payload_of, read_payload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "DATA_CODINGS",
    "DeliverShortMessageProcessor",
    "DeliverShortMessageProcessorConfig",
    "UssdPdu",
    "payload_of",
]

#: its_session_info (5.3.2.43): the last bit says that the session ends.
END_OF_SESSION = 0x0001


class DataCodingOverrides(ConfigDict):
    """Encodings by data coding; keys may be texts of numbers."""

    def clean(self, value: Any) -> dict[Any, str]:
        """Encodings by number."""
        try:
            return {int(key): str(name) for key, name in super().clean(value).items()}
        except (TypeError, ValueError):
            self.raise_config_error("has a key that is no whole number.")


class DeliverShortMessageProcessorConfig(Config):
    """Options for what is received."""

    data_coding_overrides = DataCodingOverrides(
        "The encodings of data codings, where they are not what the specification says: a mapping "
        "of a number to gsm0338, ucs2 or the name of one of Python's encodings.",
        default={},
        static=True,
    )
    default_data_coding = ConfigText(
        "The encoding of data coding 0, the SMSC's default alphabet. The empty text: such "
        "messages are refused.",
        default="gsm0338",
        static=True,
    )
    allow_empty_messages = ConfigBool(
        "Whether messages without a text are published, with the empty text.",
        default=False,
        static=True,
    )
    legacy_multipart_headers = ConfigBool(
        "Whether what begins with the bytes of a multipart header is taken for a part also if the "
        "PDU does not say that it has a header, and with two headers that no standard has, as the "
        "old Vumi did.",
        default=False,
        static=True,
    )

    def encodings(self) -> dict[str, str]:
        """The encodings that are named, by what names them."""
        named = {f"data_coding_overrides.{c}": e for c, e in self.data_coding_overrides.items()}
        return {**named, "default_data_coding": self.default_data_coding}


@dataclass(frozen=True)
class UssdPdu:
    """What a PDU of a USSD session says.

    :ivar operation: ussd_service_op, as two hex digits.
    :ivar session: What the session is called: four hex digits, or ``None``.
    :ivar ended: Whether the network says that the session is over.
    """

    operation: str
    session: str | None
    ended: bool


#: What says which part a PDU is, or has its text: not so of the message that it is a part of.
_TAGS_OF_PARTS = frozenset(
    (
        Tag.sar_msg_ref_num,
        Tag.sar_total_segments,
        Tag.sar_segment_seqnum,
        Tag.message_payload,
    )
)
#: How a text may begin whose byte order mark was read in either order.
_BYTE_ORDER_MARKS = ("\ufeff", "\ufffe")


@implementer(IDeliverShortMessageProcessor)
class DeliverShortMessageProcessor:
    """Makes messages of PDUs.

    :param transport: Publishes them, by its ``handle_raw_inbound_message``.
    :param config: The options, see :class:`DeliverShortMessageProcessorConfig`.
    """

    CONFIG_CLASS: ClassVar[Any] = DeliverShortMessageProcessorConfig

    #: What ussd_service_op says. All others close the session.
    USSD_EVENTS: ClassVar[Mapping[str, str | None]] = {
        "01": TransportUserMessage.SESSION_NEW,
        "02": TransportUserMessage.SESSION_RESUME,
        "12": TransportUserMessage.SESSION_RESUME,
    }

    log = Logger()

    def __init__(self, transport: Any, config: Mapping[str, Any]) -> None:
        self.transport = transport
        self.config: Any = self.CONFIG_CLASS(config, static=True)
        self.codec: Any = transport.codec
        self._allow_empty: bool = self.config.allow_empty_messages
        self._legacy_headers: bool = self.config.legacy_multipart_headers
        default: str = self.config.default_data_coding
        # GSM's codings that stand for its default alphabet mean what the SMSC's default is.
        named = {
            coding: default if encoding == GSM_DEFAULT else encoding
            for coding, encoding in {0: GSM_DEFAULT, **DATA_CODINGS}.items()
        }
        self._encodings: dict[int, str] = {**named, **self.config.data_coding_overrides}

    # Parts

    def handle_multipart_pdu(self, pdu: Any) -> Any:
        """Keep a part until all are there; then publish the message."""
        part = self.part_of(pdu)
        return False if part is None else Deferred.fromCoroutine(self._take_part(pdu, part))

    def part_of(self, pdu: Any) -> Part | None:
        """Which part of a message a PDU is; ``None`` if it is a whole one."""
        return read_payload(pdu, self._legacy_headers).part

    async def _take_part(self, pdu: Any, part: Part) -> bool:
        from_addr, to_addr = pdu.source_addr, pdu.destination_addr
        parts = await self.transport.multipart.add(from_addr, to_addr, part)
        if not parts:
            # The others are missing, or the message was published before.
            return True
        reports = self.transport.dr_processor
        reported = False
        if pdu.esm_class & EsmClass.TYPE_MASK:
            try:
                text = self.decode_parts(parts)
            except DecodingError:
                # Reports are ASCII, whatever the data coding says.
                text = b"".join(part.payload for part in parts).decode("latin-1")
            reported = await settle(reports.handle_delivery_report_pdu(_joined(pdu, text)))
        else:
            text = self.decode_parts(parts)
        if not reported:
            reported = await settle(reports.handle_delivery_report_content(text))
        if not reported:
            await settle(self.handle_short_message_content(from_addr, to_addr, text))
        await self.transport.multipart.finish(from_addr, to_addr, part)
        return True

    def decode_parts(self, parts: Sequence[Part]) -> str:
        """The text of parts in order. A character may be cut in two where a part ends.

        :raises DecodingError: It can't be read.
        """
        texts: list[str] = []
        first, payload = parts[0], b""
        for part in parts:
            if (part.data_coding, part.shifts) != (first.data_coding, first.shifts):
                texts.append(self._decode(payload, first.data_coding, first.shifts))
                first, payload = part, b""
            payload += part.payload
        texts.append(self._decode(payload, first.data_coding, first.shifts))
        return "".join(texts)

    # USSD

    def handle_ussd_pdu(self, pdu: Any) -> Any:
        """Publish a message of a USSD session."""
        operation = pdu.tlv(Tag.ussd_service_op)
        if operation is None:
            return False
        ussd = self.ussd_of(pdu, operation)
        return Deferred.fromCoroutine(self._take_ussd(pdu, ussd))

    async def _take_ussd(self, pdu: Any, ussd: UssdPdu) -> bool:
        await settle(self.handle_ussd_message(pdu, ussd))
        return True

    def ussd_of(self, pdu: Any, operation: bytes) -> UssdPdu:
        """What a PDU says of its session."""
        info = pdu.tlv_int(Tag.its_session_info)
        session = None if info is None else f"{info & ~END_OF_SESSION & 0xFFFF:04x}"
        return UssdPdu(operation.hex(), session, bool(info and info & END_OF_SESSION))

    def session_event_of(self, ussd: UssdPdu) -> str | None:
        """The session event of a message."""
        if ussd.ended:
            return TransportUserMessage.SESSION_CLOSE
        return self.USSD_EVENTS.get(ussd.operation, TransportUserMessage.SESSION_CLOSE)

    def handle_ussd_message(self, pdu: Any, ussd: UssdPdu) -> Any:
        """Publish a USSD message. What it returns is waited for."""
        return self.transport.handle_raw_inbound_message(
            from_addr=pdu.source_addr,
            to_addr=pdu.destination_addr,
            content=self.decode_message(pdu),
            transport_type="ussd",
            session_event=self.session_event_of(ussd),
            transport_metadata={"session_info": ussd.session},
        )

    # All others

    def handle_short_message_pdu(self, pdu: Any) -> Any:
        """Publish an SMS, unless its text is a delivery report."""
        content = self.decode_message(pdu)
        reported = self.transport.dr_processor.handle_delivery_report_content(content)
        if reported is False:
            return self.handle_short_message_content(
                pdu.source_addr, pdu.destination_addr, content
            )
        return Deferred.fromCoroutine(self._take_unless(reported, pdu, content))

    async def _take_unless(self, reported: Any, pdu: Any, content: str) -> bool:
        if not await settle(reported):
            await settle(
                self.handle_short_message_content(pdu.source_addr, pdu.destination_addr, content)
            )
        return True

    def handle_short_message_content(
        self, source_addr: str, destination_addr: str, content: str
    ) -> Any:
        """Publish an SMS. What it returns is waited for."""
        return self.transport.handle_raw_inbound_message(
            from_addr=source_addr,
            to_addr=destination_addr,
            content=content,
            transport_type="sms",
        )

    # Texts

    def decode_pdus(self, pdus: Sequence[Any]) -> list[str]:
        """The texts of PDUs."""
        return [self.decode_message(pdu) for pdu in pdus]

    def decode_message(self, pdu: Any) -> str:
        """The text of a PDU.

        :raises DecodingError: It can't be read.
        """
        payload = read_payload(pdu)
        if not payload.octets and not self._allow_empty and pdu.tlv(Tag.ussd_service_op) is None:
            raise DecodingError("Not decoding message with no content.")
        return self._decode(payload.octets, pdu.data_coding, payload.shifts)

    def _decode(self, payload: bytes, data_coding: int, shifts: Shifts) -> str:
        if shifts != NO_SHIFTS and self._encodings.get(data_coding) == GSM_DEFAULT:
            return decode_gsm(payload, shifts)
        return self.dcs_decode(payload, data_coding)

    def dcs_decode(self, payload: bytes, data_coding: int) -> str:
        """The text that octets are. Those that mean nothing become U+FFFD.

        :raises DecodingError: The data coding has no encoding.
        """
        encoding = self._encodings.get(data_coding)
        if not encoding:
            raise DecodingError(f"Not decoding message with data_coding={data_coding}")
        if not payload:
            return ""
        try:
            text: str = self.codec.decode(payload, encoding)
            return decode_text(payload, encoding) if text[:1] in _BYTE_ORDER_MARKS else text
        except (UnicodeError, VumiCodecException):
            return self._decode_damaged(payload, encoding)
        except LookupError as error:
            raise DecodingError(
                f"Not decoding message with data_coding={data_coding}: {error}"
            ) from None

    def _decode_damaged(self, payload: bytes, encoding: str) -> str:
        try:
            return decode_text(payload, encoding)
        except LookupError:
            # One that only the configured codec knows.
            text: str = self.codec.decode(payload, encoding, "replace")
            return mend_text(text)


def _joined(pdu: Any, text: str) -> Any:
    """The PDU that the parts of a report would be if it was one."""
    tlvs = [(tag, value) for tag, value in pdu.tlvs if tag not in _TAGS_OF_PARTS]
    return replace(
        pdu,
        esm_class=pdu.esm_class & ~EsmClass.UDHI,
        data_coding=int(DataCoding.UCS2),
        tlvs=(*tlvs, tlv(Tag.message_payload, text.encode("utf-16-be", "replace"))),
    )
