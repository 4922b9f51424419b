"""A long response, written as fast as its client reads it, and known to be whole or not.

Knows Twisted's web server; knows nothing of what is written.

A response whose length is not known beforehand ends by a last, empty chunk. If it can't be
finished (:meth:`ResponseStream.cut`), that chunk never comes and the connection is cut, so no
client takes a part for the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.web.server import Request

__all__ = ["ClientGone", "ResponseStream"]

#: Seconds that a client may take no byte.
STALL_TIMEOUT = 60.0


class ClientGone(Exception):
    """Nobody reads the response any more."""


@implementer(IPushProducer)
class ResponseStream:
    """Writes to a request, with back-pressure.

    :param request: The request; nothing was written to it yet.
    :param clock: For the time limit: Twisted's reactor, or a clock.
    :param stall_timeout: Seconds after which a client that reads nothing is given up.
    """

    def __init__(self, request: Request, clock: Any, stall_timeout: float = STALL_TIMEOUT) -> None:
        self.request = request
        #: Where headers are set, as formatters do.
        self.responseHeaders = request.responseHeaders
        #: Whether the client has gone.
        self.gone = False
        self._clock = clock
        self._stall_timeout = stall_timeout
        self._waiting: Deferred[None] | None = None
        self._paused = False
        #: Whether something was written: then there is no more a status to tell anything by.
        self.started = False
        # A request fires it also when it is finished.
        _ = request.notifyFinish().addBoth(self._over)

    def write(self, data: bytes) -> None:
        """Write something; what nobody reads any more is dropped."""
        if self.gone:
            return
        if not self.started:
            self.started = True
            self.request.registerProducer(self, True)
        self.request.write(data)

    async def ready(self) -> None:
        """Wait until the client has read most of what was written.

        :raises ClientGone: It has gone, or has read nothing for too long.
        """
        if self._paused and not self.gone:
            waiting: Deferred[None] = Deferred()
            self._waiting = waiting
            try:
                await waiting.addTimeout(self._stall_timeout, self._clock)
            except DeferredTimeout:
                self.cut()
            finally:
                self._waiting = None
        if self.gone:
            raise ClientGone

    def finish(self) -> None:
        """The response is whole."""
        if self.gone:
            return
        if self.started:
            self.request.unregisterProducer()
        self.request.finish()

    def cut(self) -> None:
        """The response can't be finished: let the client see that."""
        if self.gone:
            return
        self.gone = True
        if self.started:
            self.request.unregisterProducer()
        channel: Any = self.request.channel
        transport = channel.transport
        getattr(transport, "abortConnection", transport.loseConnection)()

    def _over(self, result: Any) -> None:
        self.gone = True
        self.resumeProducing()

    # As a producer

    def pauseProducing(self) -> None:
        """The client does not keep up."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The client has read."""
        self._paused = False
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            waiting.callback(None)

    def stopProducing(self) -> None:
        """The client has gone."""
        self._over(None)
