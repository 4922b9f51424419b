"""Rate limits: how many messages pass, and what becomes of the others."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock

from vumi.components.tests.stores import InProcess, OnRedis
from vumi.config import ConfigError
from vumi.connectors import IgnoreMessage
from vumi.errors import StoreUnavailable
from vumi.middleware import RateLimitMiddleware
from vumi.tests.helpers import MessageHelper
from vumi.tests.utils import LogCatcher
from vumi.transports import Transport
from vumi.transports.tests.helpers import TransportHelper

PATH = "vumi.middleware.RateLimitMiddleware"

#: A message in ten hours: no time that a test takes makes room for another one.
SLOW = 1 / 36000


class RateLimitContract:
    """What it does, on either store."""

    def setUp(self: Any) -> Any:
        self.clock = Clock()
        return super().setUp()  # type: ignore[misc]  # it is mixed into one that has it

    async def middleware(self: Any, **options: Any) -> RateLimitMiddleware:
        config = {"redis_manager": self.redis_config(), "rate": SLOW, "over_limit": "nack"}
        middleware = RateLimitMiddleware("limit", {**config, **options}, None)
        middleware.clock = self.clock
        await middleware.setup_middleware()
        self.add_cleanup(middleware.teardown_middleware)
        return middleware

    def message(self: Any, **fields: Any) -> Any:
        return MessageHelper().make_outbound("hi", **fields)

    async def send(self: Any, middleware: Any, message: Any, connector: str = "line") -> Any:
        passed = middleware.handle_consume_outbound(message, connector)
        passed = await passed if passed is not message else passed
        self.assertIs(passed, message)
        return passed

    async def passing(self: Any, middleware: Any, number: int, **fields: Any) -> int:
        """How many of so many messages pass."""
        passed = 0
        for _ in range(number):
            try:
                await self.send(middleware, self.message(**fields))
            except IgnoreMessage:
                continue
            passed += 1
        return passed

    async def test_a_burst_passes_and_no_more(self: Any) -> None:
        middleware = await self.middleware(burst=3)
        self.assertEqual(await self.passing(middleware, 10), 3)

    async def test_without_a_burst_it_is_a_seconds_worth_and_at_least_one(self: Any) -> None:
        for rate, burst in [(SLOW, 1), (2.5, 2)]:
            middleware = await self.middleware(rate=rate)
            self.assertEqual(middleware._arguments[1], burst)

    async def test_the_reason_says_when_it_would_pass(self: Any) -> None:
        middleware = await self.middleware(rate=1 / 100, per="user")
        await self.send(middleware, self.message())
        with self.assertRaises(IgnoreMessage) as caught:
            await self.send(middleware, self.message())
        self.assertRegex(
            str(caught.exception),
            r"^Over the limit of 0\.01 messages a second for this user; it may be sent in "
            r"(100|9\d) s\.$",
        )

    async def test_what_was_refused_takes_no_tokens(self: Any) -> None:
        middleware = await self.middleware()
        await self.send(middleware, self.message())
        before = await middleware.redis.get("transport:sphex")
        await self.passing(middleware, 5)
        self.assertEqual(await middleware.redis.get("transport:sphex"), before)

    async def test_the_limit_is_one_for_all_workers(self: Any) -> None:
        one, other = await self.middleware(burst=4), await self.middleware(burst=4)
        numbers = await gatherResults(
            Deferred.fromCoroutine(self.passing(middleware, 5)) for middleware in (one, other)
        )
        self.assertEqual(sum(numbers), 4)

    async def test_each_transport_has_a_limit_of_its_own(self: Any) -> None:
        middleware = await self.middleware(per="transport")
        for transport_name in ("a", "b"):
            passed = await self.passing(middleware, 3, transport_name=transport_name)
            self.assertEqual(passed, 1)
        # Where a message says none it is the connector.
        await self.send(middleware, self.message(transport_name=None), "c")
        with self.assertRaises(IgnoreMessage):
            await self.send(middleware, self.message(transport_name="c"))

    async def test_each_user_and_group_has_a_limit_of_its_own(self: Any) -> None:
        middleware = await self.middleware(per="user")
        for fields in ({"to_addr": "+1"}, {"to_addr": "+2"}, {"to_addr": None, "group": "#x"}):
            self.assertEqual(await self.passing(middleware, 3, **fields), 1)
        self.assertEqual(await self.passing(middleware, 3, to_addr=None), 3)
        await self.send(middleware, self.message(to_addr="+1"), "other line")

    async def test_time_makes_room(self: Any) -> None:
        middleware = await self.middleware(rate=1000, burst=1)
        # What it waits for is Redis's clock, which a thousandth of a second moves enough.
        for _ in range(5):
            while await self.passing(middleware, 1) == 0:
                pass

    async def test_a_full_bucket_is_forgotten(self: Any) -> None:
        middleware = await self.middleware(rate=1 / 100, burst=2)
        await self.passing(middleware, 2)
        seconds = await middleware.redis.ttl("transport:sphex")
        self.assertTrue(190 <= seconds <= 201, seconds)

    async def test_messages_wait_for_their_turn(self: Any) -> None:
        middleware = await self.middleware(rate=1 / 100, over_limit="delay", max_delay=1000)
        waiting = [Deferred.fromCoroutine(self.send(middleware, self.message())) for _ in range(3)]
        await waiting[0]
        await self.timers(2)
        for number, seconds in ((1, 101), (2, 101)):
            self.assertNoResult(waiting[number])
            self.clock.advance(seconds)
            await waiting[number]

    async def test_a_wait_that_is_too_long_is_refused_and_takes_no_place(self: Any) -> None:
        middleware = await self.middleware(rate=1 / 100, over_limit="delay", max_delay=150)
        await self.send(middleware, self.message())
        waiting = Deferred.fromCoroutine(self.send(middleware, self.message()))
        await self.timers(1)
        self.assertEqual(await self.passing(middleware, 3), 0)
        self.clock.advance(101)
        await waiting

    async def timers(self: Any, number: int) -> None:
        """Wait until so many messages wait."""
        from twisted.internet import reactor
        from twisted.internet.task import deferLater

        while len(self.clock.getDelayedCalls()) < number:
            await deferLater(reactor, 0.001)


class RateLimitTests(RateLimitContract, InProcess):
    async def test_a_message_counts_once_though_it_passes_twice(self) -> None:
        # As in a dispatcher: received by one connector, published by another.
        middleware = await self.middleware(burst=2)
        for _ in range(2):
            message = await self.send(middleware, self.message())
            self.assertIs(middleware.handle_publish_outbound(message, "other"), message)
        self.assertEqual(await self.passing(middleware, 1), 0)

    async def test_messages_from_users_and_events_pass(self) -> None:
        middleware = await self.middleware()
        for _ in range(3):
            inbound, event = MessageHelper().make_inbound("hi"), MessageHelper().make_ack()
            self.assertIs(middleware.handle_consume_inbound(inbound, "line"), inbound)
            self.assertIs(middleware.handle_consume_event(event, "line"), event)

    async def test_while_the_store_is_away_messages_wait_and_published_ones_pass(self) -> None:
        middleware = await self.middleware()

        def away(*args: Any) -> Any:
            raise StoreUnavailable("Redis is away.")

        self.patch(middleware, "_take", away)
        message = MessageHelper().make_outbound("hi")
        with self.assertRaises(StoreUnavailable):
            await middleware.handle_consume_outbound(message, "line")
        message = MessageHelper().make_outbound("hi")
        with LogCatcher(message="was not counted: Redis is away.") as catcher:
            self.assertIs(await middleware.handle_publish_outbound(message, "line"), message)
        self.assertEqual(len(catcher.logs), 1)


@pytest.mark.integration
class RateLimitOnRedisTests(RateLimitContract, OnRedis):
    pass


class Sending(Transport):
    def handle_outbound_message(self, message: Any) -> Any:
        return self.publish_ack(message["message_id"], "sent")


class WorkerTests(InProcess):
    async def test_a_transport_nacks_what_is_over_the_limit(self) -> None:
        helper = self.add_helper(TransportHelper(Sending))
        options = {"redis_manager": self.redis_config(), "rate": SLOW, "over_limit": "nack"}
        await helper.get_transport({"middleware": [{"limit": PATH}], "limit": options})
        for _ in range(2):
            await helper.make_dispatch_outbound("hi")
        ack, nack = helper.get_dispatched_events()
        self.assertEqual((ack["event_type"], nack["event_type"]), ("ack", "nack"))
        self.assertIn("Over the limit", nack["nack_reason"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "rate"),
        ({"rate": 0}, "more than 0"),
        ({"rate": -1}, "more than 0"),
        ({"rate": "nan"}, "more than 0"),
        ({"rate": "inf"}, "more than 0"),
        ({"rate": None}, "more than 0"),
        ({"rate": 1, "burst": 0}, "burst"),
        ({"rate": 1, "per": "country"}, "transport, user"),
        ({"rate": 1, "over_limit": "drop"}, "delay, nack"),
        ({"rate": 1, "max_delay": -1}, "max_delay"),
        ({"rate": 1, "max_delay": "inf"}, "max_delay"),
    ],
)
def test_what_is_wrong_with_the_configuration_is_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        RateLimitMiddleware("limit", options, None)
