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
from vumi.broker.checks import body_too_large, check_names, check_publish
from vumi.broker.held_publishes import HeldPublishes
from vumi.broker.interface import MAX_BODY_BYTES, Exchange, IBroker, Publication, Queue
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
ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED = 403, 404, 406


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
        #: Exchange and key -> publishes that wait for those before them, which were refused.
        self._held: dict[tuple[str, str], HeldPublishes] = {}
        self._frame_max = DEFAULT_FRAME_MAX
        self._max_body = MAX_BODY_BYTES

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
            link, what = None, "not made"
            try:
                link = await connect_link(
                    self.address, host, port, self._reactor, self._label, self
                )
                await self._restore(link)
                attempt, what = 0, "lost"
                reason = await link.lost
            except KNOWN_REASONS as error:
                reason = error
            except CancelledError:
                break
            except Exception as error:  # noqa: BLE001 (whatever it was: the loop must go on)
                self.log.failure("The connection to the broker failed in an unknown way")
                reason = error
            if link is not None:
                link.abort()
                self._forget_link(link)
            # What was sent before the connection was ready.
            self._ledger.channel_lost()
            if self._closing:
                break
            await self._pause(delay(attempt), f"{host}:{port}", reason, what)
            attempt += 1

    def _forget_link(self, link: Link) -> None:
        """A connection is over: whatever waits for it waits for the next one."""
        if self._link is link:
            self._link = None
            self._held.clear()
            self._ledger.channel_lost()
            for subscription in self._subscriptions:
                subscription.interrupted()

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
            try:
                await self._declare_queue(link, queue)
            except LinkLost:
                raise
            except BrokerError as error:
                # One queue must not keep all others waiting.
                self.log.error(
                    "{problem}. The others are used", event="broker-refused-queue", problem=error
                )
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
            await subscription.restore(link)
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
                link.abort()
                self._forget_link(link)

    # Topology

    def declare_exchange(self, exchange: Exchange) -> Deferred[None]:
        check_names(exchange.name)
        self._exchanges[exchange.name] = exchange
        return Deferred.fromCoroutine(
            self._with_link(lambda link: self._declare_exchange(link, exchange))
        )

    def declare_queue(self, queue: Queue) -> Deferred[None]:
        check_names(queue.name, queue.binding_key)
        return Deferred.fromCoroutine(self._declare_and_keep(queue))

    async def _declare_and_keep(self, queue: Queue) -> None:
        before, self._queues[queue.name] = self._queues.get(queue.name), queue
        try:
            await self._with_link(lambda link: self._declare_queue(link, queue))
        except BrokerError:
            if before is None:
                # Refused now, it would be refused after every reconnection.
                self._queues.pop(queue.name, None)
            raise

    async def _declare_exchange(self, link: Link, exchange: Exchange) -> None:
        try:
            await link.topology(
                "exchange_declare",
                exchange=exchange.name,
                exchange_type=exchange.type,
                durable=exchange.durable,
            )
        except ChannelClosedByBroker as error:
            await self._use_as_it_is(link, "exchange", exchange.name, error)

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
            await self._use_as_it_is(link, "queue", queue.name, error)
        if queue.exchange:
            try:
                await link.topology(
                    "queue_bind",
                    queue=queue.name,
                    exchange=queue.exchange,
                    routing_key=queue.binding_key,
                )
            except ChannelClosedByBroker as error:
                if error.reply_code != ACCESS_REFUSED:
                    raise _refused("queue", queue.name, error) from None
                self._warn_as_it_is("queue", queue.name, error)

    async def _use_as_it_is(
        self, link: Link, what: str, name: str, error: ChannelClosedByBroker
    ) -> None:
        """Make do with what is there where it can't be declared as it should be."""
        if error.reply_code not in (ACCESS_REFUSED, PRECONDITION_FAILED):
            raise _refused(what, name, error) from None
        try:
            await link.topology(f"{what}_declare", **{what: name}, passive=True)
        except ChannelClosedByBroker:
            raise _refused(what, name, error) from None
        self._warn_as_it_is(what, name, error)

    def _warn_as_it_is(self, what: str, name: str, error: ChannelClosedByBroker) -> None:
        if name in self._as_they_are:
            return
        self._as_they_are.add(name)
        self.log.warn(
            "The broker has {what} {name!r} and doesn't let us declare it as it should be; it is "
            "used as it is ({reason})",
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
        check_publish(self._exchanges, exchange, routing_key, body, self._max_body)
        if headers:
            check_headers(headers, self._frame_max)
        publication = Publication(exchange, routing_key, body, headers, mandatory, result)
        if not retry:
            publication.retry = False
        self._ledger.add(publication)
        held = self._held.get((exchange, routing_key)) if self._held else None
        if held is not None:
            held.append(publication)
        elif self._link is not None:
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
        if accepted:
            failed = [publication for publication in publications if publication.returned]
        else:
            failed = publications
        if not failed:
            self._now_safe(publications)
            return
        self._now_safe([publication for publication in publications if publication not in failed])
        error = Unroutable if accepted else PublishRefused
        self._now_safe([p for p in failed if not p.retry], error)
        again = [publication for publication in failed if publication.retry]
        if again:
            self._hold(again, accepted)

    def _now_safe(
        self, publications: list[Publication], error: Callable[[str], BrokerError] | None = None
    ) -> None:
        """Publishes are confirmed, or have failed for good: nothing waits for them any more.

        :param error: Makes of the routing key what they have failed with.
        """
        moved = self._ledger.mark_safe(publications)
        if self._held:
            self._release_held(publications)
        for publication in publications:
            if publication.called:
                continue
            if error is None:
                publication.callback(publication.on_safe)
            else:
                publication.refuse(error(publication.routing_key))
        if moved:
            for listener in self._listeners:
                listener()

    def publish_returned(self, routing_key: str, body: bytes) -> None:
        """The broker has no queue for a publish (called by the link, before its confirmation)."""
        publication = self._ledger.find_in_flight(routing_key, body)
        if publication is not None:
            publication.returned = True

    def publish_too_large(self, size: int, limit: int) -> None:
        """The broker ended the channel because of a body's size (called by the link).

        Sent again, it would do so again: it fails alone, and all others are sent again.
        """
        self._max_body = min(self._max_body, limit)
        too_large = [p for p in self._ledger.outstanding() if len(p.body) > limit]
        self._now_safe(too_large, lambda _: body_too_large(size, limit))

    # Publishes that were not taken

    def _hold(self, publications: list[Publication], returned: bool) -> None:
        """Keep publishes that the broker did not take, and all later ones of their keys."""
        held = set()
        for publication in publications:
            publication.returned = False
            key = (publication.exchange, publication.routing_key)
            if key not in self._held:
                self._held[key] = HeldPublishes(self._send_held)
            self._held[key].put_back(publication)
            held.add(self._held[key])
        if returned:
            in_background(self._declare_again(publications, held), self.log, "Declaring again")
            return
        self.log.warn(
            "The broker refused {count} messages (a queue is full?); they are sent again",
            event="broker-refused-publish",
            count=len(publications),
            routing_keys=sorted({publication.routing_key for publication in publications}),
        )
        self._resume_later(held)

    async def _declare_again(
        self, publications: list[Publication], held: set[HeldPublishes]
    ) -> None:
        """Declare queues that have vanished anew."""
        queues = {p.routing_key: Queue(p.routing_key, p.exchange) for p in publications}
        self.log.warn(
            "No queue was there for {count} messages; {names} declared again, messages sent again",
            event="broker-queue-vanished",
            count=len(publications),
            names=sorted(queues),
        )
        try:
            for name, queue in queues.items():
                await self.declare_queue(self._queues.get(name, queue))
        except BrokerClosed:
            return
        except BrokerError as error:
            self.log.error("{problem}", event="broker-refused-queue", problem=error)
            self._resume_later(held)
        else:
            self._resume(held)

    def _resume_later(self, held: set[HeldPublishes]) -> None:
        self.clock.callLater(REFUSED_DELAY, self._resume, held)

    def _resume(self, held: set[HeldPublishes]) -> None:
        # What was held on a connection that is gone was sent again on the next one.
        for each in held.intersection(self._held.values()):
            each.resume()

    def _send_held(self, publication: Publication) -> None:
        if self._link is not None:
            self._send(self._link, publication)

    def _release_held(self, publications: list[Publication]) -> None:
        for publication in publications:
            key = (publication.exchange, publication.routing_key)
            held = self._held.get(key)
            if held is not None and held.taken(publication):
                del self._held[key]

    # Consuming

    @deferred
    async def subscribe(
        self, queue: str, receiver: IReceiver, prefetch: int = DEFAULT_PREFETCH
    ) -> ISubscription:
        declared = self._queues.get(queue)
        kind = declared.arguments.get("x-queue-type") if declared else None
        is_classic = kind in (None, "classic")
        subscription = AmqpSubscription(self, queue, receiver, prefetch, is_classic)
        await self._with_link(subscription.attach)
        self._subscriptions.append(subscription)
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
        hosts = " or ".join(host for host, _ in address.hosts)
        name = (address.tls and address.tls.server_name) or hosts
        return (
            f"its TLS certificate is for another name than {name!r}: connect to the name that "
            "the certificate has, or give that name as server_name in the URL"
        )
    if "certificate verify failed" in str(reason):
        return (
            "its TLS certificate is not signed by an authority that is trusted, or has expired "
            "(certificate verify failed): name the authority's certificate as ca_certs in the URL"
        )
    if isinstance(reason, DeferredTimeout):
        return "no answer to the AMQP handshake"
    if isinstance(reason, ConnectionDone):
        return "it was closed by the other side"
    return str(reason).rstrip(".") or name
