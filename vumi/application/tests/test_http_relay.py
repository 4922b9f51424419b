"""Tests for the application that relays messages to a web service."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import subprocess
import sys
import tempfile
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.web.server import NOT_DONE_YET, Request

import vumi.application
from vumi.application import http_relay
from vumi.application.http_relay import HTTPRelayApplication, HTTPRelayConfig, HTTPRelayError
from vumi.application.tests.helpers import ApplicationHelper
from vumi.application.tests.web_service import WebService
from vumi.errors import ConfigError
from vumi.tests.fake_connection import FakeHttpServer, wait0
from vumi.tests.helpers import VumiTestCase
from vumi.tests.utils import LogCatcher
from vumi.utils import basic_auth_string
from vumi.web.outgoing import Outcome, RequestFailed
from vumi.web.tests.raw_server import RawServer, response

URL = "http://service.example/vumi"
QUICK = {"retries": 2, "retry_delay": 0.001, "retry_max_delay": 0.001}
REPLY = {"X-Vumi-HTTPRelay-Reply": "true"}


# Names and options


def test_the_old_name_is_the_same_object() -> None:
    assert vumi.application.HTTPRelayApplication is http_relay.HTTPRelayApplication
    assert "HTTPRelayApplication" in vumi.application.__all__
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = vumi.application.Nonsense  # type: ignore[attr-defined]  # that is the point


def test_importing_vumi_application_pulls_in_no_http_client() -> None:
    program = "import sys, vumi.application; print('treq' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_the_options_of_the_old_vumi_are_enough() -> None:
    config = HTTPRelayConfig({"transport_name": "t", "url": URL})
    assert config.url.geturl() == config.event_url.geturl() == URL
    assert (config.http_method, config.auth_method) == ("POST", "basic")
    assert (config.username, config.password) == ("", "")
    config = HTTPRelayConfig(
        {"transport_name": "t", "url": URL, "event_url": "https://other:8/", "http_method": "put"}
    )
    assert config.event_url.geturl() == "https://other:8/"
    assert config.http_method == "PUT"


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("url", "service.example", "is not a URL such as http://host:port/path."),
        ("url", "ftp://service.example/", "is not a URL such as"),
        ("url", "http:///path", "is not a URL such as"),
        ("url", "http://host:port/", "is not a URL such as"),
        ("url", "http://host:99999/", "is not a URL such as"),
        ("url", "http://host/a b", "is not a URL such as"),
        ("url", "http://host/a\r\nX-Evil: 1", "is not a URL such as"),
        ("url", "http://ann:secret@host/", "has a user name in it"),
        ("event_url", "http://ann@host/", "has a user name in it"),
        ("http_method", "POST\r\nX-Evil: 1", "is not an HTTP method"),
        ("http_method", "", "is not an HTTP method"),
        ("auth_method", "digest", "must be 'basic', there is no other: 'digest'."),
        ("timeout", 0, "must be more than 0."),
        ("timeout", ".nan", "could not be converted"),
        ("timeout", float("nan"), "must be more than 0."),
        ("retry_max_delay", float("inf"), "must be more than 0."),
        ("retries", -1, "must be a number from 0 up."),
        ("retry_delay", -1, "must be a number from 0 up."),
        ("response_limit", 0, "must be a number from 1 up."),
        ("signing_key", "", "must not be empty."),
    ],
)
def test_a_wrong_option_is_told_before_anything_starts(
    option: str, value: Any, problem: str
) -> None:
    config = {"transport_name": "t", "url": URL, option: value}
    with pytest.raises(ConfigError) as caught:
        HTTPRelayApplication.check_config(config)
    assert str(caught.value).startswith(f"Field '{option}' ")
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_way_to_log_in_that_is_unknown_has_its_own_error() -> None:
    worker = HTTPRelayApplication({}, {"transport_name": "t", "url": URL, "auth_method": "x"})
    with pytest.raises(HTTPRelayError):
        worker.validate_config()


# What is sent and what is replied


class PerUserLogin(HTTPRelayApplication):
    """Looks the password up by the user."""

    def get_config(self, msg: Any, ctxt: Any = None) -> Deferred[Any]:
        return succeed(self.CONFIG_CLASS({**self.config, "username": msg["from_addr"]}))


class RelayTests(VumiTestCase):
    """The relay and a service in memory."""

    def setUp(self) -> None:
        self.helper: Any = self.add_helper(ApplicationHelper(HTTPRelayApplication))
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.answer: Any = b""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.fake_http = FakeHttpServer(self.handle)

    def handle(self, request: Request) -> Any:
        self.requests.append(request)
        assert request.content is not None
        self.bodies.append(request.content.read())
        request.setResponseCode(self.status)
        for name, value in self.headers.items():
            request.setHeader(name, value)
        return self.answer

    async def start(self, config: dict[str, Any] | None = None, **kw: Any) -> Any:
        application = await self.helper.get_application({"url": URL, **QUICK, **(config or {})})
        # As tests for the old Vumi do: after the start.
        application.agent_factory = self.fake_http.get_agent
        return application

    def dead_letters(self, queue: str = "sphex.inbound.dead") -> list[Any]:
        return list(self.helper.worker_helper.broker.get_dispatched("vumi", queue))

    async def test_a_message_is_posted_as_json_and_its_answer_is_the_reply(self) -> None:
        self.headers = REPLY
        self.answer = " thanks \n"
        await self.start()
        message = await self.helper.make_dispatch_inbound("hi", session_event="resume")
        [request] = self.requests
        assert (request.method, request.uri) == (b"POST", URL.encode())
        assert request.getHeader("Content-Type") == "application/json; charset=utf-8"
        assert request.getHeader("Authorization") is None
        assert request.getHeader("X-Vumi-Signature") is None
        sent = json.loads(self.bodies[0])
        assert (sent["message_id"], sent["content"]) == (message["message_id"], "hi")
        [reply] = self.helper.get_dispatched_outbound()
        assert reply["content"] == "thanks"
        assert reply["in_reply_to"] == message["message_id"]
        assert reply["session_event"] is None

    async def test_which_answers_are_replies(self) -> None:
        await self.start()
        for headers, status, body, content in (
            ({}, 200, b"text", None),
            ({"X-Vumi-HTTPRelay-Reply": "false"}, 200, b"text", None),
            ({"X-Vumi-HTTPRelay-Reply": "yes"}, 200, b"text", None),
            (REPLY, 200, b"", None),
            (REPLY, 200, b" \r\n ", None),
            (REPLY, 204, b"", None),
            (REPLY, 201, b"text", "text"),
            ({"x-vumi-httprelay-reply": " TRUE "}, 200, b"text", "text"),
            (REPLY, 200, "Zürich".encode(), "Zürich"),
            (REPLY, 200, b"\xef\xbb\xbfwith a byte order mark", "with a byte order mark"),
            (
                {**REPLY, "Content-Type": "text/plain; charset=ISO-8859-1"},
                200,
                "Zürich".encode("latin-1"),
                "Zürich",
            ),
            # Looks like a header, and is a text.
            (REPLY, 200, b"a\r\nX-Evil: 1\r\n\r\nb", "a\r\nX-Evil: 1\r\n\r\nb"),
            (REPLY, 200, b"nul \x00 byte", "nul \x00 byte"),
        ):
            self.headers, self.status, self.answer = headers, status, body
            await self.helper.make_dispatch_inbound("hi")
            replies = [reply["content"] for reply in self.helper.get_dispatched_outbound()]
            assert replies == ([] if content is None else [content]), (headers, body)
            self.helper.clear_dispatched_outbound()
        assert self.dead_letters() == []

    async def test_a_reply_that_is_no_text_is_a_dead_letter_and_not_asked_for_again(self) -> None:
        await self.start()
        for content_type, words in (
            ("text/plain", "no text in 'utf-8'"),
            ("text/plain; charset=ascii", "no text in 'ascii'"),
            ("text/plain; charset=klingon", "no text in 'klingon'"),
            # A codec of Python's that gives no text.
            ("text/plain; charset=base64", "no text in 'base64'"),
        ):
            self.headers = {**REPLY, "Content-Type": content_type}
            self.answer = b"Z\xfcrich"
            await self.helper.make_dispatch_inbound("hi")
            [failure] = self.flushLoggedErrors(RequestFailed)
            assert words in str(failure.value)
        assert len(self.requests) == len(self.dead_letters()) == 4
        assert self.helper.get_dispatched_outbound() == []

    async def test_text_from_a_user_gets_into_no_header(self) -> None:
        await self.start()
        nasty = 'x\r\nX-Evil: 1\r\n\r\nPOST /evil HTTP/1.1\x00"'
        await self.helper.make_dispatch_inbound(nasty, from_addr="a\r\nX-Evil: 2")
        [request] = self.requests
        assert request.getHeader("X-Evil") is None
        assert json.loads(self.bodies[0])["content"] == nasty

    async def test_the_relay_logs_in_and_signs_if_told_to(self) -> None:
        await self.start({"username": "ann", "password": "sésame:x", "signing_key": "clé"})
        await self.helper.make_dispatch_inbound("Grüezi")
        [request] = self.requests
        assert request.getHeader("Authorization") == basic_auth_string("ann", "sésame:x")
        digest = hmac.new("clé".encode(), self.bodies[0], hashlib.sha256).hexdigest()
        assert request.getHeader("X-Vumi-Signature") == f"sha256={digest}"

    async def test_the_login_may_differ_from_message_to_message(self) -> None:
        application = await self.helper.get_application({"url": URL}, cls=PerUserLogin)
        application.agent_factory = self.fake_http.get_agent
        await self.helper.make_dispatch_inbound("hi", from_addr="jo")
        assert self.requests[0].getHeader("Authorization") == basic_auth_string("jo", "")

    async def test_which_messages_and_events_are_relayed_where(self) -> None:
        event_url = "http://service.example/events"
        sent = self.helper.make_outbound("out")
        for config, relayed in (
            ({}, {"new": URL, "resume": URL, "ack": URL, "delivery_report": URL}),
            (
                {"event_url": event_url, "relay_nack": True, "relay_close": True},
                {
                    "new": URL,
                    "resume": URL,
                    "close": URL,
                    "ack": event_url,
                    "nack": event_url,
                    "delivery_report": event_url,
                },
            ),
        ):
            self.requests.clear()
            self.bodies.clear()
            application = await self.start(config)
            for event in ("new", "resume", "close"):
                await self.helper.make_dispatch_inbound("hi", session_event=event)
            for event in ("ack", "nack", "delivery_report"):
                await getattr(self.helper, f"make_dispatch_{event}")(sent)
            got = {}
            for request, body in zip(self.requests, self.bodies, strict=True):
                message = json.loads(body)
                got[message.get("event_type") or message["session_event"]] = request.uri.decode()
            assert got == relayed
            await self.helper.cleanup_worker(application)

    async def test_neither_an_event_nor_the_end_of_a_session_is_replied_to(self) -> None:
        self.headers, self.answer = REPLY, b"text"
        await self.start({"relay_close": True, "relay_nack": True})
        await self.helper.make_dispatch_inbound(None, session_event="close")
        await self.helper.make_dispatch_ack(self.helper.make_outbound("out"))
        assert len(self.requests) == 2
        assert self.helper.get_dispatched_outbound() == []

    async def test_what_the_service_refuses_is_a_dead_letter_with_the_reason(self) -> None:
        self.status = 403
        await self.start({"password": "opensesame", "username": "ann"})
        message = await self.helper.make_dispatch_inbound("hi")
        await self.helper.make_dispatch_ack(self.helper.make_outbound("out"))
        failures = self.flushLoggedErrors(RequestFailed)
        assert [failure.value.outcome for failure in failures] == [Outcome.REJECTED] * 2
        assert len(self.requests) == 2
        [dead] = self.dead_letters()
        assert json.loads(dead.body)["message_id"] == message["message_id"]
        error = dead.properties["headers"]["x-vumi-error"]
        assert error == f"RequestFailed: POST {URL} answered 403 Forbidden"
        assert len(self.dead_letters("sphex.event.dead")) == 1
        # The next one is taken.
        self.status = 200
        await self.helper.make_dispatch_inbound("hi")
        assert len(self.requests) == 3

    async def test_what_fails_is_sent_again_and_then_a_dead_letter(self) -> None:
        self.status = 503
        await self.start({"url": f"{URL}?token=opensesame"})
        with LogCatcher() as catcher:
            message = await self.helper.make_dispatch_inbound("hi")
        assert len(self.requests) == 3
        [failure] = self.flushLoggedErrors(RequestFailed)
        assert str(failure.value) == (
            f"POST {URL}?token=**** answered 503 Service Unavailable (3 attempts)"
        )
        [dead] = self.dead_letters()
        lines = catcher.messages()
        assert sum(f"message {message['message_id']}: POST {URL}" in line for line in lines) == 2
        assert "opensesame" not in "".join(lines) + str(dead.properties)

    async def test_a_password_in_a_query_by_another_name_was_in_the_log(self) -> None:
        self.status = 503
        login = {"username": "ann", "password": "open-sesame-1"}
        await self.start({"url": f"{URL}?c=open-sesame-1", **login})
        with LogCatcher() as catcher:
            await self.helper.make_dispatch_inbound("hi")
        [failure] = self.flushLoggedErrors(RequestFailed)
        [dead] = self.dead_letters()
        told = f"{failure.value!r} {failure.value} {catcher.messages()} {dead.properties}"
        assert "?c=****" in told
        assert "open-sesame-1" not in told

    async def test_no_more_messages_are_with_the_service_than_are_handled_at_a_time(self) -> None:
        self.answer = NOT_DONE_YET
        await self.start({"worker_concurrency": 3, "timeout": 5})
        for number in range(10):
            message = self.helper.make_inbound("hi", from_addr=f"+{number}")
            self.helper.worker_helper.broker.publish_message("vumi", "sphex.inbound", message)
        while len(self.requests) < 3:
            await wait0()
        for _ in range(20):
            await wait0()
        assert len(self.requests) == 3
        answered = 0
        while answered < 10:
            for request in self.requests[answered:]:
                request.finish()
                answered += 1
            await wait0()
        await self.helper.kick_delivery()
        assert self.dead_letters() == []

    async def test_messages_of_one_user_are_relayed_one_after_another(self) -> None:
        self.answer = NOT_DONE_YET
        await self.start()
        for text in ("one", "two"):
            message = self.helper.make_inbound(text)
            self.helper.worker_helper.broker.publish_message("vumi", "sphex.inbound", message)
        for text in ("one", "two"):
            while not self.requests:
                await wait0()
            for _ in range(10):
                await wait0()
            assert [json.loads(body)["content"] for body in self.bodies] == [text]
            self.bodies.clear()
            self.requests.pop().finish()
        await self.helper.kick_delivery()


# Over sockets


class SocketTests(VumiTestCase):
    """A service that answers anything but what it should."""

    timeout = 30

    def setUp(self) -> None:
        self.helper: Any = self.add_helper(ApplicationHelper(HTTPRelayApplication))
        self.server = RawServer()
        self.server.start()
        self.add_cleanup(self.server.stop)

    async def start(self, **config: Any) -> None:
        full = {"url": self.server.url, **QUICK, "timeout": 0.3, "response_limit": 1000, **config}
        await self.helper.get_application(full)

    async def test_garbage_is_asked_about_again_then_told_and_the_next_message_is_taken(
        self,
    ) -> None:
        await self.start()
        good = response(b"fine", X_Vumi_HTTPRelay_Reply="true")
        for garbage, close, requests, words in (
            (b"SSH-2.0-OpenSSH\r\n\r\n", False, 3, "no HTTP"),
            (b"", True, 3, "the connection was lost"),
            (response(b"short")[:-1], True, 3, "the connection was lost"),
            (response(b"x" * 2000), False, 3, "too big"),
            (response(b"x", status="500 x"), False, 3, "answered 500"),
            (response(b"hello", Content_Encoding="gzip"), False, 3, "damaged"),
            (None, False, 3, "did not answer within 0.3 s"),
            (response(b"abc")[:-1], False, 3, "did not answer within 0.3 s"),
            (response(status="302 x", Location="http://evil/"), False, 1, "to 'http://evil/'"),
            (response(status="308 x", Location="/other"), False, 1, "redirects are not followed"),
        ):
            self.server.answers, self.server.close = [garbage], close
            await self.helper.make_dispatch_inbound("hi")
            [failure] = self.flushLoggedErrors(RequestFailed)
            assert words in str(failure.value), (garbage, failure.value)
            assert self.server.url in str(failure.value)
            assert len(self.server.requests) == requests
            self.server.answers, self.server.close = [good], False
            await self.helper.make_dispatch_inbound("hi")
            [reply] = self.helper.get_dispatched_outbound()
            assert reply["content"] == "fine"
            self.helper.clear_dispatched_outbound()
            self.server.requests.clear()

    async def test_stopping_closes_the_connections_to_the_service(self) -> None:
        self.server.answers = [response()]
        await self.start()
        await self.helper.make_dispatch_inbound("hi")
        assert len(self.server.connections) == 1
        await self.helper.worker_helper.cleanup()
        await self.server.gone.get()
        assert not self.server.connections


@pytest.mark.integration
class ProcessTests(VumiTestCase):
    """A service in a process of its own that dies, hangs and comes back."""

    timeout = 60

    def setUp(self) -> None:
        self.helper: Any = self.add_helper(ApplicationHelper(HTTPRelayApplication))
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.service = WebService(folder)
        self.service.start()
        self.addCleanup(self.service.stop)

    async def start(self, **config: Any) -> None:
        rule = {"retries": 100, "retry_delay": 0.05, "retry_max_delay": 0.05, "timeout": 0.5}
        await self.helper.get_application({"url": self.service.url, **rule, **config})

    def send(self, *texts: str) -> None:
        for text in texts:
            message = self.helper.make_inbound(text, message_id=text, from_addr=f"+{text}")
            self.helper.worker_helper.broker.publish_message("vumi", "sphex.inbound", message)

    async def replies(self, amount: int) -> set[str]:
        replies = await self.helper.wait_for_dispatched_outbound(amount)
        assert len(replies) == amount
        return {reply["content"] for reply in replies}

    async def wait_for_retry(self, words: str) -> None:
        """Wait until the log tells of an attempt that failed."""
        with LogCatcher(message=words) as catcher:
            while not catcher.logs:
                await wait0()

    async def test_messages_are_answered_when_a_killed_service_is_back(self) -> None:
        await self.start()
        self.send("before")
        assert await self.replies(1) == {"BEFORE"}
        self.service.kill()
        self.send("one", "two", "three")
        await self.wait_for_retry("could not be reached: Connection was refused")
        self.service.start()
        assert await self.replies(4) == {"BEFORE", "ONE", "TWO", "THREE"}
        await self.helper.kick_delivery()
        assert sorted(self.service.seen()) == ["before", "one", "three", "two"]

    async def test_messages_are_answered_when_a_frozen_service_goes_on(self) -> None:
        await self.start()
        self.service.pause()
        self.send("one", "two")
        await self.wait_for_retry("did not answer within 0.5 s")
        self.service.resume()
        assert await self.replies(2) == {"ONE", "TWO"}
        await self.helper.kick_delivery()
        # A request that nobody answered may have been taken all the same.
        assert set(self.service.seen()) == {"one", "two"}

    async def test_what_a_dead_service_did_not_get_is_kept_and_the_relay_lives(self) -> None:
        await self.start(retries=2)
        self.service.kill()
        self.send("lost")
        await self.helper.kick_delivery()
        [failure] = self.flushLoggedErrors(RequestFailed)
        assert "could not be reached" in str(failure.value)
        assert "(3 attempts)" in str(failure.value)
        broker = self.helper.worker_helper.broker
        [dead] = broker.get_dispatched("vumi", "sphex.inbound.dead")
        assert json.loads(dead.body)["message_id"] == "lost"
        self.service.start()
        self.send("next")
        assert await self.replies(1) == {"NEXT"}
