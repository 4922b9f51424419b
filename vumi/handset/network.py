"""The network that the handset's phones are in, as the application sees it: a transport.

Knows messages and events. Who takes a message, and whether, is somebody else's decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.transports.base import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from vumi.message import TransportUserMessage

__all__ = ["HandsetTransport"]


class HandsetTransport(Transport):
    """A transport whose network is in the same process. Made by the handset, not by a file."""

    #: Takes a message; gives the reason if it is refused.
    deliver: Callable[[TransportUserMessage], str | None]

    async def setup_transport(self) -> None:
        connector = self.connectors[self.transport_name]
        # An application may send to any endpoint of its own; nothing here routes them elsewhere.
        connector.set_default_outbound_handler(self.handle_outbound_message)

    def handle_outbound_message(self, message: TransportUserMessage) -> Deferred[Any]:
        message_id: str = message["message_id"]
        refusal = self.deliver(message)
        fields = {
            "transport_type": message["transport_type"],
            "transport_metadata": message["transport_metadata"],
            "routing_metadata": dict(message.routing_metadata),
        }
        if refusal is None:
            return self.publish_ack(message_id, sent_message_id=message_id, **fields)
        return self.publish_nack(message_id, refusal, **fields)
