"""The broker in this process: for demos, an author's own loop, and tests.

Routes as RabbitMQ does (topic and direct exchanges, durable names, prefetch, round robin, unacked
messages back to the head of their queue). A publish is confirmed at once, since being in the
process's memory is all the safety there is: what is queued is gone when the process ends.

Several connections, one broker: :class:`MemoryBroker` is the broker, and each
:meth:`MemoryBroker.connect` gives a connection to it (:class:`MemoryConnection`, an
:class:`~vumi.broker.interface.IBroker`).
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from vumi.broker.checks import check_names, check_publish
from vumi.broker.interface import (
    Delivery,
    Exchange,
    IBroker,
    ISubscription,
    Publication,
    Queue,
)
from vumi.broker.ledger import PublishLedger
from vumi.errors import BrokerClosed, Unroutable

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from vumi.broker.interface import Headers, IReceiver

__all__ = ["MemoryBroker", "MemoryConnection", "topic_matches"]

DEFAULT_PREFETCH = 100


def topic_matches(pattern: str, routing_key: str) -> bool:
    """Whether a topic exchange routes a key to a binding (``*`` one word, ``#`` any number)."""
    return _words_match(pattern.split("."), routing_key.split("."))


def _words_match(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    head, rest = pattern[0], pattern[1:]
    if head == "#":
        return any(_words_match(rest, words[skip:]) for skip in range(len(words) + 1))
    return bool(words) and head in ("*", words[0]) and _words_match(rest, words[1:])


class _Queue:
    """One queue: what waits, and who takes it in turn."""

    def __init__(self, name: str, auto_delete: bool = False) -> None:
        self.name = name
        self.auto_delete = auto_delete
        self.ready: deque[Delivery] = deque()
        self.subscriptions: deque[_Subscription] = deque()

    def next_subscription(self) -> _Subscription | None:
        for _ in range(len(self.subscriptions)):
            subscription = self.subscriptions[0]
            self.subscriptions.rotate(-1)
            if subscription.has_room():
                return subscription
        return None


class MemoryBroker:
    """Exchanges and queues in memory, shared by all its connections.

    :param clock: Deliveries are made from its ``callLater(0)``, never from within a publish.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self.exchanges: dict[str, Exchange] = {}
        self.queues: dict[str, _Queue] = {}
        self.bindings: dict[str, list[tuple[str, str]]] = {}
        self.subscriptions: list[_Subscription] = []
        self.unacked = 0
        self._tags = count(1)
        self._pump: IDelayedCall | None = None
        self._idle_waiters: list[Deferred[None]] = []

    def connect(self) -> MemoryConnection:
        """A new connection to this broker."""
        return MemoryConnection(self)

    # Topology

    def declare_exchange(self, exchange: Exchange) -> None:
        """Make an exchange unless there is one of that name already."""
        self.exchanges.setdefault(exchange.name, exchange)
        self.bindings.setdefault(exchange.name, [])

    def declare_queue(self, queue: Queue) -> None:
        """Make a queue unless it is there, and bind it."""
        self.queues.setdefault(queue.name, _Queue(queue.name, queue.auto_delete))
        if queue.exchange:
            bindings = self.bindings.setdefault(queue.exchange, [])
            if (queue.binding_key, queue.name) not in bindings:
                bindings.append((queue.binding_key, queue.name))

    def delete_queue(self, name: str) -> None:
        """Delete a queue with all that waits in it."""
        self.queues.pop(name, None)
        for bindings in self.bindings.values():
            bindings[:] = [binding for binding in bindings if binding[1] != name]

    def route(self, exchange: str, routing_key: str) -> list[_Queue]:
        """The queues that a message published so goes to."""
        if not exchange:
            names = [routing_key]
        else:
            declared = self.exchanges.get(exchange)
            if declared is None:
                return []
            is_topic = declared.type == "topic"
            names = []
            for key, name in self.bindings[exchange]:
                if (key == routing_key or (is_topic and topic_matches(key, routing_key))) and (
                    name not in names
                ):
                    names.append(name)
        return [self.queues[name] for name in names if name in self.queues]

    # Messages

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        headers: Headers | None = None,
        mandatory: bool = False,
    ) -> bool:
        """Put a message on every queue it is routed to. Called once for each publish.

        :param mandatory: If there is none, make one that is named like the routing key.
        :returns: Whether there was any.
        """
        queues = self.route(exchange, routing_key)
        if mandatory and not queues and exchange:
            self.declare_queue(Queue(routing_key, exchange))
            queues = self.route(exchange, routing_key)
        for queue in queues:
            queue.ready.append(
                Delivery(
                    body,
                    headers=dict(headers or {}),
                    exchange=exchange,
                    routing_key=routing_key,
                    tag=next(self._tags),
                )
            )
        if queues:
            self.wake()
        return bool(queues)

    def wake(self) -> None:
        """Have deliveries made in the next turn."""
        if self._pump is None:
            self._pump = self.clock.callLater(0, self._deliver)

    def _deliver(self) -> None:
        self._pump = None
        for queue in list(self.queues.values()):
            # What a receiver publishes meanwhile is for the next turn.
            for _ in range(len(queue.ready)):
                subscription = queue.next_subscription() if queue.ready else None
                if subscription is None:
                    break
                subscription.hand_out(queue.ready.popleft())
        if self._has_work():
            self.wake()
        self.check_idle()

    def _has_work(self) -> bool:
        return any(
            queue.ready and any(subscription.has_room() for subscription in queue.subscriptions)
            for queue in self.queues.values()
        )

    # For tests: when is everything delivered and dealt with?

    @property
    def is_idle(self) -> bool:
        """No delivery is due and none is without its acknowledgement."""
        return self._pump is None and not self.unacked

    def when_idle(self) -> Deferred[None]:
        """Fires once every message that has a taker is delivered and acknowledged."""
        waiter: Deferred[None] = Deferred()
        self._idle_waiters.append(waiter)
        self.wake()
        return waiter

    def check_idle(self) -> None:
        if self.is_idle and self._idle_waiters:
            waiters, self._idle_waiters = self._idle_waiters, []
            for waiter in waiters:
                waiter.callback(None)


@implementer(ISubscription)
class _Subscription:
    """One consumer of one queue."""

    def __init__(
        self, broker: MemoryBroker, queue: str, receiver: IReceiver, prefetch: int
    ) -> None:
        self.queue = queue
        self.receiver = receiver
        self.unacked: dict[int, Delivery] = {}
        self._broker = broker
        self._prefetch = prefetch

    def has_room(self) -> bool:
        return not self._prefetch or len(self.unacked) < self._prefetch

    def hand_out(self, delivery: Delivery) -> None:
        delivery.source = self
        self.unacked[delivery.tag] = delivery
        self._broker.unacked += 1
        self.receiver.delivered(delivery)

    def ack(self, delivery: Delivery) -> None:
        if self.unacked.pop(delivery.tag, None) is not None:
            self._broker.unacked -= 1
            self._broker.wake()

    def reject(self, delivery: Delivery) -> None:
        self.ack(delivery)

    def cancel(self) -> Deferred[None]:
        self.detach()
        return succeed(None)

    def close(self) -> Deferred[None]:
        self.detach()
        self.give_back()
        if self in self._broker.subscriptions:
            self._broker.subscriptions.remove(self)
        return succeed(None)

    def detach(self) -> None:
        """Take no more from the queue."""
        queue = self._broker.queues.get(self.queue)
        if queue is not None and self in queue.subscriptions:
            queue.subscriptions.remove(self)
            if queue.auto_delete and not queue.subscriptions:
                self._broker.delete_queue(queue.name)

    def give_back(self) -> None:
        """Put what is unacked back to the head of the queue, in order."""
        queue = self._broker.queues.get(self.queue)
        for tag in sorted(self.unacked, reverse=True):
            delivery = self.unacked.pop(tag)
            self._broker.unacked -= 1
            if queue is not None:
                queue.ready.appendleft(
                    Delivery(
                        delivery.body,
                        headers=delivery.headers,
                        exchange=delivery.exchange,
                        routing_key=delivery.routing_key,
                        redelivered=True,
                        tag=tag,
                    )
                )
        self._broker.wake()

    def interrupt(self) -> None:
        """Behave as if the connection had been lost and found again."""
        self.receiver.interrupted()
        self.give_back()
        queue = self._broker.queues.get(self.queue)
        if queue is not None and queue.auto_delete and len(queue.subscriptions) == 1:
            # Deleted and declared anew.
            queue.ready.clear()


@implementer(IBroker)
class MemoryConnection:
    """A connection to a :class:`MemoryBroker`."""

    blocked = False

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.clock = broker.clock
        self.connected = False
        self._closed = False
        self._ledger = PublishLedger()
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._subscriptions: list[_Subscription] = []

    @property
    def published(self) -> int:
        return self._ledger.published

    @property
    def confirmed(self) -> int:
        return self._ledger.confirmed

    def start(self) -> Deferred[None]:
        self.connected = True
        return succeed(None)

    def stop(self, timeout: float = 0) -> Deferred[None]:
        self.connected = False
        self._closed = True
        for subscription in self._subscriptions:
            _ = subscription.close()
        self._subscriptions.clear()
        return succeed(None)

    def interrupt(self) -> None:
        """Behave as if the connection had been lost and found again."""
        for subscription in self._subscriptions:
            subscription.interrupt()

    def declare_exchange(self, exchange: Exchange) -> Deferred[None]:
        check_names(exchange.name)
        self.broker.declare_exchange(exchange)
        return succeed(None)

    def declare_queue(self, queue: Queue) -> Deferred[None]:
        check_names(queue.name, queue.binding_key)
        self.broker.declare_queue(queue)
        return succeed(None)

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        headers: Headers | None = None,
        mandatory: bool = False,
        result: Any = None,
        retry: bool = True,
    ) -> Publication:
        if self._closed:
            raise BrokerClosed("The connection to the broker is closed: nothing can be published.")
        check_publish(self.broker.exchanges, exchange, routing_key, body)
        publication = Publication(exchange, routing_key, body, headers, mandatory, result)
        self._ledger.add(publication)
        if mandatory and not retry and not self.broker.route(exchange, routing_key):
            publication.refuse(Unroutable(routing_key))
            self._settle(publication)
            return publication
        self.broker.publish(exchange, routing_key, body, headers, mandatory)
        self._settle(publication)
        return publication

    def reserve(self) -> Publication:
        reservation = Publication("", "", b"", None, False, None)
        self._ledger.add(reservation)
        return reservation

    def release(self, reservation: Publication) -> None:
        self._settle(reservation)

    def _settle(self, publication: Publication) -> None:
        moved = self._ledger.mark_safe([publication])
        if not publication.called:
            publication.callback(publication.on_safe)
        if moved:
            for listener in self._listeners:
                listener()

    def on_confirmed(self, listener: Callable[[], None]) -> Callable[[], None]:
        # A new tuple each time: listeners come and go while they are being told.
        self._listeners = (*self._listeners, listener)
        return lambda: self._forget_listener(listener)

    def _forget_listener(self, listener: Callable[[], None]) -> None:
        self._listeners = tuple(each for each in self._listeners if each is not listener)

    def subscribe(
        self, queue: str, receiver: IReceiver, prefetch: int = DEFAULT_PREFETCH
    ) -> Deferred[ISubscription]:
        subscription = _Subscription(self.broker, queue, receiver, prefetch)
        self.broker.queues.setdefault(queue, _Queue(queue)).subscriptions.append(subscription)
        self._subscriptions.append(subscription)
        self.broker.subscriptions.append(subscription)
        self.broker.wake()
        result: Deferred[ISubscription] = succeed(subscription)
        return result

    def get(self, queue: str) -> Deferred[Delivery | None]:
        waiting = self.broker.queues.get(queue)
        return succeed(waiting.ready.popleft() if waiting is not None and waiting.ready else None)

    def depth(self, queue: str) -> Deferred[int | None]:
        waiting = self.broker.queues.get(queue)
        return succeed(None if waiting is None else len(waiting.ready))
