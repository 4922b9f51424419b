"""The message broker of tests: the one in memory, which also remembers all that was published.

Part of the public test kit; the name is the old one. It is what
:class:`~vumi.tests.helpers.WorkerHelper` hands to workers, and what a test looks into. Knows
exchanges, keys and bodies; of messages only how to read and write one.

Messages are delivered by the reactor, never from within a publish. "Delivered" includes the work
of whoever takes a message: see :meth:`FakeAMQPBroker.kick_delivery`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, succeed

from vumi.broker.memory import MemoryBroker, MemoryConnection
from vumi.delivery import DeliveryFlow
from vumi.message import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.internet.interfaces import IReactorTime

    from vumi.broker.interface import Delivery, Headers, IReceiver

__all__ = ["FakeAMQClient", "FakeAMQPBroker", "PublishedContent"]

PERSISTENT = 2


@dataclass
class PublishedContent:
    """One message as it was published.

    :ivar body: The bytes.
    :ivar properties: ``delivery mode`` (2: persistent) and ``headers``.
    """

    body: bytes
    properties: dict[str, Any] = field(default_factory=dict)


class FakeAMQPBroker(MemoryBroker):
    """A broker in memory for one test.

    :param clock: What the workers' timers run on (heartbeats, time limits); the reactor if left
        out. Messages are delivered by the reactor whatever clock is given.

    :ivar dispatched: exchange -> routing key -> what was published there, in order
    :ivar exchanges: name -> the declared exchange
    :ivar queues: name -> the declared queue
    """

    def __init__(self, clock: IReactorTime | None = None) -> None:
        from twisted.internet import reactor

        self._reactor = cast("IReactorTime", reactor)
        super().__init__(self._reactor if clock is None else clock)
        self.dispatched: dict[str, dict[str, list[PublishedContent]]] = {}
        self._amount_waiters: list[_AmountWaiter] = []

    # What was published

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        headers: Headers | None = None,
        mandatory: bool = False,
    ) -> bool:
        properties = {"delivery mode": PERSISTENT, "headers": dict(headers or {})}
        keys = self.dispatched.setdefault(exchange, {})
        keys.setdefault(routing_key, []).append(PublishedContent(body, properties))
        self._check_amounts()
        return super().publish(exchange, routing_key, body, headers, mandatory)

    def get_dispatched(self, exchange: str, rkey: str) -> list[PublishedContent]:
        """What was published to an exchange with a routing key, in order."""
        return list(self.dispatched.get(exchange, {}).get(rkey, ()))

    def get_messages(self, exchange: str, rkey: str) -> list[Message]:
        """The same, read as messages.

        :raises InvalidMessage: Something that is no message was published there.
        """
        return [Message.from_json(content.body) for content in self.get_dispatched(exchange, rkey)]

    def wait_messages(self, exchange: str, rkey: str, n: int) -> Deferred[list[Message]]:
        """Wait until at least `n` messages were published with a routing key.

        :returns: Fires with all of them, never from within a publish.
        """
        waiter = _AmountWaiter(exchange, rkey, n)
        if self._is_reached(waiter):
            return succeed(self.get_messages(exchange, rkey))
        self._amount_waiters.append(waiter)
        return waiter.reached.addCallback(lambda _: self.get_messages(exchange, rkey))

    def clear_messages(self, exchange: str, rkey: str | None = None) -> None:
        """Forget what was published with a routing key, or to the whole exchange.

        What waits in a queue stays there.
        """
        if rkey is None:
            self.dispatched.pop(exchange, None)
        else:
            self.dispatched.get(exchange, {}).pop(rkey, None)

    def _is_reached(self, waiter: _AmountWaiter) -> bool:
        published = self.dispatched.get(waiter.exchange, {}).get(waiter.routing_key, ())
        return len(published) >= waiter.amount

    def _check_amounts(self) -> None:
        for waiter in [w for w in self._amount_waiters if self._is_reached(w)]:
            self._amount_waiters.remove(waiter)
            # In the next turn: whoever is publishing is in the middle of something.
            self._reactor.callLater(0, waiter.reached.callback, None)

    # Publishing from a test

    def publish_message(self, exchange: str, routing_key: str, message: Message) -> None:
        """Publish a message. Somebody must have declared the exchange."""
        self.publish_raw(exchange, routing_key, message.to_bytes())

    def publish_raw(self, exchange: str, routing_key: str, data: bytes | str) -> None:
        """Publish bytes, or a text as UTF-8. Somebody must have declared the exchange."""
        assert exchange in self.exchanges, (
            f"Exchange {exchange!r} is not declared (known: {sorted(self.exchanges)}): start the "
            "worker first."
        )
        body = data.encode("utf-8") if isinstance(data, str) else data
        self.publish(exchange, routing_key, body)

    # Delivery

    def wake(self) -> None:
        if self._pump is None:
            self._pump = self._reactor.callLater(0, self._deliver)

    def kick_delivery(self) -> Deferred[None]:
        """Deliver what is waiting.

        :returns: Fires when no work is left: every message that has a taker is delivered, its
            handler has finished, and so have those of all messages that this one led to. A handler
            that never finishes is waited for, until the test's timeout.
        """
        return self.when_idle()

    def wait_delivery(self) -> Deferred[None]:
        """Wait until no work is left, as :meth:`kick_delivery`; fires at once if there is none."""
        return succeed(None) if self.is_idle else self.when_idle()

    @property
    def is_idle(self) -> bool:
        """No delivery is due, and nobody works on one.

        A consumer that was paused holds its messages until it is told to go on. Nothing will
        happen to them by itself, so they are not waited for.
        """
        return self._pump is None and all(
            _is_held_back(subscription.receiver)
            for subscription in self.subscriptions
            if subscription.unacked
        )

    def basic_get(self, queue: str) -> Delivery | None:
        """Take the next message from a queue; ``None`` if there is none."""
        waiting = self.queues.get(queue)
        return waiting.ready.popleft() if waiting is not None and waiting.ready else None


def _is_held_back(receiver: IReceiver) -> bool:
    """Whether what a receiver has in hand waits for its being unpaused."""
    return (
        isinstance(receiver, DeliveryFlow)
        and receiver.paused
        and not receiver._running
        and not receiver._finished
    )


class _AmountWaiter:
    """Somebody who waits until so many messages were published."""

    def __init__(self, exchange: str, routing_key: str, amount: int) -> None:
        self.exchange = exchange
        self.routing_key = routing_key
        self.amount = amount
        self.reached: Deferred[None] = Deferred()


class FakeAMQClient(MemoryConnection):
    """A connection to a :class:`FakeAMQPBroker`, ready for use.

    :param spec: Ignored; the old Vumi's description of the protocol.
    :param vumi_options: The command line's options.
    :param broker: The broker; a new one if left out.
    """

    def __init__(
        self,
        spec: object = None,
        vumi_options: Mapping[str, Any] | None = None,
        broker: FakeAMQPBroker | None = None,
    ) -> None:
        super().__init__(FakeAMQPBroker() if broker is None else broker)
        self.vumi_options = dict(vumi_options or {})
        self.connected = True
