"""Publishers: what writes messages to one exchange or one routing key.

Knows the broker's interface and how a message becomes a body. Knows no worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.errors import RoutingKeyError
from vumi.payload import encode_payload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vumi.broker import IBroker, Publication
    from vumi.message import Message

__all__ = ["DEFAULT_EXCHANGE", "DynamicPublisher", "Publisher"]

DEFAULT_EXCHANGE = "vumi"


def _check_routing_key(routing_key: str) -> None:
    if routing_key != routing_key.lower():
        raise RoutingKeyError(f"The routing_key: {routing_key} is not all lower case!")


class Publisher:
    """Publishes to one exchange; for subclasses that set the class attributes."""

    exchange_name: str = DEFAULT_EXCHANGE
    exchange_type: str = "topic"
    routing_key: str = "routing_key"
    durable: bool = True
    auto_delete: bool = False
    delivery_mode: int = 2
    mandatory: bool = False

    vumi_options: Mapping[str, Any]

    channel: IBroker

    def start(self, channel: IBroker) -> Any:
        """Get to know the broker. Called once everything is declared; may return a Deferred."""
        self.channel = channel

    def publish_message(self, message: Message, routing_key: str | None = None) -> Publication:
        """Publish a message.

        :returns: A Deferred that fires with the message once the broker has it safe.
        :raises RoutingKeyError: The publisher's own routing key is not all lower case.
        """
        return self._publish(message.to_bytes(), routing_key, message)

    def publish_json(self, data: Any, routing_key: str | None = None) -> Publication:
        """Publish plain data as JSON."""
        return self._publish(encode_payload(data), routing_key, data)

    def publish_raw(self, data: bytes, routing_key: str | None = None) -> Publication:
        """Publish bytes."""
        return self._publish(data, routing_key, data)

    def _publish(self, body: bytes, routing_key: str | None, result: Any) -> Publication:
        if routing_key is None:
            routing_key = self.routing_key
            _check_routing_key(routing_key)
        return self.channel.publish(
            self.exchange_name, routing_key, body, None, self.mandatory, result
        )


class DynamicPublisher:
    """Publishes to one routing key of the exchange ``vumi``.

    :param channel: The broker.
    :param routing_key: Where to; all lower case.
    :raises RoutingKeyError: It isn't.
    """

    exchange_name: str = DEFAULT_EXCHANGE
    exchange_type: str = "topic"
    durable: bool = True
    mandatory: bool = False

    vumi_options: Mapping[str, Any]

    def __init__(self, channel: IBroker, routing_key: str) -> None:
        _check_routing_key(routing_key)
        self.channel = channel
        self.routing_key = routing_key

    def start(self, channel: IBroker) -> None:
        """Called once everything is declared."""

    def publish_message(self, message: Message) -> Publication:
        """Publish a message; fires with it once the broker has it safe."""
        return self.channel.publish(
            self.exchange_name, self.routing_key, message.to_bytes(), None, self.mandatory, message
        )

    def publish_json(self, data: Any) -> Publication:
        """Publish plain data as JSON."""
        return self.channel.publish(
            self.exchange_name,
            self.routing_key,
            encode_payload(data),
            None,
            self.mandatory,
            data,
        )

    def publish_raw(self, data: bytes) -> Publication:
        """Publish bytes."""
        return self.channel.publish(
            self.exchange_name, self.routing_key, data, None, self.mandatory, data
        )
