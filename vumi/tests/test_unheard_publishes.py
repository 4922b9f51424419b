"""A publish that fails, and that its handler has not waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, inlineCallbacks

from vumi.connectors import IgnoreMessage
from vumi.errors import PublishRefused
from vumi.middleware import BaseMiddleware
from vumi.tests.test_connectors import ConnectorTestCase, a_turn

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from vumi.broker import Publication


class Later(BaseMiddleware):
    """Takes its time with what is published, and then does what it is told to."""

    error: BaseException | None = None

    def __init__(self) -> None:
        super().__init__("later", {}, None)
        self.waiting: list[Deferred[None]] = []
        self.told: list[BaseException | None] = []

    async def handle_publish_outbound(self, message: Any, connector_name: str) -> Any:
        turn: Deferred[None] = Deferred()
        self.waiting.append(turn)
        await turn
        if self.error is not None:
            raise self.error
        return message

    def go_on(self) -> None:
        waiting, self.waiting = self.waiting, []
        for turn in waiting:
            turn.callback(None)


class Told(Later):
    def message_handled(
        self, kind: str, message: Any, connector_name: str, error: BaseException | None
    ) -> Any:
        self.told.append(error)


class UnheardPublishTests(ConnectorTestCase):
    middleware_class: type[Later] = Later

    @inlineCallbacks
    def receive(self, handler: Any, error: BaseException | None) -> Any:
        """Have a message handled whose handler leaves its publishes to themselves."""
        self.later = self.middleware_class()
        self.later.error = error
        self.connector = yield self.connect(self.later)
        self.connector.set_default_inbound_handler(handler)
        message = self.msg_helper.make_inbound("hi")
        self.helper.broker.publish_message("vumi", "line.inbound", message)
        yield self.wait_until(lambda: self.later.waiting)
        self.later.go_on()
        yield self.wait_until(lambda: not self.counters.in_flight)

    @inlineCallbacks
    def wait_until(self, condition: Any) -> Any:
        while not condition():
            yield a_turn()

    @property
    def counters(self) -> Any:
        return self.connector._inlets["inbound"].consumer.flow.counters

    def dead_letters(self) -> list[Any]:
        letters = self.helper.broker.get_messages("vumi", "line.inbound.dead")
        return [letter["content"] for letter in letters]

    def reply(self, message: Any) -> Deferred[Any]:
        publishing: Deferred[Any] = self.connector.publish_outbound(message.reply("hello"))
        return publishing

    def leave(self, message: Any) -> None:
        _ = self.reply(message)

    async def leave_later(self, message: Any) -> None:
        await a_turn()
        _ = self.reply(message)

    @inlineCallbacks
    def leave_in_a_generator(self, message: Any) -> Any:
        yield a_turn()
        _ = self.reply(message)

    def assert_told(self, *types: type | None) -> None:
        """What middlewares were told of the message: nothing, as none wants to know."""

    @inlineCallbacks
    def test_the_message_that_it_answers_becomes_a_dead_letter(self) -> Any:
        for handler in (self.leave, self.leave_later, self.leave_in_a_generator):
            yield self.receive(handler, ValueError("no"))
            self.assertEqual(self.dead_letters(), ["hi"])
            self.assertEqual((self.counters.dead_lettered, self.counters.handled), (1, 0))
            self.assert_told(ValueError)
            yield self.connector.teardown()
            self.worker.connectors.clear()
            self.helper.clear_all_dispatched()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 3)

    @inlineCallbacks
    def test_one_that_succeeds_changes_nothing(self) -> Any:
        yield self.receive(self.leave, None)
        self.assertEqual(self.dead_letters(), [])
        self.assert_told(None)

    @inlineCallbacks
    def test_one_that_a_middleware_drops_was_not_to_be_published(self) -> Any:
        yield self.receive(self.leave, IgnoreMessage("no"))
        self.assertEqual(self.dead_letters(), [])
        self.assertEqual(self.counters.handled, 1)
        self.assert_told(None)

    @inlineCallbacks
    def test_one_that_somebody_listens_to_is_theirs(self) -> Any:
        heard: list[Failure] = []

        def handler(message: Any) -> None:
            _ = self.reply(message).addErrback(heard.append)

        yield self.receive(handler, ValueError("no"))
        self.assertEqual((len(heard), self.dead_letters()), (1, []))

    @inlineCallbacks
    def test_one_that_is_waited_for_too_late_is_theirs_too(self) -> Any:
        async def patient(message: Any) -> None:
            replying = self.reply(message)
            while not replying.called:
                await a_turn()
            with self.assertRaises(ValueError):
                await replying

        yield self.receive(patient, ValueError("no"))
        self.assertEqual(self.dead_letters(), [])


class ToldOfUnheardPublishTests(UnheardPublishTests):
    """The same, with a middleware that is told what became of messages."""

    middleware_class = Told

    def assert_told(self, *types: type | None) -> None:
        found = [None if error is None else type(error) for error in self.later.told]
        self.assertEqual(found, list(types))


class RefusedPublishTests(ConnectorTestCase):
    @inlineCallbacks
    def test_what_the_broker_refuses_makes_the_message_a_dead_letter(self) -> Any:
        refused: list[Publication] = []

        connector = yield self.connect()

        def handler(message: Any) -> None:
            refused.append(self.worker.broker.reserve())

        connector.set_default_inbound_handler(handler)
        message = self.msg_helper.make_inbound("hi")
        self.helper.broker.publish_message("vumi", "line.inbound", message)
        while not refused:
            yield a_turn()
        refused[0].refuse(PublishRefused("line.outbound"))
        self.worker.broker.release(refused[0])
        flow = connector._inlets["inbound"].consumer.flow
        while flow.counters.in_flight:
            yield a_turn()
        self.assertEqual(flow.counters.dead_lettered, 1)
        self.assertEqual(len(self.flushLoggedErrors(PublishRefused)), 1)
