"""The HTTP server that networks talk to: bounded, quiet about secrets, and easily taken down.

Knows Twisted's web server; knows nothing of what is served, of workers or messages.

What it adds to a Twisted site:

* bounds on the number of connections and headers and the size of bodies, and deadlines for a
  request's headers and body (:mod:`vumi.web.channel`);
* whoever keeps a request unanswered is told when its client hangs up
  (:meth:`ServerRequest.on_lost`);
* no access log unless asked for, and then without query strings: gateways put passwords there;
* all its connections can be closed, also those that wait for their next request.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.web.http import REQUEST_ENTITY_TOO_LARGE
from twisted.web.server import Site

from vumi.web.channel import IDLE_TIMEOUT, BoundedChannel
from vumi.web.limits import (
    DEFAULT_BODY_LIMIT,
    BoundedRequest,
    ConnectionLimits,
    process_limits,
)
from vumi.web.site import build_web_site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.interfaces import IAddress, IReactorTime
    from twisted.python.failure import Failure
    from twisted.web.http import Request
    from twisted.web.resource import IResource

__all__ = ["DEFAULT_MAX_HEADERS", "BoundedSite", "ServerRequest"]

DEFAULT_MAX_HEADERS = 100
#: Seconds in which a reason to refuse clients is logged once.
REFUSALS_PERIOD = 60.0
#: Seconds that clients have to take what is written when connections are closed.
CLOSE_TIMEOUT = 2.0


class ServerRequest(BoundedRequest):
    """A request whose keeper hears when its client has gone."""

    #: Called once, without arguments, if the connection is lost before the answer is written.
    on_lost: Callable[[], None] | None = None
    #: How many bytes of the body have come.
    _size = 0

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All of the request is there."""
        if self.body_too_big:
            content: Any = self.content
            # What there is of it would be read as a form.
            content.seek(0)
            content.truncate()
        super().requestReceived(command, path, version)

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a piece of the body, if there is room."""
        super().handleContentChunk(data)
        self._size += len(data)
        if self.body_too_big:
            channel: Any = self.channel
            channel.body_has(self._size)

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


class _Full(Protocol):
    """Tells a client that there are too many connections."""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        body = b"Too many connections: try again later.\n"
        transport.write(
            b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        transport.loseConnection()


class BoundedSite(Site):
    """A site for the outside world.

    :param resource: The root of what is served.
    :param clock: For time limits: Twisted's reactor, or a clock.
    :param body_limit: How many bytes a body may have. A bigger one is answered 413.
    :param max_headers: How many headers a request may have. One with more is answered 431.
    :param access_log: Whether requests are logged, with method, path and status.
    :param limits: How many connections there may be; default: :func:`process_limits`, which all
        sites of a process share.
    """

    #: Who makes a site says what it listens on, in words.
    noisy = False

    _log = Logger()
    _access_log = Logger(namespace="vumi.web.access")

    def __init__(
        self,
        resource: IResource,
        clock: IReactorTime,
        body_limit: int = DEFAULT_BODY_LIMIT,
        max_headers: int = DEFAULT_MAX_HEADERS,
        access_log: bool = False,
        limits: ConnectionLimits | None = None,
    ) -> None:
        super().__init__(resource, timeout=IDLE_TIMEOUT, reactor=clock)
        self.requestFactory: Any = type(
            "BoundedServerRequest", (ServerRequest,), {"body_limit": body_limit}
        )
        # Not Twisted's own, which is wrapped so that it can change to HTTP/2 in between.
        bounds = {"maxHeaders": max_headers, "body_limit": body_limit}
        self.protocol: Any = type("SiteChannel", (BoundedChannel,), bounds)
        self.limits = process_limits() if limits is None else limits
        self._refusals: dict[str, float] = {}
        self.connections: set[Any] = set()
        self._logs_access = access_log
        self._all_gone: Deferred[None] | None = None

    @classmethod
    def of(cls, resources: Mapping[str, IResource], clock: IReactorTime, **options: Any) -> Self:
        """Make a site of resources at paths.

        :param resources: See :func:`vumi.web.site.build_web_site`.
        :param options: Those of the constructor.
        """
        site: Any = build_web_site(resources, lambda root: cls(root, clock, **options))
        made: Self = site
        return made

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make the channel for a connection."""
        if self._all_gone is not None:
            return None
        release = self.limits.admit(getattr(addr, "host", None))
        if release is None:
            self.refused(HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections.")
            return _Full()
        channel = super().buildProtocol(addr)
        channel.release = release
        return channel

    def refused(self, status: HTTPStatus, words: str) -> None:
        """Log that a client was refused before it has made a request; seldom, for each reason."""
        now = self.reactor.seconds()
        if now - self._refusals.get(words, -REFUSALS_PERIOD) >= REFUSALS_PERIOD:
            self._refusals[words] = now
            self._log.warn(
                "An HTTP client was refused ({status}): {words} The next line about this follows "
                "in a minute at the earliest.",
                event="http-client-refused",
                status=int(status),
                words=words,
            )

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
        channel.release()
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
