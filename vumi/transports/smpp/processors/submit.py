"""Messages to phones: what PDUs they become.

Knows how texts are encoded and cut, how addresses are written, and the USSD parameters in the way
that most networks use them. When PDUs are sent, and what becomes of them, is the transport's
business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.logger import Logger
from zope.interface import implementer

from vumi.config import Config, ConfigBool, ConfigChoice, ConfigInt, ConfigText
from vumi.damaged_text import mend_text
from vumi.message import TransportUserMessage
from vumi.transports.smpp.constants import Npi, Tag, Ton
from vumi.transports.smpp.iprocessors import ISubmitShortMessageProcessor
from vumi.transports.smpp.overrides import InvalidOverride, Overrides, parse_overrides
from vumi.transports.smpp.pdu import PduEncodeError, SubmitSm, tlv
from vumi.transports.smpp.text import (
    AUTO,
    DATA_CODING_ENCODINGS,
    Segment,
    SplitMode,
    TextError,
    TextTooLong,
    data_coding_of,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vumi.transports.smpp.fields import AddressRule
    from vumi.transports.smpp.pdu import Tlv

__all__ = ["SubmitShortMessageProcessor", "SubmitShortMessageProcessorConfig"]

#: The old options for long messages, of which one may be set.
LONG_MESSAGE_SWITCHES: Mapping[str, SplitMode] = {
    "send_long_messages": SplitMode.PAYLOAD,
    "send_multipart_sar": SplitMode.SAR,
    "send_multipart_udh": SplitMode.UDH8,
}
_NO_OVERRIDES = Overrides()


class SubmitShortMessageProcessorConfig(Config):
    """Options for what is sent."""

    submit_sm_encoding = ConfigText(
        "The encoding of texts: gsm0338, ucs2, the name of one of Python's encodings, or auto: "
        "gsm0338, and ucs2 for texts that have other characters. Few SMSCs need another one.",
        default=AUTO,
        static=True,
    )
    submit_sm_data_coding = ConfigInt(
        "The data coding that tells the SMSC which encoding it is. With auto it is not looked at.",
        default=0,
        static=True,
    )
    long_messages = ConfigChoice(
        "How a text is sent that has no room in one message. none: it is refused. udh8, udh16: in "
        "parts, with a header that has a reference of 8 or 16 bits. sar: in parts, with the "
        "parameters sar_*. payload: in the parameter message_payload, short texts too. auto: in "
        "the way that most SMSCs understand, which is udh8. By default up to 254 octets are sent "
        "in one message, for the SMSC to cut, and longer ones in parts as udh8.",
        [mode.value for mode in SplitMode],
        static=True,
    )
    send_long_messages = ConfigBool(
        "The old name of long_messages: payload.", default=False, static=True
    )
    send_multipart_sar = ConfigBool(
        "The old name of long_messages: sar.", default=False, static=True
    )
    send_multipart_udh = ConfigBool(
        "The old name of long_messages: udh8.", default=False, static=True
    )
    ussd_close_operation = ConfigInt(
        "The ussd_service_op of a reply that closes its USSD session. By default it is the PSSR "
        "response of the specification, section 5.3.2.44; 0x17 with the processors mica and "
        "sixdee.",
        static=True,
        lowest=0,
        highest=255,
    )
    multipart_sar_reference_rollover = ConfigInt(
        "The references of messages in parts are below this.",
        default=0x10000,
        static=True,
        lowest=2,
        highest=65536,
        nullable=False,
    )

    def encodings(self) -> dict[str, str]:
        """The encodings that are named, by what names them."""
        encoding = self.submit_sm_encoding
        return {} if encoding.lower() == AUTO else {"submit_sm_encoding": encoding}

    def hints(self) -> list[str]:
        """Sentences about options that are probably not what was meant."""
        encoding, data_coding = self.submit_sm_encoding, self.submit_sm_data_coding
        if encoding.lower() != AUTO:
            if data_coding == data_coding_of(encoding):
                return []
            return [
                f"Field 'submit_sm_encoding' is {encoding!r}, which data coding {data_coding} "
                "does not stand for: phones show wrong letters unless the SMSC expects that. Use "
                "'submit_sm_encoding: auto' without 'submit_sm_data_coding', unless the operator "
                "asks for this."
            ]
        if data_coding:
            return [
                f"Field 'submit_sm_data_coding' is {data_coding}, and is ignored: with "
                "'submit_sm_encoding: auto' each text has the data coding of its encoding. "
                "Name the encoding, or remove the option."
            ]
        return []

    def post_validate(self) -> None:
        super().post_validate()
        given = [name for name in LONG_MESSAGE_SWITCHES if getattr(self, name)]
        if self.long_messages is not None:
            given.append("long_messages")
        if len(given) > 1:
            self.raise_config_error(
                "The following parameters are mutually exclusive: " + ", ".join(given)
            )

    @property
    def split_mode(self) -> SplitMode | None:
        """How a text is sent that has no room; ``None``: as one while that can be."""
        for name, mode in LONG_MESSAGE_SWITCHES.items():
            if getattr(self, name):
                return mode
        return None if self.long_messages is None else SplitMode(self.long_messages)


@dataclass(frozen=True)
class _Address:
    text: str
    ton: int
    npi: int


class InvalidAddress(Exception):
    """An address can't be written in a PDU."""


class _AddressForm:
    """How addresses of one side are written."""

    def __init__(
        self, field: str, ton: int, npi: int, strip_plus: bool, rules: Sequence[AddressRule]
    ) -> None:
        self._field = field
        self._ton = ton
        self._npi = npi
        self._strip_plus = strip_plus
        self._rules = rules

    def write(self, address: Any) -> _Address:
        if not isinstance(address, str) or not address.isascii() or "\0" in address:
            raise InvalidAddress(f"Invalid {self._field}: {address}")
        ton, npi, strip_plus = self._ton, self._npi, self._strip_plus
        for rule in self._rules:
            if rule.match.fullmatch(address):
                strip_plus = strip_plus if rule.strip_plus is None else rule.strip_plus
                if strip_plus and address.startswith("+"):
                    ton, npi = Ton.INTERNATIONAL.value, Npi.ISDN.value
                ton = ton if rule.ton is None else rule.ton
                npi = npi if rule.npi is None else rule.npi
                break
        else:
            if strip_plus and address.startswith("+"):
                ton, npi = Ton.INTERNATIONAL.value, Npi.ISDN.value
        return _Address(address[1:] if strip_plus and address[:1] == "+" else address, ton, npi)


@implementer(ISubmitShortMessageProcessor)
class SubmitShortMessageProcessor:
    """Makes PDUs of messages.

    :param transport: Sends them, by its ``send_pdus``.
    :param config: The options, see :class:`SubmitShortMessageProcessorConfig`.
    """

    CONFIG_CLASS: ClassVar[Any] = SubmitShortMessageProcessorConfig

    #: ussd_service_op of a reply that closes its session, if the options do not say it: the
    #: standard's PSSR response.
    CLOSE: ClassVar[int] = 0x11
    #: ussd_service_op of a reply after which the session goes on: a USSR request.
    CONTINUE: ClassVar[int] = 0x02

    log = Logger()

    def __init__(self, transport: Any, config: Mapping[str, Any]) -> None:
        self.transport = transport
        self.config: Any = self.CONFIG_CLASS(config, static=True)
        self.codec: Any = transport.codec
        close = self.config.ussd_close_operation
        self._close_operation: int = self.CLOSE if close is None else close
        # Read once: reading an option looks it up and checks it.
        self._mode: SplitMode | None = self.config.split_mode
        self._encoding: str = self.config.submit_sm_encoding
        self._data_coding: int = self.config.submit_sm_data_coding
        self._rollover: int = self.config.multipart_sar_reference_rollover
        options = transport.get_static_config()
        self._from = _AddressForm(
            "from_addr",
            options.source_addr_ton,
            options.source_addr_npi,
            options.strip_plus,
            options.source_addr_rules,
        )
        self._to = _AddressForm(
            "to_addr",
            options.dest_addr_ton,
            options.dest_addr_npi,
            options.strip_plus,
            options.dest_addr_rules,
        )
        self._fields: dict[str, Any] = {
            "service_type": options.service_type,
            "registered_delivery": int(options.registered_delivery),
            "validity_period": options.validity_period,
            "priority_flag": options.priority_flag,
        }

    def handle_outbound_message(self, message: TransportUserMessage, service: Any) -> Any:
        """Have a message sent, or nacked if it can't be."""
        try:
            overrides = self.overrides_of(message)
            fields = self.fields_of(message, overrides)
            tlvs = (*self.tlvs_of(message), *overrides.tlvs)
            segments = self.split(message, overrides, 0)
        except (InvalidAddress, InvalidOverride, TextError, PduEncodeError) as error:
            return self.transport.refuse(message, str(error))

        def make_pdus(reference: int) -> list[SubmitSm]:
            made = segments
            if len(segments) > 1:
                made = self.split(message, overrides, reference % self._rollover)
            return [self.pdu_of(fields, segment, tlvs) for segment in made]

        return self.transport.send_pdus(message, len(segments), make_pdus)

    # What a PDU is made of

    def overrides_of(self, message: TransportUserMessage) -> Overrides:
        """What a message says of its own PDUs.

        :raises InvalidOverride: It is not understood.
        """
        metadata = message.payload["transport_metadata"]
        options = metadata.get("smpp") if metadata else None
        return _NO_OVERRIDES if options is None else parse_overrides(options)

    def fields_of(self, message: TransportUserMessage, overrides: Overrides) -> dict[str, Any]:
        """The fields of a message's PDUs, but for the text's.

        :raises InvalidAddress: An address can't be written.
        """
        payload = message.payload
        to_addr = self._to.write(payload["to_addr"])
        from_addr = self._from.write(payload["from_addr"])
        return {
            **self._fields,
            "source_addr": from_addr.text,
            "source_addr_ton": from_addr.ton,
            "source_addr_npi": from_addr.npi,
            "destination_addr": to_addr.text,
            "dest_addr_ton": to_addr.ton,
            "dest_addr_npi": to_addr.npi,
            **overrides.fields,
        }

    def tlvs_of(self, message: TransportUserMessage) -> Sequence[Tlv]:
        """Optional parameters of a message's PDUs."""
        if message.payload["transport_type"] == TransportUserMessage.TT_USSD:
            return self.ussd_tlvs(message)
        return ()

    def ussd_tlvs(self, message: TransportUserMessage) -> Sequence[Tlv]:
        """The parameters of a USSD message."""
        closes = message["session_event"] == TransportUserMessage.SESSION_CLOSE
        session = self.session_of(message) or 0
        return [
            self.operation_tlv(closes),
            tlv(Tag.its_session_info, (session | closes) & 0xFFFF),
        ]

    def operation_tlv(self, closes: bool) -> Tlv:
        """The parameter that says whether a reply closes its session."""
        return tlv(Tag.ussd_service_op, self._close_operation if closes else self.CONTINUE)

    def session_of(self, message: TransportUserMessage) -> int | None:
        """What the network calls the session that a reply is for."""
        info = (message["transport_metadata"] or {}).get("session_info")
        session = info.get("session_identifier") if isinstance(info, dict) else info
        if isinstance(session, str):
            try:
                return int(session, 16)
            except ValueError:
                return None
        return session if isinstance(session, int) else None

    def split(
        self, message: TransportUserMessage, overrides: Overrides, reference: int
    ) -> list[Segment]:
        """Encode a message's text, and cut it where needed.

        :param reference: What the parts have in common.
        :raises TextError: It can't be sent.
        """
        text = mend_text(message.payload["content"] or "")
        encoding, data_coding = self._encoding, self._data_coding
        wanted = overrides.fields.get("data_coding")
        if wanted is not None:
            if wanted != data_coding or encoding.lower() == AUTO:
                encoding = DATA_CODING_ENCODINGS.get(wanted, encoding)
            data_coding = wanted
        mode = self._mode
        if mode is None:
            try:
                return split(text, SplitMode.NONE, encoding, data_coding, codec=self.codec)
            except TextTooLong:
                mode = SplitMode.UDH8
        return split(text, mode, encoding, data_coding, reference=reference, codec=self.codec)

    def pdu_of(self, fields: Mapping[str, Any], segment: Segment, tlvs: Sequence[Tlv]) -> SubmitSm:
        """One PDU."""
        made: dict[str, Any] = {**fields, "data_coding": segment.data_coding}
        if segment.esm_class:
            made["esm_class"] = made.get("esm_class", 0) | segment.esm_class
        return SubmitSm(short_message=segment.short_message, tlvs=(*segment.tlvs, *tlvs), **made)
