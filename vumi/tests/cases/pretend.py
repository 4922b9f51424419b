"""A network that is not there: connections in memory, no socket, time that a test moves.

Knows reactors, sockets and Twisted's transports; knows no HTTP and no cases.
"""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twisted.internet.interfaces import IProtocol

__all__ = ["Connection", "PretendReactor", "no_sockets"]

FIRST_PORT = 40_000
CLIENT = IPv4Address("TCP", "192.0.2.7", 50_000)

_LISTENING = ("listenTCP", "listenSSL", "listenUNIX")
_CONNECTING = ("connectTCP", "connectSSL", "connectUNIX")
_OF_SOCKETS = ("connect", "connect_ex", "bind", "sendto")
_OF_NAMES = ("getaddrinfo", "gethostbyname", "gethostbyname_ex")


@implementer(IListeningPort)
class PretendPort:
    """A port that nobody can connect to; its factory is started and stopped as a real one's."""

    def __init__(self, reactor: PretendReactor, factory: Any, number: int) -> None:
        self.factory = factory
        self._reactor = reactor
        self._address = IPv4Address("TCP", "127.0.0.1", number)

    def startListening(self) -> None:
        """Start the factory."""
        self.factory.doStart()

    def stopListening(self) -> Deferred[None]:
        """Stop it."""
        if self in self._reactor.ports:
            self._reactor.ports.remove(self)
            self.factory.doStop()
        return succeed(None)

    # Twisted's old name.
    loseConnection = stopListening

    def getHost(self) -> IPv4Address:
        """Where it would listen."""
        return self._address


class PretendReactor(MemoryReactorClock):
    """A reactor whose time stands still, with ports in memory and connections to nowhere.

    :param now: Seconds since the epoch.
    :ivar ports: What listens.
    :ivar strays: What was tried that would have left the process, in words.
    """

    def __init__(self, now: float) -> None:
        super().__init__()
        self.rightNow = now
        self.running = True
        self.ports: list[PretendPort] = []
        self.strays: list[str] = []

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> PretendPort:
        """Listen on a port in memory."""
        listening = PretendPort(self, factory, port or FIRST_PORT + len(self.ports))
        self.ports.append(listening)
        listening.startListening()
        return listening

    def listenSSL(self, port: int, factory: Any, *args: Any, **kw: Any) -> PretendPort:
        """Listen on a port in memory."""
        return self.listenTCP(port, factory)

    def listenUNIX(self, address: str, factory: Any, *args: Any, **kw: Any) -> PretendPort:
        """Listen on a port in memory."""
        return self.listenTCP(0, factory)

    def connectTCP(self, host: str, port: int, factory: Any, *args: Any, **kw: Any) -> Any:
        """Refuse the connection, and note it."""
        self.stray(f"a connection to {host}:{port} was tried")
        connector = super().connectTCP(host, port, factory)
        error = Failure(ConnectionRefusedError())
        self.callLater(0, factory.clientConnectionFailed, connector, error)
        return connector

    def connectSSL(self, host: str, port: int, factory: Any, *args: Any, **kw: Any) -> Any:
        """Refuse the connection, and note it."""
        return self.connectTCP(host, port, factory)

    def connectUNIX(self, address: str, factory: Any, *args: Any, **kw: Any) -> Any:
        """Refuse the connection, and note it."""
        return self.connectTCP(address, 0, factory)

    def stray(self, words: str) -> None:
        """Note what was tried."""
        self.strays.append(words)


@contextmanager
def no_sockets(reactor: PretendReactor) -> Iterator[None]:
    """Let nothing leave the process: what Twisted's reactor is asked for the pretended one does.

    Sockets that are used past Twisted are refused; looking up names is too.
    """
    from twisted.internet import reactor as real

    def refuse(name: str) -> Any:
        def refused(*args: Any, **kw: Any) -> Any:
            words = f"socket.{name}{tuple(a for a in args if not isinstance(a, socket.socket))!r}"
            reactor.stray(f"{words} was called")
            raise OSError(errno.ECONNREFUSED, f"cases use no sockets: {words}")

        return refused

    with ExitStack() as stack:
        for name in (*_LISTENING, *_CONNECTING):
            if hasattr(real, name):
                stack.enter_context(mock.patch.object(real, name, getattr(reactor, name)))
        for name in _OF_SOCKETS:
            stack.enter_context(mock.patch.object(socket.socket, name, refuse(name)))
        for name in _OF_NAMES:
            stack.enter_context(mock.patch.object(socket, name, refuse(name)))
        yield


class Connection:
    """Two protocols that are connected in memory.

    :param words: What it is, for errors: ``"a connection to https://…"``.
    """

    def __init__(
        self, reactor: PretendReactor, client: IProtocol, server: Any, words: str
    ) -> None:
        self.words = words
        self._client_end = FakeTransport(client, isServer=False, hostAddress=CLIENT)
        self._server_end = FakeTransport(server, isServer=True, peerAddress=CLIENT)
        server.makeConnection(self._server_end)
        client.makeConnection(self._client_end)
        self._pump = IOPump(
            client, server, self._client_end, self._server_end, debug=False, clock=reactor
        )

    @property
    def is_open(self) -> bool:
        """Whether neither end has closed it."""
        return not (self._client_end.disconnected or self._server_end.disconnected)

    def flush(self) -> bool:
        """Move what was written; tell whether there was anything."""
        return bool(self.is_open and self._pump.flush(advanceClock=False))

    def reset(self) -> None:
        """Cut it, as a network does."""
        end: Any
        for end in (self._client_end, self._server_end):
            end.disconnectReason = ConnectionLost("reset in a case")
        self._server_end.loseConnection()

    def say(self, data: bytes) -> None:
        """Have the server's end write something, and close."""
        self._server_end.write(data)
        self._server_end.loseConnection()

    def close_client(self) -> None:
        """Hang up, as a client that doesn't wait any longer."""
        self._client_end.loseConnection()
