"""Keeps a connection to Redis for those who wait by Deferreds.

Theory of operation. A command is in one of two queues: it waits (there is no connection) or it is
in flight (written and not answered). Both are in the order in which the commands were issued, and
so is what Redis answers. A loop (:meth:`TxRedisClient._run`) connects, sends what waits, waits for
the connection's end and starts over with growing pauses. When a connection ends, what was in
flight goes back to the head of those who wait if it may be executed twice; the rest fails, as
nobody knows whether it was. A Redis that says it is a replica, or loads its data, has executed
nothing: what it refused is sent to the next connection, for which the address is resolved anew.

Every command has the same time, so the oldest one is always the first to run out of it, and one
timer is enough. A command that runs out of time in flight fails alone, as Redis may be busy; if
nothing at all was heard for so long, the connection goes too. One whose peer has vanished the
system gives up in half that time (:func:`vumi.endpoints.detect_dead_peer`).

Knows no command, no protocol and no sockets: one connection is a
:class:`~vumi.persist.txredis_link.Link`.
"""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import OpenSSL.SSL
from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from vumi.errors import ConfigError, StoreError
from vumi.persist.interface import IKeyValueStore
from vumi.persist.outages import Refused, closed, in_words, lost, unanswered, unreachable
from vumi.persist.txredis_command import Command
from vumi.tasks import deferred, in_background, on_outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from twisted.internet.interfaces import IDelayedCall

    from vumi.persist.address import RedisAddress
    from vumi.persist.interface import Reply

__all__ = ["TxRedisClient"]

T = TypeVar("T")

#: What a connection may fail with that needs no traceback.
KNOWN_REASONS = (
    StoreError,
    ConfigError,
    ConnectError,
    ConnectionClosed,
    OpenSSL.SSL.Error,
    OSError,
)

#: Seconds between attempts to connect: from the first to the most, and by how much they vary.
RETRY_INITIAL_DELAY, RETRY_MAX_DELAY, RETRY_JITTER = 0.1, 5.0, 0.1
#: A connection that has lasted so many seconds was a good one: the next pause is short.
GOOD_SECONDS = 5.0
#: Seconds that Redis has to answer what is in flight when we close.
CLOSE_SECONDS = 5.0


class ILink(Protocol):
    """What is needed of a connection."""

    in_flight: deque[Command]
    put_off: list[Command]
    heard_at: float
    lost: Deferred[Any]

    def send(self, command: Command) -> None: ...
    def ask(self, *words: bytes) -> Deferred[Reply]: ...
    def abort(self, reason: object = None) -> None: ...


async def _connect_link(address: RedisAddress, reactor: Any, seconds: float) -> ILink:
    # Late, as this chooses the reactor.
    from vumi.persist.txredis_link import connect_link

    return await connect_link(address, reactor, seconds)


@implementer(IKeyValueStore)
class TxRedisClient:
    """A connection to Redis that comes back by itself.

    :param address: Where Redis is.
    :param reactor: Twisted's reactor.
    :param timeout: How long a command may take, in seconds, waiting for a connection included.
    :param connect: Makes a connection.
    """

    log = Logger()

    def __init__(
        self,
        address: RedisAddress,
        reactor: Any,
        timeout: float,
        connect: Callable[[RedisAddress, Any, float], Coroutine[Any, Any, ILink]] = _connect_link,
    ) -> None:
        self.where = address
        self.address = str(address)
        self.timeout = timeout
        self._reactor = reactor
        self._connect = connect
        self._waiting: deque[Command] = deque()
        self._link: ILink | None = None
        self._reason = "there was no connection yet"
        self._timer: IDelayedCall | None = None
        self._loop: Deferred[Any] | None = None
        self._awaited: Deferred[Any] | None = None
        self._start_waiter: Deferred[None] | None = None
        self._closing = False
        self._closed = False
        self._close_waiters: list[Deferred[None]] = []

    # Life

    @deferred
    async def start(self, seconds: float) -> None:
        """Connect, trying until it works.

        :param seconds: How long to try.
        :returns: Fires when connected for the first time.
        :raises StoreUnavailable: There is no connection in time; this client is then closed.
        :raises StoreError: or :class:`~vumi.errors.ConfigError`: Redis does not let us in, or the
            certificates can't be used; closed too.
        """
        waiter = self._start_waiter = Deferred()
        timer = self._reactor.callLater(seconds, self._give_up_start, seconds)
        self._loop = Deferred.fromCoroutine(self._run()).addCallback(self._end_start)
        try:
            await waiter
        except BaseException:
            await self.close()
            raise
        finally:
            self._start_waiter = None
            if timer.active():
                timer.cancel()

    def _give_up_start(self, seconds: float) -> None:
        self._end_start(unreachable(self.where, "Connecting", self._reason, seconds))

    def _end_start(self, error: Exception | None = None) -> None:
        waiter, self._start_waiter = self._start_waiter, None
        if waiter is None or waiter.called:
            return
        if error is None:
            waiter.callback(None)
        else:
            waiter.errback(error)

    def close(self) -> Deferred[None]:
        """Finish what is in flight, within a bound, and disconnect."""
        if self._closed:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._close_waiters.append(waiter)
        if not self._closing:
            self._closing = True
            in_background(self._close(), self.log, "Closing the connection to Redis")
        return waiter

    async def _close(self) -> None:
        self._fail_all([*self._waiting], lambda command: closed(self.where, str(command)))
        self._waiting.clear()
        link, loop = self._link, self._loop
        if link is not None:
            # Redis answers in order, so all else was answered before it closes the connection.
            on_outcome(link.ask(b"QUIT"), _ignore, _ignore)
            timer = self._reactor.callLater(CLOSE_SECONDS, link.abort, "closed by us")
            if loop is not None:
                await loop
            if timer.active():
                timer.cancel()
        elif loop is not None:
            if self._awaited is not None:
                self._awaited.cancel()
            await loop
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._closed = True
        waiters, self._close_waiters = self._close_waiters, []
        for waiter in waiters:
            waiter.callback(None)

    # The connection

    async def _run(self) -> Exception | None:
        """Connect, again and again, until we close.

        :returns: Why there is no point in trying: only if nobody has been told that we connected.
        """
        delay = backoffPolicy(RETRY_INITIAL_DELAY, RETRY_MAX_DELAY, jitter=_jitter)
        attempt = 0
        while not self._closing:
            connected_at: float | None = None
            try:
                self._link = await self._or_closing(
                    Deferred.fromCoroutine(self._connect(self.where, self._reactor, self.timeout))
                )
                connected_at = self._reactor.seconds()
                self._connected(self._link)
                reason = await self._link.lost
            except (CancelledError, *KNOWN_REASONS) as error:
                reason = error
            except Exception as error:  # noqa: BLE001 (whatever it was: the loop must go on)
                self.log.failure("The connection to Redis failed in an unknown way")
                reason = error
            self._reason = in_words(reason)
            link, self._link = self._link, None
            if link is not None:
                self._disconnected(link)
            if self._closing:
                return None
            if self._start_waiter is not None and isinstance(reason, ConfigError | Refused):
                return reason
            if connected_at is not None and self._reactor.seconds() - connected_at > GOOD_SECONDS:
                attempt = 0
            self._warn(wait := delay(attempt), connected_at is not None)
            try:
                await self._or_closing(deferLater(self._reactor, wait))
            except CancelledError:
                return None
            attempt += 1
        return None

    async def _or_closing(self, awaited: Deferred[T]) -> T:
        """Wait, but not when we close.

        Cancelling the whole loop instead would not do: who closes may be called by the loop.

        :raises CancelledError: We close.
        """
        self._awaited = awaited
        try:
            return await awaited
        finally:
            self._awaited = None

    def _warn(self, seconds: float, was_connected: bool) -> None:
        self.log.warn(
            "Connection to Redis at {where} {what}: {reason}. Next try in {seconds:.1f} s",
            event="redis-unreachable",
            where=self.address,
            what="lost" if was_connected else "not made",
            reason=self._reason,
            seconds=seconds,
        )

    def _connected(self, link: ILink) -> None:
        waited, self._waiting = self._waiting, deque()
        sent = [command for command in waited if not command.done]
        self.log.info(
            "Connected to Redis at {where}",
            event="redis-connected",
            where=self.address,
            sent=len(sent),
        )
        for command in sent:
            link.send(command)
        self._end_start()

    def _disconnected(self, link: ILink) -> None:
        repeated = [
            *(command for command in link.put_off if not command.done),
            *(command for command in link.in_flight if command.repeatable and not command.done),
        ]
        if self._closing:
            self._fail_all(repeated, lambda command: closed(self.where, str(command)))
        else:
            self._waiting.extendleft(reversed(repeated))
        self._fail_all(
            [command for command in link.in_flight if not command.repeatable],
            lambda command: lost(self.where, str(command), self._reason),
        )

    # Commands

    def execute(self, words: Sequence[bytes], repeatable: bool = False) -> Deferred[Reply]:
        """Have a command executed: at once if there is a connection, else when there is one."""
        if self._closing:
            return fail(closed(self.where, words[0].decode("ascii", "replace")))
        command = Command(words, self._reactor.seconds() + self.timeout, repeatable)
        if self._link is None or self._link.put_off:
            self._waiting.append(command)
        else:
            self._link.send(command)
        if self._timer is None:
            self._timer = self._reactor.callLater(self.timeout, self._check_time)
        return command.result

    def _check_time(self) -> None:
        """Fail the commands whose time is over, and look again when that of the next one is."""
        self._timer = None
        now = self._reactor.seconds()
        link = self._link
        late_in_flight, next_in_flight = _late(() if link is None else link.in_flight, now)
        late_waiting, next_waiting = _late(self._waiting, now)
        following = next_in_flight or next_waiting
        if following is not None:
            self._timer = self._reactor.callLater(following - now, self._check_time)
        if link is not None and late_in_flight and now - link.heard_at >= self.timeout:
            link.abort(f"it did not answer for {self.timeout:g} s")
        for command in late_in_flight:
            command.fail(unanswered(self.where, str(command), self.timeout, command.repeatable))
        for command in late_waiting:
            command.fail(unreachable(self.where, str(command), self._reason, self.timeout))
        while self._waiting and self._waiting[0].done:
            self._waiting.popleft()

    def _fail_all(
        self, commands: Sequence[Command], error: Callable[[Command], Exception]
    ) -> None:
        for command in commands:
            command.fail(error(command))


def _late(commands: Iterable[Command], now: float) -> tuple[list[Command], float | None]:
    """Of commands in order those whose time is over, and when that of the next one is."""
    late: list[Command] = []
    for command in commands:
        if command.deadline is None or command.done:
            continue
        if command.deadline > now:
            return late, command.deadline
        late.append(command)
    return late, None


def _jitter() -> float:
    return random.uniform(0, RETRY_JITTER)  # noqa: S311 (spreads attempts, protects nothing)


def _ignore(_: object) -> None:
    """Take a result that nobody is interested in."""
