"""Tests of one HTTP request going out."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, PrivateCertificate
from twisted.internet.task import Clock
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    ResponseFailed,
)
from twisted.web.http_headers import Headers
from twisted.web.server import NOT_DONE_YET, Request

from vumi import utils
from vumi.tests.certificates import make_test_certificates
from vumi.tests.fake_connection import FakeHttpServer, wait0
from vumi.tests.helpers import VumiTestCase
from vumi.utils import HttpDataLimitError, HttpTimeoutError
from vumi.web import client
from vumi.web.bodies import BodyError
from vumi.web.client import HttpResponse, fetch, http_request, http_request_full
from vumi.web.tests.raw_server import RawServer, response

if TYPE_CHECKING:
    from twisted.python.failure import Failure

URL = "http://service.example/path?x=1"


def test_the_old_names_are_the_same_objects() -> None:
    for name in ("http_request", "http_request_full", "old_http_request_full"):
        assert getattr(utils, name) is getattr(client, name)
        assert name in utils.__all__


@given(st.lists(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]))))
def test_whatever_the_type_of_a_body_is_there_is_an_encoding_or_none(values: list[str]) -> None:
    for begin in ("", "text/plain; charset=", "text/plain; charset*=utf-8''"):
        headers = Headers({"Content-Type": [begin + value for value in values]})
        charset = HttpResponse(200, b"OK", headers, b"").charset
        assert charset is None or isinstance(charset, str)


class InMemoryTests(VumiTestCase):
    """Requests and responses, without a socket."""

    def setUp(self) -> None:
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.fake_http = FakeHttpServer(self.handle)
        self.answer: Any = b"Yay"
        self.status = 200
        self.headers: dict[str, str] = {}

    def handle(self, request: Request) -> Any:
        self.requests.append(request)
        assert request.content is not None
        self.bodies.append(request.content.read())
        request.setResponseCode(self.status)
        for name, value in self.headers.items():
            request.setHeader(name, value)
        return self.answer

    def request(self, url: str, data: Any = None, **kw: Any) -> Deferred[Any]:
        return http_request_full(url, data, agent_class=self.fake_http.get_agent, **kw)

    async def test_a_response_has_code_headers_and_body(self) -> None:
        self.status = 404
        self.headers = {"X-Why": "gone"}
        answer = await self.request(URL, b"data")
        assert (answer.code, answer.phrase) == (404, b"Not Found")
        assert answer.headers.getRawHeaders("x-why") == ["gone"]
        assert answer.delivered_body == b"Yay"
        [request] = self.requests
        assert request.method == b"POST"
        assert request.uri == URL.encode()
        assert self.bodies == [b"data"]

    async def test_what_may_be_sent(self) -> None:
        for data, sent in (
            (None, b""),
            (b"", b""),
            (b"\xff\x00", b"\xff\x00"),
            ("Zürich", "Zürich".encode()),
            ({"a": "b c"}, b"a=b+c"),
        ):
            await self.request(URL, data)
            assert self.bodies.pop() == sent

    async def test_headers_may_be_texts_lists_or_headers(self) -> None:
        for headers in ({"X-A": "1"}, {"X-A": ["1"]}, Headers({"X-A": ["1"]})):
            await self.request(URL, headers=headers)
            assert self.requests[-1].getHeader("X-A") == "1"
        await self.request(URL, headers={"X-A": ["1", "2"]})
        assert self.requests[-1].requestHeaders.getRawHeaders("X-A") == ["1", "2"]

    async def test_the_method_is_post_unless_said_otherwise(self) -> None:
        for method in ("GET", "PUT"):
            await self.request(URL, method=method)
            assert self.requests[-1].method == method.encode()

    async def test_http_request_gives_the_body_whatever_the_status(self) -> None:
        self.status = 500
        body = await http_request(URL, "data", agent_class=self.fake_http.get_agent)
        assert body == b"Yay"

    async def test_an_agent_is_made_with_a_pool_and_only_if_given_with_a_context_factory(
        self,
    ) -> None:
        made: list[dict[str, Any]] = []

        def agent_class(reactor: Any, **kw: Any) -> Any:
            made.append(kw)
            return self.fake_http.get_agent(reactor, **kw)

        context_factory = object()
        await http_request_full(URL, agent_class=agent_class)
        await http_request_full(URL, agent_class=agent_class, context_factory=context_factory)
        assert [set(kw) for kw in made] == [{"pool"}, {"pool", "contextFactory"}]
        assert made[1]["contextFactory"] is context_factory

    async def test_a_redirect_is_followed_for_get_and_an_error_for_post(self) -> None:
        def handle(request: Request) -> bytes:
            if request.uri.endswith(b"/there"):
                return b"here"
            request.redirect(b"http://service.example/there")
            return b""

        self.fake_http = FakeHttpServer(handle)
        answer = await self.request(URL, method="GET")
        assert answer.delivered_body == b"here"
        with self.assertRaises(ResponseFailed):
            await self.request(URL)

    async def test_a_cookie_that_one_answer_sets_is_not_sent_with_the_next_request(self) -> None:
        self.headers = {"Set-Cookie": "who=ann"}
        agent = self.fake_http.get_agent()
        for _ in range(2):
            await fetch(agent, Clock(), "POST", "http://service.example/")
        assert [request.getHeader("Cookie") for request in self.requests] == [None, None]

    async def test_the_methods_of_treqs_responses_are_there(self) -> None:
        self.answer = '{"where": "Zürich"}'.encode()
        answer = await self.request(URL)
        assert await answer.content() == self.answer
        assert await answer.json() == {"where": "Zürich"}
        assert await answer.text("utf-8") == '{"where": "Zürich"}'
        assert answer.charset is None
        self.headers = {"Content-Type": 'text/plain; charset="ISO-8859-1"'}
        self.answer = "Zürich".encode("latin-1")
        answer = await self.request(URL)
        assert answer.charset == "iso-8859-1"
        assert await answer.text("utf-8") == "Zürich"

    async def test_too_slow_is_an_error_before_and_after_the_head_of_the_answer(self) -> None:
        def handle(request: Request) -> int:
            if request.uri.endswith(b"begin"):
                request.write(b"some")
            return NOT_DONE_YET

        for path, words in (("", "Timeout while connecting"), ("begin", "receiving data")):
            fake_http = FakeHttpServer(handle)
            clock = Clock()
            asked = Deferred.fromCoroutine(
                fetch(fake_http.get_agent(), clock, "POST", f"http://a/{path}", timeout=10)
            )
            connection = await fake_http.fake_server.await_connection()
            await fake_http_has_answered(connection)
            clock.advance(9)
            self.assertNoResult(asked)
            clock.advance(1)
            failure = self.failureResultOf(asked, HttpTimeoutError)
            assert words in str(failure.value)
            await connection.await_finished()

    async def test_cancelling_cuts_the_connection(self) -> None:
        self.answer = NOT_DONE_YET
        asked = self.request(URL)
        connection = await self.fake_http.fake_server.await_connection()
        await fake_http_has_answered(connection)
        asked.cancel()
        self.failureResultOf(asked)
        await connection.await_finished()


async def fake_http_has_answered(connection: Any) -> None:
    """Let the bytes of a request and of its answer, as far as there is one, travel."""
    await connection.await_connected()
    for _ in range(4):
        await wait0()


ZIPPED = gzip.compress(b"hello" * 1000)


class SocketTests(VumiTestCase):
    """Answers of all sorts, over a socket."""

    LIMIT = 10_000

    async def ask(self, answer: bytes, close: bool = False) -> Any:
        server = RawServer([answer], close)
        server.start()
        pool = HTTPConnectionPool(reactor, persistent=False)
        try:
            agent = Agent(reactor, pool=pool)
            return await fetch(agent, reactor, "POST", server.url, data_limit=self.LIMIT)
        finally:
            await server.stop()

    async def test_bodies_that_are_whole(self) -> None:
        for answer, close, body in (
            (response(b"hello"), False, b"hello"),
            (response(b"hello"), True, b"hello"),
            (response(b"hello", length=False), True, b"hello"),
            (response(status="204 No Content", length=False), False, b""),
            (response(), False, b""),
            (response(b"x" * self.LIMIT), False, b"x" * self.LIMIT),
            (
                response(b"5\r\nhello\r\n0\r\n\r\n", length=False, Transfer_Encoding="chunked"),
                False,
                b"hello",
            ),
            (response(ZIPPED, Content_Encoding="gzip"), False, b"hello" * 1000),
            (response(ZIPPED, Content_Encoding=" GZip"), False, b"hello" * 1000),
            (response(Content_Encoding="gzip"), False, b""),
            # Nobody asked for that encoding: it is taken as it is.
            (response(b"\x8b\x02", Content_Encoding="br"), False, b"\x8b\x02"),
        ):
            got = await self.ask(answer, close)
            assert got.delivered_body == body, answer

    async def test_bodies_that_are_not_are_errors(self) -> None:
        bomb = gzip.compress(b"\0" * 10_000_000)
        for answer, error, words in (
            (response(b"x" * (self.LIMIT + 1)), HttpDataLimitError, "More than 10000 bytes"),
            (response(b"x" * 1_000_000, length=False), HttpDataLimitError, "More than 10000"),
            (response(bomb, Content_Encoding="gzip"), HttpDataLimitError, "More than 10000"),
            (response(b"hello", Content_Encoding="gzip"), BodyError, "can't be decompressed"),
            (response(ZIPPED[:-9], Content_Encoding="gzip"), BodyError, "is missing"),
            (response(b"hello" * 9)[:-1], ResponseFailed, ""),
        ):
            with self.assertRaises(error) as caught:
                await self.ask(answer, close=True)
            assert words in str(caught.exception)

    async def test_a_server_that_sends_too_much_is_hung_up_on(self) -> None:
        server = RawServer([response(b"x" * 1_000_000, length=False)])
        server.start()
        with self.assertRaises(HttpDataLimitError):
            await http_request_full(server.url, data_limit=10)
        await server.gone.get()
        await server.stop()


class SilentServer(Protocol):
    """Begins to answer, and then neither reads nor writes."""

    transport: Any
    factory: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(response(b"abc")[:-1])
        self.transport.pauseProducing()
        self.factory.server = self

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.lost.callback(reason)


class TLSTests(VumiTestCase):
    """A server that hangs, over TLS, where a polite goodbye needs an answer."""

    async def test_the_connection_to_a_server_that_hangs_is_cut(self) -> None:
        folder = self.mktemp()
        files = make_test_certificates(folder)
        factory: Any = Factory.forProtocol(SilentServer)
        factory.lost = Deferred()
        certificate = PrivateCertificate.loadPEM(
            Path(files.server_certificate).read_bytes() + Path(files.server_key).read_bytes()
        )
        any_reactor: Any = reactor
        port = any_reactor.listenSSL(0, factory, certificate.options(), interface="127.0.0.1")
        trusted = Certificate.loadPEM(Path(files.ca_certificate).read_bytes())
        url = f"https://localhost:{port.getHost().port}/"
        policy = BrowserLikePolicyForHTTPS(trusted)
        with self.assertRaises(HttpTimeoutError):
            await http_request_full(url, timeout=1, context_factory=policy)
        await port.stopListening()
        factory.server.transport.resumeProducing()
        with self.assertRaises(ConnectionLost):
            await factory.lost
