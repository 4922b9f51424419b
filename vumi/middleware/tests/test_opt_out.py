"""Opting out: by which words, for how long, and what is sent to whom after it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from vumi.application import ApplicationWorker
from vumi.application.tests.helpers import ApplicationHelper
from vumi.components.tests.stores import InProcess, OnRedis
from vumi.config import ConfigError
from vumi.connectors import IgnoreMessage
from vumi.errors import StoreUnavailable
from vumi.message import parse_vumi_date
from vumi.middleware import OptOutMiddleware
from vumi.tests.helpers import MessageHelper
from vumi.tests.utils import UTCNearNow
from vumi.text_matching import bare
from vumi.transports import Transport
from vumi.transports.tests.helpers import TransportHelper

PATH = "vumi.middleware.OptOutMiddleware"
USER, OTHER = "+41791234567", "+41790000000"
REPLIES = {"stop_reply": "You are out.", "start_reply": "You are in."}


class OptOutContract:
    """What it does, on either store."""

    helper = MessageHelper()

    async def middleware(self: Any, **options: Any) -> OptOutMiddleware:
        config = {"redis_manager": self.redis_config(), **options}
        middleware = OptOutMiddleware("optout", config, None)
        await middleware.setup_middleware()
        self.add_cleanup(middleware.teardown_middleware)
        return middleware

    async def hear(self: Any, middleware: Any, content: str | None, **kw: Any) -> Any:
        """A user writes; gives what the message says of it."""
        message = self.helper.make_inbound(content, **kw)
        passed = middleware.handle_inbound(message, "line")
        passed = passed if passed is message else await passed
        self.assertIs(passed, message)
        return message["helper_metadata"].get("optout")

    async def is_sent(self: Any, middleware: Any, message: Any = None) -> bool:
        message = message or self.helper.make_outbound("hi", to_addr=USER)
        passed = middleware.handle_outbound(message, "line")
        try:
            passed = passed if passed is message else await passed
        except IgnoreMessage as error:
            self.assertEqual(str(error), "The user has opted out.")
            return False
        self.assertIs(passed, message)
        return True

    async def test_a_user_leaves_and_comes_back(self: Any) -> None:
        middleware = await self.middleware()
        self.assertTrue(await self.is_sent(middleware))
        for _ in range(2):
            told = await self.hear(middleware, "STOP")
            self.assertEqual(told, {"optout": True, "optout_keyword": "stop"})
            self.assertFalse(await self.is_sent(middleware))
        other = self.helper.make_outbound("hi", to_addr=OTHER)
        self.assertTrue(await self.is_sent(middleware, other))
        for _ in range(2):
            told = await self.hear(middleware, "START")
            self.assertEqual(told, {"optout": False, "optout_keyword": "start"})
            self.assertTrue(await self.is_sent(middleware))

    async def test_the_list_says_since_when(self: Any) -> None:
        middleware = await self.middleware()
        await self.hear(middleware, "STOP")
        self.assertEqual(await self.keys(), ["opt_out:addresses"])
        stored = await middleware.redis.hgetall("addresses")
        self.assertEqual(stored.keys(), {USER})
        self.assertEqual(parse_vumi_date(stored[USER]), UTCNearNow())
        # Who writes it again has left before.
        earlier = str(parse_vumi_date(stored[USER]) - timedelta(days=1))
        await middleware.redis.hset("addresses", USER, earlier)
        await self.hear(middleware, "STOP")
        self.assertEqual(await middleware.redis.hget("addresses", USER), earlier)

    async def test_the_list_is_one_for_all_workers_with_its_prefix(self: Any) -> None:
        await self.hear(await self.middleware(), "STOP")
        self.assertFalse(await self.is_sent(await self.middleware()))

    async def test_a_word_is_known_however_it_is_written(self: Any) -> None:
        middleware = await self.middleware(stop_keywords=["Stop", "arrêt", "no more"])
        for content in ("stop", " STOP. ", '"Stop"!', "ARRÊT", "no\n more", "…stop…"):
            await middleware.redis.delete("addresses")
            self.assertIsNotNone(await self.hear(middleware, content), content)
            self.assertFalse(await self.is_sent(middleware), content)

    async def test_other_texts_are_left_alone(self: Any) -> None:
        middleware = await self.middleware()
        for content in ("please stop", "stop it", "stopp", "", "...", None, "s t o p"):
            self.assertIsNone(await self.hear(middleware, content))
        self.assertEqual(await self.keys(), [])

    async def test_replies_can_be_let_through(self: Any) -> None:
        strict, lenient = await self.middleware(), await self.middleware(allow_replies=True)
        await self.hear(strict, "STOP")
        reply = self.helper.make_inbound("hi").reply("hello")
        self.assertFalse(await self.is_sent(strict, reply))
        reply = self.helper.make_inbound("hi").reply("hello")
        self.assertTrue(await self.is_sent(lenient, reply))
        self.assertFalse(await self.is_sent(lenient))

    async def test_a_number_is_known_however_it_is_written(self: Any) -> None:
        middleware = await self.middleware(country_code="41")
        await self.hear(middleware, "STOP", from_addr="0791234567")
        for address in ("+41791234567", "0041791234567", "41791234567", "0791234567"):
            message = self.helper.make_outbound("hi", to_addr=address)
            self.assertFalse(await self.is_sent(middleware, message), address)
            self.assertEqual(message["to_addr"], address)
        self.assertEqual(await middleware.redis.hgetall("addresses"), {USER: UTCNear()})
        await self.hear(middleware, "START", from_addr="+41791234567")
        self.assertTrue(await self.is_sent(middleware))


class UTCNear:
    """Equals every text that is a date of about now."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and parse_vumi_date(other) == UTCNearNow()

    __hash__ = None  # type: ignore[assignment]  # equal things would need equal hashes


class OptOutTests(OptOutContract, InProcess):
    async def test_messages_without_an_address_pass(self) -> None:
        middleware = await self.middleware()
        self.assertIsNone(await self.hear(middleware, "STOP", from_addr=None))
        group = self.helper.make_outbound("hi", to_addr=None, group="#x")
        self.assertTrue(await self.is_sent(middleware, group))

    async def test_a_message_that_passes_twice_is_looked_at_once(self) -> None:
        # As in a dispatcher: received by one connector, published by another.
        middleware = await self.middleware()
        message = self.helper.make_outbound("hi", to_addr=USER)
        self.assertTrue(await self.is_sent(middleware, message))
        self.assertIs(middleware.handle_publish_outbound(message, "other"), message)
        message = self.helper.make_inbound("STOP")
        await middleware.handle_inbound(message, "line")
        self.assertIs(middleware.handle_publish_inbound(message, "other"), message)

    async def test_while_the_store_is_away_nothing_is_sent(self) -> None:
        # Nobody knows who has opted out. What fails becomes a dead letter, which can be retried.
        middleware = await self.middleware()

        def away(*args: Any) -> Any:
            raise StoreUnavailable("Redis is away.")

        self.patch(middleware.redis, "hexists", away)
        self.patch(middleware, "_put_on", away)
        with self.assertRaises(StoreUnavailable):
            await self.is_sent(middleware)
        with self.assertRaises(StoreUnavailable):
            await self.hear(middleware, "STOP")


@pytest.mark.integration
class OptOutOnRedisTests(OptOutContract, OnRedis):
    pass


class Sending(Transport):
    """Keeps what it sends."""

    def setup_transport(self) -> None:
        self.sent: list[str] = []

    def handle_outbound_message(self, message: Any) -> Any:
        self.sent.append(message["content"])
        return self.publish_ack(message["message_id"], "sent")


class WorkerTests(InProcess):
    def config(self, **options: Any) -> dict[str, Any]:
        section = {"redis_manager": self.redis_config(), **options}
        return {"middleware": [{"optout": PATH}], "optout": section}

    async def test_in_a_transport(self) -> None:
        helper = self.add_helper(TransportHelper(Sending))
        transport = await helper.get_transport(self.config(**REPLIES))
        hears = {"to_addr": "9292", "from_addr": USER, "transport_type": "sms"}
        await transport.publish_message(content="Stop", **hears)
        await helper.kick_delivery()
        # Sent though the user has opted out.
        self.assertEqual(transport.sent, ["You are out."])
        [confirmation] = helper.get_dispatched_outbound()
        [heard] = helper.get_dispatched_inbound()
        self.assertEqual(heard["helper_metadata"]["optout"]["optout"], True)
        self.assertEqual(confirmation["in_reply_to"], heard["message_id"])
        # The application's answer to it is not sent.
        await helper.dispatch_outbound(heard.reply("I don't understand."))
        ack, nack = helper.get_dispatched_events()
        self.assertEqual((ack["event_type"], nack["event_type"]), ("ack", "nack"))
        self.assertEqual(nack["nack_reason"], "The user has opted out.")
        await transport.publish_message(content="start", **hears)
        await helper.make_dispatch_outbound("welcome")
        self.assertEqual(transport.sent, ["You are out.", "You are in.", "welcome"])

    async def test_in_an_application(self) -> None:
        helper = self.add_helper(ApplicationHelper(ApplicationWorker))
        app = await helper.get_application(self.config(**REPLIES))
        await helper.make_dispatch_inbound("STOP")
        [confirmation] = helper.get_dispatched_outbound()
        self.assertEqual(confirmation["content"], "You are out.")
        with self.assertRaises(IgnoreMessage):
            await app.send_to(USER, "news")
        self.assertEqual(len(helper.get_dispatched_outbound()), 1)

    async def test_nothing_is_answered_unless_it_is_wanted(self) -> None:
        helper = self.add_helper(ApplicationHelper(ApplicationWorker))
        await helper.get_application(self.config(stop_reply="You are out."))
        for content in ("START", "hello"):
            await helper.make_dispatch_inbound(content)
        self.assertEqual(helper.get_dispatched_outbound(), [])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stop_keywords": "STOP"}, "stop_keywords"),
        # YAML reads NO without quotes as false.
        ({"stop_keywords": [False]}, "False"),
        ({"start_keywords": ["..."]}, "'...'"),
        ({"stop_keywords": ["x", "y"], "start_keywords": ["Y."]}, "both have 'y'"),
        ({"stop_reply": 5}, "stop_reply"),
        ({"country_code": 41}, "country_code"),
    ],
)
def test_what_is_wrong_with_the_configuration_is_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        OptOutMiddleware("optout", options, None)


@pytest.mark.parametrize(
    ("text", "compared"),
    [("", ""), ("!?", ""), (" A  b.", "a b"), ("(1)", "1"), ("Straße", "strasse"), ("รับ!", "รับ")],
)
def test_what_is_compared(text: str, compared: str) -> None:
    assert bare(text) == compared
