"""Mahindra Comviva's MICA platform: USSD sessions by user_message_reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.transports.smpp.constants import Tag
from vumi.transports.smpp.pdu import tlv
from vumi.transports.smpp.processors.deliver import UssdPdu
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

DeliverShortMessageProcessorConfig = SessionDeliverProcessorConfig
SubmitShortMessageProcessorConfig = SessionSubmitProcessorConfig


class DeliverShortMessageProcessor(SessionDeliverProcessor):
    """Makes messages of PDUs. What was dialled is the text of a session's first one."""

    def ussd_of(self, pdu: Any, operation: bytes) -> UssdPdu:
        reference = pdu.tlv_int(Tag.user_message_reference)
        session = None if reference is None else f"{reference:04x}"
        return UssdPdu(operation.hex(), session, False)


class SubmitShortMessageProcessor(SessionSubmitProcessor):
    """Makes PDUs of messages."""

    def session_tlvs(self, session: int, closes: bool) -> list[Tlv]:
        return [tlv(Tag.user_message_reference, session)]
