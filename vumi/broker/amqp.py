"""The broker over AMQP 0-9-1 (RabbitMQ), on pika's Twisted adapter.

Theory of operation. :class:`AmqpBroker` keeps what has to survive a lost connection: the exchanges
and queues that were declared, the subscriptions, and the publishes without a confirmation. A loop
(:meth:`AmqpBroker._run`) connects, hands all of that to the new connection, waits for its end, and
starts over with growing pauses. One connection is a :class:`~vumi.broker.amqp_link.Link`.

Every publish goes out on one channel in confirm mode; every subscription has a channel of its own,
so that an error in one leaves the others alone. A publish channel that is closed by the broker
takes the whole connection down: starting over restores everything in one known way.

Knows AMQP. Knows nothing of what a body means, of handlers or of workers.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

import OpenSSL.SSL
from pika.exceptions import AMQPError, ChannelClosedByBroker
from service_identity import VerificationError
from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectError, ConnectionClosed, ConnectionDone
from twisted.logger import Logger
from zope.interface import implementer

from vumi.broker.amqp_frames import check_headers
from vumi.broker.amqp_link import Link, LinkLost, connect_link
from vumi.broker.amqp_subscription import AmqpSubscription
from vumi.broker.checks import check_names, check_publish
from vumi.broker.interface import Exchange, IBroker, Publication, Queue
from vumi.broker.ledger import PublishLedger
from vumi.errors import BrokerClosed, BrokerError, ConfigError, PublishRefused, Unroutable
from vumi.tasks import deferred, in_background

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from twisted.internet.interfaces import IReactorTime

    from vumi.broker.address import BrokerAddress
    from vumi.broker.interface import Delivery, Headers, IReceiver, ISubscription

__all__ = ["AmqpBroker"]

T = TypeVar("T")

#: What a connection may fail with that needs no traceback.
KNOWN_REASONS = (
    AMQPError,
    BrokerError,
    ConfigError,
    ConnectError,
    ConnectionClosed,
    DeferredTimeout,
    OpenSSL.SSL.Error,
    OSError,
    VerificationError,
)

#: Seconds between attempts to connect: from the first to the most.
RETRY_INITIAL_DELAY, RETRY_MAX_DELAY = 0.5, 15.0
#: Seconds before a publish that the broker refused (a full queue) is tried again.
REFUSED_DELAY = 1.0
DEFAULT_PREFETCH = 100
#: The largest frame until a broker has said its own, in bytes: RabbitMQ's default.
DEFAULT_FRAME_MAX = 131_072
NOT_FOUND, PRECONDITION_FAILED = 404, 406


@implementer(IBroker)
class AmqpBroker:
    """A connection to RabbitMQ that comes back by itself.

    :param address: Where the broker is. Of several hosts each is tried in turn.
    :param reactor: Twisted's reactor.
    :param label: Who this is, for RabbitMQ's list of connections.
    """

    log = Logger()

    def __init__(self, address: BrokerAddress, reactor: Any, label: str = "vumi") -> None:
        self.address = address
        self.clock: IReactorTime = reactor
        self._reactor = reactor
        self._label = label
        self._exchanges: dict[str, Exchange] = {}
        self._queues: dict[str, Queue] = {}
        self._subscriptions: list[AmqpSubscription] = []
        self._ledger = PublishLedger()
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._link: Link | None = None
        self._ready_waiters: list[Deferred[Link]] = []
        self._wake: Deferred[None] | None = None
        self._loop: Deferred[None] | None = None
        self._closing = False
        self._as_they_are: set[str] = set()
        self._frame_max = DEFAULT_FRAME_MAX

    # State

    @property
    def connected(self) -> bool:
        return self._link is not None

    @property
    def blocked(self) -> bool:
        return self._link is not None and self._link.blocked

    @property
    def published(self) -> int:
        return self._ledger.published

    @property
    def confirmed(self) -> int:
        return self._ledger.confirmed

    # Life

    def start(self) -> Deferred[None]:
        # pika also tells what we tell, through the standard library's last resort: to stderr.
        logging.getLogger("pika").addHandler(logging.NullHandler())
        if self._loop is None:
            self._loop = Deferred.fromCoroutine(self._run())
        return self._when_ready().addCallback(lambda _: None)

    @deferred
    async def stop(self, timeout: float = 10.0) -> None:
        if self._link is not None and self._ledger.confirmed < self._ledger.published:
            await self._drained(timeout)
        self._closing = True
        if self._wake is not None:
            self._wake.cancel()
        if self._link is not None:
            for subscription in self._subscriptions:
                subscription.flush()
            self._link.close()
        if self._loop is not None:
            await self._loop
        outstanding = self._ledger.outstanding()
        if outstanding:
            self.log.error(
                "{count} messages were not confirmed by the broker before closing; the last ones "
                "may be lost",
                event="broker-unconfirmed",
                count=len(outstanding),
                routing_keys=sorted({publication.routing_key for publication in outstanding}),
            )
        closed = BrokerClosed("The connection to the broker was closed before it confirmed this.")
        for waiter in self._ready_waiters:
            waiter.errback(closed)
        self._ready_waiters.clear()
        for publication in outstanding:
            if publication.has_listeners():
                publication.errback(closed)

    async def _drained(self, timeout: float) -> None:
        drained: Deferred[None] = Deferred()

        def check() -> None:
            if self._ledger.confirmed >= self._ledger.published and not drained.called:
                drained.callback(None)

        forget = self.on_confirmed(check)
        try:
            await drained.addTimeout(timeout, self.clock)
        except DeferredTimeout:
            return
        finally:
            forget()

    async def _run(self) -> None:
        delay = backoffPolicy(initialDelay=RETRY_INITIAL_DELAY, maxDelay=RETRY_MAX_DELAY)
        attempt = 0
        while not self._closing:
            host, port = self.address.hosts[attempt % len(self.address.hosts)]
            link = None
            try:
                link = await connect_link(
                    self.address, host, port, self._reactor, self._label, self
                )
                await self._restore(link)
                attempt = 0
                reason = await link.lost
            except KNOWN_REASONS as error:
                reason = error
            except CancelledError:
                break
            except Exception as error:  # noqa: BLE001 (whatever it was: the loop must go on)
                self.log.failure("The connection to the broker failed in an unknown way")
                reason = error
            was_ready, self._link = self._link is not None, None
            if link is not None:
                link.abort()
            self._ledger.channel_lost()
            if was_ready:
                for subscription in self._subscriptions:
                    subscription.interrupted()
            if self._closing:
                break
            await self._pause(
                delay(attempt), f"{host}:{port}", reason, "lost" if was_ready else "not made"
            )
            attempt += 1

    async def _pause(self, seconds: float, where: str, reason: object, what: str) -> None:
        self.log.warn(
            "Connection to the broker at {where} {what}: {reason}. Next try in {seconds:.1f} s",
            event="broker-unreachable",
            where=where,
            what=what,
            reason=_in_words(reason, self.address),
            seconds=seconds,
        )
        self._wake = Deferred()
        timer = self.clock.callLater(seconds, self._wake.callback, None)
        try:
            await self._wake
        except CancelledError:
            timer.cancel()
        finally:
            self._wake = None

    async def _restore(self, link: Link) -> None:
        """Bring a new connection to where the last one was."""
        for exchange in list(self._exchanges.values()):
            await self._declare_exchange(link, exchange)
        for queue in list(self._queues.values()):
            await self._declare_queue(link, queue)
        outstanding = [p for p in self._ledger.outstanding() if p.routing_key]
        for publication in outstanding:
            self._send(link, publication)
        self._link = link
        self._frame_max = link.frame_max
        self.log.info(
            "Connected to the broker at {where}",
            event="broker-connected",
            where=link.where,
            resent=len(outstanding),
        )
        for subscription in list(self._subscriptions):
            await subscription.attach(link)
        waiters, self._ready_waiters = self._ready_waiters, []
        for waiter in waiters:
            waiter.callback(link)

    def _when_ready(self) -> Deferred[Link]:
        if self._closing:
            return fail(BrokerClosed("The connection to the broker is closed."))
        if self._link is not None:
            return succeed(self._link)
        waiter: Deferred[Link] = Deferred()
        self._ready_waiters.append(waiter)
        return waiter

    async def _with_link(self, action: Callable[[Link], Awaitable[T]]) -> T:
        """Do something on the connection, again on the next one if this one is lost meanwhile."""
        while True:
            link = await self._when_ready()
            try:
                return await action(link)
            except (LinkLost, ConnectionClosed):
                if self._link is link:
                    self._link = None

    # Topology

    def declare_exchange(self, exchange: Exchange) -> Deferred[None]:
        check_names(exchange.name)
        self._exchanges[exchange.name] = exchange
        return Deferred.fromCoroutine(
            self._with_link(lambda link: self._declare_exchange(link, exchange))
        )

    def declare_queue(self, queue: Queue) -> Deferred[None]:
        check_names(queue.name, queue.binding_key)
        self._queues[queue.name] = queue
        return Deferred.fromCoroutine(
            self._with_link(lambda link: self._declare_queue(link, queue))
        )

    async def _declare_exchange(self, link: Link, exchange: Exchange) -> None:
        try:
            await link.topology(
                "exchange_declare",
                exchange=exchange.name,
                exchange_type=exchange.type,
                durable=exchange.durable,
            )
        except ChannelClosedByBroker as error:
            if error.reply_code != PRECONDITION_FAILED:
                raise _refused("exchange", exchange.name, error) from None
            await link.topology("exchange_declare", exchange=exchange.name, passive=True)
            self._warn_as_it_is("exchange", exchange.name, error)

    async def _declare_queue(self, link: Link, queue: Queue) -> None:
        try:
            await link.topology(
                "queue_declare",
                queue=queue.name,
                durable=queue.durable,
                auto_delete=queue.auto_delete,
                arguments=dict(queue.arguments) or None,
            )
        except ChannelClosedByBroker as error:
            if error.reply_code != PRECONDITION_FAILED:
                raise _refused("queue", queue.name, error) from None
            self._warn_as_it_is("queue", queue.name, error)
        if queue.exchange:
            try:
                await link.topology(
                    "queue_bind",
                    queue=queue.name,
                    exchange=queue.exchange,
                    routing_key=queue.binding_key,
                )
            except ChannelClosedByBroker as error:
                raise _refused("queue", queue.name, error) from None

    def _warn_as_it_is(self, what: str, name: str, error: ChannelClosedByBroker) -> None:
        if name in self._as_they_are:
            return
        self._as_they_are.add(name)
        self.log.warn(
            "The broker has {what} {name!r} with other properties than asked for; it is used as "
            "it is ({reason})",
            event="broker-used-as-it-is",
            what=what,
            name=name,
            reason=error.reply_text,
        )

    # Publishing

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
        if self._closing:
            raise BrokerClosed("The connection to the broker is closed: nothing can be published.")
        check_publish(self._exchanges, exchange, routing_key, body)
        if headers:
            check_headers(headers, self._frame_max)
        publication = Publication(exchange, routing_key, body, headers, mandatory, result)
        if not retry:
            publication.retry = False
        self._ledger.add(publication)
        if self._link is not None:
            self._send(self._link, publication)
        return publication

    def _send(self, link: Link, publication: Publication) -> None:
        self._ledger.sent(publication)
        link.publish(publication)

    def reserve(self) -> Publication:
        reservation = Publication("", "", b"", None, False, None)
        self._ledger.add(reservation)
        return reservation

    def release(self, reservation: Publication) -> None:
        self._now_safe([reservation])

    def on_confirmed(self, listener: Callable[[], None]) -> Callable[[], None]:
        # A new tuple each time: listeners come and go while they are being told.
        self._listeners = (*self._listeners, listener)
        return lambda: self._forget_listener(listener)

    def _forget_listener(self, listener: Callable[[], None]) -> None:
        self._listeners = tuple(each for each in self._listeners if each is not listener)

    def publish_settled(self, tag: int, multiple: bool, accepted: bool) -> None:
        """The broker has confirmed or refused publishes (called by the link)."""
        publications = self._ledger.settle(tag, multiple)
        if not accepted:
            self._fail([p for p in publications if not p.retry], PublishRefused)
            publications = [p for p in publications if p.retry]
            if not publications:
                return
            self.log.warn(
                "The broker refused {count} messages (a queue is full?); they are sent again",
                event="broker-refused-publish",
                count=len(publications),
                routing_keys=sorted({publication.routing_key for publication in publications}),
            )
            self.clock.callLater(REFUSED_DELAY, self._send_again, publications)
            return
        returned = [publication for publication in publications if publication.returned]
        if returned:
            publications = [p for p in publications if not p.returned]
            wanted = [p for p in returned if p.retry]
            if wanted:
                self._reroute(wanted)
            refused = [p for p in returned if not p.retry]
            if refused:
                self._fail(refused, Unroutable)
        self._now_safe(publications)

    def _now_safe(self, publications: list[Publication]) -> None:
        moved = self._ledger.mark_safe(publications)
        for publication in publications:
            if not publication.called:
                publication.callback(publication.on_safe)
        if moved:
            for listener in self._listeners:
                listener()

    def _fail(
        self, publications: list[Publication], error: type[Unroutable] | type[PublishRefused]
    ) -> None:
        """Tell those who wait that their publishes failed; these count as dealt with."""
        for publication in publications:
            publication.errback(error(publication.routing_key))
        self._now_safe(publications)

    def publish_returned(self, routing_key: str, body: bytes) -> None:
        """The broker has no queue for a publish (called by the link, before its confirmation)."""
        publication = self._ledger.find_in_flight(routing_key, body)
        if publication is not None:
            publication.returned = True

    def _reroute(self, publications: list[Publication]) -> None:
        """Declare queues that have vanished anew, and send again what they were to get."""
        for publication in publications:
            self._queues.setdefault(
                publication.routing_key, Queue(publication.routing_key, publication.exchange)
            )
        names = sorted({publication.routing_key for publication in publications})
        self.log.warn(
            "No queue was there for {count} messages; {names} declared again, messages sent again",
            event="broker-queue-vanished",
            count=len(publications),
            names=names,
        )

        async def declare_and_send() -> None:
            for name in names:
                await self.declare_queue(self._queues[name])
            self._send_again(publications)

        in_background(declare_and_send(), self.log, "Sending messages again")

    def _send_again(self, publications: list[Publication]) -> None:
        for publication in publications:
            publication.returned = False
        if self._link is not None:
            for publication in publications:
                if not publication.safe:
                    self._send(self._link, publication)

    # Consuming

    @deferred
    async def subscribe(
        self, queue: str, receiver: IReceiver, prefetch: int = DEFAULT_PREFETCH
    ) -> ISubscription:
        subscription = AmqpSubscription(self, queue, receiver, prefetch)
        link = await self._when_ready()
        self._subscriptions.append(subscription)
        await subscription.attach(link)
        return subscription

    def forget(self, subscription: AmqpSubscription) -> None:
        """A subscription was closed (called by it)."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    async def redeclare(self, link: Link, queue: str) -> None:
        """Declare a queue again that a subscription has found missing (called by it)."""
        if queue in self._queues:
            await self._declare_queue(link, self._queues[queue])

    # Looking into queues

    def get(self, queue: str) -> Deferred[Delivery | None]:
        return Deferred.fromCoroutine(self._with_link(lambda link: link.get(queue)))

    def depth(self, queue: str) -> Deferred[int | None]:
        return Deferred.fromCoroutine(self._with_link(lambda link: self._depth(link, queue)))

    async def _depth(self, link: Link, queue: str) -> int | None:
        try:
            frame = await link.topology("queue_declare", queue=queue, passive=True)
        except ChannelClosedByBroker as error:
            if error.reply_code == NOT_FOUND:
                return None
            raise _refused("queue", queue, error) from None
        count: int = frame.method.message_count
        return count


def _refused(what: str, name: str, error: ChannelClosedByBroker) -> BrokerError:
    return BrokerError(f"The broker refused {what} {name!r}: {error.reply_text}")


def _in_words(reason: object, address: BrokerAddress) -> str:
    """Why there is no connection, for an operator."""
    name = type(reason).__name__
    if name in ("ProbableAuthenticationError", "ConnectionClosedByBroker") and (
        "ACCESS_REFUSED" in str(reason) or name == "ProbableAuthenticationError"
    ):
        return (
            f"user {address.username!r} was refused: is the password right, does the user exist? "
            "('vumi broker setup' creates it)"
        )
    if name == "ProbableAccessDeniedError" or "NOT_ALLOWED" in str(reason):
        return (
            f"virtual host {address.vhost!r} was refused: does it exist, may user "
            f"{address.username!r} use it? ('vumi broker setup' creates it)"
        )
    if isinstance(reason, VerificationError):
        return "its TLS certificate is for another name ('server_name' in the URL says which)"
    if isinstance(reason, DeferredTimeout):
        return "no answer to the AMQP handshake"
    if isinstance(reason, ConnectionDone):
        return "it was closed by the other side"
    return str(reason).rstrip(".") or name
