"""Tests for the application between vumi and a RapidSMS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError

from vumi.application import rapidsms_relay, rapidsms_web
from vumi.application.rapidsms_relay import RapidSMSRelay, RapidSMSRelayConfig
from vumi.application.rapidsms_web import BadRequestError, parse_request
from vumi.application.tests.helpers import ApplicationHelper
from vumi.errors import ConfigError, StoreUnavailable
from vumi.message import TransportUserMessage
from vumi.tests.fake_connection import FakeHttpServer
from vumi.tests.helpers import VumiTestCase
from vumi.tests.utils import LogCatcher
from vumi.utils import basic_auth_string, http_request_full
from vumi.web.outgoing import RequestFailed

if TYPE_CHECKING:
    from twisted.web.server import Request

URL = "http://rapidsms.example/vumi"
BASE = {
    "web_path": "/send/",
    "web_host": "127.0.0.1",
    "web_port": 0,
    "rapidsms_url": URL,
    "retries": 1,
    "retry_delay": 0.001,
    "retry_max_delay": 0.001,
}
LOGIN = {"vumi_username": "rapid", "vumi_password": "sésame"}


# Names, options, requests


def test_the_old_names_are_there() -> None:
    for name in (
        "BadRequestError",
        "HealthResource",
        "RapidSMSRelayAccessChecker",
        "RapidSMSRelayRealm",
        "SendResource",
    ):
        assert getattr(rapidsms_relay, name) is getattr(rapidsms_web, name)
        assert name in rapidsms_relay.__all__
    assert RapidSMSRelay.agent_factory is None


def test_the_options_of_the_old_vumi_are_enough() -> None:
    config = RapidSMSRelayConfig({"transport_name": "t", "web_path": "send", "web_port": 8080})
    assert config.allowed_endpoints == ["default"]
    assert config.allow_replies is True
    assert config.vumi_reply_timeout == 600
    assert config.rapidsms_http_method == "POST"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"web_path": None, "web_port": None}, "web_path"),
        ({"rapidsms_url": "rapidsms"}, "Field 'rapidsms_url' is not a URL"),
        ({"rapidsms_auth_method": "digest"}, "'rapidsms_auth_method' must be 'basic'"),
        ({"vumi_auth_method": "digest"}, "'vumi_auth_method' must be 'basic'"),
        ({"vumi_username": "ann"}, "must be given both or not at all"),
        ({"vumi_password": "opensesame"}, "must be given both or not at all"),
        ({"vumi_reply_timeout": 0}, "'vumi_reply_timeout' must be at least 1"),
        ({"web_path": "/health/"}, "'web_path' must not be below 'health'"),
        ({"web_path": "health/send"}, "'web_path' must not be below 'health'"),
        ({"body_limit": 0}, "'body_limit' must be at least 1"),
        ({"redis_manager": {"port": "x"}}, "port"),
        ({"timeout": 0}, "'timeout' must be more than 0"),
    ],
)
def test_a_wrong_option_is_told_before_anything_starts(
    options: dict[str, Any], problem: str
) -> None:
    config = {"transport_name": "t", **BASE, **options}
    config = {name: value for name, value in config.items() if value is not None}
    with pytest.raises(ConfigError) as caught:
        RapidSMSRelay.check_config(config)
    assert problem in str(caught.value)
    assert "opensesame" not in str(caught.value)


GOOD: dict[str, Any] = {"content": "hi", "to_addr": ["+1"]}
BAD_REQUESTS: list[tuple[bytes, str]] = [
    (b"", "The body is not JSON: "),
    (b"{", "The body is not JSON: "),
    (b"\xff\xfe\xfd", "The body is not JSON: "),
    (b"[" * 100_000, "The body is not JSON"),
    (b"[]", "The body is not a JSON object."),
    (b"null", "The body is not a JSON object."),
    (b"{}", "Field `content` is missing."),
    (b'{"content": "hi"}', "Field `to_addr` is missing."),
    *(
        (json.dumps({**GOOD, **fields}).encode(), words)
        for fields, words in (
            ({"to_addr": "+1"}, "Field `to_addr` must be a list of texts."),
            ({"to_addr": [1]}, "Field `to_addr` must be a list of texts."),
            ({"to_addr": None}, "Field `to_addr` must be a list of texts."),
            ({"content": None}, "Field `content` must be a text."),
            ({"content": 5}, "Field `content` must be a text."),
            ({"in_reply_to": {}}, "Field `in_reply_to` must be a text."),
            ({"endpoint": 5}, "Field `endpoint` must be a text."),
        )
    ),
]


@pytest.mark.parametrize(("body", "words"), BAD_REQUESTS)
def test_a_request_that_is_none_is_told_so(body: bytes, words: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_request(body)
    assert str(caught.value).startswith(words)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(list(GOOD)), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_is_posted_is_a_request_or_refused(body: bytes) -> None:
    try:
        data = parse_request(body)
    except BadRequestError:
        return
    assert isinstance(data["content"], str)
    assert all(isinstance(addr, str) for addr in data["to_addr"])


# The relay


class PerUserRelay(RapidSMSRelay):
    """Has a password and endpoints for each user."""

    USERS = {"ann": ("annspass", ["sms"]), "bob": ("bobspass", ["default"])}  # noqa: RUF012 (never changed)

    def get_config(self, msg: Any, ctxt: Any = None) -> Deferred[Any]:
        username = None if ctxt is None else ctxt.username
        password, endpoints = self.USERS.get(username or "", ("nobody's", []))
        login = {"vumi_username": username or "nobody", "vumi_password": password}
        return succeed(self.CONFIG_CLASS({**self.config, **login, "allowed_endpoints": endpoints}))


class FussyRelay(RapidSMSRelay):
    """Fails for some addresses."""

    def send_rapidsms_nonreply(
        self, to_addr: str, content: str, config: Any, endpoint: str | None
    ) -> Any:
        if to_addr == "+666":
            raise ValueError("not that one")
        if to_addr == "+667":
            return fail(ValueError("nor that"))
        return super().send_rapidsms_nonreply(to_addr, content, config, endpoint)


class RelayTestCase(VumiTestCase):
    """A relay, and a RapidSMS in memory."""

    def setUp(self) -> None:
        self.helper: Any = self.add_helper(ApplicationHelper(RapidSMSRelay))
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.status = 200
        self.fake_http = FakeHttpServer(self.handle)

    def handle(self, request: Request) -> bytes:
        self.requests.append(request)
        assert request.content is not None
        self.bodies.append(request.content.read())
        request.setResponseCode(self.status)
        return b""

    async def start(self, cls: Any = None, **config: Any) -> Any:
        # As tests for the old Vumi do: after the start.
        self.relay = await self.helper.get_application({**BASE, **config}, cls=cls)
        self.relay.agent_factory = self.fake_http.get_agent
        return self.relay

    async def post(
        self,
        body: Any,
        path: str = "send",
        method: str = "POST",
        login: tuple[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        port = self.relay.web_resource.getHost().port
        headers = dict(headers or {})
        if login is not None:
            headers["Authorization"] = basic_auth_string(*login)
        data = body if isinstance(body, bytes) else json.dumps(body)
        return await http_request_full(
            f"http://127.0.0.1:{port}/{path}", data, headers, method, timeout=5
        )

    def dispatched(self) -> list[tuple[Any, ...]]:
        return [
            (message["to_addr"], message["content"], message.get_routing_endpoint())
            for message in self.helper.get_dispatched_outbound()
        ]


class FromRapidSMSTests(RelayTestCase):
    """What RapidSMS posts."""

    async def test_a_message_goes_to_each_address_and_is_told(self) -> None:
        await self.start()
        for method in ("POST", "PUT", "GET"):
            answer = await self.post({"content": "Zürich", "to_addr": ["+1", "+2"]}, method=method)
            assert answer.code == 200
            assert answer.headers.getRawHeaders("Content-Type") == [
                "application/json; charset=utf-8"
            ]
            sent = self.helper.get_dispatched_outbound()
            assert self.dispatched() == [
                ("+1", "Zürich", "default"),
                ("+2", "Zürich", "default"),
            ]
            assert [message["in_reply_to"] for message in sent] == [None, None]
            told = await answer.json()
            assert [message["message_id"] for message in told] == [
                message["message_id"] for message in sent
            ]
            assert told[0]["to_addr"] == "+1"
            self.helper.clear_dispatched_outbound()

    async def test_no_address_is_no_message(self) -> None:
        await self.start()
        answer = await self.post({"content": "hi", "to_addr": []})
        assert (answer.code, answer.delivered_body) == (200, b"[]")
        assert self.dispatched() == []

    async def test_many_addresses_are_sent_to_in_order(self) -> None:
        await self.start()
        to_addrs = [f"+{number}" for number in range(250)]
        answer = await self.post({"content": "hi", "to_addr": to_addrs})
        assert [message["to_addr"] for message in await answer.json()] == to_addrs
        assert [to_addr for to_addr, _, _ in self.dispatched()] == to_addrs

    async def test_endpoints_must_be_allowed(self) -> None:
        await self.start(allowed_endpoints=["sms"], send_to={"sms": {"transport_name": "gw"}})
        for endpoint, code in (("sms", 200), ("other", 400), (None, 400), ("default", 400)):
            answer = await self.post({**GOOD, "endpoint": endpoint})
            assert answer.code == code, endpoint
        assert self.dispatched() == [("+1", "hi", "sms")]
        assert self.helper.get_dispatched_outbound()[0]["transport_name"] == "gw"

    async def test_a_user_mistake_is_400_with_words_and_sends_nothing(self) -> None:
        await self.start()
        for body, words in BAD_REQUESTS:
            answer = await self.post(body)
            assert answer.code == 400, body
            assert answer.delivered_body.decode().startswith(words)
            assert answer.headers.getRawHeaders("Content-Type") == ["text/plain; charset=utf-8"]
        assert self.dispatched() == []

    async def test_a_method_that_is_none_of_those_is_405(self) -> None:
        await self.start()
        for method in ("DELETE", "HEAD", "OPTIONS"):
            answer = await self.post(GOOD, method=method)
            assert answer.code == 405
            assert answer.headers.getRawHeaders("Allow") == ["GET, POST, PUT"]
        assert self.dispatched() == []

    async def test_a_body_that_is_too_big_is_413(self) -> None:
        await self.start(body_limit=1000)
        for size, code in ((900, 200), (1100, 413), (3_000_000, 413)):
            answer = await self.post({"content": "x" * size, "to_addr": []})
            assert answer.code == code

    async def test_one_message_that_fails_leaves_the_others_alone(self) -> None:
        await self.start(cls=FussyRelay)
        answer = await self.post({"content": "hi", "to_addr": ["+1", "+666", "+667", "+2"]})
        assert [message["to_addr"] for message in await answer.json()] == ["+1", "+2"]
        assert [to_addr for to_addr, _, _ in self.dispatched()] == ["+1", "+2"]
        assert len(self.flushLoggedErrors(ValueError)) == 2

    async def test_nothing_is_taken_while_nothing_can_be_published(self) -> None:
        relay = await self.start()
        relay.broker.connected = False
        answer = await self.post(GOOD)
        assert answer.code == 503
        assert answer.headers.getRawHeaders("Retry-After") == ["5"]
        # That is a matter of the broker, not of the process.
        health = await self.post(b"", "health", "GET")
        assert (health.code, health.delivered_body) == (200, b"OK")
        relay.broker.connected = True
        answer = await self.post(GOOD)
        assert answer.code == 200

    async def test_a_health_check_is_not_logged(self) -> None:
        await self.start()
        with LogCatcher(message="GET /") as catcher:
            await self.post(b"", "health", "GET")
        assert catcher.logs == []

    async def test_what_goes_wrong_inside_is_500_and_logged(self) -> None:
        relay = await self.start()
        relay.handle_raw_outbound_message = lambda request: fail(ValueError("secret"))
        answer = await self.post(GOOD)
        assert answer.code == 500
        assert b"secret" not in answer.delivered_body
        assert len(self.flushLoggedErrors(ValueError)) == 1

    async def test_a_port_that_is_taken_leaves_nothing_open(self) -> None:
        relay = await self.start()
        port = relay.web_resource.getHost().port
        with self.assertRaises(CannotListenError):
            await self.helper.get_application({**BASE, "web_port": port})


class LoginTests(RelayTestCase):
    """Who may post."""

    async def test_without_a_login_everybody_may_and_that_is_warned_of(self) -> None:
        with LogCatcher(message="Whoever can connect may send messages") as catcher:
            await self.start()
        assert len(catcher.logs) == 1
        answer = await self.post(GOOD)
        assert answer.code == 200
        answer = await self.post(GOOD, login=("ann", "x"))
        assert answer.code == 401

    async def test_with_a_login_only_who_knows_it(self) -> None:
        await self.start(**LOGIN)
        for login, code in (
            (("rapid", "sésame"), 200),
            (None, 401),
            (("rapid", ""), 401),
            (("rapid", "sesame"), 401),
            (("Rapid", "sésame"), 401),
            (("", ""), 401),
        ):
            answer = await self.post(GOOD, login=login)
            assert answer.code == code, login
            if code == 401:
                assert answer.headers.getRawHeaders("WWW-Authenticate") == [
                    'basic realm="RapidSMS Relay"'
                ]
        assert len(self.dispatched()) == 1

    async def test_a_login_that_is_none_is_401(self) -> None:
        await self.start(**LOGIN)
        for value in ("Basic", "Basic !!!", "Basic cmFwaWQ=", "Bearer x", "Digest x", "x"):
            answer = await self.post(GOOD, headers={"Authorization": value})
            assert answer.code == 401, value

    async def test_health_needs_no_login(self) -> None:
        await self.start(**LOGIN)
        answer = await self.post(b"", "health", "GET")
        assert (answer.code, answer.delivered_body) == (200, b"OK")

    async def test_options_may_differ_from_user_to_user(self) -> None:
        await self.start(cls=PerUserRelay)
        for login, endpoint, code in (
            (("ann", "annspass"), "sms", 200),
            (("ann", "annspass"), None, 400),
            (("bob", "bobspass"), None, 200),
            (("bob", "annspass"), None, 401),
            (None, None, 401),
        ):
            answer = await self.post({**GOOD, "endpoint": endpoint}, login=login)
            assert answer.code == code, login
        assert self.dispatched() == [("+1", "hi", "sms"), ("+1", "hi", "default")]


class ReplyTests(RelayTestCase):
    """Answering a message by its id."""

    async def test_a_reply_goes_to_whom_the_message_is_from(self) -> None:
        await self.start()
        for to_addrs in ([], ["+27"]):
            original = await self.helper.make_dispatch_inbound("question", from_addr="+27")
            answer = await self.post(
                {
                    "content": "answer",
                    "to_addr": to_addrs,
                    "in_reply_to": original["message_id"],
                }
            )
            assert answer.code == 200
            [reply] = self.helper.get_dispatched_outbound()
            assert (reply["to_addr"], reply["content"]) == ("+27", "answer")
            assert reply["in_reply_to"] == original["message_id"]
            [told] = await answer.json()
            assert told["message_id"] == reply["message_id"]
            self.helper.clear_dispatched_outbound()

    async def test_who_else_is_meant_is_refused(self) -> None:
        await self.start()
        original = await self.helper.make_dispatch_inbound("question", from_addr="+27")
        for to_addrs in (["+28"], ["+27", "+28"], ["+27", "+27"]):
            answer = await self.post(
                {"content": "a", "to_addr": to_addrs, "in_reply_to": original["message_id"]}
            )
            assert answer.code == 400
            assert b"must be empty or ['+27']" in answer.delivered_body
        assert self.dispatched() == []

    async def test_a_message_that_nobody_sent_can_not_be_answered(self) -> None:
        await self.start()
        answer = await self.post({**GOOD, "in_reply_to": "nonsense"})
        assert (answer.code, answer.delivered_body) == (
            400,
            b"Original message 'nonsense' not found.",
        )

    async def test_the_message_is_kept_for_a_while_only(self) -> None:
        relay = await self.start(vumi_reply_timeout=77)
        message = await self.helper.make_dispatch_inbound("hi")
        key = f"messages:{message['message_id']}"
        assert 70 < await relay.redis.ttl(key) <= 77
        kept = TransportUserMessage.from_json(await relay.redis.get(key))
        assert kept == message

    async def test_without_replies_nothing_is_kept_and_messages_are_relayed(self) -> None:
        relay = await self.start(allow_replies=False)
        assert relay.redis is None
        message = await self.helper.make_dispatch_inbound("hi")
        assert len(self.requests) == 1
        answer = await self.post({**GOOD, "in_reply_to": message["message_id"]})
        assert (answer.code, answer.delivered_body) == (
            400,
            b"Support for `in_reply_to` not configured.",
        )

    async def test_a_store_that_is_away_is_503(self) -> None:
        relay = await self.start()
        original = relay.redis.get
        relay.redis.get = lambda key: fail(StoreUnavailable("Redis is away"))
        answer = await self.post({**GOOD, "in_reply_to": "any"})
        relay.redis.get = original
        assert answer.code == 503
        assert answer.headers.getRawHeaders("Retry-After") == ["5"]
        assert len(self.flushLoggedErrors(StoreUnavailable)) == 1


class ToRapidSMSTests(RelayTestCase):
    """What RapidSMS gets."""

    async def test_messages_are_posted_as_json(self) -> None:
        await self.start(
            rapidsms_username="vumi",
            rapidsms_password="pass",
            rapidsms_http_method="put",
            signing_key="key",
        )
        for event in (None, "new", "resume", "close"):
            message = await self.helper.make_dispatch_inbound("hi", session_event=event)
            request = self.requests.pop()
            assert (request.method, request.uri) == (b"PUT", URL.encode())
            assert request.getHeader("Authorization") == basic_auth_string("vumi", "pass")
            assert str(request.getHeader("X-Vumi-Signature")).startswith("sha256=")
            sent = json.loads(self.bodies.pop())
            assert (sent["message_id"], sent["session_event"]) == (message["message_id"], event)
        assert self.dispatched() == []

    async def test_without_a_username_nobody_logs_in(self) -> None:
        await self.start()
        await self.helper.make_dispatch_inbound("hi")
        assert self.requests[0].getHeader("Authorization") is None

    async def test_events_are_logged_and_not_sent(self) -> None:
        await self.start()
        sent = self.helper.make_outbound("out", message_id="m1")
        with LogCatcher(message="of message m1") as catcher:
            for event in ("ack", "nack", "delivery_report"):
                await getattr(self.helper, f"make_dispatch_{event}")(sent)
        assert catcher.messages() == [
            "Ack of message m1",
            "Nack of message m1 'sunspots'",
            "Delivery report of message m1 delivered",
        ]
        assert self.requests == []

    async def test_what_rapidsms_does_not_take_is_a_dead_letter_and_the_relay_lives(self) -> None:
        await self.start()
        for status, requests in ((404, 1), (503, 2)):
            self.status = status
            await self.helper.make_dispatch_inbound("hi")
            [failure] = self.flushLoggedErrors(RequestFailed)
            assert f"POST {URL} answered {status}" in str(failure.value)
            assert len(self.requests) == requests
            self.requests.clear()
        self.status = 200
        await self.helper.make_dispatch_inbound("hi")
        assert len(self.requests) == 1
        dead = self.helper.worker_helper.broker.get_dispatched("vumi", "sphex.inbound.dead")
        assert len(dead) == 2

    async def test_without_a_url_messages_are_dead_letters(self) -> None:
        config = {name: value for name, value in BASE.items() if name != "rapidsms_url"}
        await self.helper.get_application(config)
        await self.helper.make_dispatch_inbound("hi")
        [failure] = self.flushLoggedErrors(ConfigError)
        assert "'rapidsms_url' is missing" in str(failure.value)
