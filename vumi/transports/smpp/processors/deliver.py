"""Messages from phones, as the SMPP specification has them.

Knows how texts are encoded, where in a PDU the parts of a long message are numbered, and the USSD
parameters in the way that most networks use them. What becomes of a message that was made is the
transport's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from vumi.config import Config, ConfigBool, ConfigDict, ConfigText
from vumi.message import TransportUserMessage
from vumi.tasks import settle
from vumi.transports.smpp.constants import EsmClass, Tag
from vumi.transports.smpp.iprocessors import DecodingError, IDeliverShortMessageProcessor
from vumi.transports.smpp.reassembly import (
    IncompleteMessage,
    Part,
    find_legacy_part,
    find_udh_part,
    split_udh,
)
from vumi.transports.smpp.text import DATA_CODING_ENCODINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "DATA_CODINGS",
    "DeliverShortMessageProcessor",
    "DeliverShortMessageProcessorConfig",
    "UssdPdu",
    "payload_of",
]

#: The encodings of section 5.2.19. What is binary or unspecified has none; that of 0, the SMSC's
#: default alphabet, is an option.
DATA_CODINGS: Mapping[int, str] = {
    int(coding): encoding for coding, encoding in DATA_CODING_ENCODINGS.items() if coding
}
#: GSM's "data coding / message class": 0xF0 to 0xF3 is its default alphabet.
GSM_CLASS_MASK, GSM_CLASS = 0xFC, 0xF0

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


def payload_of(pdu: Any) -> bytes:
    """The message that a PDU carries, user data header included."""
    payload: bytes | None = pdu.tlv(Tag.message_payload)
    if payload is not None:
        return payload
    short: bytes = getattr(pdu, "short_message", b"")
    return short


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
        self._encodings: dict[int, str] = {
            **DATA_CODINGS,
            **({0: self.config.default_data_coding} if self.config.default_data_coding else {}),
            **self.config.data_coding_overrides,
        }

    # Parts

    def handle_multipart_pdu(self, pdu: Any) -> Any:
        """Keep a part until all are there; then publish the message."""
        part = self.part_of(pdu)
        return False if part is None else Deferred.fromCoroutine(self._take_part(pdu, part))

    def part_of(self, pdu: Any) -> Part | None:
        """Which part of a message a PDU is; ``None`` if it is a whole one."""
        payload, coding = payload_of(pdu), pdu.data_coding
        total = pdu.tlv_int(Tag.sar_total_segments)
        reference = pdu.tlv_int(Tag.sar_msg_ref_num)
        number = pdu.tlv_int(Tag.sar_segment_seqnum)
        if total is not None and reference is not None and number is not None:
            part = Part(reference, total, number, payload, coding, "sar")
            return part if part.sensible else None
        if pdu.esm_class & EsmClass.UDHI:
            try:
                return find_udh_part(payload, coding)[0]
            except IncompleteMessage as error:
                raise DecodingError(str(error)) from None
        return find_legacy_part(payload, coding) if self._legacy_headers else None

    async def _take_part(self, pdu: Any, part: Part) -> bool:
        from_addr, to_addr = pdu.source_addr, pdu.destination_addr
        parts = await self.transport.multipart.add(from_addr, to_addr, part)
        if not parts:
            # The others are missing, or the message was published before.
            return True
        text = self.decode_parts(parts)
        reported = await settle(self.transport.dr_processor.handle_delivery_report_content(text))
        if not reported:
            await settle(self.handle_short_message_content(from_addr, to_addr, text))
        await self.transport.multipart.finish(from_addr, to_addr, part)
        return True

    def decode_parts(self, parts: Sequence[Part]) -> str:
        """The text of parts in order. A character may be cut in two where a part ends.

        :raises DecodingError: It can't be read.
        """
        texts: list[str] = []
        coding, payload = parts[0].data_coding, b""
        for part in parts:
            if part.data_coding != coding:
                texts.append(self.dcs_decode(payload, coding))
                coding, payload = part.data_coding, b""
            payload += part.payload
        texts.append(self.dcs_decode(payload, coding))
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
        payload = payload_of(pdu)
        if pdu.esm_class & EsmClass.UDHI:
            try:
                payload = split_udh(payload)[1]
            except IncompleteMessage as error:
                raise DecodingError(str(error)) from None
        if not payload and not self._allow_empty and pdu.tlv(Tag.ussd_service_op) is None:
            raise DecodingError("Not decoding message with no content.")
        return self.dcs_decode(payload, pdu.data_coding)

    def dcs_decode(self, payload: bytes, data_coding: int) -> str:
        """The text that bytes are.

        :raises DecodingError: The data coding has no encoding, or it is another one.
        """
        encoding = self._encodings.get(data_coding)
        if encoding is None and data_coding & GSM_CLASS_MASK == GSM_CLASS:
            encoding = self._encodings.get(0)
        if encoding is None:
            raise DecodingError(f"Not decoding message with data_coding={data_coding}")
        if not payload:
            return ""
        try:
            text: str = self.codec.decode(payload, encoding)
        except (UnicodeError, LookupError) as error:
            raise DecodingError(
                f"Not decoding message with data_coding={data_coding}: {error}"
            ) from None
        return text
