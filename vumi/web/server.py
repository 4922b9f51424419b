"""The HTTP server that networks talk to: bounded, quiet about secrets, and easily taken down.

Knows Twisted's web server; knows nothing of what is served, of workers or messages.

What it adds to a Twisted site:

* bounds on the number of headers and the size of bodies;
* whoever keeps a request unanswered is told when its client hangs up
  (:meth:`ServerRequest.on_lost`);
* no access log unless asked for, and then without query strings: gateways put passwords there;
* all its connections can be closed, also those that wait for their next request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.web.http import REQUEST_ENTITY_TOO_LARGE, HTTPChannel
from twisted.web.server import Site

from vumi.web.limits import DEFAULT_BODY_LIMIT, BoundedRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IAddress, IReactorTime
    from twisted.python.failure import Failure
    from twisted.web.http import Request
    from twisted.web.resource import IResource

__all__ = ["DEFAULT_MAX_HEADERS", "BoundedSite", "ServerRequest"]

DEFAULT_MAX_HEADERS = 100
#: Seconds after which a connection without a request is closed.
IDLE_TIMEOUT = 60.0
#: Seconds that clients have to take what is written when connections are closed.
CLOSE_TIMEOUT = 2.0


class ServerRequest(BoundedRequest):
    """A request whose keeper hears when its client has gone."""

    #: Called once, without arguments, if the connection is lost before the answer is written.
    on_lost: Callable[[], None] | None = None

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All of the request is there."""
        if self.body_too_big:
            content: Any = self.content
            # What there is of it would be read as a form.
            content.seek(0)
            content.truncate()
        super().requestReceived(command, path, version)

    def process(self) -> None:
        """Find who answers the request."""
        if self.body_too_big:
            self.setResponseCode(REQUEST_ENTITY_TOO_LARGE)
            self.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
            body = b"A body may have %d bytes.\n" % self.body_limit
            self.setHeader(b"Content-Length", b"%d" % len(body))
            self.write(body)
            self.finish()
        else:
            super().process()

    def connectionLost(self, reason: Failure) -> None:
        """There is nobody any more to answer."""
        on_lost, self.on_lost = self.on_lost, None
        super().connectionLost(reason)
        if on_lost is not None:
            on_lost()


class _Channel(HTTPChannel):
    """A connection of a client."""

    site: BoundedSite

    _closing = False

    def connectionMade(self) -> None:
        super().connectionMade()
        self.site.connections.add(self)

    def loseConnection(self) -> None:
        """Close the connection after what was written; once is enough."""
        if not self._closing:
            self._closing = True
            super().loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.site.connection_lost(self)


class BoundedSite(Site):
    """A site for the outside world.

    :param resource: The root of what is served.
    :param clock: For time limits: Twisted's reactor, or a clock.
    :param body_limit: How many bytes a body may have. A bigger one is answered 413.
    :param max_headers: How many headers a request may have. One with more is answered 400.
    :param access_log: Whether requests are logged, with method, path and status.
    """

    _access_log = Logger(namespace="vumi.web.access")

    def __init__(
        self,
        resource: IResource,
        clock: IReactorTime,
        body_limit: int = DEFAULT_BODY_LIMIT,
        max_headers: int = DEFAULT_MAX_HEADERS,
        access_log: bool = False,
    ) -> None:
        super().__init__(resource, timeout=IDLE_TIMEOUT, reactor=clock)
        self.requestFactory: Any = type(
            "BoundedServerRequest", (ServerRequest,), {"body_limit": body_limit}
        )
        # Not Twisted's own, which is wrapped so that it can change to HTTP/2 in between.
        self.protocol: Any = type("BoundedChannel", (_Channel,), {"maxHeaders": max_headers})
        self.connections: set[Any] = set()
        self._logs_access = access_log
        self._all_gone: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make the channel for a connection."""
        if self._all_gone is not None:
            return None
        return super().buildProtocol(addr)

    def startFactory(self) -> None:
        """Not Twisted's, which keeps a timer and a file for the access log."""

    def stopFactory(self) -> None:
        """Nothing to stop."""

    def acceptableProtocols(self) -> list[bytes]:
        """What a client may choose when TLS is set up."""
        return [b"http/1.1"]

    def log(self, request: Request) -> None:
        """Write a line about a request, if lines are wanted."""
        if self._logs_access and not getattr(request, "do_not_log", None):
            self._access_log.info(
                "{client} {method} {path} {code} {size}",
                event="http-request",
                client=getattr(request.client, "host", None),
                method=request.method.decode("ascii", "replace"),
                path=request.path.decode("ascii", "replace"),
                code=request.code,
                size=request.sentLength,
            )

    # Taking it down

    def connection_lost(self, channel: Any) -> None:
        """A connection is gone. Called by it."""
        self.connections.discard(channel)
        if self._all_gone is not None and not self.connections and not self._all_gone.called:
            self._all_gone.callback(None)

    def close(self) -> Deferred[None]:
        """Close all connections, after what was written to them; no more are taken.

        :returns: Fires when they are closed; those whose client does not read are cut after
            a while.
        """
        if self._all_gone is not None:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._all_gone = gone
        for channel in list(self.connections):
            channel.setTimeout(None)
            channel.loseConnection()
            if not hasattr(channel.transport, "getHandle"):
                # Made by a test, without a socket: nobody will tell that it is closed.
                self.connections.discard(channel)
        if not self.connections:
            return succeed(None)
        timer = self.reactor.callLater(CLOSE_TIMEOUT, self._cut)

        def done(result: None) -> None:
            if timer.active():
                timer.cancel()

        return gone.addCallback(done)

    def _cut(self) -> None:
        for channel in list(self.connections):
            transport = channel.transport
            getattr(transport, "abortConnection", transport.loseConnection)()
