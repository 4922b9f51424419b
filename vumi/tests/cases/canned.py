"""The web as a case has it: every request is noted and given the answer that the table has.

Knows Twisted's HTTP client and server. The client is the real one, with its pool of connections;
so is what it talks to, but for the sockets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.web.client import Agent
from twisted.web.iweb import IAgent, IAgentEndpointFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface import implementer

from vumi.tests.cases.bodies import encode_body
from vumi.tests.cases.pretend import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.web.client import URI
    from twisted.web.http_headers import Headers
    from twisted.web.server import Request

    from vumi.tests.cases.model import Answer
    from vumi.tests.cases.pretend import PretendReactor

__all__ = ["MadeRequest", "PretendWeb"]

GARBAGE = b"\x00\xff this is no HTTP\r\n\r\n"


@dataclass(frozen=True)
class MadeRequest:
    """A request that went out."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """A header's value; several are joined by commas."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None


class PretendWeb:
    """Every server there is.

    :ivar made: The requests that came, in order.
    :ivar always: The answer to all of them; ``None``: those of the table, one after another.
    :ivar unexpected: The requests for which there was no answer.
    """

    def __init__(self, reactor: PretendReactor) -> None:
        self.made: list[MadeRequest] = []
        self.always: Answer | None = None
        self.unexpected: list[MadeRequest] = []
        self.connections: list[Connection] = []
        self._reactor = reactor
        self._answers: list[Answer] = []

    def add_answers(self, answers: Iterable[Answer]) -> None:
        """Have the next requests answered so."""
        self._answers += answers

    @property
    def left_over(self) -> list[Answer]:
        """The answers that nobody has asked for."""
        return list(self._answers)

    def forget(self) -> None:
        """Forget answers and requests."""
        self._answers = []
        self.made = []
        self.unexpected = []

    def agent(self, reactor: Any, *args: Any, pool: Any = None, **kw: Any) -> IAgent:
        """An agent whose requests all come here; to be used as Twisted's ``Agent``."""
        real = Agent.usingEndpointFactory(reactor, _Endpoints(self), pool)
        return _Agent(self, real)

    # What the parts below ask

    def peek(self) -> Answer | None:
        """The next answer, if there is one."""
        if self.always is not None:
            return self.always
        return self._answers[0] if self._answers else None

    def take(self, request: MadeRequest) -> Answer | None:
        """Note a request, and give its answer."""
        self.made.append(request)
        answer = self.peek()
        if answer is None:
            self.unexpected.append(request)
        elif self.always is None:
            del self._answers[0]
        return answer

    def connect(self, factory: Any, base: str) -> Any:
        """A connection of a client's to a server."""
        client = factory.buildProtocol(None)
        resource = _AnyResource(self, base)
        # Not started, so it writes no access log: this is not the transport's.
        site: Any = Site(resource, reactor=self._reactor)
        site.timeOut = None
        channel = site.buildProtocol(None)
        resource.connection = Connection(self._reactor, client, channel, f"a connection to {base}")
        self.connections.append(resource.connection)
        return client


@implementer(IAgent)
class _Agent:
    """Refuses connections when the table says so; all else is the real agent's."""

    def __init__(self, web: PretendWeb, real: Any) -> None:
        self._web = web
        self._real = real

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: Any = None,
    ) -> Deferred[Any]:
        """Make a request."""
        answer = self._web.peek()
        if answer is None or answer.trouble == "refused":
            self._web.take(_noted(method, uri, headers, bodyProducer))
            return fail(ConnectionRefusedError("in a case"))
        made: Deferred[Any] = self._real.request(method, uri, headers, bodyProducer)
        return made


def _noted(method: bytes, uri: bytes, headers: Headers | None, producer: Any) -> MadeRequest:
    """A request that doesn't reach a server."""
    chunks: list[bytes] = []
    if producer is not None:
        producer.startProducing(_Sink(chunks.append))
    pairs = () if headers is None else tuple(_pairs(headers))
    return MadeRequest(method.decode("ascii"), uri.decode("ascii"), pairs, b"".join(chunks))


def _pairs(headers: Headers) -> Iterable[tuple[str, str]]:
    for name, values in headers.getAllRawHeaders():
        for value in values:
            yield name.decode("ascii"), value.decode("utf-8", "replace")


class _Sink:
    """Takes what a producer of a body writes."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Nothing to do."""

    def unregisterProducer(self) -> None:
        """Nothing to do."""


@implementer(IAgentEndpointFactory)
class _Endpoints:
    def __init__(self, web: PretendWeb) -> None:
        self._web = web

    def endpointForURI(self, uri: URI) -> Any:
        """Where a URL leads: into the memory, also with TLS."""
        standard = {b"http": 80, b"https": 443}[uri.scheme]
        port = "" if uri.port == standard else f":{uri.port}"
        base = f"{uri.scheme.decode('ascii')}://{uri.host.decode('ascii')}{port}"
        return _Endpoint(self._web, base)


class _Endpoint:
    def __init__(self, web: PretendWeb, base: str) -> None:
        self._web = web
        self._base = base

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect a client."""
        return succeed(self._web.connect(factory, self._base))


class _AnyResource(Resource):
    """Answers every request as the table says."""

    isLeaf = True

    connection: Connection

    def __init__(self, web: PretendWeb, base: str) -> None:
        super().__init__()
        self._web = web
        self._base = base

    def render(self, request: Request) -> Any:
        """Note a request and answer it."""
        content: Any = request.content
        made = MadeRequest(
            request.method.decode("ascii"),
            self._base + request.uri.decode("ascii"),
            tuple(_pairs(request.requestHeaders)),
            content.read(),
        )
        answer = self._web.take(made)
        if answer is None or answer.trouble in ("reset", "refused"):
            self.connection.reset()
        elif answer.trouble == "garbage":
            self.connection.say(GARBAGE)
        elif answer.trouble != "timeout":
            return _write(request, answer)
        return NOT_DONE_YET


def _write(request: Request, answer: Answer) -> bytes:
    data, content_type = encode_body(answer.body, is_answer=True)
    request.setResponseCode(answer.status)
    if content_type is not None:
        request.setHeader(b"Content-Type", content_type.encode("ascii"))
    else:
        request.responseHeaders.removeHeader(b"Content-Type")
    for name, value in answer.headers.items():
        if value is None:
            request.responseHeaders.removeHeader(name.encode("ascii"))
        else:
            request.setHeader(name.encode("ascii"), value.encode("utf-8"))
    return data
