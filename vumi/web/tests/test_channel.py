"""Slow, greedy and ambiguous HTTP clients are answered and let go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from vumi.tests.utils import LogCatcher
from vumi.web.channel import BODY_TIMEOUT, BODY_TOLERANCE, HEADER_TIMEOUT
from vumi.web.limits import ConnectionLimits
from vumi.web.server import BoundedSite

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = b"POST /quick HTTP/1.1\r\nHost: x\r\n"


class Echo(Resource):
    """Answers with the body; keeps what is for ``/kept``."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []

    def render(self, request: Any) -> Any:
        self.requests.append(request)
        if request.path == b"/kept":
            return NOT_DONE_YET
        return b"<" + request.content.read() + b">"


LOST = Failure(ConnectionDone())
#: What the tests have connected.
connections: list[Connection] = []


@pytest.fixture(autouse=True)
def hang_up() -> Iterator[None]:
    """Close what is open in the end: large bodies are in files."""
    yield
    while connections:
        connections.pop().hang_up()


class Connection:
    """A client and the site that it talks to, without a network."""

    def __init__(self, **options: Any) -> None:
        connections.append(self)
        self.clock = Clock()
        self.pages = Echo()
        self.site = BoundedSite(self.pages, self.clock, **options)
        self.channel, self.wire = self.connect()

    def connect(self, host: str = "192.0.2.1") -> tuple[Any, StringTransport]:
        channel: Any = self.site.buildProtocol(IPv4Address("TCP", host, 1234))
        wire = StringTransport()
        channel.makeConnection(wire)
        return channel, wire

    def send(self, data: bytes) -> None:
        self.channel.dataReceived(data)

    def hang_up(self) -> None:
        for channel in list(self.site.connections):
            channel.connectionLost(LOST)

    @property
    def statuses(self) -> list[bytes]:
        return [part.split(b" ")[0] for part in self.wire.value().split(b"HTTP/1.1 ")[1:]]

    def is_refused(self, status: bytes) -> bool:
        return self.statuses == [status] and self.wire.disconnecting and not self.pages.requests


# Deadlines


@pytest.mark.parametrize("pieces", [[b"G"], [b"GET / HTTP/1.1\r\n", b"A: 1\r\n"], [b"GET / HT"]])
def test_headers_that_come_a_byte_at_a_time_are_answered_408(pieces: list[bytes]) -> None:
    client = Connection()
    for piece in pieces:
        client.send(piece)
    for _ in range(int(HEADER_TIMEOUT) - 1):
        client.clock.advance(1)
        client.send(b"x")
    assert client.statuses == []
    client.clock.advance(1)
    assert client.is_refused(b"408")


@pytest.mark.parametrize("length", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
def test_a_body_that_comes_a_byte_at_a_time_is_answered_408(length: bytes) -> None:
    client = Connection()
    client.send(HEAD + length + b"\r\n\r\n")
    if b"chunked" in length:
        client.send(b"1000\r\n")
    for _ in range(int(BODY_TIMEOUT) - 1):
        client.clock.advance(1)
        client.send(b"x")
    assert client.statuses == []
    client.clock.advance(1)
    assert client.is_refused(b"408")


def test_each_request_of_a_connection_has_its_own_deadline() -> None:
    client = Connection()
    for _ in range(3):
        client.send(HEAD)
        client.clock.advance(HEADER_TIMEOUT - 1)
        client.send(b"Content-Length: 2\r\n\r\n")
        client.clock.advance(BODY_TIMEOUT - 1)
        # The end of this one, and the beginning of the next.
        client.send(b"hi" + HEAD)
        client.clock.advance(HEADER_TIMEOUT - 1)
        client.send(b"\r\n")
    assert client.statuses == [b"200"] * 6
    # None is left over.
    assert len(client.clock.getDelayedCalls()) == 1
    client.clock.advance(61)
    assert client.statuses == [b"200"] * 6
    assert client.wire.disconnecting


def test_the_rest_of_a_pipelined_request_has_a_deadline_too() -> None:
    client = Connection()
    client.send(HEAD + b"\r\n" + HEAD)
    client.clock.advance(HEADER_TIMEOUT)
    assert client.statuses == [b"200", b"408"]


def test_a_request_that_is_kept_has_no_deadline() -> None:
    client = Connection()
    client.send(b"GET /kept HTTP/1.1\r\nHost: x\r\n\r\n")
    # The begin of the next one.
    client.send(b"GET /")
    client.clock.advance(10_000)
    assert not client.wire.disconnecting
    client.pages.requests[0].finish()
    client.clock.advance(HEADER_TIMEOUT)
    assert client.statuses == [b"200", b"408"]


def test_an_empty_line_between_requests_is_no_slow_request() -> None:
    client = Connection()
    client.send(HEAD + b"\r\n")
    client.send(b"\r\n")
    client.clock.advance(HEADER_TIMEOUT + 1)
    client.send(HEAD + b"\r\n")
    assert client.statuses == [b"200", b"200"]


def test_a_request_in_one_piece_costs_no_timer() -> None:
    client = Connection()
    started: list[float] = []
    later = client.channel.callLater

    def counting(seconds: float, *args: Any) -> Any:
        started.append(seconds)
        return later(seconds, *args)

    client.channel.callLater = counting
    client.send(HEAD + b"Content-Length: 2\r\n\r\nhi")
    assert client.statuses == [b"200"]
    assert HEADER_TIMEOUT not in started
    assert BODY_TIMEOUT not in started or started == [60.0]


# Sizes


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"x" * 20_000, b"414"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (HEAD + b"X: " + b"x" * 20_000, b"431"),
        (HEAD + b"X: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
        (HEAD + b"X: 12345678\r\n" * 90 + b"Y: " + b"y" * 15_500 + b"\r\n\r\n", b"431"),
        (HEAD + b"X: 1\r\n" * 100 + b"\r\n", b"431"),
        (HEAD + b"Content-Length: %d\r\n\r\n" % (10 + BODY_TOLERANCE + 1), b"413"),
        (HEAD + b"Content-Length: 11\r\nExpect: 100-continue\r\n\r\n", b"413"),
        (HEAD + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n", b"413"),
        (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"200001\r\n" + b"x" * 0x200001,
            b"413",
        ),
    ],
)
def test_what_is_too_large_is_answered_at_once(request_bytes: bytes, status: bytes) -> None:
    client = Connection(body_limit=10)
    client.send(request_bytes)
    assert client.is_refused(status), client.wire.value()[:200]
    # What still comes changes nothing.
    client.send(b"\r\n\r\n" + HEAD + b"\r\n")
    assert client.is_refused(status)


# Requests that two programs could read differently


@pytest.mark.parametrize(
    "headers",
    [
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: identity\r\nContent-Length: 5",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding:",
        b"Transfer-Encoding : chunked",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"transfer-encoding: CHUNKED\r\ncontent-length: 0",
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 0\r\nContent-Length: 6",
        b"Content-Length: 5, 5",
        b"Content-Length: +5",
        b"Content-Length: -5",
        b"Content-Length: 0x5",
        b"Content-Length: 5_0",
        b"Content-Length:",
        b"Content-Length : 5",
        b"X: 1\r\n folded",
        b"X: 1\r\n\tfolded: 2",
        b"Transfer-Encoding:\r\n chunked",
        b"Content-Length: 5\r\n 6",
        b" X: 1",
        b"X: a\rContent-Length: 5",
        b"X: a\nContent-Length: 5",
        b"X: a\x00b",
        b"no colon",
        b": no name",
        b"Host: y",
    ],
)
def test_an_ambiguous_head_is_refused_and_nothing_is_served(headers: bytes) -> None:
    client = Connection()
    client.send(HEAD + headers + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + HEAD + b"\r\n")
    assert client.is_refused(b"400"), client.wire.value()


def test_chunks_of_http_1_0_are_refused() -> None:
    client = Connection()
    client.send(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert client.is_refused(b"400")


@pytest.mark.parametrize(
    "chunks", [b"x\r\n", b"-1\r\n", b"0x1\r\na", b"1\r\nab", b"1 \r\na", b"\r\n", b"1\na\n0\n\n"]
)
def test_chunks_that_are_none_are_refused(chunks: bytes) -> None:
    client = Connection()
    client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"\r\n" * 3)
    assert client.is_refused(b"400"), client.wire.value()


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1 ", b"GET  /", b"GET /\x00 HTTP/1.1", b" GET /"])
def test_a_request_line_that_is_none_is_refused(line: bytes) -> None:
    client = Connection()
    client.send(line + b"\r\n\r\n")
    assert client.is_refused(b"400")


@pytest.mark.parametrize(
    "request_bytes",
    [
        HEAD + b"Content-Length: 5\r\n\r\nhello",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n",
    ],
)
def test_good_requests_are_served_in_any_pieces(request_bytes: bytes) -> None:
    for size in (1, 2, 7, 1000):
        client = Connection()
        for start in range(0, len(request_bytes), size):
            client.send(request_bytes[start : start + size])
        assert client.wire.value().endswith(b"<hello>")
        assert client.statuses == [b"200"]


LINES = [
    *(b"Content-Length: 5", b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Host: a"),
    *(b" fold", b"X: y", b"", b"5", b"0", b"hello", b"GET / HTTP/1.1", b"Expect: 100-continue"),
    *(b"Content-Type: multipart/form-data; boundary=x", b"Content-Type: ;;=", b"Cookie: =;;="),
    *(b"Content-Type: application/x-www-form-urlencoded", b"POST /?%ff=%zz&&=;; HTTP/1.1"),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(LINES), st.binary(max_size=20)), max_size=15))
def test_nothing_that_is_sent_makes_the_server_raise(lines: list[bytes]) -> None:
    client = Connection(body_limit=100)
    with LogCatcher() as log:
        client.send(b"\r\n".join(lines) + b"\r\n")
        client.clock.advance(HEADER_TIMEOUT + BODY_TIMEOUT)
    assert log.errors == []
    client.hang_up()
    assert client.clock.getDelayedCalls() == []


# How many


def test_connections_beyond_the_limit_are_answered_503() -> None:
    client = Connection(limits=ConnectionLimits(total=3, per_address=2))
    client.connect()
    _, refused = client.connect()
    assert refused.value().startswith(b"HTTP/1.1 503 ")
    assert refused.disconnecting
    _, other = client.connect("192.0.2.2")
    assert not other.disconnecting
    # One that has gone makes room.
    client.channel.connectionLost(LOST)
    _, again = client.connect()
    assert not again.disconnecting


def test_refusals_are_logged_once_a_minute_for_each_reason() -> None:
    client = Connection()
    with LogCatcher() as log:
        for _ in range(5):
            channel, _ = client.connect()
            channel.dataReceived(b"\x16\x03\x01\r\n")
        channel, _ = client.connect()
        channel.dataReceived(HEAD + b"X: 1\r\n" * 200)
    assert len(log.messages()) == 2
    client.clock.advance(60)
    with LogCatcher() as log:
        channel, _ = client.connect()
        channel.dataReceived(b"\x16\x03\x01\r\n")
    assert "400" in "".join(log.messages())


class Sender(Protocol):
    """Sends more than is read, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(HEAD + b"X: 1\r\n" * 100_000)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class SocketTests(TestCase):
    timeout = 60

    async def test_a_client_that_sends_too_much_gets_to_the_answer(self) -> None:
        site: Any = BoundedSite(Echo(), reactor)
        port: Any = reactor.listenTCP(0, site, interface="127.0.0.1")
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        client: Any = await endpoint.connect(Factory.forProtocol(Sender))
        await client.gone
        assert client.heard.startswith(b"HTTP/1.1 431 "), client.heard
        await port.stopListening()
        await site.close()
