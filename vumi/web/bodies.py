"""The body of a response, as it comes in: bounded, decompressed, and whole or not at all.

Knows Twisted's way to deliver bodies. treq and Twisted can decompress too, but take a body that
can't be decompressed for an empty one, and a small one that becomes a huge one as it is.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IAgent
from zope.interface import implementer

from vumi.utils import HttpDataLimitError, HttpError

if TYPE_CHECKING:
    from twisted.web.http_headers import Headers
    from twisted.web.iweb import IBodyProducer, IResponse

__all__ = ["BodyError", "BodyReceiver", "UndecodedAgent"]

#: To zlib: a gzip header and the largest window.
GZIP = 16 + zlib.MAX_WBITS


class BodyError(HttpError):
    """A compressed body can't be decompressed, or its end is missing."""


@implementer(IAgent)
class UndecodedAgent:
    """Keeps others from decompressing the bodies of responses: :class:`BodyReceiver` does it.

    :param agent: Makes the requests.
    """

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent
        #: Whether the body of the last response is compressed.
        self.gzipped = False

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Make a request."""
        requested = self._agent.request(method, uri, headers, bodyProducer)
        return requested.addCallback(self._hide_encoding)

    def _hide_encoding(self, response: IResponse) -> IResponse:
        values = response.headers.getRawHeaders(b"content-encoding", [])
        self.gzipped = [value.strip().lower() for value in values] == [b"gzip"]
        if self.gzipped:
            response.headers.removeHeader(b"content-encoding")
        return response


class BodyReceiver(Protocol):
    """Collects a response's body.

    :param limit: How many bytes it may have, decompressed; ``None``: no bound.
    :param gzipped: Whether it is compressed.
    """

    def __init__(self, limit: int | None, gzipped: bool) -> None:
        #: Fires with the body. Cancelling it cuts the connection.
        self.received: Deferred[bytes] = Deferred(self._cancelled)
        self._limit = limit
        self._unzip: Any = zlib.decompressobj(GZIP) if gzipped else None
        self._chunks: list[bytes] = []
        self._size = 0
        self._begun = False
        self._ended = False
        self._error: Failure | None = None

    def receive(self, response: IResponse) -> None:
        """Have the body of a response delivered here."""
        if response.length == 0:
            self._end(b"")
            return
        try:
            response.deliverBody(self)
        except (BodyError, HttpDataLimitError):
            # In what had come before somebody wanted it.
            self._end(Failure())

    def dataReceived(self, data: bytes) -> None:
        if self._ended or self._error is not None:
            return
        try:
            self._take(data)
        except (BodyError, HttpDataLimitError):
            self._error = Failure()
            _cut(self.transport)
            # The parser must know too: it would take the end of the body, if that is in the same
            # data, for a reason to keep the connection.
            raise

    def _take(self, data: bytes) -> None:
        self._begun = True
        if self._unzip is not None:
            data = self._unzipped(data)
        self._chunks.append(data)
        self._size += len(data)
        if self._limit is not None and self._size > self._limit:
            raise HttpDataLimitError(f"More than {self._limit} bytes received")

    def _unzipped(self, data: bytes) -> bytes:
        most = 0 if self._limit is None else self._limit - self._size + 1
        try:
            unzipped: bytes = self._unzip.decompress(data, most)
        except zlib.error as error:
            raise BodyError(f"The body can't be decompressed: {error}") from error
        return unzipped

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._error is not None:
            self._end(self._error)
        # Without a length the end of the connection is the end of the body.
        elif not reason.check(ResponseDone, PotentialDataLoss):
            self._end(reason)
        elif self._unzip is not None and self._begun and not self._unzip.eof:
            self._end(Failure(BodyError("The end of the compressed body is missing")))
        else:
            self._end(b"".join(self._chunks))

    def _end(self, result: bytes | Failure) -> None:
        if self._ended:
            return
        self._ended = True
        self._chunks.clear()
        # With a failure, callback() is errback().
        finish: Any = self.received.callback
        finish(result)

    def _cancelled(self, received: Deferred[bytes]) -> None:
        self._ended = True
        self._chunks.clear()
        _cut(self.transport)


def _cut(transport: Any) -> None:
    """Close a connection without waiting for the other side."""
    # A body gets a proxy that can only close politely, which over TLS waits for an answer of just
    # the server that gives none.
    real = getattr(transport, "_producer", None) or transport
    getattr(real, "abortConnection", transport.loseConnection)()
