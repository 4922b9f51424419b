"""An HTTP server that answers with bytes as they are: right, wrong, or never whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredQueue, maybeDeferred
from twisted.internet.protocol import Factory, Protocol, connectionDone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.internet.interfaces import IListeningPort
    from twisted.python.failure import Failure

__all__ = ["RawServer", "response"]


def response(
    body: bytes = b"", status: str = "200 OK", length: bool = True, **headers: str
) -> bytes:
    """The bytes of a response.

    :param length: Whether it says how long its body is.
    :param headers: With ``_`` for ``-``.
    """
    lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
    lines += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class RawServer:
    """Answers the requests of a test.

    :param answers: What to answer to one request after the other; the last also to all that come
        after it. ``None`` answers nothing and closes nothing.
    :param close: Whether to close the connection after an answer.
    """

    def __init__(self, answers: Iterable[bytes | None] = (), close: bool = False) -> None:
        self.answers = list(answers)
        self.close = close
        #: What came, as bytes: a head and a body each.
        self.requests: list[bytes] = []
        self.connections: set[_Connection] = set()
        #: Gets something for each connection that has ended.
        self.gone: DeferredQueue[None] = DeferredQueue()
        self._port: IListeningPort | None = None
        self._number = 0

    @property
    def url(self) -> str:
        """The URL of something on this server."""
        return f"http://127.0.0.1:{self._number}/relay"

    def start(self) -> None:
        """Listen; later again on the same port."""
        from twisted.internet import reactor

        factory: Any = Factory.forProtocol(_Connection)
        factory.noisy = False
        factory.server = self
        port: Any = reactor.listenTCP(self._number, factory, interface="127.0.0.1")
        self._port = port
        self._number = port.getHost().port

    async def stop(self) -> None:
        """Listen no more, and cut all connections."""
        port, self._port = self._port, None
        if port is not None:
            stopped: Deferred[Any] = maybeDeferred(port.stopListening)
            await stopped
        for connection in list(self.connections):
            connection.transport.abortConnection()
        while self.connections:
            await self.gone.get()


class _Connection(Protocol):
    transport: Any
    factory: Any

    def connectionMade(self) -> None:
        self.server: RawServer = self.factory.server
        self.server.connections.add(self)
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        while (request := self._next()) is not None:
            self.server.requests.append(request)
            answers = self.server.answers
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if answer is not None:
                self.transport.write(answer)
                if self.server.close:
                    self.transport.loseConnection()

    def _next(self) -> bytes | None:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return None
        size = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                size = int(line.partition(b":")[2])
        if len(rest) < size:
            return None
        self._received = rest[size:]
        return head + end + rest[:size]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.server.connections.discard(self)
        self.server.gone.put(None)
