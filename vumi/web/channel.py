"""One connection of an HTTP client: what it may send, and how long it may take for that.

Knows Twisted's :class:`~twisted.web.http.HTTPChannel`, which parses, and RFC 9112. Knows nothing
of what is served. :mod:`vumi.web.server` makes these.

Two kinds of client are kept out here. Slow ones: each request has a deadline for its headers and
one for its body, however many bytes come in between, so that no client holds a connection by
sending a byte now and then. And ambiguous ones: what two programs in a row (a proxy and this one)
could take for different requests is refused, as one of them would take the end of a body for the
next request (request smuggling).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import connectionDone
from twisted.web.http import HTTPChannel

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from vumi.web.server import BoundedSite

__all__ = ["BODY_TIMEOUT", "HEADER_TIMEOUT", "IDLE_TIMEOUT", "BoundedChannel"]

#: Seconds after which a connection without a request is closed.
IDLE_TIMEOUT = 60.0
#: Seconds that the headers of a request may take, from the first byte to the last.
HEADER_TIMEOUT = 20.0
#: Seconds that the body may take after that.
BODY_TIMEOUT = 60.0
#: Seconds that a refused client has to read the answer and to close.
LINGER = 2.0
#: How many bytes beyond the limit of a body are read, so that its client gets to the answer and
#: can use the connection again.
BODY_TOLERANCE = 1024 * 1024
#: More digits than any length has: int() itself refuses some thousands.
_MAX_LENGTH_DIGITS = 18

_IDLE, _HEADERS, _BODY, _ANSWER = "idle", "headers", "body", "answer"
_TIMEOUTS = {_HEADERS: HEADER_TIMEOUT, _BODY: BODY_TIMEOUT}


class BoundedChannel(HTTPChannel):
    """A connection of a client."""

    site: BoundedSite

    #: How many bytes a body may have.
    body_limit: int

    _closing = False
    #: A request was refused: what else comes is read and dropped.
    _refused = False
    _stage = _IDLE
    #: How many requests there have been: each has deadlines of its own.
    _number = 0
    #: For which request and stage the deadline runs.
    _watched: tuple[int, str] | None = None
    _deadline: IDelayedCall | None = None
    #: Whose turn it is among the connections of its address; set by the site.
    release: Any = None

    # Life

    def connectionMade(self) -> None:
        super().connectionMade()
        self.site.connections.add(self)

    def loseConnection(self) -> None:
        """Close the connection after what was written; once is enough."""
        if not self._closing:
            self._closing = True
            super().loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_deadline()
        super().connectionLost(reason)
        self.site.connection_lost(self)

    # Deadlines

    def dataReceived(self, data: bytes) -> None:
        if self._refused:
            return
        if self._stage is _IDLE:
            self._stage = _HEADERS
            self._number += 1
        super().dataReceived(data)
        if self._stage is _HEADERS and not self.requests and not self._buffer:
            # An empty line after a body, as old clients send it.
            self._stage = _IDLE
        # Only now: a request that has come in one piece needs no timer.
        self._watch()

    def _watch(self) -> None:
        watched = (self._number, self._stage) if self._stage in _TIMEOUTS else None
        if watched == self._watched or self._closing or self._refused:
            return
        self._stop_deadline()
        self._watched = watched
        if watched is not None:
            self._deadline = self.callLater(_TIMEOUTS[self._stage], self._too_slow)

    def _stop_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()

    def _too_slow(self) -> None:
        self._deadline = None
        self._refuse(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The {self._stage} may take {_TIMEOUTS[self._stage]:g} seconds.",
        )

    def timeoutConnection(self) -> None:
        """Nothing has come for a while. Not the base's, which logs a line for each connection."""
        if self._stage in _TIMEOUTS and not self._refused:
            self._too_slow()
            return
        self._abort_later(self.abortTimeout)
        self.loseConnection()

    def _abort_later(self, seconds: float) -> None:
        if self._abortingCall is None:
            self._abortingCall = self.callLater(seconds, self.forceAbortClient)

    def forceAbortClient(self) -> None:
        """Cut the connection: its client neither reads nor closes."""
        self._abortingCall = None
        transport: Any = self.transport
        transport.abortConnection()

    # What is refused

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line is longer than all headers may be."""
        self._refuse_size()

    def lineReceived(self, line: bytes) -> None:
        """Take a line of a request's head."""
        if self._refused:
            return
        if self._stage is _IDLE:
            # The next one of several requests that have come in one piece.
            self._stage = _HEADERS
            self._number += 1
        if self._receivedHeaderSize + len(line) > self.totalHeadersSize:
            self._refuse_size()
        elif self.requests and line[:1] in (b" ", b"\t"):
            self._refuse(HTTPStatus.BAD_REQUEST, "A header must be in one line.")
        else:
            super().lineReceived(line)

    def headerReceived(self, line: bytes) -> bool:
        """Take a header. The base's goes on after one that was refused."""
        if self._refused:
            return False
        name, _, value = line.partition(b":")
        problem = self._problem(name.lower(), value.strip(b" \t"))
        if problem is not None:
            self._refuse(*problem)
            return False
        return bool(super().headerReceived(line))

    def _problem(self, name: bytes, value: bytes) -> tuple[HTTPStatus, str] | None:
        """Why a header is refused; ``None`` if it isn't."""
        if self._receivedHeaderCount >= self.maxHeaders:
            words = f"A request may have {self.maxHeaders} headers."
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, words
        if name not in _ONCE:
            return None
        headers = self.requests[-1].requestHeaders
        if headers.hasHeader(name):
            return HTTPStatus.BAD_REQUEST, f"The header {name.decode('ascii')} comes twice."
        if name == b"content-length":
            if headers.hasHeader(b"transfer-encoding"):
                return HTTPStatus.BAD_REQUEST, _BOTH
            if len(value) > _MAX_LENGTH_DIGITS:
                return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._limit_words()
        elif name == b"transfer-encoding":
            if headers.hasHeader(b"content-length"):
                return HTTPStatus.BAD_REQUEST, _BOTH
            if value.lower() != b"chunked" or self._version == b"HTTP/1.0":
                return HTTPStatus.BAD_REQUEST, "The transfer encoding must be chunked."
        return None

    def allHeadersReceived(self) -> None:
        """The head of a request is complete."""
        if self._refused:
            return
        self._stage = _BODY
        expects = self.requests[-1].requestHeaders.hasHeader(b"expect")
        beyond = (self.length or 0) - self.body_limit
        if beyond > (0 if expects else BODY_TOLERANCE):
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._limit_words())
            return
        super().allHeadersReceived()

    def rawDataReceived(self, data: bytes) -> None:
        """Take a piece of a body, or of what comes after it."""
        if not self._refused:
            super().rawDataReceived(data)

    def body_has(self, size: int) -> None:
        """So much of a body has come. Called by its request."""
        if size > self.body_limit + BODY_TOLERANCE and not self._refused:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self._limit_words())

    def allContentReceived(self) -> None:
        """All of a request is there."""
        if self._refused:
            return
        self._stage = _ANSWER
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        """A request was answered. Called by it."""
        self._stage = _IDLE
        super().requestDone(request)

    def _limit_words(self) -> str:
        return f"A body may have {self.body_limit} bytes."

    def _refuse_size(self) -> None:
        if not self.requests:
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG, "The request line is too long.")
        else:
            words = f"The headers may have {self.totalHeadersSize} bytes."
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, words)

    def _respondToBadRequestAndDisconnect(self) -> None:
        # The base calls it for whatever it can't parse.
        self._refuse(HTTPStatus.BAD_REQUEST, "This is not a request of HTTP/1.1.")

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        """Answer what can't be taken, and close."""
        if self._refused or self._closing:
            return
        self._refused = True
        self._stop_deadline()
        self.setTimeout(None)
        body = f"{words}\n".encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        transport: Any = self.transport
        transport.write(head.encode("ascii") + body)
        self.site.refused(status, words)
        # A socket that is closed while something unread has come in is reset, and its client may
        # never see the answer. So only our half is closed, and the rest is read for a while.
        is_socket = hasattr(transport, "getHandle") and hasattr(transport, "loseWriteConnection")
        if is_socket and not self.isSecure():
            self._abort_later(LINGER)
            transport.loseWriteConnection()
        else:
            # TLS can't close one half only; a test's transport has no halves.
            self.loseConnection()


#: Headers that must not come twice: two programs could go by different ones.
_ONCE = frozenset([b"content-length", b"transfer-encoding", b"host"])
_BOTH = "Content-Length and Transfer-Encoding don't go together."
