"""The tools of vumi.tests.utils themselves."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import treq
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python import log
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import Agent
from twisted.web.server import NOT_DONE_YET

from vumi.tests.utils import LogCatcher, MockHttpServer, RegexMatcher, UTCNearNow
from vumi.web.site import StringProducer

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure
    from twisted.web.server import Request


class LogCatcherTests(SynchronousTestCase):
    """LogCatcher."""

    def test_it_catches_what_is_logged_inside_and_nothing_else(self) -> None:
        log.msg("before")
        with LogCatcher() as catcher:
            log.msg("one")
            log.msg("two", "words")
            log.msg(format="formatted %(n)d", n=3)
        log.msg("after")
        self.assertEqual(catcher.messages(), ["one", "two words", "formatted 3"])
        self.assertEqual([event["isError"] for event in catcher.logs], [0, 0, 0])
        self.assertEqual(catcher.errors, [])

    def test_it_stops_catching_when_the_block_fails(self) -> None:
        catcher = LogCatcher()
        with self.assertRaises(ZeroDivisionError), catcher:
            raise ZeroDivisionError
        log.msg("after")
        self.assertEqual(catcher.logs, [])

    def test_errors_are_apart_from_messages(self) -> None:
        with LogCatcher() as catcher:
            log.msg("fine")
            log.err(ValueError("broken"))
        self.flushLoggedErrors(ValueError)
        self.assertEqual(catcher.messages(), ["fine"])
        [error] = catcher.errors
        self.assertEqual(error["failure"].getErrorMessage(), "broken")
        self.assertEqual(len(catcher.logs), 2)

    def test_events_are_filtered(self) -> None:
        cases: list[tuple[dict[str, Any], list[str]]] = [
            ({}, ["a b", "b c", "c"]),
            ({"message": "b"}, ["a b", "b c"]),
            ({"message": "^b"}, ["b c"]),
            ({"system": "foo"}, ["b c", "c"]),
            ({"system": "^foo$"}, ["c"]),
            ({"log_level": logging.INFO}, ["a b"]),
            ({"log_level": logging.DEBUG}, []),
            ({"log_level": logging.WARNING, "message": "c", "system": "foo"}, ["b c"]),
        ]
        for filters, expected in cases:
            with LogCatcher(**filters) as catcher:
                log.msg("a b", logLevel=logging.INFO)
                log.msg("b c", system="foo,1", logLevel=logging.WARNING)
                log.msg("c", system="foo")
            self.assertEqual(catcher.messages(), expected, filters)

    def test_events_of_twisted_logger_are_caught_with_text_and_level(self) -> None:
        logger = Logger("some.where")
        with LogCatcher(message="^x is 1$", log_level=logging.WARNING) as catcher:
            logger.warn("x is {x}", x=1)
            logger.info("x is {x}", x=1)
            logger.warn("x is {x}", x=2)
        self.assertEqual(catcher.messages(), ["x is 1"])
        self.assertEqual(catcher.logs[0]["x"], 1)


class MatcherTests(SynchronousTestCase):
    """UTCNearNow and RegexMatcher."""

    def test_times_near_now_are_equal_whatever_their_zone(self) -> None:
        matcher = UTCNearNow()
        for seconds, is_near in [(0, True), (-9, True), (9, True), (-11, False), (11, False)]:
            aware = matcher.now + timedelta(seconds=seconds)
            for when in (
                aware,
                aware.astimezone(timezone(timedelta(hours=5))),
                aware.replace(tzinfo=None),
            ):
                self.assertEqual(when == matcher, is_near)
                self.assertEqual(matcher == when, is_near)
                self.assertEqual(matcher != when, not is_near)

    def test_the_offset_is_in_seconds(self) -> None:
        now = datetime.now(UTC)
        self.assertEqual(UTCNearNow(offset=3600), now - timedelta(minutes=59))
        self.assertNotEqual(UTCNearNow(offset=10), now - timedelta(minutes=59))

    def test_what_is_no_time_is_not_near_now(self) -> None:
        for value in (None, "now", 1714979300.12, datetime.now(UTC).date()):
            self.assertNotEqual(UTCNearNow(), value)

    def test_a_time_is_found_within_a_message(self) -> None:
        self.assertEqual({"t": UTCNearNow()}, {"t": datetime.now(UTC)})

    def test_texts_that_match_from_their_start_are_equal(self) -> None:
        matcher = RegexMatcher(r"[0-9]+x")
        for value, expected in [
            ("12x", True),
            ("12xyz", True),
            ("a12x", False),
            ("", False),
            (None, False),
            (b"12x", False),
            (12, False),
        ]:
            self.assertEqual(matcher == value, expected)
            self.assertEqual({"a": value} == {"a": matcher}, expected)

    def test_matchers_say_what_they_look_for(self) -> None:
        self.assertIn("[0-9]+x", repr(RegexMatcher(r"[0-9]+x")))
        self.assertIn("0:00:10", repr(UTCNearNow()))


class MockHttpServerTests(TestCase):
    """MockHttpServer, over a real socket."""

    async def start(self, handler: Callable[[Request], Any] | None = None) -> MockHttpServer:
        """A server that is stopped after the test."""
        server = MockHttpServer(handler)
        self.addCleanup(server.stop)
        await server.start()
        return server

    async def request(self, server: MockHttpServer, method: bytes, body: bytes = b"") -> bytes:
        """Ask the server; the response's body."""
        from twisted.internet import reactor

        assert server.url is not None
        url = server.url.encode("ascii") + b"path?a=1"
        response = await Agent(reactor).request(method, url, None, StringProducer(body))
        return await treq.content(response)

    async def test_a_handler_answers_gets_posts_and_puts(self) -> None:
        def handler(request: Request) -> bytes | str:
            assert request.content is not None
            body = b" ".join([request.method, request.uri, request.content.read()])
            return body if request.method == b"GET" else body.decode("ascii")

        server = await self.start(handler)
        for method in (b"GET", b"POST", b"PUT"):
            self.assertEqual(
                await self.request(server, method, b"body"), method + b" /path?a=1 body"
            )

    async def test_without_a_handler_requests_wait_on_the_queue(self) -> None:
        server = await self.start()
        answer = Deferred.fromCoroutine(self.request(server, b"GET"))
        request = await server.queue.get()
        self.assertEqual(request.args, {b"a": [b"1"]})
        self.assertNoResult(answer)
        request.write(b"answer")
        request.finish()
        self.assertEqual(await answer, b"answer")

    async def test_it_listens_on_loopback_only(self) -> None:
        server = await self.start()
        assert server.addr is not None
        self.assertEqual(server.addr.host, "127.0.0.1")
        self.assertEqual(server.url, f"http://127.0.0.1:{server.addr.port}/")

    async def test_stopping_drops_open_connections_and_the_port(self) -> None:
        from twisted.internet import reactor

        lost: Deferred[None] = Deferred()

        class Client(Protocol):
            """Sends a request that is never answered."""

            def connectionMade(self) -> None:
                assert self.transport is not None
                self.transport.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                lost.callback(None)

        server = await self.start(lambda request: NOT_DONE_YET)
        assert server.addr is not None
        endpoint = TCP4ClientEndpoint(reactor, server.addr.host, server.addr.port)
        await connectProtocol(endpoint, Client())
        await server.stop()
        await lost
        await server.stop()
        with self.assertRaises(ConnectionRefusedError):
            await connectProtocol(endpoint, Protocol())

    async def test_it_can_be_started_again(self) -> None:
        server = await self.start(lambda request: b"ok")
        await server.stop()
        await server.start()
        self.assertEqual(await self.request(server, b"GET"), b"ok")
