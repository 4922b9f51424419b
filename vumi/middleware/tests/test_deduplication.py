"""Deduplication: each message is handled once, and none is lost for it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from vumi.application import ApplicationWorker
from vumi.application.tests.helpers import ApplicationHelper
from vumi.components.tests.stores import InProcess, OnRedis
from vumi.config import ConfigError
from vumi.connectors import DuplicateMessage
from vumi.errors import StoreUnavailable
from vumi.middleware import DeduplicationMiddleware
from vumi.tests.helpers import MessageHelper
from vumi.tests.utils import LogCatcher
from vumi.transports import Transport
from vumi.transports.tests.helpers import TransportHelper

PATH = "vumi.middleware.DeduplicationMiddleware"


class DeduplicationContract:
    """What it does, on either store."""

    async def middleware(self: Any, **options: Any) -> DeduplicationMiddleware:
        """A middleware with a connection of its own, as another worker has."""
        config = {"redis_manager": self.redis_config(), **options}
        middleware = DeduplicationMiddleware("dedup", config, None)
        middleware.clock = self.clock
        await middleware.setup_middleware()
        self.add_cleanup(middleware.teardown_middleware)
        return middleware

    def message(self: Any, message_id: str = "m1") -> Any:
        # Another object each time, as each delivery makes one.
        return MessageHelper().make_inbound("hi", message_id=message_id)

    def check(self: Any, middleware: Any, message: Any, connector: str = "line") -> Deferred[Any]:
        return Deferred.fromCoroutine(middleware.handle_consume_inbound(message, connector))

    async def handled(
        self: Any, middleware: Any, message: Any, error: BaseException | None = None
    ) -> None:
        await middleware.message_handled("inbound", message, "line", error)

    async def is_dropped(self: Any, middleware: Any, message: Any) -> None:
        with self.assertRaises(DuplicateMessage):
            await self.check(middleware, message)

    async def passes(self: Any, middleware: Any, message: Any, connector: str = "line") -> Any:
        passed = await self.check(middleware, message, connector)
        self.assertIs(passed, message)
        return message

    async def let_expire(self: Any, middleware: Any, key: str, at_most: int) -> None:
        seconds = await middleware.redis.ttl(key)
        self.assertTrue(0 < seconds <= at_most, seconds)
        await middleware.redis.delete(key)

    def setUp(self: Any) -> Any:
        self.clock = Clock()
        return super().setUp()  # type: ignore[misc]  # it is mixed into one that has it

    async def test_what_was_handled_is_dropped_whoever_had_handled_it(self: Any) -> None:
        one, other = await self.middleware(), await self.middleware()
        message = await self.passes(one, self.message())
        await self.handled(one, message)
        for middleware in (one, other):
            await self.is_dropped(middleware, self.message())
            await self.passes(middleware, self.message(f"for {middleware}"))

    async def test_the_same_id_on_another_queue_is_another_message(self: Any) -> None:
        middleware = await self.middleware()
        message = await self.passes(middleware, self.message())
        await self.handled(middleware, message)
        await self.passes(middleware, self.message(), "other line")
        # An application may get and send one id, as may the ends of a dispatcher.
        outbound = MessageHelper().make_outbound("hi", message_id="m1")
        self.assertIs(await middleware.handle_consume_outbound(outbound, "line"), outbound)
        event = MessageHelper().make_ack(event_id="m1")
        self.assertIs(await middleware.handle_consume_event(event, "line"), event)

    async def test_what_failed_is_handled_when_it_comes_again(self: Any) -> None:
        middleware = await self.middleware()
        for _ in range(2):
            message = await self.passes(middleware, self.message())
            await self.handled(middleware, message, ValueError("broken"))
        self.assertEqual(await self.keys(), [])

    async def test_what_is_in_hand_elsewhere_waits_until_it_was_handled(self: Any) -> None:
        one, other = await self.middleware(), await self.middleware()
        message = await self.passes(one, self.message())
        second = self.check(other, self.message())
        await self.turns(second)
        await self.handled(one, message)
        with self.assertRaises(DuplicateMessage):
            await self.looked(second)

    async def test_what_is_in_hand_elsewhere_waits_until_it_has_failed(self: Any) -> None:
        one, other = await self.middleware(), await self.middleware()
        message = await self.passes(one, self.message())
        copy = self.message()
        second = self.check(other, copy)
        await self.turns(second)
        await self.handled(one, message, ValueError("broken"))
        self.assertIs(await self.looked(second), copy)

    async def test_what_a_crashed_worker_had_in_hand_is_handled(self: Any) -> None:
        crashed, other = await self.middleware(), await self.middleware(claim_lifetime=7)
        await self.passes(crashed, self.message())
        copy = self.message()
        second = self.check(other, copy)
        await self.turns(second)
        await self.let_expire(crashed, "line.inbound:m1", at_most=30)
        self.assertIs(await self.looked(second), copy)
        await self.let_expire(other, "line.inbound:m1", at_most=7)

    async def test_a_slow_worker_takes_nothing_from_the_one_that_went_on(self: Any) -> None:
        slow, other = await self.middleware(), await self.middleware()
        slow_message = await self.passes(slow, self.message())
        await self.let_expire(slow, "line.inbound:m1", at_most=30)
        message = await self.passes(other, self.message())
        await self.handled(slow, slow_message, ValueError("broken"))
        third = self.check(slow, self.message())
        await self.turns(third)
        await self.handled(other, message)
        with self.assertRaises(DuplicateMessage):
            await self.looked(third)

    async def test_what_was_handled_is_forgotten_some_day(self: Any) -> None:
        middleware = await self.middleware(expiry=50)
        await self.handled(middleware, await self.passes(middleware, self.message()))
        self.assertGreater(await middleware.redis.ttl("line.inbound:m1"), 40)
        await self.let_expire(middleware, "line.inbound:m1", at_most=50)
        await self.passes(middleware, self.message())

    async def test_dropping_what_was_handled_changes_nothing(self: Any) -> None:
        middleware = await self.middleware(expiry=50)
        await self.handled(middleware, await self.passes(middleware, self.message()))
        await middleware.redis.expire("line.inbound:m1", 20)
        copy = self.message()
        await self.is_dropped(middleware, copy)
        await self.handled(middleware, copy)
        self.assertLessEqual(await middleware.redis.ttl("line.inbound:m1"), 20)

    async def turns(self: Any, waiting: Deferred[Any]) -> None:
        """Let it look again several times; it must go on waiting."""
        for _ in range(5):
            await self.reached_timer()
            self.assertNoResult(waiting)
            self.clock.advance(1)

    async def looked(self: Any, waiting: Deferred[Any]) -> Any:
        """Let it look once more."""
        await self.reached_timer()
        self.clock.advance(1)
        return await waiting

    async def reached_timer(self: Any) -> None:
        from twisted.internet import reactor
        from twisted.internet.task import deferLater

        while not self.clock.getDelayedCalls():
            await deferLater(reactor, 0.001)


class DeduplicationTests(DeduplicationContract, InProcess):
    async def test_messages_without_an_id_pass(self) -> None:
        middleware = await self.middleware()
        for _ in range(2):
            message = self.message()
            message["message_id"] = None
            await self.passes(middleware, message)
            await self.handled(middleware, message)
        self.assertEqual(await self.keys(), [])

    async def test_while_the_store_is_away_messages_wait(self) -> None:
        middleware = await self.middleware()

        def away(*args: Any, **kw: Any) -> Any:
            raise StoreUnavailable("Redis is away.")

        self.patch(middleware, "_claim", away)
        with self.assertRaises(StoreUnavailable):
            await middleware.handle_consume_inbound(self.message(), "line")

    async def test_if_the_store_goes_away_meanwhile_that_is_a_warning(self) -> None:
        middleware = await self.middleware()

        def away(*args: Any, **kw: Any) -> Any:
            raise StoreUnavailable("Redis is away.")

        for error in (None, ValueError("broken")):
            message = await self.passes(middleware, self.message(f"m {error}"))
            with LogCatcher(message="not marked") as catcher:
                self.patch(middleware, "_release", away)
                self.patch(middleware.redis, "setex", away)
                await self.handled(middleware, message, error)
            self.assertEqual(len(catcher.logs), 1)

    def test_times_that_make_no_sense_are_refused(self) -> None:
        for option in ("expiry", "claim_lifetime"):
            for value in (0, -1, None, "long"):
                error = self.assertRaises(
                    ConfigError, DeduplicationMiddleware, "d", {option: value}, None
                )
                self.assertIn(option, str(error))


@pytest.mark.integration
class DeduplicationOnRedisTests(DeduplicationContract, OnRedis):
    pass


class Counting(ApplicationWorker):
    """Counts what it gets, and fails as often as it is told."""

    seen: list[str]
    failures = 0

    def setup_application(self) -> None:
        self.seen = []

    def consume_user_message(self, message: Any) -> Any:
        self.seen.append(message["message_id"])
        if self.failures:
            self.failures -= 1
            raise ValueError("broken")
        return self.reply_to(message, "hello")


class Sending(Transport):
    def handle_outbound_message(self, message: Any) -> Any:
        return self.publish_ack(message["message_id"], "sent")


class WorkerTests(InProcess):
    def config(self) -> dict[str, Any]:
        return {"middleware": [{"dedup": PATH}], "dedup": {"redis_manager": self.redis_config()}}

    async def test_an_application_answers_a_repeated_message_once(self) -> None:
        helper = self.add_helper(ApplicationHelper(Counting))
        app = await helper.get_application(self.config())
        message = helper.make_inbound("hi", message_id="m1")
        for _ in range(3):
            await helper.dispatch_inbound(message)
        self.assertEqual(app.seen, ["m1"])
        self.assertEqual(len(helper.get_dispatched_outbound()), 1)
        event = helper.make_ack(message, event_id="e1")
        acks: list[Any] = []
        self.patch(app, "dispatch_event", acks.append)
        for _ in range(3):
            await helper.dispatch_event(event)
        self.assertEqual(len(acks), 1)

    async def test_copies_that_arrive_together_are_answered_once(self) -> None:
        helper = self.add_helper(ApplicationHelper(Counting))
        app = await helper.get_application(self.config())
        message = helper.make_inbound("hi", message_id="m1")
        for _ in range(3):
            helper.worker_helper.broker.publish_message("vumi", "sphex.inbound", message)
        await helper.kick_delivery()
        self.assertEqual(app.seen, ["m1"])

    async def test_a_copy_that_another_worker_gets_is_answered_once(self) -> None:
        # As when a worker loses its connection while it handles a message: the broker gives the
        # message to the other one.
        helper = self.add_helper(ApplicationHelper(Counting))
        apps = [await helper.get_application(self.config()) for _ in range(2)]
        begun: list[Any] = []
        first: Deferred[Any] = Deferred()
        goes_on: Deferred[None] = Deferred()

        async def slowly(app: Any, message: Any) -> None:
            begun.append(app)
            if not first.called:
                first.callback(None)
                await goes_on

        for app in apps:
            self.patch(app, "dispatch_user_message", lambda message, app=app: slowly(app, message))
        message = helper.make_inbound("hi", message_id="m1")
        for _ in range(2):
            helper.worker_helper.broker.publish_message("vumi", "sphex.inbound", message)
        await first
        goes_on.callback(None)
        await helper.kick_delivery()
        self.assertEqual(len(begun), 1)
        consumed = [
            inlet.consumer.flow.counters.consumed
            for app in apps
            for inlet in app.connectors["sphex"]._inlets.values()
            if inlet.kind == "inbound"
        ]
        self.assertEqual(consumed, [1, 1])

    async def test_a_dead_letter_that_is_retried_is_handled(self) -> None:
        helper = self.add_helper(ApplicationHelper(Counting))
        app = await helper.get_application(self.config())
        app.failures = 1
        message = helper.make_inbound("hi", message_id="m1")
        for _ in range(3):
            await helper.dispatch_inbound(message)
        self.assertEqual(app.seen, ["m1", "m1"])
        self.assertEqual(len(helper.get_dispatched_outbound()), 1)
        self.flushLoggedErrors(ValueError)

    async def test_a_reply_that_the_broker_never_got_is_sent_again(self) -> None:
        # The worker ends after the handler and before the broker has confirmed the reply.
        helper = self.add_helper(ApplicationHelper(Counting))
        app = await helper.get_application({**self.config(), "drain_timeout": 0})
        handled: Deferred[None] = Deferred()

        def unconfirmed(message: Any) -> None:
            app.broker.reserve()
            handled.callback(None)

        self.patch(app, "dispatch_user_message", unconfirmed)
        message = helper.make_inbound("hi", message_id="m1")
        helper.worker_helper.broker.publish_message("vumi", "sphex.inbound", message)
        await handled
        await helper.worker_helper.cleanup_worker(app)
        # Its claim, which would expire.
        [key] = await self.keys()
        await (await self.manager()).delete(key)
        again = await helper.get_application(self.config())
        await helper.kick_delivery()
        self.assertEqual(again.seen, ["m1"])

    async def test_a_transport_sends_a_repeated_message_once_and_answers_it_once(self) -> None:
        helper = self.add_helper(TransportHelper(Sending))
        await helper.get_transport(self.config())
        message = helper.make_outbound("hi", message_id="m1")
        for _ in range(3):
            await helper.dispatch_outbound(message)
        [event] = helper.get_dispatched_events()
        self.assertEqual(event["event_type"], "ack")

    async def test_two_workers_on_one_connector_share_no_messages(self) -> None:
        # The same message comes to the dispatcher first, then to the application.
        for connector_name in ("transport", "application"):
            helper = self.add_helper(ApplicationHelper(Counting, transport_name=connector_name))
            app = await helper.get_application(self.config())
            await helper.dispatch_inbound(helper.make_inbound("hi", message_id="m1"))
            self.assertEqual(app.seen, ["m1"])
