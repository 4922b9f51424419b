"""What middlewares are told of messages that this worker is done with."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from vumi.connectors import DuplicateMessage, IgnoreMessage, ReceiveOutboundConnector
from vumi.errors import HandlerRefused
from vumi.middleware import BaseMiddleware
from vumi.tests.test_connectors import ConnectorTestCase, a_turn


class Noting(BaseMiddleware):
    """Notes what it is told."""

    def __init__(self, name: str, log: list[Any]) -> None:
        super().__init__(name, {}, None)
        self.log = log

    def message_handled(
        self, kind: str, message: Any, connector_name: str, error: BaseException | None
    ) -> Any:
        self.log.append((self.name, kind, message.get("content"), connector_name, error))


class Replacing(BaseMiddleware):
    def handle_consume_inbound(self, message: Any, connector_name: str) -> Any:
        replaced = message.copy()
        replaced["content"] = "another"
        return replaced


class Dropping(BaseMiddleware):
    error: type[Exception] = IgnoreMessage

    def handle_consume_inbound(self, message: Any, connector_name: str) -> Any:
        raise self.error("unwanted")

    handle_consume_outbound = handle_consume_inbound


class DroppingDuplicates(Dropping):
    error = DuplicateMessage


class MessageHandledTests(ConnectorTestCase):
    def setUp(self) -> Any:
        self.log: list[Any] = []
        return super().setUp()

    @inlineCallbacks
    def receive(self, handler: Any, *middlewares: BaseMiddleware) -> Any:
        connector = yield self.connect(*middlewares)
        connector.set_default_inbound_handler(handler)
        yield self.helper.dispatch_inbound(self.msg_helper.make_inbound("hi"))
        return connector

    @inlineCallbacks
    def test_told_after_handlers_of_every_style(self) -> Any:
        async def later(message: Any) -> None:
            self.log.append("handler")

        def at_once(message: Any) -> None:
            self.log.append("handler")

        def publishing(message: Any) -> Any:
            self.log.append("handler")
            return connector.publish_outbound(message.reply("hello"))

        connector = yield self.connect(Noting("a", self.log), Noting("b", self.log))
        for handler in (later, at_once, publishing):
            del self.log[:]
            connector.set_default_inbound_handler(handler)
            yield self.helper.dispatch_inbound(self.msg_helper.make_inbound("hi"))
            told = [(name, "inbound", "hi", "line", None) for name in "ba"]
            self.assertEqual(self.log, ["handler", *told])

    @inlineCallbacks
    def test_events_are_told_too(self) -> Any:
        connector = yield self.connect(Noting("a", self.log))
        connector.set_default_event_handler(lambda event: None)
        yield self.helper.dispatch_event(self.msg_helper.make_ack())
        self.assertEqual(self.log, [("a", "event", None, "line", None)])

    @inlineCallbacks
    def receive_unconfirmed(self) -> Any:
        """Have a message handled whose handler publishes what the broker has not confirmed yet."""
        connector = yield self.connect(Noting("a", self.log))
        handled: Deferred[Any] = Deferred()
        connector.set_default_inbound_handler(
            lambda message: handled.callback(self.worker.broker.reserve())
        )
        # Not by the helper: that would wait until the message is acknowledged.
        message = self.msg_helper.make_inbound("hi")
        self.helper.broker.publish_message("vumi", "line.inbound", message)
        unconfirmed = yield handled
        yield a_turn()
        self.assertEqual(self.log, [])
        return connector, unconfirmed

    @inlineCallbacks
    def test_told_only_when_all_that_was_published_is_confirmed(self) -> Any:
        _, unconfirmed = yield self.receive_unconfirmed()
        self.worker.broker.release(unconfirmed)
        self.assertEqual(self.log, [("a", "inbound", "hi", "line", None)])

    @inlineCallbacks
    def test_never_told_of_what_was_not_confirmed_when_the_worker_ends(self) -> Any:
        # The broker will deliver the message again.
        connector, _ = yield self.receive_unconfirmed()
        yield connector.teardown()
        self.assertEqual(self.log, [])

    @inlineCallbacks
    def test_told_of_failures_with_the_error(self) -> Any:
        def raising(message: Any) -> None:
            raise ValueError("broken")

        async def raising_later(message: Any) -> None:
            raise ValueError("broken")

        connector = yield self.connect(Noting("a", self.log))
        for handler, kind in [
            (raising, ValueError),
            (raising_later, ValueError),
            (lambda message: False, HandlerRefused),
        ]:
            del self.log[:]
            connector.set_default_inbound_handler(handler)
            yield self.helper.dispatch_inbound(self.msg_helper.make_inbound("hi"))
            [(_, _, content, _, error)] = self.log
            self.assertEqual(content, "hi")
            self.assertIsInstance(error, kind)
        dead = self.helper.broker.get_dispatched("vumi", "line.inbound.dead")
        self.assertEqual(len(dead), 3)
        self.flushLoggedErrors()

    @inlineCallbacks
    def test_told_of_failures_of_other_middlewares(self) -> Any:
        class Broken(BaseMiddleware):
            def handle_consume_inbound(self, message: Any, connector_name: str) -> Any:
                raise ValueError("broken")

        yield self.receive(lambda message: None, Noting("a", self.log), Broken("broken", {}, None))
        [(_, _, _, _, error)] = self.log
        self.assertIsInstance(error, ValueError)
        self.flushLoggedErrors()

    @inlineCallbacks
    def test_what_was_ignored_was_handled(self) -> Any:
        handled: list[Any] = []
        yield self.receive(handled.append, Noting("a", self.log), Dropping("drop", {}, None))
        self.assertEqual(handled, [])
        self.assertEqual(self.log, [("a", "inbound", "hi", "line", None)])

    @inlineCallbacks
    def test_the_message_is_the_one_that_was_received(self) -> Any:
        handled: list[Any] = []
        yield self.receive(
            lambda message: handled.append(message["content"]),
            Replacing("replace", {}, None),
            Noting("a", self.log),
        )
        self.assertEqual(handled, ["another"])
        self.assertEqual(self.log, [("a", "inbound", "hi", "line", None)])

    @inlineCallbacks
    def test_a_worker_that_stops_waits_for_those_that_are_told(self) -> Any:
        done: Deferred[None] = Deferred()

        class Slow(BaseMiddleware):
            async def message_handled(
                self, kind: str, message: Any, connector_name: str, error: BaseException | None
            ) -> None:
                await done

        connector = yield self.receive(lambda message: None, Slow("slow", {}, None))
        stopping = connector.teardown()
        self.assertNoResult(stopping)
        done.callback(None)
        yield stopping

    @inlineCallbacks
    def test_one_that_fails_is_logged_and_disturbs_nobody(self) -> Any:
        class Failing(BaseMiddleware):
            def message_handled(
                self, kind: str, message: Any, connector_name: str, error: BaseException | None
            ) -> Any:
                raise ValueError("broken")

        yield self.receive(
            lambda message: None, Noting("a", self.log), Failing("failing", {}, None)
        )
        self.assertEqual(len(self.log), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.helper.broker.get_dispatched("vumi", "line.inbound.dead"), [])

    @inlineCallbacks
    def test_nothing_is_kept_when_nobody_wants_to_know(self) -> Any:
        connector = yield self.connect(self.recorder())
        self.assertEqual([inlet.aftermath for inlet in connector._inlets.values()], [None, None])


class DroppedOutboundTests(ConnectorTestCase):
    connector_class = ReceiveOutboundConnector

    @inlineCallbacks
    def test_a_duplicate_is_not_nacked_as_the_first_was_answered(self) -> Any:
        for cls, events in [(Dropping, ["nack"]), (DroppingDuplicates, [])]:
            connector = yield self.connect(cls("drop", {}, None))
            self.helper.clear_dispatched_events()
            yield self.helper.dispatch_outbound(self.msg_helper.make_outbound("hi"))
            dispatched = self.helper.get_dispatched_events()
            self.assertEqual([event["event_type"] for event in dispatched], events)
            yield connector.teardown()
