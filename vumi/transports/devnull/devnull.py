"""The transport that drops what it is given, as a real network might.

Knows how often messages are refused, lost and answered. Knows no network.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from twisted.logger import Logger

from vumi.config import ConfigFloat, ConfigText
from vumi.message import TransportUserMessage
from vumi.tasks import deferred, hook_result, in_background
from vumi.transports.base import Transport, TransportConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    Publish = Callable[[], Deferred[Any]]

__all__ = ["DevNullConfig", "DevNullTransport"]


class DevNullConfig(TransportConfig):
    """Options of the transport to nowhere."""

    transport_type = ConfigText("The transport type of the answers.", default="sms", static=True)
    ack_rate = ConfigFloat(
        "How many of the messages are accepted, from 0 (none) to 1 (all).",
        required=True,
        static=True,
        lowest=0,
        highest=1,
        nullable=False,
    )
    failure_rate = ConfigFloat(
        "How many of the accepted messages are reported as failed, from 0 (none) to 1 (all). The "
        "others are reported as delivered.",
        required=True,
        static=True,
        lowest=0,
        highest=1,
        nullable=False,
    )
    reply_rate = ConfigFloat(
        "How many of the accepted messages are answered, from 0 (none) to 1 (all). With an "
        "application that answers too, 1 never ends.",
        required=True,
        static=True,
        lowest=0,
        highest=1,
        nullable=False,
    )
    reply_copy = ConfigText(
        "The text of the answers; that of the message answered if left out.", static=True
    )
    report_delay = ConfigFloat(
        "How long after the ack the delivery report comes, in seconds.",
        default=0.0,
        static=True,
        lowest=0,
        wording="must not be negative or infinite.",
    )


class DevNullTransport(Transport):
    """Accepts, refuses, reports and answers messages at random, and sends nothing anywhere."""

    CONFIG_CLASS: ClassVar[Any] = DevNullConfig

    #: What the table of all transports says of it.
    catalogue_facts: ClassVar[dict[str, Any]] = {
        "protocol": "none",
        "receives": True,
        "sends": True,
        "sessions": False,
        "receipts": True,
    }

    #: What late delivery reports log to when they fail.
    _reports_log = Logger()

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        #: Gives a number from 0 to below 1. Replace it to know what comes.
        self.random: Callable[[], float] = random.random
        #: The timers of late delivery reports, and what they will do
        self._late: dict[IDelayedCall, Publish] = {}

    @deferred
    async def teardown_transport(self) -> None:
        """Give all late delivery reports now: later there is nobody to give them."""
        late, self._late = self._late, {}
        for timer, publish in late.items():
            timer.cancel()
            await hook_result(publish())

    @deferred
    async def handle_outbound_message(self, message: TransportUserMessage) -> None:
        config = self.get_static_config()
        message_id = message["message_id"]
        if not self._happens(config.ack_rate):
            await hook_result(self.publish_nack(message_id, "Not accepted by network"))
            return
        await hook_result(self.publish_ack(message_id, uuid4().hex))
        status = "failed" if self._happens(config.failure_rate) else "delivered"
        await self._report(message_id, status, config.report_delay or 0)
        if self._happens(config.reply_rate):
            await hook_result(self._answer(message, config))

    def _happens(self, rate: float) -> bool:
        return self.random() < rate

    def _answer(self, message: TransportUserMessage, config: DevNullConfig) -> Deferred[Any]:
        content = message["content"] if config.reply_copy is None else config.reply_copy
        return self.publish_message(
            from_addr=message["to_addr"],
            to_addr=message["from_addr"],
            content=content,
            provider="devnull",
            session_event=TransportUserMessage.SESSION_NONE,
            transport_type=config.transport_type,
        )

    # Delivery reports

    async def _report(self, message_id: str, status: str, delay: float) -> None:
        def publish() -> Deferred[Any]:
            return self.publish_delivery_report(message_id, status)

        def due() -> None:
            del self._late[timer]
            in_background(publish(), self._reports_log, f"The report of message {message_id}")

        if delay:
            timer = self.clock.callLater(delay, due)
            self._late[timer] = publish
        else:
            # Not until it is confirmed: the consumer does that, and it would slow down load tests.
            await hook_result(publish())
