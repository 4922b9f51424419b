"""Connectors: which handler gets a message, what it passes before, and who refuses it how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks, succeed
from twisted.internet.task import deferLater

from vumi.connectors import (
    IgnoreMessage,
    PublishStatusConnector,
    ReceiveInboundConnector,
    ReceiveOutboundConnector,
    ReceiveStatusConnector,
)
from vumi.errors import InvalidEndpoint, StoreUnavailable
from vumi.message import TransportEvent, TransportStatus, TransportUserMessage
from vumi.middleware import BaseMiddleware
from vumi.middleware.tests.utils import RecordingMiddleware
from vumi.tests.helpers import MessageHelper, VumiTestCase, WorkerHelper
from vumi.worker import BaseWorker

if TYPE_CHECKING:
    from collections.abc import Callable

STATUS: dict[str, Any] = {"component": "smsc", "status": "ok", "type": "bound", "message": "Bound"}


def a_turn() -> Deferred[None]:
    from twisted.internet import reactor

    return deferLater(reactor, 0, lambda: None)


class PlainWorker(BaseWorker):
    """The test sets its connectors up."""

    def setup_connectors(self) -> None:
        return None

    def setup_worker(self) -> None:
        return None


class ConnectorTestCase(VumiTestCase):
    connector_class: type[Any] = ReceiveInboundConnector

    @inlineCallbacks
    def setUp(self) -> Any:  # type: ignore[override]  # trial waits for what it returns
        self.msg_helper = self.add_helper(MessageHelper())
        self.helper = self.add_helper(WorkerHelper("line", status_connector_name="line"))
        self.worker = yield self.helper.get_worker(PlainWorker, {})

    @inlineCallbacks
    def connect(self, *middlewares: BaseMiddleware, cls: type[Any] | None = None) -> Any:
        connector = (cls or self.connector_class)(
            self.worker, "line", prefetch_count=10, middlewares=list(middlewares)
        )
        yield connector.setup()
        self.add_cleanup(connector.teardown)
        yield connector.unpause()
        return connector

    def recorder(self, name: str = "rec") -> RecordingMiddleware:
        return RecordingMiddleware(name, {}, self.worker)


class Redirecting(BaseMiddleware):
    """Sends every message to another endpoint."""

    def handle_consume_inbound(self, message: Any, connector_name: str) -> Any:
        message.set_routing_endpoint("elsewhere")
        return message

    def handle_consume_event(self, event: Any, connector_name: str) -> Any:
        return self.handle_consume_inbound(event, connector_name)


class AsyncRedirecting(BaseMiddleware):
    """Does the same, later."""

    async def handle_consume_inbound(self, message: Any, connector_name: str) -> Any:
        await a_turn()
        message.set_routing_endpoint("elsewhere")
        return message

    def handle_consume_event(self, event: Any, connector_name: str) -> Any:
        return self.handle_consume_inbound(event, connector_name)


class Ignoring(BaseMiddleware):
    """Drops messages that say so."""

    def _check(self, message: Any, connector_name: str) -> Any:
        if message.get("content") == "spam":
            raise IgnoreMessage("it is spam")
        return message

    handle_inbound = _check
    handle_outbound = _check


class AsyncIgnoring(BaseMiddleware):
    """Does the same, later."""

    async def _check(self, message: Any, connector_name: str) -> Any:
        await a_turn()
        if message.get("content") == "spam":
            raise IgnoreMessage("it is spam")
        return message

    handle_inbound = _check
    handle_outbound = _check


class Needy(BaseMiddleware):
    """Needs a store, which is away at the first two looks."""

    tries = 0

    def handle_consume_inbound(self, message: Any, connector_name: str) -> Any:
        self.tries += 1
        if self.tries < 3:
            raise StoreUnavailable("Redis is away.")
        return message


class AsyncNeedy(Needy):
    """Does the same, later."""

    async def handle_consume_inbound(self, message: Any, connector_name: str) -> Any:
        await a_turn()
        return super().handle_consume_inbound(message, connector_name)


class SlowPublishing(BaseMiddleware):
    """Takes its time with every message that is published, the longer the shorter it is."""

    async def handle_publish_outbound(self, message: Any, connector_name: str) -> Any:
        for _ in range(5):
            await a_turn()
        message["helper_metadata"]["slowly"] = True
        return message


class InboundTests(ConnectorTestCase):
    @inlineCallbacks
    def test_handlers_by_endpoint(self) -> Any:
        connector = yield self.connect()
        seen: list[tuple[str, str]] = []

        def handler(name: str) -> Callable[[Any], None]:
            return lambda message: seen.append((name, message["content"]))

        connector.set_inbound_handler(handler("default"))
        connector.set_inbound_handler(handler("vip"), endpoint_name="vip")
        connector.set_default_inbound_handler(handler("others"))
        for content, endpoint in [
            ("1", None),
            ("2", "default"),
            ("3", "vip"),
            ("4", "elsewhere"),
        ]:
            message = self.msg_helper.make_inbound(content, endpoint=endpoint)
            yield self.helper.dispatch_inbound(message)
        yield self.helper.dispatch_inbound(self.msg_helper.make_inbound("5"))
        self.assertEqual(
            seen,
            [
                ("default", "1"),
                ("default", "2"),
                ("vip", "3"),
                ("others", "4"),
                ("default", "5"),
            ],
        )

    @inlineCallbacks
    def test_event_handlers_by_endpoint(self) -> Any:
        connector = yield self.connect()
        seen: list[str] = []
        connector.set_event_handler(lambda event: seen.append("default"))
        connector.set_event_handler(lambda event: seen.append("vip"), "vip")
        connector.set_default_event_handler(lambda event: seen.append("others"))
        for endpoint in (None, "vip", "elsewhere"):
            yield self.helper.dispatch_event(self.msg_helper.make_ack(endpoint=endpoint))
        self.assertEqual(seen, ["default", "vip", "others"])

    @inlineCallbacks
    def test_messages_arrive_as_their_classes(self) -> Any:
        connector = yield self.connect()
        seen: list[type[Any]] = []
        connector.set_inbound_handler(lambda message: seen.append(type(message)))
        connector.set_event_handler(lambda event: seen.append(type(event)))
        yield self.helper.dispatch_inbound(self.msg_helper.make_inbound("hi"))
        yield self.helper.dispatch_event(self.msg_helper.make_ack())
        self.assertEqual(seen, [TransportUserMessage, TransportEvent])

    @inlineCallbacks
    def test_an_endpoint_that_nobody_handles_makes_a_dead_letter(self) -> Any:
        yield self.connect()
        msg = self.msg_helper.make_inbound("hi", endpoint="elsewhere")
        yield self.helper.dispatch_inbound(msg)
        self.assertEqual(
            self.helper.get_dispatched(None, "inbound.dead", TransportUserMessage), [msg]
        )
        [failure] = self.flushLoggedErrors(InvalidEndpoint)
        self.assertIn("elsewhere", str(failure.value))

    @inlineCallbacks
    def test_a_middleware_that_changes_the_endpoint_changes_the_handler(self) -> Any:
        seen: list[str] = []
        for middleware_class in (Redirecting, AsyncRedirecting):
            seen.clear()
            connector = yield self.connect(middleware_class("redirect", {}, self.worker))
            connector.set_inbound_handler(lambda m: seen.append("default"))
            connector.set_inbound_handler(lambda m: seen.append("elsewhere"), "elsewhere")
            connector.set_event_handler(lambda e: seen.append("default"))
            connector.set_event_handler(lambda e: seen.append("event elsewhere"), "elsewhere")
            yield self.helper.dispatch_inbound(self.msg_helper.make_inbound("hi"))
            yield self.helper.dispatch_event(self.msg_helper.make_ack())
            self.assertEqual(seen, ["elsewhere", "event elsewhere"])
            yield connector.teardown()

    @inlineCallbacks
    def test_a_middleware_whose_store_is_away_puts_messages_off_instead_of_killing_them(
        self,
    ) -> Any:
        for middleware_class in (Needy, AsyncNeedy):
            seen: list[str] = []
            connector = yield self.connect(middleware_class("needy", {}, self.worker))
            connector.set_inbound_handler(lambda m, seen=seen: seen.append(m["content"]))
            sent = [
                self.helper.dispatch_inbound(self.msg_helper.make_inbound(text, from_addr="+271"))
                for text in ("one", "two")
            ]
            yield DeferredList(sent)
            self.assertEqual(seen, ["one", "two"])
            counters = connector._inlets["inbound"].consumer.flow.counters
            self.assertEqual((counters.put_off, counters.dead_lettered), (2, 0))
            yield connector.teardown()

    @inlineCallbacks
    def test_ignoring_a_message_is_no_error(self) -> Any:
        def raising(message: Any) -> Any:
            raise IgnoreMessage("not for us")

        @inlineCallbacks
        def raising_later(message: Any) -> Any:
            yield a_turn()
            raise IgnoreMessage("not for us")

        async def raising_async(message: Any) -> Any:
            await a_turn()
            raise IgnoreMessage("not for us")

        connector = yield self.connect()
        for handler in (raising, raising_later, raising_async):
            connector.set_inbound_handler(handler)
            yield self.helper.dispatch_inbound(self.msg_helper.make_inbound("hi"))
        self.assertEqual(set(self.helper.broker.dispatched["vumi"]), {"line.inbound"})

    @inlineCallbacks
    def test_a_middleware_can_ignore_a_message(self) -> Any:
        seen: list[str] = []
        for middleware_class in (Ignoring, AsyncIgnoring):
            seen.clear()
            connector = yield self.connect(middleware_class("ignore", {}, self.worker))
            connector.set_inbound_handler(lambda message: seen.append(message["content"]))
            for content in ("spam", "ham"):
                yield self.helper.dispatch_inbound(self.msg_helper.make_inbound(content))
            self.assertEqual(seen, ["ham"])
            self.assertEqual(set(self.helper.broker.dispatched["vumi"]), {"line.inbound"})
            yield connector.teardown()

    @inlineCallbacks
    def test_handlers_in_all_styles_behind_async_middleware(self) -> Any:
        seen: list[str] = []

        def plain(message: Any) -> Any:
            seen.append("plain")

        @inlineCallbacks
        def generator(message: Any) -> Any:
            yield a_turn()
            seen.append("generator")

        async def coroutine(message: Any) -> Any:
            await a_turn()
            seen.append("coroutine")

        for middlewares in ((), (AsyncIgnoring("slow", {}, self.worker),)):
            seen.clear()
            connector = yield self.connect(*middlewares)
            for handler in (plain, generator, coroutine):
                connector.set_inbound_handler(handler)
                yield self.helper.dispatch_inbound(self.msg_helper.make_inbound("hi"))
            self.assertEqual(seen, ["plain", "generator", "coroutine"])
            yield connector.teardown()

    @inlineCallbacks
    def test_messages_pass_the_middleware_in_order(self) -> Any:
        connector = yield self.connect(self.recorder("queue"), self.recorder("app"))
        seen: list[Any] = []
        connector.set_inbound_handler(seen.append)
        connector.set_event_handler(seen.append)
        yield self.helper.dispatch_inbound(self.msg_helper.make_inbound("hi"))
        yield self.helper.dispatch_event(self.msg_helper.make_ack())
        inbound, event = seen
        self.assertEqual(
            inbound["record"], [("queue", "inbound", "line"), ("app", "inbound", "line")]
        )
        self.assertEqual(event["record"], [("queue", "event", "line"), ("app", "event", "line")])
        msg = yield connector.publish_outbound(self.msg_helper.make_outbound("hi"))
        self.assertEqual(
            msg["record"], [("app", "outbound", "line"), ("queue", "outbound", "line")]
        )

    @inlineCallbacks
    def test_publishing_sets_the_endpoint_only_if_it_is_given(self) -> Any:
        connector = yield self.connect(self.recorder())
        yield connector.publish_outbound(self.msg_helper.make_outbound("1", endpoint="vip"))
        yield connector.publish_outbound(self.msg_helper.make_outbound("2"), endpoint_name="sms")
        yield connector.publish_outbound(self.msg_helper.make_outbound("3"))
        sent = self.helper.get_dispatched_outbound()
        self.assertEqual([m.get_routing_endpoint() for m in sent], ["vip", "sms", "default"])
        self.assertEqual(sent[2]["routing_metadata"], {})

    @inlineCallbacks
    def test_a_publish_behind_async_middleware_is_done_after_the_dispatch(self) -> Any:
        connector = yield self.connect(SlowPublishing("slow", {}, self.worker))

        def handler(message: Any) -> None:
            # Not waited for, as in many an application.
            _ = connector.publish_outbound(message.reply("yes"))

        connector.set_inbound_handler(handler)
        yield self.helper.dispatch_inbound(self.msg_helper.make_inbound("hi"))
        [reply] = self.helper.get_dispatched_outbound()
        self.assertEqual(reply["helper_metadata"], {"slowly": True})

    @inlineCallbacks
    def test_a_middleware_that_ignores_what_is_published_fails_the_publish(self) -> Any:
        for middleware_class in (Ignoring, AsyncIgnoring):
            connector = yield self.connect(middleware_class("ignore", {}, self.worker))
            try:
                yield connector.publish_outbound(self.msg_helper.make_outbound("spam"))
            except IgnoreMessage:
                pass
            else:
                self.fail("published what a middleware has dropped")
            self.assertEqual(self.helper.get_dispatched_outbound(), [])
            yield connector.teardown()

    @inlineCallbacks
    def test_pausing(self) -> Any:
        connector = yield self.connect()
        seen: list[str] = []
        connector.set_inbound_handler(lambda message: seen.append(message["content"]))
        self.assertFalse(connector.paused)
        yield connector.pause()
        self.assertTrue(connector.paused)
        yield self.helper.dispatch_inbound(self.msg_helper.make_inbound("1"))
        yield self.helper.dispatch_inbound(self.msg_helper.make_inbound("2"))
        self.assertEqual(seen, [])
        yield connector.unpause()
        yield self.helper.kick_delivery()
        self.assertEqual(seen, ["1", "2"])

    @inlineCallbacks
    def test_pausing_waits_for_the_handlers_that_run(self) -> Any:
        connector = yield self.connect()
        gate: Deferred[None] = Deferred()
        connector.set_inbound_handler(lambda message: gate)
        dispatched = self.helper.dispatch_inbound(self.msg_helper.make_inbound("1"))
        yield a_turn()
        paused = connector.pause()
        self.assertNoResult(paused)
        gate.callback(None)
        yield paused
        yield dispatched

    @inlineCallbacks
    def test_a_connector_tears_down_middleware_of_its_own_but_no_shared_one(self) -> Any:
        torn_down: list[str] = []

        class Leaving(BaseMiddleware):
            def teardown_middleware(self) -> Any:
                torn_down.append(self.name)
                return succeed(None)

        connector = yield self.connect(Leaving("own", {}, self.worker))
        yield connector.teardown()
        self.assertEqual(torn_down, ["own"])


class OutboundTests(ConnectorTestCase):
    connector_class = ReceiveOutboundConnector

    def assert_nack(self, message: TransportUserMessage, reason: str, endpoint: str) -> None:
        [event] = self.helper.get_dispatched_events()
        self.assertEqual(event["event_type"], "nack")
        self.assertEqual(event["user_message_id"], message["message_id"])
        self.assertEqual(event["nack_reason"], reason)
        for name in ("transport_name", "transport_type", "transport_metadata"):
            self.assertEqual(event[name], message[name])
        self.assertEqual(event.get_routing_endpoint(), endpoint)

    def make_outbound(self, content: str, **kw: Any) -> Any:
        return self.msg_helper.make_outbound(
            content,
            transport_name="far_line",
            transport_type="ussd",
            transport_metadata={"session": 7},
            **kw,
        )

    @inlineCallbacks
    def test_handlers_by_endpoint(self) -> Any:
        connector = yield self.connect()
        seen: list[str] = []
        connector.set_outbound_handler(lambda message: seen.append("default"))
        connector.set_outbound_handler(lambda message: seen.append("vip"), "vip")
        connector.set_default_outbound_handler(lambda message: seen.append("others"))
        for endpoint in (None, "vip", "elsewhere"):
            message = self.msg_helper.make_outbound("hi", endpoint=endpoint)
            yield self.helper.dispatch_outbound(message)
        self.assertEqual(seen, ["default", "vip", "others"])

    @inlineCallbacks
    def test_an_ignored_message_is_nacked_with_all_that_routes_the_nack(self) -> Any:
        def raising(message: Any) -> Any:
            raise IgnoreMessage("too long")

        async def raising_later(message: Any) -> Any:
            await a_turn()
            raise IgnoreMessage("too long")

        connector = yield self.connect()
        for handler in (raising, raising_later):
            connector.set_outbound_handler(handler, "vip")
            message = self.make_outbound("hi", endpoint="vip")
            yield self.helper.dispatch_outbound(message)
            self.assert_nack(message, "too long", "vip")
            self.helper.clear_dispatched_events()

    @inlineCallbacks
    def test_a_middleware_can_refuse_a_message(self) -> Any:
        for middleware_class in (Ignoring, AsyncIgnoring):
            connector = yield self.connect(middleware_class("ignore", {}, self.worker))
            seen: list[Any] = []
            connector.set_outbound_handler(seen.append)
            message = self.make_outbound("spam")
            yield self.helper.dispatch_outbound(message)
            self.assertEqual(seen, [])
            self.assert_nack(message, "it is spam", "default")
            self.helper.clear_dispatched_events()
            yield connector.teardown()

    @inlineCallbacks
    def test_an_endpoint_that_nobody_handles_is_nacked(self) -> Any:
        yield self.connect()
        message = self.make_outbound("hi", endpoint="elsewhere")
        yield self.helper.dispatch_outbound(message)
        self.assert_nack(message, "No handler for endpoint 'elsewhere'.", "elsewhere")

    @inlineCallbacks
    def test_a_nack_needs_no_reason(self) -> Any:
        def raising(message: Any) -> Any:
            raise IgnoreMessage

        connector = yield self.connect()
        connector.set_outbound_handler(raising)
        message = self.make_outbound("hi")
        yield self.helper.dispatch_outbound(message)
        self.assert_nack(message, "", "default")

    @inlineCallbacks
    def test_nacks_pass_the_middleware(self) -> Any:
        connector = yield self.connect(self.recorder())
        connector.set_outbound_handler(self.raise_ignore)
        yield self.helper.dispatch_outbound(self.make_outbound("hi"))
        [event] = self.helper.get_dispatched_events()
        self.assertEqual(event["record"], [["rec", "event", "line"]])

    @staticmethod
    def raise_ignore(message: Any) -> Any:
        raise IgnoreMessage("no")

    @inlineCallbacks
    def test_publishing(self) -> Any:
        connector = yield self.connect()
        message = self.msg_helper.make_inbound("hi")
        published = yield connector.publish_inbound(message, "vip")
        self.assertIs(published, message)
        event = yield connector.publish_event(self.msg_helper.make_ack(), endpoint_name="vip")
        self.assertEqual(self.helper.get_dispatched_inbound(), [message])
        self.assertEqual(self.helper.get_dispatched_events(), [event])
        self.assertEqual(message.get_routing_endpoint(), "vip")
        self.assertEqual(event.get_routing_endpoint(), "vip")


class StatusTests(ConnectorTestCase):
    @inlineCallbacks
    def test_a_status_from_one_to_the_other_through_middleware(self) -> Any:
        publisher = yield self.connect(self.recorder("out"), cls=PublishStatusConnector)
        receiver = yield self.connect(self.recorder("in"), cls=ReceiveStatusConnector)
        seen: list[Any] = []
        receiver.set_status_handler(seen.append)
        yield publisher.publish_status(TransportStatus(**STATUS))
        yield self.helper.kick_delivery()
        [status] = seen
        self.assertIsInstance(status, TransportStatus)
        self.assertEqual(status["component"], "smsc")
        self.assertEqual(status["record"], [["out", "status", "line"], ("in", "status", "line")])
        self.assertEqual(len(self.helper.get_dispatched_statuses()), 1)

    @inlineCallbacks
    def test_one_that_only_publishes_is_always_paused(self) -> Any:
        publisher = yield self.connect(cls=PublishStatusConnector)
        self.assertTrue(publisher.paused)
