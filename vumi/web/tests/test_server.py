"""Tests of the HTTP server for the outside world."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.internet import reactor
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

import vumi
from vumi.tests.utils import LogCatcher
from vumi.web.server import BoundedSite


class Keeper(Resource):
    """Keeps requests, or answers them."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []
        self.lost: list[Any] = []

    def render(self, request: Any) -> Any:
        if request.path == b"/quick":
            return b"quick"
        self.kept.append(request)
        request.on_lost = lambda: self.lost.append(request)
        return NOT_DONE_YET


class ServerTests(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.keeper = Keeper()

    def connect(self, **options: Any) -> tuple[Any, StringTransport]:
        self.site = BoundedSite(self.keeper, self.clock, **options)
        channel = self.site.buildProtocol(None)
        wire = StringTransport()
        channel.makeConnection(wire)
        return channel, wire

    def test_a_body_over_the_limit_is_answered_and_never_read_as_a_form(self) -> None:
        channel, wire = self.connect(body_limit=10)
        form = b"Content-Type: application/x-www-form-urlencoded\r\n"
        channel.dataReceived(
            b"POST /quick HTTP/1.1\r\nHost: x\r\n"
            + form
            + b"Content-Length: 12\r\n\r\na=1&b=2&c=3&"
        )
        self.assertTrue(wire.value().startswith(b"HTTP/1.1 413 "))
        # The connection is of use for more.
        wire.clear()
        channel.dataReceived(
            b"POST /quick HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789"
        )
        self.assertTrue(wire.value().endswith(b"quick"))

    def test_too_many_headers_end_the_connection(self) -> None:
        channel, wire = self.connect(max_headers=3)
        channel.dataReceived(b"GET /quick HTTP/1.1\r\n" + b"X: 1\r\n" * 4 + b"\r\n")
        self.assertTrue(wire.value().startswith(b"HTTP/1.1 431 "))
        self.assertTrue(wire.disconnecting)

    def test_whoever_keeps_a_request_hears_that_its_client_has_gone(self) -> None:
        channel, _ = self.connect()
        channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.keeper.lost, self.keeper.kept)
        self.assertEqual(self.site.connections, set())

    def test_whoever_has_answered_a_request_hears_nothing(self) -> None:
        channel, _ = self.connect()
        channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.keeper.kept[0].finish()
        channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.keeper.lost, [])

    def test_an_idle_connection_is_closed(self) -> None:
        _, wire = self.connect()
        self.clock.advance(61)
        self.assertTrue(wire.disconnecting)

    def test_a_connection_whose_request_is_kept_is_not_idle(self) -> None:
        channel, wire = self.connect()
        channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.clock.advance(1_000)
        self.assertFalse(wire.disconnecting)

    def logged(self, **options: Any) -> str:
        channel, _ = self.connect(**options)
        with LogCatcher() as log:
            channel.dataReceived(b"GET /quick?password=sesame HTTP/1.1\r\nHost: x\r\n\r\n")
        return "".join(log.messages())

    def test_requests_are_not_logged_unless_asked_for_and_query_strings_never_are(self) -> None:
        # The old Vumi wrote whole URLs, with the passwords that gateways put there.
        self.assertEqual(self.logged(), "")
        self.assertIn("GET /quick 200 5", self.logged(access_log=True))
        self.assertNotIn("sesame", self.logged(access_log=True))

    def test_http_2_is_not_offered(self) -> None:
        self.connect()
        self.assertEqual(self.site.acceptableProtocols(), [b"http/1.1"])


def test_all_that_listens_for_http_is_bounded() -> None:
    root = Path(vumi.__file__).parent
    unbounded = [
        f"{path.relative_to(root)}: {found}"
        for path in root.rglob("*.py")
        if "tests" not in path.parts and path.parent.name != "web"
        for found in re.findall(
            r"\b(Site\(|build_web_site\(|HTTPFactory\(|HTTPChannel\()", path.read_text()
        )
    ]
    # A site class that a worker written for the old Vumi brings along.
    assert unbounded == ["service.py: build_web_site("]


class Client(Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class ClosingTests(TestCase):
    async def test_closing_ends_connections_that_wait_for_their_next_request(self) -> None:
        site: Any = BoundedSite(Keeper(), reactor)
        port: Any = reactor.listenTCP(0, site, interface="127.0.0.1")
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        client: Any = await endpoint.connect(Factory.forProtocol(Client))
        while not client.data.endswith(b"quick"):
            turn: Deferred[None] = Deferred()
            reactor.callLater(0, turn.callback, None)
            await turn
        await port.stopListening()
        await site.close()
        await client.gone
        self.assertEqual(site.connections, set())
        self.assertIdentical(site.buildProtocol(None), None)
        await site.close()
