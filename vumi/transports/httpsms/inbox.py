"""What a request has brought: messages and delivery reports, published before it is answered.

Knows batches: one bad item costs only itself. Knows no provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from vumi.errors import InvalidMessage
from vumi.transports.httpsms.receipts import DeliveryReport

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc import Incoming
    from vumi.transports.httpsms.httpsms import HttpSmsTransport

__all__ = ["Inbox"]


class Inbox:
    """Publishes what requests bring, and answers them when the broker has it safe.

    :param transport: The transport.
    """

    log = Logger()

    def __init__(self, transport: HttpSmsTransport) -> None:
        self._transport = transport

    async def publish(self, incoming: Incoming, received: Any) -> None:
        """Publish what a hook has made of a request, and answer it.

        :param received: A message's fields, a :class:`DeliveryReport`, or a list of these.
        :raises InvalidMessage: There is nothing in it that can be published.
        """
        transport = self._transport
        items = received if isinstance(received, list) else [received]
        publishing: list[tuple[bool, Deferred[Any]]] = []
        problem: Exception | None = None
        for item in items:
            try:
                if isinstance(item, DeliveryReport):
                    publishing += [(False, event) for event in await self._report(item)]
                else:
                    # With one message it has the request's id.
                    if len(items) == 1:
                        item.setdefault("message_id", incoming.id)
                    item.setdefault("transport_type", transport.message_type)
                    publishing.append((True, transport.publish_message(**item)))
            except (InvalidMessage, TypeError, ValueError) as error:
                problem = error
                if len(items) > 1:
                    transport.refusals.item(str(error), "invalid_message")
        if problem is not None and not publishing:
            raise problem
        messages: list[TransportUserMessage] = []
        for is_message, published in publishing:
            event = await published
            if is_message:
                messages.append(event)
        transport.finish(incoming.id, transport.make_acknowledgement(incoming, messages))

    async def _report(self, report: DeliveryReport) -> list[Deferred[Any]]:
        transport = self._transport
        message_id = report.user_message_id
        if message_id is None and report.sent_message_id is not None and transport.remote_ids:
            message_id = await transport.remote_ids.message_id_of(report.sent_message_id)
        if not message_id:
            self.log.info(
                "A delivery report is about a message that is not known (any more): "
                "{sent_message_id}",
                event="http-report-of-unknown-message",
                sent_message_id=report.sent_message_id,
            )
            return []
        return [
            transport.publish_delivery_report(message_id, report.delivery_status, **report.fields)
        ]
