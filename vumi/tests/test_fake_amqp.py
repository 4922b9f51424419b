"""The broker of tests: what it remembers, and when its work is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from vumi.broker import Exchange, MemoryBroker, Queue
from vumi.broker.tests.contract import BrokerContract
from vumi.message import Message, TransportUserMessage
from vumi.service import Worker
from vumi.tests.fake_amqp import FakeAMQClient, FakeAMQPBroker
from vumi.tests.helpers import MessageHelper, VumiTestCase, WorkerHelper

if TYPE_CHECKING:
    from collections.abc import Callable


def a_turn() -> Deferred[None]:
    return deferLater(reactor, 0, lambda: None)


class FakeBrokerContractTests(BrokerContract, TestCase):
    """It is a broker like the others."""

    def setUp(self) -> None:
        self.fake = FakeAMQPBroker()

    def connect(self) -> Any:
        return self.fake.connect()

    def interrupt(self, broker: Any) -> None:
        broker.interrupt()


class RememberingTests(VumiTestCase):
    @inlineCallbacks
    def setUp(self) -> Any:  # type: ignore[override]  # trial waits for what it returns
        self.broker = FakeAMQPBroker()
        self.client = FakeAMQClient(broker=self.broker)
        yield self.client.declare_exchange(Exchange("vumi"))
        yield self.client.declare_queue(Queue("q"))

    def bodies(self, exchange: str, key: str) -> list[bytes]:
        return [content.body for content in self.broker.get_dispatched(exchange, key)]

    @inlineCallbacks
    def test_everything_that_is_published_in_order(self) -> Any:
        yield self.client.publish("vumi", "q", b"1")
        yield self.client.publish("vumi", "nobody.reads", b"2")
        yield self.client.publish("vumi", "q", b"3", headers={"x-vumi-count": 1})
        self.assertEqual(self.bodies("vumi", "q"), [b"1", b"3"])
        self.assertEqual(self.bodies("vumi", "nobody.reads"), [b"2"])
        self.assertEqual(set(self.broker.dispatched["vumi"]), {"q", "nobody.reads"})
        content = self.broker.get_dispatched("vumi", "q")[1]
        self.assertEqual(content.properties, {"delivery mode": 2, "headers": {"x-vumi-count": 1}})

    @inlineCallbacks
    def test_a_publish_whose_queue_has_vanished_is_remembered_once(self) -> Any:
        yield self.client.publish("vumi", "gone.inbound", b"1", mandatory=True)
        self.assertEqual(self.bodies("vumi", "gone.inbound"), [b"1"])
        self.assertIn("gone.inbound", self.broker.queues)

    def test_what_was_never_used_is_empty(self) -> None:
        self.assertEqual(self.broker.get_dispatched("vumi", "never"), [])
        self.assertEqual(self.broker.get_messages("nowhere", "never"), [])

    @inlineCallbacks
    def test_messages(self) -> Any:
        message = MessageHelper().make_inbound("hi")
        self.broker.publish_message("vumi", "q", message)
        self.broker.publish_raw("vumi", "q", '{"text": "Hé"}')
        first, second = self.broker.get_messages("vumi", "q")
        self.assertEqual((first, second), (message, Message(text="Hé")))
        self.assertIs(type(first), Message)
        yield self.broker.kick_delivery()

    def test_publishing_to_an_exchange_that_nobody_declared_says_what_to_do(self) -> None:
        error = self.assertRaises(AssertionError, self.broker.publish_raw, "vumi.metrics", "k", "")
        self.assertIn("start the worker first", str(error))

    @inlineCallbacks
    def test_clearing(self) -> Any:
        for key in ("a", "b"):
            yield self.client.publish("vumi", key, b"1")
        self.broker.clear_messages("vumi", "a")
        self.assertEqual((self.bodies("vumi", "a"), self.bodies("vumi", "b")), ([], [b"1"]))
        yield self.client.publish("vumi", "a", b"2")
        self.assertEqual(self.bodies("vumi", "a"), [b"2"])
        self.broker.clear_messages("vumi")
        self.assertEqual((self.bodies("vumi", "a"), self.bodies("vumi", "b")), ([], []))

    @inlineCallbacks
    def test_clearing_what_was_never_used_is_no_error(self) -> Any:
        self.broker.clear_messages("vumi", "never")
        self.broker.clear_messages("nowhere")
        yield self.client.publish("vumi", "q", b"1")
        self.broker.clear_messages("vumi", "never")
        self.assertEqual(self.bodies("vumi", "q"), [b"1"])

    @inlineCallbacks
    def test_basic_get(self) -> Any:
        yield self.client.publish("vumi", "q", b"1")
        delivery = self.broker.basic_get("q")
        assert delivery is not None
        self.assertEqual(delivery.body, b"1")
        self.assertIsNone(self.broker.basic_get("q"))
        self.assertIsNone(self.broker.basic_get("no such queue"))

    def test_exchanges_and_queues_by_name(self) -> None:
        self.assertEqual(self.broker.exchanges["vumi"].type, "topic")
        self.assertEqual(set(self.broker.queues), {"q"})

    @inlineCallbacks
    def test_waiting_for_an_amount(self) -> Any:
        waiting = self.broker.wait_messages("vumi", "q", 2)
        self.broker.publish_raw("vumi", "q", "{}")
        yield a_turn()
        self.assertNoResult(waiting)
        self.broker.publish_raw("vumi", "q", "{}")
        # Not from within the publish: whoever publishes is in the middle of something.
        self.assertNoResult(waiting)
        messages = yield waiting
        self.assertEqual(len(messages), 2)
        again = yield self.broker.wait_messages("vumi", "q", 1)
        self.assertEqual(len(again), 2)

    def test_a_client_without_a_broker_has_its_own(self) -> None:
        one, other = FakeAMQClient(), FakeAMQClient("spec", {"hostname": "h"})
        self.assertIsInstance(one.broker, MemoryBroker)
        self.assertIsNot(one.broker, other.broker)
        self.assertEqual(other.vumi_options, {"hostname": "h"})
        self.assertTrue(one.connected)


class HandlingWorker(Worker):
    """Calls what the test gives it; relays what that returns."""

    handler: Callable[[Any], Any]

    @inlineCallbacks
    def startWorker(self) -> Any:
        self.handled: list[Any] = []
        self.publisher = yield self.publish_to("relay.inbound")
        self.consumer = yield self.consume(
            "in.inbound", self.handle, message_class=TransportUserMessage, prefetch_count=10
        )
        yield self.consume("relay.inbound", self.note)

    def note(self, message: Any) -> None:
        self.handled.append(("relayed", message["content"]))

    def handle(self, message: Any) -> Any:
        self.handled.append(("handled", message["content"]))
        return self.handler(message)


class DeliveryTests(VumiTestCase):
    @inlineCallbacks
    def setUp(self) -> Any:  # type: ignore[override]  # trial waits for what it returns
        self.helper = self.add_helper(WorkerHelper("in"))
        self.worker = yield self.helper.get_worker(HandlingWorker, {})
        self.message = MessageHelper().make_inbound("hi")

    @inlineCallbacks
    def test_nothing_is_handled_from_within_a_publish(self) -> Any:
        self.worker.handler = lambda message: None
        done = self.helper.dispatch_inbound(self.message)
        self.assertEqual(self.worker.handled, [])
        yield done
        self.assertEqual(self.worker.handled, [("handled", "hi")])

    @inlineCallbacks
    def test_delivery_is_done_when_the_handlers_are(self) -> Any:
        gate: Deferred[None] = Deferred()
        self.worker.handler = lambda message: gate
        done = self.helper.dispatch_inbound(self.message)
        for _ in range(5):
            yield a_turn()
        self.assertNoResult(done)
        self.assertNoResult(self.helper.broker.wait_delivery())
        gate.callback(None)
        yield done

    @inlineCallbacks
    def test_delivery_is_done_when_everything_a_message_led_to_is(self) -> Any:
        async def handler(message: Any) -> None:
            await a_turn()
            await self.worker.publisher.publish_message(message)

        self.worker.handler = handler
        yield self.helper.dispatch_inbound(self.message)
        self.assertEqual(self.worker.handled, [("handled", "hi"), ("relayed", "hi")])

    @inlineCallbacks
    def test_an_idle_broker_has_nothing_to_wait_for(self) -> Any:
        yield self.helper.kick_delivery()
        self.successResultOf(self.helper.broker.wait_delivery())

    @inlineCallbacks
    def test_what_a_paused_consumer_holds_is_not_waited_for(self) -> Any:
        self.worker.handler = lambda message: None
        yield self.worker.consumer.pause()
        yield self.helper.dispatch_inbound(self.message)
        yield self.helper.dispatch_inbound(self.message)
        self.assertEqual(self.worker.handled, [])
        yield self.worker.consumer.unpause()
        yield self.helper.kick_delivery()
        self.assertEqual(self.worker.handled, [("handled", "hi")] * 2)

    @inlineCallbacks
    def test_a_handler_that_runs_in_a_paused_consumer_is_waited_for(self) -> Any:
        gate: Deferred[None] = Deferred()
        self.worker.handler = lambda message: gate
        first = self.helper.dispatch_inbound(self.message)
        second = self.helper.dispatch_inbound(self.message)
        yield a_turn()
        paused = self.worker.consumer.pause()
        yield a_turn()
        self.assertNoResult(first)
        gate.callback(None)
        yield paused
        yield first
        yield second
        self.assertEqual(self.worker.handled, [("handled", "hi")])

    @inlineCallbacks
    def test_messages_are_delivered_whatever_clock_the_workers_have(self) -> Any:
        broker = FakeAMQPBroker(Clock())
        helper = self.add_helper(WorkerHelper("in", broker=broker))
        worker = yield helper.get_worker(HandlingWorker, {})
        self.assertIs(worker.clock, broker.clock)
        worker.handler = lambda message: None
        yield helper.dispatch_inbound(self.message)
        self.assertEqual(worker.handled, [("handled", "hi")])
