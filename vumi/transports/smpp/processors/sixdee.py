"""6D Technologies' USSD gateway: sessions by its_session_info, whose last bit ends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.config import ConfigChoice
from vumi.transports.smpp.constants import Tag
from vumi.transports.smpp.pdu import tlv
from vumi.transports.smpp.processors.sessions import (
    SessionDeliverProcessor,
    SessionDeliverProcessorConfig,
    SessionSubmitProcessor,
    SessionSubmitProcessorConfig,
)

if TYPE_CHECKING:
    from vumi.transports.smpp.pdu import Tlv

__all__ = [
    "DeliverShortMessageProcessor",
    "DeliverShortMessageProcessorConfig",
    "SubmitShortMessageProcessor",
    "SubmitShortMessageProcessorConfig",
]

SubmitShortMessageProcessorConfig = SessionSubmitProcessorConfig


class DeliverShortMessageProcessorConfig(SessionDeliverProcessorConfig):
    """Options for what is received."""

    ussd_code_pdu_field = ConfigChoice(
        "Where in a session's first PDU what was dialled is.",
        ("short_message", "destination_addr"),
        default="short_message",
        static=True,
    )


class DeliverShortMessageProcessor(SessionDeliverProcessor):
    """Makes messages of PDUs."""

    CONFIG_CLASS: ClassVar[Any] = DeliverShortMessageProcessorConfig

    def ussd_code_of(self, pdu: Any) -> str:
        if self.config.ussd_code_pdu_field == "destination_addr":
            address: str = pdu.destination_addr
            return address
        return super().ussd_code_of(pdu)


class SubmitShortMessageProcessor(SessionSubmitProcessor):
    """Makes PDUs of messages."""

    def session_tlvs(self, session: int, closes: bool) -> list[Tlv]:
        return [tlv(Tag.its_session_info, session | closes)]
