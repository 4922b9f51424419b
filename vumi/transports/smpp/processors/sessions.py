"""USSD networks that tell what was dialled only once: it is remembered for the session.

Knows the key-value store and the USSD parameters. What one network calls things its own module
says: :mod:`~vumi.transports.smpp.processors.mica`,
:mod:`~vumi.transports.smpp.processors.sixdee`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.components.session import SessionManager
from vumi.config import ConfigInt
from vumi.message import TransportUserMessage
from vumi.tasks import deferred, in_background
from vumi.transports.smpp.processors.deliver import (
    DeliverShortMessageProcessor,
    DeliverShortMessageProcessorConfig,
    UssdPdu,
)
from vumi.transports.smpp.processors.submit import (
    SubmitShortMessageProcessor,
    SubmitShortMessageProcessorConfig,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vumi.transports.smpp.pdu import Tlv

__all__ = [
    "SessionDeliverProcessor",
    "SessionDeliverProcessorConfig",
    "SessionSubmitProcessor",
    "SessionSubmitProcessorConfig",
]

SESSION_SECONDS = 3 * 60


def session_key(address: str, session: object) -> str:
    """What a session is called in the store."""
    return f"{address}+{session}"


class SessionDeliverProcessorConfig(DeliverShortMessageProcessorConfig):
    """Options for what is received."""

    max_session_length = ConfigInt(
        "How long a USSD session lives without a message, in seconds.",
        default=SESSION_SECONDS,
        static=True,
    )


class SessionSubmitProcessorConfig(SubmitShortMessageProcessorConfig):
    """Options for what is sent."""

    max_session_length = ConfigInt(
        "How long a USSD session lives without a message, in seconds.",
        default=SESSION_SECONDS,
        static=True,
    )


class SessionDeliverProcessor(DeliverShortMessageProcessor):
    """Remembers what was dialled, and gives it as ``to_addr`` of all messages of a session."""

    CONFIG_CLASS: ClassVar[Any] = SessionDeliverProcessorConfig

    #: ussd_service_op: a session begins, goes on, ends.
    USSD_EVENTS: ClassVar[Mapping[str, str | None]] = {
        "01": TransportUserMessage.SESSION_NEW,
        "12": TransportUserMessage.SESSION_RESUME,
        "81": TransportUserMessage.SESSION_CLOSE,
    }

    def __init__(self, transport: Any, config: Mapping[str, Any]) -> None:
        super().__init__(transport, config)
        self.session_manager = SessionManager(transport.redis, self.config.max_session_length)

    def session_event_of(self, ussd: UssdPdu) -> str | None:
        if not ussd.ended and ussd.operation not in self.USSD_EVENTS:
            self.log.warn(
                "Unknown ussd_service_op {operation}, taken for a message of a session",
                event="ussd-operation-unknown",
                operation=ussd.operation,
            )
            return TransportUserMessage.SESSION_RESUME
        return super().session_event_of(ussd)

    def ussd_code_of(self, pdu: Any) -> str:
        """What was dialled, from the first PDU of a session."""
        return self.decode_message(pdu)

    @deferred
    async def handle_ussd_message(self, pdu: Any, ussd: UssdPdu) -> None:
        event = self.session_event_of(ussd)
        key = session_key(pdu.source_addr, ussd.session)
        content: str | None = None
        if event == TransportUserMessage.SESSION_NEW:
            to_addr = self.ussd_code_of(pdu)
            await self.session_manager.create_session(key, ussd_code=to_addr)
        else:
            session = await self.session_manager.load_session(key)
            to_addr = session.get("ussd_code")
            if to_addr is None:
                to_addr = pdu.destination_addr
                self.log.warn(
                    "Nobody knows what was dialled in USSD session {session}; taken to be "
                    "{to_addr}",
                    event="ussd-session-unknown",
                    session=ussd.session,
                    to_addr=to_addr,
                )
            elif event == TransportUserMessage.SESSION_RESUME:
                await self.session_manager.save_session(key, session)
            if event == TransportUserMessage.SESSION_RESUME:
                content = self.decode_message(pdu)
        await self.transport.handle_raw_inbound_message(
            from_addr=pdu.source_addr,
            to_addr=to_addr,
            content=content,
            transport_type="ussd",
            session_event=event,
            transport_metadata={
                "session_info": {
                    "ussd_service_op": ussd.operation,
                    "session_identifier": ussd.session,
                }
            },
        )
        if event == TransportUserMessage.SESSION_CLOSE:
            await self.session_manager.clear_session(key)


class SessionSubmitProcessor(SubmitShortMessageProcessor):
    """Sends replies into sessions, and forgets those that a reply closes."""

    CONFIG_CLASS: ClassVar[Any] = SessionSubmitProcessorConfig

    #: What these gateways take for the end of a session, in place of the standard's 0x11.
    CLOSE: ClassVar[int] = 0x17

    def __init__(self, transport: Any, config: Mapping[str, Any]) -> None:
        super().__init__(transport, config)
        self.session_manager = SessionManager(transport.redis, self.config.max_session_length)

    def session_tlvs(self, session: int, closes: bool) -> list[Tlv]:
        """The parameters that tell the network which session a reply is for.

        :param session: What the network calls it.
        :param closes: Whether it is the last reply.
        """
        raise NotImplementedError

    def ussd_tlvs(self, message: TransportUserMessage) -> list[Tlv]:
        closes = message["session_event"] == TransportUserMessage.SESSION_CLOSE
        tlvs = [self.operation_tlv(closes)]
        session = self.session_of(message)
        if session is not None:
            tlvs += self.session_tlvs(session, closes)
        return tlvs

    def handle_outbound_message(self, message: TransportUserMessage, service: Any) -> Any:
        info = message["transport_metadata"].get("session_info")
        if (
            message["transport_type"] == "ussd"
            and message["session_event"] == TransportUserMessage.SESSION_CLOSE
            and isinstance(info, dict)
        ):
            key = session_key(message["to_addr"], info.get("session_identifier"))
            in_background(
                self.session_manager.clear_session(key), self.log, "Forgetting a USSD session"
            )
        return super().handle_outbound_message(message, service)
