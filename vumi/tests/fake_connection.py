"""Connections and HTTP servers in memory, for tests: no sockets, no ports, no waiting.

Part of the public test kit. The bytes travel between Twisted's own simulated transports
(:mod:`twisted.test.iosim`); here is what moves them on by itself, and an endpoint to connect to.

What one side writes the other gets one turn of the reactor later, so a test that wants to look at
the outcome waits for something (:func:`wait0` at least). With a ``Clock`` in the reactor's place,
``clock.advance(0)`` is a turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, DeferredQueue, fail, succeed
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionAborted,
    ConnectionLost,
    ConnectionRefusedError,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump
from twisted.web.client import ProxyAgent
from twisted.web.server import Site
from zope.interface import implementer

from vumi.tests.utils import MockResource

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall
    from twisted.web.client import HTTPConnectionPool
    from twisted.web.server import Request

__all__ = [
    "FakeConnection",
    "FakeHttpServer",
    "FakeServer",
    "ProtocolDouble",
    "ProxyAgentWithContext",
    "wait0",
]

_log = Logger()

_CLIENT_ADDRESS = IPv4Address("TCP", "127.0.0.1", 49152)
_SERVER_ADDRESS = IPv4Address("TCP", "127.0.0.1", 80)


def _clock(reactor: IReactorTime | None) -> IReactorTime:
    if reactor is None:
        from twisted.internet import reactor as global_reactor

        return cast("IReactorTime", global_reactor)
    return reactor


def wait0(r: Any = None) -> Deferred[Any]:
    """Wait for one turn of the reactor.

    :param r: What the Deferred fires with. Handy as a callback: ``d.addCallback(wait0)``.
    """
    return deferLater(_clock(None), 0, lambda: r)


# Connections


class FakeServer:
    """A server in memory, which clients reach through :attr:`endpoint`.

    :param server_factory: Builds the server's side of each connection. Its ``doStart`` is not
        called: the server listens to nothing.
    :param auto_accept: Whether to accept connections by itself. If not, the test calls
        :meth:`FakeConnection.accept_connection` or :meth:`FakeConnection.reject_connection`.
    :param on_connect: Called with each new :class:`FakeConnection`, before it is accepted.
    :param reactor: What to move bytes by; default: the reactor.
    """

    def __init__(
        self,
        server_factory: IProtocolFactory,
        auto_accept: bool = True,
        on_connect: Callable[[FakeConnection], object] | None = None,
        reactor: IReactorTime | None = None,
    ) -> None:
        self.server_factory = server_factory
        self.auto_accept = auto_accept
        self.on_connect = on_connect
        self.reactor = reactor
        #: Connects to this server.
        self.endpoint: IStreamClientEndpoint = _FakeClientEndpoint(self)
        self._connections: DeferredQueue[FakeConnection] = DeferredQueue()

    @classmethod
    def for_protocol(cls, protocol: Callable[[], Protocol], *args: Any, **kw: Any) -> FakeServer:
        """Make a server whose side of each connection is a new ``protocol()``.

        :param args: What the class takes after the factory.
        """
        return cls(Factory.forProtocol(protocol), *args, **kw)

    def await_connection(self) -> Deferred[FakeConnection]:
        """The next connection that this method has not given yet, accepted or not."""
        return self._connections.get()

    def _connect(self, client_factory: IProtocolFactory) -> Deferred[IProtocol]:
        connection = FakeConnection(self.server_factory, client_factory, self.reactor)
        self._connections.put(connection)
        if self.on_connect is not None:
            self.on_connect(connection)
        if self.auto_accept and connection.pending:
            connection.accept_connection()
        return connection._connecting


@implementer(IStreamClientEndpoint)
class _FakeClientEndpoint:
    """Connects to a :class:`FakeServer`."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Ask the server for a connection. Cancelling the Deferred takes that back."""
        return self.server._connect(protocolFactory)


class FakeConnection:
    """A connection to a :class:`FakeServer`, from a client's wish to both sides' end.

    :param server_factory: Builds the server's side when the connection is accepted.
    :param client_factory: Builds the client's.
    :param reactor: What to move bytes by; default: the reactor.
    """

    def __init__(
        self,
        server_factory: IProtocolFactory,
        client_factory: IProtocolFactory,
        reactor: IReactorTime | None = None,
    ) -> None:
        self._server_factory = server_factory
        self._client_factory = client_factory
        self._reactor = reactor
        #: Whether the client still waits for an answer.
        self.pending = True
        #: Whether the connection was accepted and both sides are still there.
        self.connected = False
        #: Both sides' protocols, once the connection is accepted.
        self.client_protocol: IProtocol | None = None
        self.server_protocol: IProtocol | None = None
        self._refused: Failure | None = None
        self._finished = False
        self._connected_waiters: list[Deferred[None]] = []
        self._finished_waiters: list[Deferred[None]] = []
        self._connecting: Deferred[IProtocol] = Deferred(self._cancelled)

    def accept_connection(self) -> None:
        """Accept the connection: build both protocols and connect them.

        :raises AssertionError: It is no longer pending.
        """
        self._answer()
        # In the order of a real connection: the server has accepted before the client knows.
        server = self._server_factory.buildProtocol(_CLIENT_ADDRESS)
        client = None if server is None else self._client_factory.buildProtocol(_SERVER_ADDRESS)
        if server is None or client is None:
            self._refuse(Failure(ConnectionLost() if server is None else NoProtocol()))
            return
        self.server_protocol, self.client_protocol = server, client
        self.connected = True
        _connect_transports(client, server, _clock(self._reactor), self._side_lost)
        self._connecting.callback(client)
        _fire_all(self._connected_waiters, None)

    def reject_connection(self, reason: Failure | Exception | None = None) -> None:
        """Refuse the connection.

        :param reason: What the client gets; default: ``ConnectionRefusedError``.
        :raises AssertionError: It is no longer pending.
        """
        self._answer()
        if not isinstance(reason, Failure):
            reason = Failure(reason or ConnectionRefusedError())
        self._refuse(reason)

    def await_connected(self) -> Deferred[None]:
        """Fires when the connection is accepted, fails when it is rejected."""
        if self._refused is not None:
            return fail(self._refused)
        if not self.pending:
            return succeed(None)
        return _new_waiter(self._connected_waiters)

    def await_finished(self) -> Deferred[None]:
        """Fires when both sides have lost the connection, or when it is rejected."""
        return succeed(None) if self._finished else _new_waiter(self._finished_waiters)

    def _answer(self) -> None:
        if not self.pending:
            raise AssertionError("The connection was already accepted, rejected or cancelled.")
        self.pending = False

    def _cancelled(self, connecting: Deferred[IProtocol]) -> None:
        self._answer()
        self._refuse(Failure(ConnectingCancelledError(_SERVER_ADDRESS)))

    def _refuse(self, reason: Failure) -> None:
        self._refused = reason
        self._connecting.errback(reason)
        _fire_all(self._connected_waiters, reason)
        self._finish()

    def _side_lost(self, both: bool) -> None:
        self.connected = False
        if both:
            self._finish()

    def _finish(self) -> None:
        self._finished = True
        _fire_all(self._finished_waiters, None)


def _new_waiter(waiters: list[Deferred[None]]) -> Deferred[None]:
    waiter: Deferred[None] = Deferred()
    waiters.append(waiter)
    return waiter


def _fire_all(waiters: list[Deferred[None]], result: Failure | None) -> None:
    fired, waiters[:] = list(waiters), []
    for waiter in fired:
        # With a failure, callback() is errback().
        waiter.callback(cast("None", result))


def _connect_transports(
    client: IProtocol,
    server: IProtocol,
    clock: IReactorTime,
    side_lost: Callable[[bool], None],
) -> None:
    client_transport = _PumpedTransport(client, False, _CLIENT_ADDRESS, _SERVER_ADDRESS)
    server_transport = _PumpedTransport(server, True, _SERVER_ADDRESS, _CLIENT_ADDRESS)
    io = IOPump(client, server, client_transport, server_transport, False)
    pump = _Pump(io, clock)
    client_transport.join(server_transport, pump, side_lost)
    server_transport.join(client_transport, pump, side_lost)
    server.makeConnection(server_transport)
    client.makeConnection(client_transport)


class _Pump:
    """Moves what is in two transports, one turn of the reactor after it was put there."""

    def __init__(self, io: IOPump, clock: IReactorTime) -> None:
        self._io = io
        self._clock = clock
        self._planned: IDelayedCall | None = None

    def plan(self) -> None:
        """Something is there to be moved."""
        if self._planned is None:
            self._planned = self._clock.callLater(0, self._move)

    def _move(self) -> None:
        self._planned = None
        moved = self._io.pump(advanceClock=False)
        # An end is brought to its end at once: a test that closes a connection, or whose HTTP
        # client does, is over at that moment, and must leave no call behind.
        while moved and self._is_ending():
            moved = self._io.pump(advanceClock=False)
        if moved:
            self.plan()

    def _is_ending(self) -> bool:
        return bool(self._io.clientIO.disconnecting or self._io.serverIO.disconnecting)


class _PumpedTransport(FakeTransport):
    """A simulated transport that has itself pumped, and ends as a real one does."""

    disconnectReason: Any
    _pump: _Pump
    _peer: _PumpedTransport
    _side_lost: Callable[[bool], None]

    def join(self, peer: _PumpedTransport, pump: _Pump, side_lost: Callable[[bool], None]) -> None:
        """Learn what is at the other end, and whom to tell when this end is gone."""
        self._peer = peer
        self._pump = pump
        self._side_lost = side_lost

    def write(self, data: bytes) -> None:
        super().write(data)
        self._pump.plan()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        super().registerProducer(producer, streaming)
        self._pump.plan()

    def loseConnection(self) -> None:
        super().loseConnection()
        self._pump.plan()

    def abortConnection(self) -> None:
        if not self.disconnecting:
            self.stream.clear()
            self.disconnectReason = ConnectionAborted()
            self._peer.disconnectReason = ConnectionLost()
        self.loseConnection()

    def bufferReceived(self, buf: Any) -> None:
        with _log.failuresHandled("{protocol} failed", protocol=self.protocol) as call:
            super().bufferReceived(buf)
        if call.failed:
            # As a reactor does with a protocol that raises.
            self.abortConnection()

    def reportDisconnect(self) -> None:
        # Who has lost the connection writes into the void from now on.
        self.disconnecting = True
        with _log.failuresHandled("{protocol} failed", protocol=self.protocol):
            super().reportDisconnect()
        # iosim marks a transport as disconnected when it has told the other end.
        self._side_lost(bool(self.disconnected and self._peer.disconnected))


class ProtocolDouble(Protocol):
    """One side of a connection, played by the test."""

    #: What :meth:`write` waits a turn of; None: the reactor.
    reactor: IReactorTime | None = None

    def __init__(self) -> None:
        #: All bytes that came, in order.
        self.received = b""
        #: Why the connection was lost; None while it is there.
        self.disconnected_reason: Failure | None = None

    def write(self, data: bytes) -> Deferred[None]:
        """Send bytes; fires a turn of the reactor later, when the other side has them."""
        assert self.transport is not None
        self.transport.write(data)
        return deferLater(_clock(self.reactor), 0, lambda: None)

    def dataReceived(self, data: bytes) -> None:
        """Keep what came."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep the reason."""
        self.disconnected_reason = reason


# HTTP


class ProxyAgentWithContext(ProxyAgent):
    """An HTTP client that sends every request, for whatever URL, to one endpoint.

    Takes the arguments that programs give to :class:`twisted.web.client.Agent`.

    :param endpoint: Where requests go.
    :param contextFactory: Kept but not used: nothing is encrypted.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        reactor: IReactorTime | None = None,
        pool: HTTPConnectionPool | None = None,
        contextFactory: Any = None,
    ) -> None:
        super().__init__(endpoint, reactor=reactor, pool=pool)
        self.contextFactory = contextFactory


class FakeHttpServer:
    """An HTTP server in memory that gets the requests for every URL.

    :param handler: Called with each GET, POST and PUT; returns the response's body as bytes or
        text, or ``NOT_DONE_YET``. As with a proxy, ``request.uri`` is the whole URL.
    :param reactor: What to move bytes by; default: the reactor.

    Give :meth:`get_agent` as the ``agent_class`` of HTTP clients, or as a worker's
    ``agent_factory``.
    """

    def __init__(
        self, handler: Callable[[Request], Any], reactor: IReactorTime | None = None
    ) -> None:
        # Without a timeout: a connection's timer must not outlive a test.
        site = Site(MockResource(handler), timeout=None)
        self.fake_server = FakeServer(site, reactor=reactor)
        self.endpoint = self.fake_server.endpoint

    def get_agent(
        self,
        reactor: IReactorTime | None = None,
        pool: HTTPConnectionPool | None = None,
        contextFactory: Any = None,
    ) -> ProxyAgentWithContext:
        """Make an HTTP client whose requests all come here."""
        return ProxyAgentWithContext(self.endpoint, reactor, pool, contextFactory)
