"""A service that holds one outgoing connection and makes it again when it is lost.

Knows endpoints and back-off; nothing of what is spoken over the connection.

Why it is not Twisted's own ``ClientService`` in other clothes: programs override the hooks here to
see why a connection failed, to give up, or to choose when the next attempt is made.
``ClientService`` always goes on, by itself, and keeps the reason to itself. New code that needs
none of this should take ``ClientService``.

Theory of operation: at any time the service has one of four things, or nothing: a timer for the
next attempt, an attempt (the endpoint's Deferred), a connection, or a connection that it has told
to close. Nothing means given up or stopped. Hooks are called between these, when there is none;
:meth:`~ReconnectingClientService.retry`, which the hooks call, sets the timer. A service that is
started again while an old attempt or connection is still ending waits for that end.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer, providedBy

from vumi.process_reactor import process_reactor
from vumi.tasks import as_deferred, on_outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import (
        IAddress,
        IDelayedCall,
        IReactorTime,
        IStreamClientEndpoint,
        ITransport,
    )

__all__ = ["ReconnectingClientService"]


class ReconnectingClientService(Service):
    """Connects when started, and again after a growing delay whenever the connection is lost.

    :param endpoint: Where to connect to.
    :param factory: Builds the protocol of each connection.
    :param clock: What to time delays by; default: the class attribute, and then the reactor.

    Subclasses override :meth:`clientConnected`, :meth:`clientConnectionFailed` and
    :meth:`clientConnectionLost`. A hook may return a Deferred or be a coroutine; nothing waits for
    it. An error in one is logged, and the service goes on.
    """

    #: The longest delay between two attempts, in seconds, jitter included.
    maxDelay: float = 3600
    #: What the delay grows from, in seconds.
    initialDelay: float = 1.0
    #: How much longer each delay is than the one before.
    factor: float = math.e
    #: How much delays vary, as a fraction of the delay (a standard deviation); None: not at all.
    jitter: float | None = 0.11962656472
    #: How many attempts may fail in a row, the first one not counted; None: no limit.
    maxRetries: int | None = None
    #: What to time delays by; None: the reactor.
    clock: IReactorTime | None = None
    #: Whether to log each attempt and delay.
    noisy: bool = False

    #: The last delay, in seconds.
    delay: float = initialDelay
    #: How many attempts were planned since the last connection.
    retries: int = 0
    #: Whether a connection that is lost is made again. False while the service is stopped.
    continueTrying: bool = False

    _log = Logger()

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        factory: IProtocolFactory,
        clock: IReactorTime | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.factory = factory
        if clock is not None:
            self.clock = clock
        self._timer: IDelayedCall | None = None
        self._connecting: Deferred[Any] | None = None
        self._connection: _WatchedProtocol | None = None
        self._stop_waiters: list[Deferred[None]] = []
        self._start_at_end = False

    # Service

    def startService(self) -> None:
        """Connect, without a delay."""
        if self.running:
            return
        super().startService()
        self.continueTrying = True
        self.resetDelay()
        if self._is_busy():
            self._start_at_end = True
        else:
            self._connect()

    def stopService(self) -> Deferred[None]:
        """Close the connection, and don't make another.

        :returns: Fires when the attempt or connection at hand has ended.
        """
        super().stopService()
        self.continueTrying = self._start_at_end = False
        self._cancel_timer()
        if not self._is_busy():
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._stop_waiters.append(stopped)
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.lose_connection()
        return stopped

    # Hooks

    def clientConnected(self, protocol: IProtocol) -> Any:
        """Called with the protocol of each new connection; resets the delay.

        An override that calls this only once a login has succeeded keeps the delay growing while
        logins fail. If this raises, the connection is closed.

        :param protocol: What the factory has built.
        """
        self.resetDelay()

    def clientConnectionFailed(self, reason: Failure) -> Any:
        """Called when an attempt to connect has failed; calls :meth:`retry`.

        Not called for an attempt that the service itself broke off because it was stopped.
        """
        self.retry()

    def clientConnectionLost(self, reason: Failure) -> Any:
        """Called when a connection has ended, whoever ended it; calls :meth:`retry`."""
        self.retry()

    # What hooks call

    def retry(self, delay: float | None = None) -> None:
        """Plan the next attempt.

        Does nothing while connecting or connected, when the service is stopped
        (:attr:`continueTrying`), and after :attr:`maxRetries` attempts. Called a second time
        before the attempt is made, it moves the attempt to the new time.

        :param delay: In how many seconds; ``None``: :attr:`factor` times the last delay, give or
            take the :attr:`jitter`, but no more than :attr:`maxDelay`.
        """
        if not self.continueTrying or self._is_busy():
            return
        if self.maxRetries is not None and self.retries >= self.maxRetries:
            self._log.warn(
                "Giving up on {endpoint} after {retries} retries",
                endpoint=self.endpoint,
                retries=self.retries,
            )
            return
        self.retries += 1
        if delay is None:
            delay = self.delay = self._next_delay()
        if self.noisy:
            self._log.info(
                "Connecting to {endpoint} again in {delay} seconds, retry {retries}",
                endpoint=self.endpoint,
                delay=delay,
                retries=self.retries,
            )
        self._cancel_timer()
        self._timer = self._get_clock().callLater(delay, self._connect)

    def resetDelay(self) -> None:
        """Start again with a short delay and no retries counted."""
        self.delay = self.initialDelay
        self.retries = 0

    # Between the hooks

    def _is_busy(self) -> bool:
        return self._connecting is not None or self._connection is not None

    def _next_delay(self) -> float:
        delay = min(self.delay * self.factor, self.maxDelay)
        if self.jitter:
            delay = abs(random.normalvariate(delay, delay * self.jitter))
        return min(delay, self.maxDelay)

    def _get_clock(self) -> IReactorTime:
        if self.clock is None:
            self.clock = cast("IReactorTime", process_reactor())
        return self.clock

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _connect(self) -> None:
        self._cancel_timer()
        if self.noisy:
            self._log.info("Connecting to {endpoint}", endpoint=self.endpoint)
        factory = _WatchedFactory(self.factory, self._lost)
        self._connecting = maybeDeferred(self.endpoint.connect, factory)
        on_outcome(self._connecting, self._connected, self._failed)

    def _connected(self, connection: IProtocol) -> None:
        if not isinstance(connection, _WatchedProtocol):
            # Its end would go unnoticed, and with it all reconnecting.
            error = TypeError(f"the endpoint gave {connection!r}, which the factory has not built")
            self._failed(Failure(error))
            return
        self._connecting = None
        self._connection = connection
        hook = as_deferred(self.clientConnected, connection.watched)
        on_outcome(hook, _ignore, lambda failure: self._hook_failed(connection, failure))
        if connection.lost_reason is not None:
            # It was lost before the endpoint had told us that it was there.
            self._lost(connection, connection.lost_reason)

    def _hook_failed(self, connection: _WatchedProtocol, failure: Failure) -> None:
        self._log.failure("clientConnected of {service} failed", failure, service=self)
        connection.lose_connection()

    def _failed(self, reason: Failure) -> None:
        self._connecting = None
        if self._stop_waiters:
            self._ended()
            return
        self._log.warn(
            "Can't connect to {endpoint}: {reason}",
            endpoint=self.endpoint,
            reason=reason.getErrorMessage(),
        )
        self._end_with(self.clientConnectionFailed, reason)

    def _lost(self, connection: _WatchedProtocol, reason: Failure) -> None:
        # One that isn't ours is one that an endpoint tried and didn't choose, or hasn't told of.
        if connection is self._connection:
            self._connection = None
            self._end_with(self.clientConnectionLost, reason)

    def _end_with(self, hook: Callable[[Failure], Any], reason: Failure) -> None:
        def hook_failed(failure: Failure) -> None:
            self._log.failure("{hook} failed", failure, hook=hook)
            # The hook that should have planned the next attempt may not have come so far.
            if self._timer is None:
                self.retry()

        on_outcome(as_deferred(hook, reason), _ignore, hook_failed)
        self._ended()

    def _ended(self) -> None:
        waiters, self._stop_waiters = self._stop_waiters, []
        for waiter in waiters:
            waiter.callback(None)
        if self._start_at_end:
            self._start_at_end = False
            self._connect()


def _ignore(_: object) -> None:
    """Take a result that nobody is interested in."""


@implementer(IProtocolFactory)
class _WatchedFactory:
    """The factory given by the program, but its protocols tell when their connection is lost."""

    def __init__(
        self, factory: IProtocolFactory, lost: Callable[[_WatchedProtocol, Failure], None]
    ) -> None:
        self._factory = factory
        self._lost = lost

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        protocol = self._factory.buildProtocol(addr)
        return None if protocol is None else _WatchedProtocol(protocol, self._lost)

    def doStart(self) -> None:
        self._factory.doStart()

    def doStop(self) -> None:
        self._factory.doStop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)


@implementer(IProtocol)
class _WatchedProtocol:
    """A protocol that tells when its connection is lost, after having dealt with that itself."""

    def __init__(
        self, watched: IProtocol, lost: Callable[[_WatchedProtocol, Failure], None]
    ) -> None:
        self.watched = watched
        self.lost_reason: Failure | None = None
        self._lost = lost
        self._transport: ITransport | None = None
        # Transports ask what a protocol can do: half-closing, taking file descriptors.
        directlyProvides(self, providedBy(watched))

    def makeConnection(self, transport: ITransport) -> None:
        self._transport = transport
        self.watched.makeConnection(transport)

    def connectionLost(self, reason: Failure) -> None:
        self.lost_reason = reason
        try:
            self.watched.connectionLost(reason)
        finally:
            self._lost(self, reason)

    def lose_connection(self) -> None:
        if self._transport is not None:
            self._transport.loseConnection()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.watched, name)
