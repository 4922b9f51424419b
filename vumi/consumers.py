"""Consumers: what reads one queue and has its messages handled.

Knows the broker's interface and how a queue's body becomes a message; how deliveries pass through
a handler is :mod:`vumi.delivery`'s. Knows no worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from vumi.broker import Exchange, Queue
from vumi.broker.queue_types import (
    DEFAULT_DELIVERY_LIMIT,
    dead_letter_queue,
    queue_arguments,
)
from vumi.delivery import DEFAULT_HANDLER_TIMEOUT, DeliveryFlow, FlowOptions
from vumi.errors import VumiError
from vumi.message import Message
from vumi.publishers import DEFAULT_EXCHANGE
from vumi.tasks import deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from vumi.broker import IBroker

__all__ = ["Consumer", "DynamicConsumer", "declare_queue"]


async def declare_queue(
    broker: IBroker,
    name: str,
    exchange: str,
    routing_key: str,
    queue_type: str,
    delivery_limit: int,
) -> None:
    """Declare a queue, and first the one that takes what it gives up."""
    if queue_type == "quorum":
        dead = dead_letter_queue(name)
        await broker.declare_queue(
            Queue(dead, exchange, arguments=queue_arguments("quorum", dead))
        )
    arguments = queue_arguments(queue_type, name, delivery_limit)
    await broker.declare_queue(Queue(name, exchange, routing_key, arguments=arguments))


class Consumer:
    """Reads one queue; subclasses override :meth:`consume_message`.

    :param channel: The broker.
    """

    exchange_name: str = DEFAULT_EXCHANGE
    exchange_type: str = "topic"
    durable: bool = True
    queue_name: str = "queue"
    routing_key: str = "routing_key"
    message_class: type[Message] = Message
    start_paused: bool = False
    prefetch_count: int | None = None
    concurrency: int = 1
    handler_timeout: float = DEFAULT_HANDLER_TIMEOUT
    #: A function (or ``staticmethod`` of a class) of a message, the key of its conversation.
    conversation_of: Callable[[Any], Hashable] | None = None

    vumi_options: Mapping[str, Any]
    queue_type: str = "classic"
    delivery_limit: int = DEFAULT_DELIVERY_LIMIT
    scrub: Callable[[str], str] = staticmethod(str)

    def __init__(self, channel: IBroker) -> None:
        self.channel = channel
        self.keep_consuming = False
        self.flow: DeliveryFlow | None = None

    async def declare(self) -> None:
        """Declare the exchange and the queue, and prepare the flow of deliveries."""
        broker = self.channel
        await broker.declare_exchange(
            Exchange(self.exchange_name, self.exchange_type, self.durable)
        )
        await declare_queue(
            broker,
            self.queue_name,
            self.exchange_name,
            self.routing_key,
            self.queue_type,
            self.delivery_limit,
        )
        self.flow = DeliveryFlow(
            broker,
            self.queue_name,
            self.exchange_name,
            decode=self.message_class.from_json,
            handle=self._handler(),
            conversation_of=self.conversation_of,
            options=FlowOptions(
                concurrency=max(self.concurrency, 1),
                prefetch=self.prefetch_count or 0,
                handler_timeout=self.handler_timeout,
                queue_type=self.queue_type,
            ),
            scrub=self.scrub,
        )

    def _handler(self) -> Callable[[Any], Any]:
        return self.consume_message

    def _declared_flow(self) -> DeliveryFlow:
        if self.flow is None:
            raise VumiError("A consumer is started by Worker.start_consumer().")
        return self.flow

    @property
    def paused(self) -> bool:
        """No message is handed to the handler for now."""
        return self.flow is None or self.flow.paused

    @deferred
    async def start(self) -> Consumer:
        """Start to consume, unless :attr:`start_paused` says otherwise."""
        self.keep_consuming = True
        if not self.start_paused:
            await self._declared_flow().resume()
        return self

    def unpause(self) -> Deferred[None]:
        """Hand messages to the handler, at first or again."""
        return Deferred.fromCoroutine(self._declared_flow().resume())

    def pause(self) -> Deferred[None]:
        """Hand over no more; fires when no handler runs."""
        return Deferred.fromCoroutine(self._declared_flow().pause())

    def notify_paused_and_quiet(self) -> Deferred[None]:
        """Fires when no handler runs."""
        return Deferred.fromCoroutine(self._declared_flow().quiet())

    async def drain(self, timeout: float) -> None:
        """Take no more from the queue and finish what is in hand, within `timeout` seconds."""
        if self.flow is not None:
            await self.flow.drain(timeout)

    @deferred
    async def stop(self) -> bool:
        """Stop for good, after the handlers that run; what is left goes back to the queue."""
        self.keep_consuming = False
        if self.flow is not None:
            await self.flow.pause()
            await self.flow.close()
        return self.keep_consuming

    def consume_message(self, message: Any) -> Any:
        """Handle one message. May return a Deferred or a coroutine.

        Raising makes the message a dead letter (queue ``<queue>.dead``), and so does returning
        ``False``: the consumer goes on with the next.
        """
        raise NotImplementedError(f"{type(self).__name__} must override consume_message().")


class DynamicConsumer(Consumer):
    """A consumer that calls a callable.

    :param channel: The broker.
    :param callback: Takes a message.
    """

    def __init__(self, channel: IBroker, callback: Callable[[Any], Any]) -> None:
        super().__init__(channel)
        self.callback = callback

    def _handler(self) -> Callable[[Any], Any]:
        return self.callback

    def consume_message(self, message: Any) -> Any:
        return self.callback(message)
