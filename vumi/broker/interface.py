"""What vumi asks of a message broker: the seam between workers and whatever carries messages.

Knows exchanges, queues, bodies (bytes) and confirmations. Knows nothing of what a body means, of
workers, or of any one broker's protocol. Every implementation passes the contract suite in
:mod:`vumi.broker.tests.contract`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

from vumi.tasks import TrackedDeferred, message_in_hand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.defer import Deferred

__all__ = [
    "MAX_BODY_BYTES",
    "Delivery",
    "Exchange",
    "IBroker",
    "IReceiver",
    "ISubscription",
    "Publication",
    "Queue",
]

#: The largest body that is accepted for publishing: what RabbitMQ 3 takes by default. RabbitMQ 4
#: takes 16 MiB; a broker's own limit is found out when it refuses a message.
MAX_BODY_BYTES = 128 * 1024 * 1024

Headers = dict[str, Any]


@dataclass(frozen=True)
class Exchange:
    """An exchange that must exist.

    :param name: Its name.
    :param type: ``topic`` or ``direct``. One that exists with another type is used as it is: no
        binding of vumi's has wildcards, so both route alike.
    :param durable: It survives the broker's restart.
    """

    name: str
    type: str = "topic"
    durable: bool = True


@dataclass(frozen=True)
class Queue:
    """A queue that must exist and be bound.

    :param name: Its name.
    :param exchange: The name of the exchange it is bound to; that one must be declared first.
    :param routing_key: What it is bound with; the name itself if left empty.
    :param durable: It survives the broker's restart.
    :param auto_delete: The broker deletes it, with all that waits in it, when its last
        subscription ends, also by a lost connection (it is declared anew with the next one).
    :param arguments: Broker-specific arguments. A queue that exists with others is used as it is.
    """

    name: str
    exchange: str = "vumi"
    routing_key: str = ""
    durable: bool = True
    auto_delete: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def binding_key(self) -> str:
        return self.routing_key or self.name


class Delivery:
    """One message handed out by the broker and not acknowledged yet.

    :ivar body: The message, bytes.
    :ivar headers: Its headers; empty for most messages.
    :ivar exchange: The exchange it was published to.
    :ivar routing_key: The key it was published with.
    :ivar redelivered: The broker says that it has handed it out before.
    :ivar tag: The implementation's own handle.
    :ivar source: What the tag belongs to (a channel): an acknowledgement counts only there.
    """

    __slots__ = ("body", "exchange", "headers", "redelivered", "routing_key", "source", "tag")

    def __init__(
        self,
        body: bytes,
        *,
        headers: Headers | None = None,
        exchange: str = "",
        routing_key: str = "",
        redelivered: bool = False,
        tag: int = 0,
        source: object = None,
    ) -> None:
        self.body = body
        self.headers: Headers = headers or {}
        self.exchange = exchange
        self.routing_key = routing_key
        self.redelivered = redelivered
        self.tag = tag
        self.source = source


class Publication(TrackedDeferred):
    """One publish: a Deferred that fires with `result` once the broker has the message safe.

    It never fails while the broker is merely away: it waits. It fails with
    :class:`~vumi.errors.BrokerClosed` when the connection is closed for good before that, and with
    :class:`~vumi.errors.Unroutable` or :class:`~vumi.errors.PublishRefused` if it was to.

    :ivar number: Counts up by one per publish on one broker object.
    :ivar safe: The broker has confirmed it.
    :ivar mandatory: The broker must give it back rather than drop it when no queue is bound.
    :ivar retry: Where there is no queue for it, that is declared, and it is sent again; so it is
        where the broker refuses it. If not, it fails.
    """

    retry = True

    def __init__(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        headers: Headers | None,
        mandatory: bool,
        result: Any,
    ) -> None:
        super().__init__()
        self.exchange = exchange
        self.routing_key = routing_key
        self.body = body
        self.headers = headers
        self.mandatory = mandatory
        self.on_safe = result
        self.number = 0
        self.safe = False
        self.returned = False
        self._handled = message_in_hand.get()

    def refuse(self, error: Exception) -> None:
        """Have it fail. If nobody listens, so does the message that was handled when it began."""
        if self._handled is not None:
            self._handled.note_failed(self)
        self.errback(error)


class IReceiver(Interface):
    """Whoever takes a subscription's deliveries."""

    def delivered(delivery: Delivery) -> None:
        """Take one message. Must not raise."""

    def interrupted() -> None:
        """The connection was lost: whatever has no acknowledgement yet will be delivered anew."""


class ISubscription(Interface):
    """A consumer of one queue. It outlives lost connections."""

    queue = Attribute("str: The queue's name.")

    def ack(delivery: Delivery) -> None:
        """Say that a message is done with. Acks are collected and sent together.

        An ack of a delivery from a connection that is gone does nothing: the message comes again.
        """

    def reject(delivery: Delivery) -> None:
        """Say that a message can't be handled and is not to be delivered again.

        The broker drops it, or gives it to the dead-letter exchange that the queue was declared
        with.
        """

    def cancel() -> Deferred[None]:
        """Ask for no more. Once it fires nothing is delivered; acks are still taken."""

    def close() -> Deferred[None]:
        """Cancel, and give the broker back what has no acknowledgement yet."""


class IBroker(Interface):
    """One client's connection to a message broker.

    It comes back by itself when it is lost: exchanges, queues and subscriptions are set up again
    and publishes without a confirmation are sent again.
    """

    clock = Attribute("IReactorTime: for whoever works with this broker and needs timers.")
    connected = Attribute("bool: The connection is up and set up.")
    blocked = Attribute("bool: The broker takes no publishes for now (it lacks memory or disk).")
    published = Attribute("int: How many publishes were issued, the reserved ones included.")
    confirmed = Attribute("int: All publishes up to this number are safe.")

    def start() -> Deferred[None]:
        """Connect, trying until it works. Fires when connected for the first time."""

    def stop(timeout: float = ...) -> Deferred[None]:
        """Close for good.

        :param timeout: How many seconds to wait for outstanding confirmations first.
        """

    def declare_exchange(exchange: Exchange) -> Deferred[None]:
        """Make sure an exchange exists, now and after every reconnection."""

    def declare_queue(queue: Queue) -> Deferred[None]:
        """Make sure a queue exists and is bound, now and after every reconnection."""

    def publish(
        exchange: str,
        routing_key: str,
        body: bytes,
        headers: Headers | None = None,
        mandatory: bool = False,
        result: Any = None,
        retry: bool = True,
    ) -> Publication:
        """Publish a persistent message.

        :param exchange: A declared exchange's name, or ``""`` for the one that routes to the queue
            named by the key.
        :param routing_key: Where to.
        :param body: The message, at most :data:`MAX_BODY_BYTES`.
        :param headers: Headers, if any.
        :param mandatory: If no queue is bound for the key any more, declare it again and resend.
        :param result: What the returned Deferred fires with.
        :param retry: If not, a mandatory publish without a queue fails with
            :class:`~vumi.errors.Unroutable`, and one that the broker refuses (a queue is full)
            with :class:`~vumi.errors.PublishRefused`: its Deferred does, and must be listened to.
        :raises BrokerError: The exchange was not declared here, or the body is too large.
        :raises BrokerClosed: The connection was closed for good.
        """

    def reserve() -> Publication:
        """Count a publish that will be issued later, so that nobody takes its turn as safe.

        To be given to :meth:`release` when it was issued, or when it will not be.
        """

    def release(reservation: Publication) -> None:
        """Give a reservation back."""

    def on_confirmed(listener: Callable[[], None]) -> Callable[[], None]:
        """Have a callable called whenever `confirmed` has moved on.

        :returns: To be called when the listener is to hear no more.
        """

    def subscribe(queue: str, receiver: IReceiver, prefetch: int = ...) -> Deferred[ISubscription]:
        """Consume a declared queue.

        :param queue: The queue's name.
        :param receiver: Takes the deliveries.
        :param prefetch: How many unacknowledged deliveries at most; 0 is no limit.
        """

    def get(queue: str) -> Deferred[Delivery | None]:
        """Take one message without subscribing; it is acknowledged at once.

        :returns: Fires with ``None`` if the queue is empty.
        """

    def depth(queue: str) -> Deferred[int | None]:
        """How many messages wait in a queue; fires with ``None`` if there is no such queue."""
