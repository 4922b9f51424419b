"""Session lengths: when a session began and ended, in every message of it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from vumi.application import ApplicationWorker
from vumi.application.tests.helpers import ApplicationHelper
from vumi.components.tests.stores import InProcess, OnRedis
from vumi.config import ConfigError
from vumi.errors import StoreUnavailable
from vumi.middleware import SessionLengthMiddleware, TaggingMiddleware
from vumi.middleware.session_length import SessionLengthMiddlewareError
from vumi.tests.helpers import MessageHelper

USER, OTHER = "+41791234567", "+41790000000"
KEY = f"sphex:{USER}:session_created"


class SessionLengthContract:
    """What it does, on either store."""

    def setUp(self: Any) -> Any:
        self.clock = Clock()
        self.clock.advance(1_700_000_000.25)
        self.helper = MessageHelper()
        return super().setUp()  # type: ignore[misc]  # it is mixed into one that has it

    async def middleware(self: Any, **options: Any) -> SessionLengthMiddleware:
        config = {"redis_manager": self.redis_config(), **options}
        middleware = SessionLengthMiddleware("length", config, None)
        middleware.clock = self.clock
        await middleware.setup_middleware()
        self.add_cleanup(middleware.teardown_middleware)
        self.redis = middleware.redis
        return middleware

    async def times(self: Any, middleware: Any, message: Any, direction: str = "in") -> Any:
        handle = getattr(middleware, f"handle_{direction}bound")
        self.assertIs(await handle(message, "line"), message)
        return message["helper_metadata"].get("session")

    async def inbound(self: Any, middleware: Any, session_event: str | None, **kw: Any) -> Any:
        message = self.helper.make_inbound("hi", session_event=session_event, **kw)
        return await self.times(middleware, message)

    async def outbound(self: Any, middleware: Any, session_event: str | None, **kw: Any) -> Any:
        message = self.helper.make_outbound("hi", session_event=session_event, **kw)
        return await self.times(middleware, message, "out")

    async def test_a_session_from_its_beginning_to_its_end(self: Any) -> None:
        for one_way in (self.inbound, self.outbound):
            middleware = await self.middleware()
            start = self.clock.seconds()
            self.assertEqual(await one_way(middleware, "new"), {"session_start": start})
            self.assertEqual(await self.keys(), [KEY])
            for event in ("resume", None):
                self.clock.advance(5)
                self.assertEqual(await one_way(middleware, event), {"session_start": start})
            self.clock.advance(5)
            end = self.clock.seconds()
            self.assertEqual(
                await one_way(middleware, "close"), {"session_start": start, "session_end": end}
            )
            self.assertEqual(await self.keys(), [])

    async def test_the_user_is_the_same_in_both_directions(self: Any) -> None:
        middleware = await self.middleware()
        times = await self.inbound(middleware, "new")
        self.assertEqual(await self.outbound(middleware, None), times)
        self.assertEqual(await self.inbound(middleware, None, from_addr=OTHER), {})
        self.assertEqual(await self.inbound(middleware, None, transport_name="other"), {})

    async def test_without_a_beginning_only_the_end_is_known(self: Any) -> None:
        middleware = await self.middleware()
        self.assertEqual(await self.inbound(middleware, "resume"), {})
        expected = {"session_end": self.clock.seconds()}
        self.assertEqual(await self.inbound(middleware, "close"), expected)

    async def test_a_reply_that_closes_ends_the_session_in_the_store_too(self: Any) -> None:
        # It knows the start from its original; in the old Vumi the store's key then stayed.
        middleware = await self.middleware()
        message = self.helper.make_inbound("hi", session_event="new")
        times = await self.times(middleware, message)
        reply = message.reply("bye", continue_session=False)
        self.clock.advance(3)
        closed = await self.times(middleware, reply, "out")
        self.assertEqual(closed, {**times, "session_end": self.clock.seconds()})
        self.assertEqual(await self.keys(), [])

    async def test_a_session_that_goes_on_is_not_forgotten(self: Any) -> None:
        middleware = await self.middleware(timeout=100)
        message = self.helper.make_inbound("hi", session_event="new")
        await self.times(middleware, message)
        for going_on in (
            self.helper.make_inbound("hi", session_event="resume"),
            message.reply("hi"),
        ):
            await self.redis.expire(KEY, 10)
            direction = "out" if going_on["in_reply_to"] else "in"
            await self.times(middleware, going_on, direction)
            self.assertTrue(90 < await self.redis.ttl(KEY) <= 100)

    async def test_what_the_store_has_is_what_all_versions_have(self: Any) -> None:
        middleware = await self.middleware(timeout=100)
        await self.inbound(middleware, "new")
        self.assertEqual(await self.redis.get(KEY), "1700000000.25")
        # The old Vumi wrote fewer digits.
        await self.redis.setex(KEY, 100, "1700000000.2")
        times = await self.inbound(middleware, None)
        self.assertEqual(times, {"session_start": 1700000000.2})

    async def test_times_that_are_there_stay(self: Any) -> None:
        # In a dispatcher each message passes twice.
        middleware = await self.middleware()
        given = {"session": {"session_start": 1.0, "session_end": 2.0}}
        for event in ("new", None, "close"):
            message = self.helper.make_inbound("hi", session_event=event, helper_metadata=given)
            self.assertEqual(await self.times(middleware, message), given["session"])

    async def test_the_namespace_can_be_the_tag(self: Any) -> None:
        middleware = await self.middleware(namespace_type="tag")
        message = self.helper.make_inbound("hi", session_event="new")
        TaggingMiddleware.add_tag_to_msg(message, ("pool", "name"))
        await self.times(middleware, message)
        self.assertEqual(await self.keys(), [f"pool:name:{USER}:session_created"])

    async def test_the_field_can_be_named(self: Any) -> None:
        middleware = await self.middleware(field_name="billing")
        message = self.helper.make_inbound("hi", session_event="new")
        await middleware.handle_inbound(message, "line")
        self.assertEqual(message["helper_metadata"].keys(), {"billing"})


class SessionLengthTests(SessionLengthContract, InProcess):
    async def test_messages_that_lack_something_are_logged_and_go_on(self) -> None:
        by_name, by_tag = await self.middleware(), await self.middleware(namespace_type="tag")
        for middleware, message, what in [
            (by_name, self.helper.make_inbound("hi", from_addr=None), "from_addr"),
            (by_name, self.helper.make_inbound("hi", transport_name=None), "transport_name"),
            (by_tag, self.helper.make_inbound("hi"), "tag"),
        ]:
            self.assertIsNone(await self.times(middleware, message))
            [failure] = self.flushLoggedErrors(SessionLengthMiddlewareError)
            self.assertIn(f"has no {what}.", str(failure.value))

    async def test_while_the_store_is_away_messages_wait_and_published_ones_go_on(self) -> None:
        middleware = await self.middleware()

        def away(*args: Any) -> Any:
            raise StoreUnavailable("Redis is away.")

        for name in ("_refresh", "_take"):
            self.patch(middleware, name, away)
        self.patch(middleware.redis, "setex", away)
        for event in ("new", None, "close"):
            message = self.helper.make_inbound("hi", session_event=event)
            with self.assertRaises(StoreUnavailable):
                await middleware.handle_consume_inbound(message, "line")
            message = self.helper.make_inbound("hi", session_event=event)
            self.assertIs(await middleware.handle_publish_inbound(message, "line"), message)
            self.assertEqual(len(self.flushLoggedErrors(StoreUnavailable)), 1)

    async def test_in_a_worker_with_the_time_of_the_computer(self) -> None:
        helper = self.add_helper(ApplicationHelper(ApplicationWorker))
        app = await helper.get_application(
            {
                "middleware": [{"length": "vumi.middleware.SessionLengthMiddleware"}],
                "length": {"redis_manager": self.redis_config()},
            }
        )
        seen: list[Any] = []
        self.patch(app, "dispatch_user_message", seen.append)
        await helper.make_dispatch_inbound("hi", session_event="new")
        [message] = seen
        start = message["helper_metadata"]["session"]["session_start"]
        self.assertLess(abs(start - message["timestamp"].timestamp()), 24 * 60 * 60)
        self.assertEqual(await self.keys(), [KEY])


@pytest.mark.integration
class SessionLengthOnRedisTests(SessionLengthContract, OnRedis):
    pass


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": None}, "timeout"),
        ({"timeout": "long"}, "timeout"),
        ({"namespace_type": "provider"}, "transport_name, tag"),
        ({"field_name": ""}, "field_name"),
        ({"redis_manager": {"port": "x"}}, "port"),
    ],
)
def test_what_is_wrong_with_the_configuration_is_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SessionLengthMiddleware("length", options, None)
