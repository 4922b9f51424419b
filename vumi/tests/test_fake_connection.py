"""The fake connections and HTTP servers themselves."""

from __future__ import annotations

from typing import Any

import treq
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    NoProtocol,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import FileBodyProducer
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface.verify import verifyObject

from vumi.tests.fake_connection import (
    FakeConnection,
    FakeHttpServer,
    FakeServer,
    ProtocolDouble,
    ProxyAgentWithContext,
    wait0,
)
from vumi.web.site import StringProducer


class NoProtocolFactory(Factory):
    """A factory that has no protocol for anybody."""

    def buildProtocol(self, addr: object) -> None:
        return None


class FakeConnectionTests(SynchronousTestCase):
    """FakeServer and FakeConnection, timed by a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.client_factory = Factory.forProtocol(ProtocolDouble)

    def connect(self, **kw: Any) -> tuple[FakeConnection, Deferred[Any]]:
        """A connection to a new server, and what the client has of it."""
        server = FakeServer.for_protocol(ProtocolDouble, reactor=self.clock, **kw)
        connecting = server.endpoint.connect(self.client_factory)
        return self.successResultOf(server.await_connection()), connecting

    def connected(self) -> tuple[FakeConnection, Any, Any]:
        """An accepted connection with its client and its server."""
        connection, connecting = self.connect()
        client = self.successResultOf(connecting)
        self.assertIs(client, connection.client_protocol)
        return connection, client, connection.server_protocol

    def turn(self, times: int = 1) -> None:
        """Let turns of the reactor pass."""
        for _ in range(times):
            self.clock.advance(0)

    def assert_tidy(self) -> None:
        """Nothing is left to be done."""
        self.turn(5)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_endpoint_is_one(self) -> None:
        server = FakeServer(self.client_factory)
        verifyObject(IStreamClientEndpoint, server.endpoint)

    def test_connections_are_accepted_by_themselves(self) -> None:
        connection, client, server = self.connected()
        self.assertTrue(connection.connected)
        self.assertFalse(connection.pending)
        self.successResultOf(connection.await_connected())
        self.assertNoResult(connection.await_finished())
        self.assertIsInstance(client, ProtocolDouble)
        self.assertIsInstance(server, ProtocolDouble)
        self.assertIsNot(client, server)
        self.assert_tidy()

    def test_bytes_reach_the_other_side_a_turn_later(self) -> None:
        _connection, client, server = self.connected()
        client.transport.write(b"to ")
        client.transport.writeSequence([b"ser", b"ver"])
        server.transport.write(b"to client")
        self.assertEqual((client.received, server.received), (b"", b""))
        self.turn()
        self.assertEqual((client.received, server.received), (b"to client", b"to server"))
        client.transport.write(b" again")
        self.turn()
        self.assertEqual(server.received, b"to server again")
        self.assert_tidy()

    def test_what_was_written_before_closing_still_arrives(self) -> None:
        for closer in (0, 1):
            connection, *sides = self.connected()
            here, there = sides[closer], sides[1 - closer]
            here.transport.write(b"bye")
            here.transport.loseConnection()
            here.transport.write(b"too late")
            finished = connection.await_finished()
            self.assertNoResult(finished)
            self.assertTrue(connection.connected)
            self.turn(3)
            self.successResultOf(finished)
            self.successResultOf(connection.await_finished())
            self.assertFalse(connection.connected)
            self.assertEqual(there.received, b"bye")
            for side in sides:
                self.assertTrue(side.disconnected_reason.check(ConnectionDone))
            self.assert_tidy()

    def test_aborting_drops_what_was_written_and_is_no_clean_end(self) -> None:
        connection, client, server = self.connected()
        client.transport.write(b"lost")
        client.transport.abortConnection()
        client.transport.abortConnection()
        self.turn(3)
        self.successResultOf(connection.await_finished())
        self.assertEqual(server.received, b"")
        self.assertTrue(client.disconnected_reason.check(ConnectionAborted))
        self.assertTrue(server.disconnected_reason.check(ConnectionLost))
        self.assert_tidy()

    def test_a_protocol_that_raises_loses_its_connection_and_is_logged(self) -> None:
        class Broken(ProtocolDouble):
            """Can't deal with data."""

            def dataReceived(self, data: bytes) -> None:
                raise ZeroDivisionError

        server = FakeServer.for_protocol(Broken, reactor=self.clock)
        client: Any = self.successResultOf(server.endpoint.connect(self.client_factory))
        client.transport.write(b"x")
        self.turn(4)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(client.disconnected_reason.check(ConnectionLost))
        self.assert_tidy()

    def test_a_test_may_accept_by_hand(self) -> None:
        connection, connecting = self.connect(auto_accept=False)
        waiting = connection.await_connected()
        self.assertTrue(connection.pending)
        self.assertFalse(connection.connected)
        self.assertIsNone(connection.client_protocol)
        self.assertNoResult(connecting)
        self.assertNoResult(waiting)
        connection.accept_connection()
        self.successResultOf(waiting)
        self.assertIs(self.successResultOf(connecting), connection.client_protocol)
        self.assertTrue(connection.connected)

    def test_a_test_may_reject(self) -> None:
        for reason, error in [
            (None, ConnectionRefusedError),
            (ConnectError("foo"), ConnectError),
        ]:
            connection, connecting = self.connect(auto_accept=False)
            waiting = connection.await_connected()
            connection.reject_connection(reason)
            self.failureResultOf(connecting, error)
            self.failureResultOf(waiting, error)
            self.failureResultOf(connection.await_connected(), error)
            self.successResultOf(connection.await_finished())
            self.assertFalse(connection.pending)
            self.assertFalse(connection.connected)

    def test_a_connection_is_answered_once(self) -> None:
        connection, _connecting = self.connect()
        self.assertRaises(AssertionError, connection.accept_connection)
        self.assertRaises(AssertionError, connection.reject_connection)

    def test_a_client_that_gives_up_is_not_pending(self) -> None:
        connection, connecting = self.connect(auto_accept=False)
        connecting.cancel()
        self.failureResultOf(connecting, ConnectingCancelledError)
        self.assertFalse(connection.pending)
        self.successResultOf(connection.await_finished())

    def test_a_side_without_a_protocol_is_no_connection(self) -> None:
        connecting = FakeServer(NoProtocolFactory()).endpoint.connect(self.client_factory)
        self.failureResultOf(connecting, ConnectionLost)
        server = FakeServer.for_protocol(ProtocolDouble)
        self.failureResultOf(server.endpoint.connect(NoProtocolFactory()), NoProtocol)

    def test_on_connect_is_called_first_and_may_answer(self) -> None:
        seen: list[bool] = []

        def on_connect(connection: FakeConnection) -> None:
            seen.append(connection.pending)
            connection.reject_connection()

        _connection, connecting = self.connect(on_connect=on_connect)
        self.failureResultOf(connecting, ConnectionRefusedError)
        self.assertEqual(seen, [True])

    def test_connections_are_given_out_in_order_and_once(self) -> None:
        server = FakeServer(self.client_factory, reactor=self.clock)
        first, second = server.await_connection(), server.await_connection()
        clients = [
            self.successResultOf(server.endpoint.connect(self.client_factory)) for _ in "ab"
        ]
        given = [self.successResultOf(first), self.successResultOf(second)]
        self.assertEqual([connection.client_protocol for connection in given], clients)
        self.assertNoResult(server.await_connection())

    def test_a_producer_is_asked_until_it_is_done(self) -> None:
        _connection, client, server = self.connected()
        chunks = [b"a", b"b", b"c"]

        class Puller:
            """Writes a chunk whenever it is asked."""

            def resumeProducing(self) -> None:
                client.transport.write(chunks.pop(0))
                if not chunks:
                    client.transport.unregisterProducer()

            def stopProducing(self) -> None:
                """Nothing to stop."""

        client.transport.registerProducer(Puller(), False)
        self.turn(5)
        self.assertEqual(server.received, b"abc")
        self.assert_tidy()

    def test_addresses_are_those_of_tcp(self) -> None:
        _connection, client, server = self.connected()
        self.assertEqual(client.transport.getPeer(), server.transport.getHost())
        self.assertEqual(server.transport.getPeer(), client.transport.getHost())
        self.assertEqual(server.transport.getPeer().host, "127.0.0.1")


class RealReactorTests(TestCase):
    """The same by the reactor's turns."""

    async def test_writing_waits_for_the_other_side(self) -> None:
        server = FakeServer.for_protocol(ProtocolDouble)
        client: Any = await server.endpoint.connect(Factory.forProtocol(ProtocolDouble))
        connection = await server.await_connection()
        await client.write(b"hello")
        there: Any = connection.server_protocol
        self.assertEqual(there.received, b"hello")
        self.assertIsNone(there.disconnected_reason)
        client.transport.loseConnection()
        await connection.await_finished()

    async def test_wait0_hands_its_value_on(self) -> None:
        waiting = wait0("value")
        self.assertNoResult(waiting)
        self.assertEqual(await waiting, "value")
        self.assertIsNone(await wait0())


class FakeHttpServerTests(TestCase):
    """FakeHttpServer and its agent."""

    async def test_requests_for_every_url_get_to_the_handler(self) -> None:
        def handler(request: Request) -> bytes | str:
            assert request.content is not None
            request.setResponseCode(201)
            request.setHeader(b"x-back", request.getHeader(b"x-there") or b"")
            body = b" ".join([request.method, request.uri, request.content.read()])
            return body if request.method == b"GET" else body.decode("ascii")

        agent = FakeHttpServer(handler).get_agent()
        verifyObject(IAgent, agent)
        for method in (b"GET", b"POST", b"PUT"):
            for url in (b"http://example.com/a?b=1", b"https://other.example:8443/"):
                response = await agent.request(
                    method, url, Headers({b"x-there": [b"yes"]}), StringProducer(b"body")
                )
                self.assertEqual(response.code, 201)
                self.assertEqual(response.headers.getRawHeaders(b"x-back"), [b"yes"])
                self.assertEqual(await treq.content(response), method + b" " + url + b" body")

    async def test_big_bodies_get_through(self) -> None:
        from io import BytesIO

        def handler(request: Request) -> bytes:
            assert request.content is not None
            content: bytes = request.content.read()
            return content

        body = b"0123456789" * 50_000
        agent = FakeHttpServer(handler).get_agent()
        response = await agent.request(
            b"POST", b"http://example.com/", None, FileBodyProducer(BytesIO(body))
        )
        self.assertEqual(await treq.content(response), body)

    async def test_a_request_that_is_not_answered_can_be_cancelled(self) -> None:
        server = FakeHttpServer(lambda request: NOT_DONE_YET)
        asking = server.get_agent().request(b"GET", b"http://example.com/")
        connection = await server.fake_server.await_connection()
        await wait0()
        asking.cancel()
        await connection.await_finished()
        with self.assertRaises(Exception) as caught:
            await asking
        self.assertTrue(caught.exception.reasons[0].check(CancelledError))

    async def test_a_handlers_error_is_a_500(self) -> None:
        def handler(request: Request) -> bytes:
            raise ZeroDivisionError

        agent = FakeHttpServer(handler).get_agent()
        response = await agent.request(b"GET", b"http://example.com/")
        await treq.content(response)
        self.assertEqual(response.code, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_the_agent_takes_what_twisteds_agent_takes(self) -> None:
        from twisted.internet import reactor
        from twisted.web.client import HTTPConnectionPool

        context_factory = object()
        server = FakeHttpServer(lambda request: b"")
        pool = HTTPConnectionPool(reactor, persistent=False)
        agent = server.get_agent(reactor, pool=pool, contextFactory=context_factory)
        self.assertIsInstance(agent, ProxyAgentWithContext)
        self.assertIs(agent.contextFactory, context_factory)

    async def test_the_server_itself_can_refuse(self) -> None:
        server = FakeHttpServer(lambda request: b"")
        server.fake_server.auto_accept = False
        asking = server.get_agent().request(b"GET", b"http://example.com/")
        connection = await server.fake_server.await_connection()
        connection.reject_connection()
        with self.assertRaises(ConnectionRefusedError):
            await asking
        self.assertIsInstance(
            server.endpoint, type(FakeServer(Factory.forProtocol(Protocol)).endpoint)
        )
