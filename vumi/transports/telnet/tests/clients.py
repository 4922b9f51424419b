"""Telnet clients for tests: some without a socket, some with a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocolFactory

__all__ = ["MemoryClient", "MemoryEndpoint", "TcpClient"]

CLIENT_HOST = "10.0.0.9"
SERVER = IPv4Address("TCP", "10.0.0.1", 9010)


@implementer(IStreamServerEndpoint)
class MemoryEndpoint:
    """A server endpoint that tests connect to without a socket. It is also its own port.

    :param peers: The addresses that clients come from, one after another; by default
        ``10.0.0.9`` with a port of their own, from 5001 up.
    """

    def __init__(self, *peers: Any) -> None:
        self.listening = False
        self._peers = list(peers)
        self._connected = 0
        self._factory: Any = None

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        self._factory = protocolFactory
        self.listening = True
        return succeed(self)

    def getHost(self) -> IPv4Address:
        return SERVER

    def stopListening(self) -> Deferred[None]:
        self.listening = False
        return succeed(None)

    def connect(self) -> MemoryClient:
        """A new client."""
        assert self.listening
        self._connected += 1
        peer = (
            self._peers.pop(0)
            if self._peers
            else IPv4Address("TCP", CLIENT_HOST, 5000 + self._connected)
        )
        return MemoryClient(self._factory.buildProtocol(peer), peer)


class MemoryClient(StringTransport):
    """A client, and the server's end of its connection.

    :param connection: What the server makes of it.
    :param peer: The address it comes from.
    """

    #: It takes no data: a connection that is to be closed in order stays open.
    stuck = False

    def __init__(self, connection: Any, peer: Any) -> None:
        super().__init__(SERVER, peer)
        self._connection = connection
        #: Why the server has been told that the connection is closed.
        self.closed: type[Exception] | None = None
        connection.makeConnection(self)

    def send(self, *chunks: bytes) -> None:
        """Send chunks."""
        for chunk in chunks:
            self._connection.dataReceived(chunk)

    def seen(self) -> str:
        """What has come since the last call."""
        text = str(self.value(), "utf-8")
        self.clear()
        return text

    def hang_up(self, reason: type[Exception] = ConnectionDone) -> None:
        """Close the connection."""
        if self.closed is None:
            self.closed = reason
            self._connection.connectionLost(Failure(reason()))

    def loseConnection(self) -> None:
        super().loseConnection()
        if not self.stuck:
            # As a real one does: never from within the call.
            reactor.callLater(0, self.hang_up)

    def abortConnection(self) -> None:
        self.stuck = True
        super().abortConnection()
        reactor.callLater(0, self.hang_up, ConnectionAborted)


class TcpClient(Protocol):
    """A client with a real connection."""

    transport: Any

    def __init__(self) -> None:
        self._seen = b""
        self._waiting: tuple[bytes, Deferred[bytes]] | None = None
        #: Fires when the connection is closed.
        self.closed: Deferred[None] = Deferred()

    @classmethod
    async def connect(cls, port: int) -> TcpClient:
        """A client that is connected to a port of this machine."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        client: TcpClient = await connectProtocol(endpoint, cls())
        return client

    @property
    def address(self) -> str:
        """The address it comes from."""
        host = self.transport.getHost()
        return f"{host.host}:{host.port}"

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.transport.write(data)

    def read_until(self, end: bytes) -> Deferred[bytes]:
        """Wait for what comes, up to some bytes; fires with it."""
        waiter: Deferred[bytes] = Deferred()
        self._waiting = (end, waiter)
        self._look()
        return waiter

    def dataReceived(self, data: bytes) -> None:
        self._seen += data
        self._look()

    def _look(self) -> None:
        if self._waiting is None:
            return
        end, waiter = self._waiting
        found, separator, rest = self._seen.partition(end)
        if separator:
            self._seen = rest
            self._waiting = None
            waiter.callback(found + end)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.closed.callback(None)
