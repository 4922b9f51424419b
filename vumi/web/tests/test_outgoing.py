"""Tests of requests that are sent again, and of what is said about them."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from vumi.tests.fake_connection import FakeHttpServer, wait0
from vumi.tests.helpers import VumiTestCase
from vumi.tests.utils import LogCatcher
from vumi.web.outgoing import (
    HttpSender,
    Outcome,
    OutgoingRequest,
    RequestFailed,
    Retries,
    signature,
)
from vumi.web.tests.raw_server import RawServer, response

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

SECRET = "verysecret"
AT_ONCE = Retries(count=2, delay=0.0, max_delay=0.001)


# What is not of the network


def test_only_an_answer_that_is_no_helps_not_to_be_asked_again() -> None:
    retryable = {outcome.value for outcome in Outcome if outcome.retryable}
    assert retryable == {"unavailable", "timeout", "garbled"}


@given(
    st.floats(0.001, 1e6),
    st.floats(0.001, 1e6),
    st.integers(0, 1000),
    st.none() | st.floats(0, 1e9),
)
def test_a_wait_is_bounded(delay: float, max_delay: float, retry: int, wish: float | None) -> None:
    wait = Retries(5, delay, max_delay).wait_before(retry, wish)
    assert min(delay, max_delay) <= wait <= 2 * max_delay


def test_waits_double_and_a_wish_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.0)
    retries = Retries(5, 2.0, 30.0)
    assert [retries.wait_before(retry) for retry in range(6)] == [2, 4, 8, 16, 30, 30]
    assert retries.wait_before(0, wish=7) == 7
    assert retries.wait_before(0, wish=1) == 2
    assert retries.wait_before(0, wish=3600) == 30


def test_the_signature_is_the_hmac_of_the_bytes() -> None:
    digest = hmac.new("schlüssel".encode(), b"\x00body", hashlib.sha256).hexdigest()
    assert signature("schlüssel", b"\x00body") == f"sha256={digest}"


def test_a_request_shows_no_secret() -> None:
    request = OutgoingRequest(
        "POST", f"http://a/?api_key={SECRET}", headers={"Authorization": f"Basic {SECRET}"}
    )
    assert request.target == "POST http://a/?api_key=****"
    assert SECRET not in repr(request).replace(request.url, "")


# Over the network


class OutcomeTests(VumiTestCase):
    """Each way a request can end, and the words for it."""

    async def send(
        self, answers: list[bytes | None], close: bool = True, **kw: Any
    ) -> tuple[Any, RawServer]:
        """Send one request to a new server.

        :returns: The response's body or the error; and the server.
        """
        server = RawServer(answers, close)
        server.start()
        sender = HttpSender(reactor, response_limit=1000)
        request = OutgoingRequest("POST", f"{server.url}?api_key={SECRET}", b"{}", **kw)
        outcome: Any
        try:
            answer = await sender.send(request)
            outcome = answer.delivered_body
        except RequestFailed as error:
            outcome = error
        finally:
            await sender.close()
            await server.stop()
        return outcome, server

    async def test_a_status_from_200_to_299_is_accepted(self) -> None:
        for status in ("200 OK", "201 Created", "202 Accepted", "299 Odd"):
            outcome, _ = await self.send([response(b"hi", status)])
            assert outcome == b"hi"

    async def test_outcomes_and_their_words(self) -> None:
        for answer, outcome, words in (
            (response(status="404 x"), Outcome.REJECTED, "answered 404 Not Found"),
            (response(status="499 x"), Outcome.REJECTED, "answered 499"),
            (
                response(status="302 x", Location="http://evil/\x1b[2J?token=hidden123"),
                Outcome.REJECTED,
                r"answered 302 Found to 'http://evil/\x1b[2J?token=****': redirects are not",
            ),
            (response(status="304 x"), Outcome.REJECTED, "answered 304 Not Modified to ''"),
            (response(status="500 x"), Outcome.UNAVAILABLE, "answered 500 Internal Server Error"),
            (response(status="503 x"), Outcome.UNAVAILABLE, "answered 503 Service Unavailable"),
            (response(status="999 x"), Outcome.UNAVAILABLE, "answered 999"),
            (response(status="408 x"), Outcome.UNAVAILABLE, "answered 408 Request Timeout"),
            (response(status="425 x"), Outcome.UNAVAILABLE, "answered 425 Too Early"),
            (response(status="429 x"), Outcome.UNAVAILABLE, "answered 429 Too Many Requests"),
            (b"", Outcome.UNAVAILABLE, "did not answer: the connection was lost"),
            (response(b"abc")[:-1], Outcome.UNAVAILABLE, "did not answer: the connection was"),
            (b"SSH-2.0-x\r\n\r\n", Outcome.GARBLED, "gave an answer that is no HTTP (ParseError)"),
            (b"\x00\xff" * 50 + b"\r\n", Outcome.GARBLED, "gave an answer that is no HTTP"),
            (response(b"x" * 1001), Outcome.GARBLED, "gave an answer that is too big: more than"),
            (
                response(b"hello", Content_Encoding="gzip"),
                Outcome.GARBLED,
                "gave an answer that is damaged: the body can't be",
            ),
        ):
            error, _ = await self.send([answer])
            assert isinstance(error, RequestFailed), answer
            assert error.outcome is outcome, (answer, error)
            assert words in str(error)
            assert str(error).startswith("POST http://127.0.0.1:")
            assert SECRET not in f"{error}{error!r}"

    async def test_slow_is_told_with_the_seconds(self) -> None:
        for begun in (None, response(b"abc")[:-1]):
            error, _ = await self.send([begun], close=False, timeout=0.05)
            assert error.outcome is Outcome.TIMEOUT
            assert str(error).endswith("did not answer within 0.05 s")

    async def test_a_wish_to_wait_is_read_from_the_answer(self) -> None:
        for value, seconds in (
            ("7", 7.0),
            ("", None),
            ("soon", None),
            ("-1", None),
            ("1e9", None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ):
            error, _ = await self.send([response(status="503 x", Retry_After=value)])
            assert error.retry_after == seconds, value

    async def test_what_is_sent(self) -> None:
        _, server = await self.send([response()], headers={"X-A": "b"})
        [request] = server.requests
        head, _, body = request.partition(b"\r\n\r\n")
        assert body == b"{}"
        first, *lines = head.split(b"\r\n")
        assert first.endswith(f"/relay?api_key={SECRET} HTTP/1.1".encode())
        assert {b"X-A: b", b"Content-Length: 2"} <= set(lines)

    async def test_nobody_there_is_unavailable(self) -> None:
        server = RawServer()
        server.start()
        await server.stop()
        sender = HttpSender(reactor)
        for url, words in (
            (server.url, "Connection refused"),
            (server.url.replace("http:", "https:"), "Connection refused"),
            ("http://nobody.invalid/", "DNS lookup failed"),
        ):
            with self.assertRaises(RequestFailed) as caught:
                await sender.send(OutgoingRequest("POST", url))
            assert caught.exception.outcome is Outcome.UNAVAILABLE
            assert words in str(caught.exception)
        await sender.close()

    async def test_tls_where_there_is_none_is_unavailable(self) -> None:
        server = RawServer([b""], close=True)
        server.start()
        sender = HttpSender(reactor)
        url = server.url.replace("http:", "https:")
        with self.assertRaises(RequestFailed) as caught:
            sending = sender.send(OutgoingRequest("POST", url, timeout=1))
            while not server.connections:
                await wait0()
            [connection] = server.connections
            connection.transport.write(b"HTTP/1.1 400 That was TLS\r\n\r\n")
            await sending
        assert caught.exception.outcome is Outcome.UNAVAILABLE
        assert "could not be reached: " in str(caught.exception)
        await sender.close()
        await server.stop()


class RetryTests(VumiTestCase):
    """Sending again."""

    def setUp(self) -> None:
        self.server = RawServer()
        self.server.start()
        self.sender = HttpSender(reactor)
        self.add_cleanup(self.server.stop)
        self.add_cleanup(self.sender.close)

    def request(self, **kw: Any) -> OutgoingRequest:
        return OutgoingRequest("POST", self.server.url, b"{}", about="message 42", **kw)

    async def test_a_request_is_sent_again_until_it_is_accepted(self) -> None:
        self.server.answers = [b"junk\r\n\r\n", response(status="503 x"), response(b"at last")]
        with LogCatcher() as catcher:
            answer = await self.sender.send(self.request(), AT_ONCE)
        assert answer.delivered_body == b"at last"
        assert len(self.server.requests) == 3
        lines = [line for line in catcher.messages() if line.startswith("message 42: POST http")]
        assert [line.partition("; attempt ")[2] for line in lines] == [
            "1 of 3, the next one in 0.0 s",
            "2 of 3, the next one in 0.0 s",
        ]

    async def test_a_secret_that_does_not_look_like_one_was_in_the_log_and_in_the_error(
        self,
    ) -> None:
        for answers, words in (
            ([response(status="503 x")], "answered 503"),
            ([response(status="503 x"), response(status="302 x", Location=f"/{SECRET}")], "302"),
            ([b"junk\r\n\r\n"], "is no HTTP"),
        ):
            self.server.answers = list(answers)
            self.server.requests.clear()
            sender = HttpSender(reactor, scrub=lambda text: text.replace(SECRET, "****"))
            url = f"{self.server.url}/{SECRET}/send?pin={SECRET}"
            request = OutgoingRequest("GET", url, about=f"message {SECRET}")
            with LogCatcher() as catcher, self.assertRaises(RequestFailed) as caught:
                await sender.send(request, AT_ONCE)
            await sender.close()
            error = caught.exception
            assert "/****/send?pin=****" in error.target
            assert words in str(error)
            assert any("attempt 1 of 3" in line for line in catcher.messages())
            assert SECRET not in f"{error!r} {error} {error.args} {catcher.logs}"

    async def test_it_is_tried_no_more_often_than_asked_for(self) -> None:
        self.server.answers = [response(status="503 x")]
        for count in (0, 2):
            with self.assertRaises(RequestFailed) as caught:
                await self.sender.send(self.request(), Retries(count, 0.0, 0.001))
            error = caught.exception
            assert error.attempts == len(self.server.requests) == count + 1
            assert str(error).endswith("(3 attempts)") == (count == 2)
            self.server.requests.clear()

    async def test_a_refusal_is_final(self) -> None:
        self.server.answers = [response(status="403 x")]
        with self.assertRaises(RequestFailed) as caught:
            await self.sender.send(self.request(), AT_ONCE)
        assert caught.exception.attempts == len(self.server.requests) == 1

    async def test_a_server_that_comes_back_is_found(self) -> None:
        self.server.answers = [response(b"back")]
        await self.server.stop()
        clock = Clock()
        sender = HttpSender(reactor, clock)
        sending = sender.send(self.request(timeout=1000), Retries(3, 5.0))
        await self.advance_after_failure(clock, 5.0)
        await self.advance_after_failure(clock, 10.0, self.server.start)
        answer = await sending
        assert answer.delivered_body == b"back"
        await sender.close()

    async def advance_after_failure(
        self, clock: Clock, least: float, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        """Wait until an attempt has failed, see how long is waited, and let that go by."""
        while not (waits := [call for call in clock.getDelayedCalls() if call.getTime() < 999]):
            await wait0()
        [wait] = [call.getTime() - clock.seconds() for call in waits]
        assert least <= wait <= 2 * least
        meanwhile()
        clock.advance(wait)

    async def test_a_connection_is_used_again(self) -> None:
        self.server.close = False
        self.server.answers = [response(b"hi")]
        for _ in range(3):
            await self.sender.send(self.request())
        assert len(self.server.connections) == 1

    async def test_cancelling_ends_it_whatever_it_is_at(self) -> None:
        self.server.close = False
        for answer in (None, response(b"abc")[:-1], response(status="503 x")):
            self.server.answers = [answer]
            self.server.requests.clear()
            sending = self.sender.send(self.request(), Retries(3, 60.0))
            while not self.server.requests:
                await wait0()
            for _ in range(5):
                await wait0()
            sending.cancel()
            self.failureResultOf(sending, CancelledError)
            assert len(self.server.requests) == 1

    async def test_closing_gives_up_what_is_being_sent(self) -> None:
        self.server.answers = [None]
        self.server.close = False
        sending = self.sender.send(self.request(), AT_ONCE)
        while not self.server.requests:
            await wait0()
        closing = Deferred.fromCoroutine(self.sender.close())
        self.failureResultOf(sending, CancelledError)
        await closing

    async def test_the_agent_may_be_changed_at_any_time(self) -> None:
        self.server.answers = [response(b"socket")]
        fake_http = FakeHttpServer(lambda request: b"memory")
        for factory, body in ((None, b"socket"), (fake_http.get_agent, b"memory")):
            self.sender.agent_factory = factory
            answer = await self.sender.send(self.request())
            assert answer.delivered_body == body


class ReadingTests(VumiTestCase):
    """What is made of an answer decides too how a request has ended."""

    async def send(
        self, answers: list[bytes | None], read: Any, retries: Retries | None = None
    ) -> tuple[Any, int]:
        """Send a request; gives what was read or the error, and how many requests were made."""
        server = RawServer(answers)
        server.start()
        sender = HttpSender(reactor)
        request = OutgoingRequest("POST", f"{server.url}?api_key={SECRET}")
        outcome: Any
        try:
            outcome = await sender.send(request, retries, read)
        except RequestFailed as error:
            outcome = error
        finally:
            await sender.close()
            await server.stop()
        return outcome, len(server.requests)

    async def test_what_was_read_is_the_result(self) -> None:
        outcome, _ = await self.send([response(b"hi")], lambda answer: answer.delivered_body[:1])
        assert outcome == b"h"

    async def test_an_answer_that_says_later_is_asked_again(self) -> None:
        def read(answer: Any) -> bytes:
            if answer.delivered_body == b"busy":
                raise RequestFailed(Outcome.UNAVAILABLE, "is busy")
            body: bytes = answer.delivered_body
            return body

        answers: list[bytes | None] = [response(b"busy"), response(b"done")]
        assert await self.send(answers, read, AT_ONCE) == (b"done", 2)
        error, requests = await self.send([response(b"busy")] * 3, read, AT_ONCE)
        assert (error.attempts, requests) == (3, 3)
        assert error.status == 200
        assert error.response.delivered_body == b"busy"
        assert str(error).startswith("POST http://127.0.0.1:")
        assert SECRET not in str(error)

    async def test_an_answer_that_is_not_as_it_should_be_is_garbled(self) -> None:
        for body in (b"", b"[]", b'{"id": null}', b"\xff"):
            error, _ = await self.send(
                [response(body)], lambda answer: json.loads(answer.delivered_body)["id"] + ""
            )
            assert error.outcome is Outcome.GARBLED, body
            assert "gave an answer that can't be understood" in str(error)

    async def test_an_error_of_our_own_is_ours(self) -> None:
        def read(answer: Any) -> None:
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            await self.send([response()], read)

    async def test_a_refusal_that_means_later_is_asked_again(self) -> None:
        server = RawServer([response(b"busy", status="400 x"), response(b"no", status="400 x")])
        server.start()
        sender = HttpSender(reactor)
        request = OutgoingRequest(
            "GET", server.url, says_later=lambda answer: answer.delivered_body == b"busy"
        )
        with self.assertRaises(RequestFailed) as caught:
            await sender.send(request, AT_ONCE)
        await sender.close()
        await server.stop()
        error = caught.exception
        assert (error.outcome, error.attempts) == (Outcome.REJECTED, 2)
        assert error.response is not None
        assert error.response.delivered_body == b"no"

    async def test_only_the_wanted_ends_are_tried_again(self) -> None:
        retries = Retries(2, 0.0, 0.001, frozenset([Outcome.TIMEOUT]))
        error, requests = await self.send([response(status="503 x")] * 3, None, retries)
        assert (error.outcome, requests) == (Outcome.UNAVAILABLE, 1)
        assert error.response.code == 503
