"""Small tools for tests: what was logged, what a time or a text is like, a real HTTP server.

Part of the public test kit; the tools that know workers and messages are in
:mod:`vumi.tests.helpers`. Some of those have always been importable from here too.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, DeferredQueue, maybeDeferred, succeed
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python import log
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from vumi.tests.case import import_filter, import_skip
from vumi.tests.deferreds import maybe_async
from vumi.tests.stubbed_worker import (
    StubbedWorkerCreator,
    get_fake_amq_client,
    get_stubbed_worker,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from twisted.internet.address import IPv4Address
    from twisted.internet.interfaces import IListeningPort, IReactorTCP
    from twisted.web.server import Request

__all__ = [
    "LogCatcher",
    "MockHttpServer",
    "MockResource",
    "RegexMatcher",
    "StubbedWorkerCreator",
    "UTCNearNow",
    "get_fake_amq_client",
    "get_stubbed_worker",
    "import_filter",
    "import_skip",
    "maybe_async",
]

LogEvent = dict[str, Any]


# What was logged


class LogCatcher:
    """Collects the log events of a ``with`` block.

    :param system: A regular expression to be found in the event's ``system``.
    :param message: A regular expression to be found in the event's text.
    :param log_level: The event's level exactly, a number of :mod:`logging`.

    .. code-block:: python

        with LogCatcher(message="refused") as catcher:
            ...
        [text] = catcher.messages()
    """

    def __init__(
        self,
        system: str | None = None,
        message: str | None = None,
        log_level: int | None = None,
    ) -> None:
        #: The events that fit, in order, as :mod:`twisted.python.log` observers get them.
        self.logs: list[LogEvent] = []
        self.system = system
        self.message = message
        self.log_level = log_level

    @property
    def errors(self) -> list[LogEvent]:
        """The events that are errors."""
        return [event for event in self.logs if event["isError"]]

    def messages(self) -> list[str]:
        """The texts of the events that are no errors."""
        return [_text(event) for event in self.logs if not event["isError"]]

    def __enter__(self) -> LogCatcher:
        log.addObserver(self._catch)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        log.removeObserver(self._catch)

    def _catch(self, event: LogEvent) -> None:
        if self._fits(event):
            self.logs.append(event)

    def _fits(self, event: LogEvent) -> bool:
        if self.system is not None and not re.search(self.system, str(event.get("system"))):
            return False
        if self.message is not None and not re.search(self.message, _text(event)):
            return False
        return self.log_level is None or self.log_level == _level(event)


def _text(event: LogEvent) -> str:
    return log.textFromEventDict(event) or ""


def _level(event: LogEvent) -> int | None:
    """The level by its number in :mod:`logging`, of old events and of :mod:`twisted.logger`'s."""
    if "logLevel" in event:
        return cast("int", event["logLevel"])
    # Without a logLevel, Twisted gives an event of the old functions the level info. It has none.
    if "log_level" in event and event.get("log_namespace") != "log_legacy":
        return logging.getLevelNamesMapping().get(event["log_level"].name.upper())
    return None


# What is like what


class UTCNearNow:
    """Equals every time that is near the moment when this was made.

    :param offset: How near, in seconds.
    """

    def __init__(self, offset: float = 10) -> None:
        self.now = datetime.now(UTC)
        self.offset = timedelta(seconds=offset)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, datetime):
            return NotImplemented
        # Without a zone it is UTC, as times in messages are.
        time = other if other.tzinfo is not None else other.replace(tzinfo=UTC)
        return abs(time - self.now) <= self.offset

    __hash__ = None  # type: ignore[assignment]  # equal things would need equal hashes

    def __repr__(self) -> str:
        return f"<UTCNearNow {self.now} +/- {self.offset}>"


class RegexMatcher:
    """Equals every text that a regular expression matches from its start.

    :param regex: The expression, as :func:`re.match` takes it.
    """

    def __init__(self, regex: str | re.Pattern[str]) -> None:
        self.regex = re.compile(regex)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, str):
            return NotImplemented
        return self.regex.match(other) is not None

    __hash__ = None  # type: ignore[assignment]  # equal things would need equal hashes

    def __repr__(self) -> str:
        return f"<RegexMatcher {self.regex.pattern!r}>"


# A real HTTP server


class MockResource(Resource):
    """A web resource that hands every GET, POST and PUT at or below it to a function.

    :param handler: Takes the request; returns the response's body as bytes or text, or
        ``NOT_DONE_YET``.
    """

    isLeaf = True

    def __init__(self, handler: Callable[[Request], Any]) -> None:
        super().__init__()
        self.handler = handler

    def render_GET(self, request: Request) -> bytes | int:
        """Give the handler's answer."""
        body: bytes | int | str = self.handler(request)
        return body.encode("utf-8") if isinstance(body, str) else body

    render_POST = render_GET
    render_PUT = render_GET


class MockHttpServer:
    """A real HTTP server on the loopback interface, on a port that is free.

    :param handler: What :class:`MockResource` takes. By default a request is put on
        :attr:`queue`, and whoever takes it from there answers it.

    Use :class:`vumi.tests.fake_connection.FakeHttpServer` where no socket is needed.
    """

    def __init__(self, handler: Callable[[Request], Any] | None = None) -> None:
        #: The requests that nobody has looked at yet.
        self.queue: DeferredQueue[Request] = DeferredQueue()
        #: The server's address and the URL of its front page, once it is started.
        self.addr: IPv4Address | None = None
        self.url: str | None = None
        self._handler = handler or self.handle_request
        self._port: IListeningPort | None = None
        self._connections: _Connections | None = None

    def handle_request(self, request: Request) -> int:
        """Put the request on the queue, unanswered."""
        self.queue.put(request)
        return NOT_DONE_YET

    def start(self) -> Deferred[None]:
        """Listen. When the Deferred fires :attr:`url` is known."""
        from twisted.internet import reactor

        # Without a timeout: a connection's timer must not outlive a test.
        site = Site(MockResource(self._handler), timeout=None)
        self._connections = _Connections(site)
        # Any: the interface asks for a ServerFactory, wrappers are declared as clients' factories.
        listen_tcp: Any = cast("IReactorTCP", reactor).listenTCP
        self._port = port = listen_tcp(0, self._connections, interface="127.0.0.1")
        self.addr = port.getHost()
        self.url = f"http://{self.addr.host}:{self.addr.port}/"
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Stop listening and drop every open connection.

        :returns: Fires when all is closed; at once if the server isn't running.
        """
        port, self._port = self._port, None
        connections, self._connections = self._connections, None
        if port is None or connections is None:
            return succeed(None)
        stopped: Deferred[Any] = maybeDeferred(port.stopListening)
        return stopped.addCallback(lambda _: connections.drop())


class _Connections(WrappingFactory[ProtocolWrapper]):
    """Knows the connections that are open, and when the last one has gone."""

    def __init__(self, factory: Site) -> None:
        super().__init__(factory)
        self._dropped: Deferred[None] | None = None

    def drop(self) -> Deferred[None]:
        """Abort all connections; fires when they are gone."""
        if not self.protocols:
            return succeed(None)
        self._dropped = Deferred()
        for protocol in list(self.protocols):
            protocol.transport.abortConnection()
        return self._dropped

    def unregisterProtocol(self, p: ProtocolWrapper) -> None:
        super().unregisterProtocol(p)
        if self._dropped is not None and not self.protocols:
            dropped, self._dropped = self._dropped, None
            dropped.callback(None)
