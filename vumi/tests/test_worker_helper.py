"""Workers in tests: started, watched and stopped."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.application.service import Service
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater

from vumi.errors import ConfigError
from vumi.message import Message, TransportStatus
from vumi.service import Publisher, Worker
from vumi.tests.fake_amqp import FakeAMQPBroker
from vumi.tests.helpers import MessageHelper, VumiTestCase, WorkerHelper
from vumi.tests.stubbed_worker import (
    StubbedWorkerCreator,
    get_fake_amq_client,
    get_stubbed_worker,
)
from vumi.worker import BaseWorker

STATUS: dict[str, Any] = {"component": "smsc", "status": "ok", "type": "bound", "message": "Bound"}


def a_turn() -> Deferred[None]:
    return deferLater(reactor, 0, lambda: None)


class Broken(Exception):
    """What anything may raise."""


class MetricPublisher(Publisher):
    exchange_name = "vumi.metrics"
    exchange_type = "direct"
    routing_key = "vumi.metrics"


class RelayWorker(BaseWorker):
    """Sends messages from one connector on to the next: a.inbound -> b.inbound -> c.outbound."""

    life: ClassVar[list[str]] = []

    @inlineCallbacks
    def setup_connectors(self) -> Any:
        yield self.setup_ri_connector("a")
        yield self.setup_ro_connector("b")
        self.connectors["a"].set_default_inbound_handler(self.to_b)
        self.connectors["a"].set_default_event_handler(self.event_to_b)

    @inlineCallbacks
    def setup_worker(self) -> Any:
        self.metrics = yield self.start_publisher(MetricPublisher)
        self.statuses = yield self.setup_publish_status_connector("b.status")
        yield self.unpause_connectors()

    async def to_b(self, message: Any) -> None:
        await a_turn()
        _ = self.metrics.publish_message(Message(datapoints=[["relayed", ["sum"], [[1, 1.0]]]]))
        await self.statuses.publish_status(TransportStatus(**STATUS))
        await self.connectors["b"].publish_inbound(message)

    def event_to_b(self, event: Any) -> Any:
        return self.connectors["b"].publish_event(event)


class ServiceWorker(Worker):
    """Has two children and starts one itself, as workers with clients of their own do.

    Run as a service, it has both started by Twisted when they are added.
    """

    @inlineCallbacks
    def startWorker(self) -> Any:
        self.life: list[str] = []
        for name in ("started", "idle"):
            child = NotingService(self.life)
            child.setName(name)
            child.setServiceParent(self)
        yield self.getServiceNamed("started").startService()

    @inlineCallbacks
    def stopWorker(self) -> Any:
        yield a_turn()
        self.life.append("stopWorker")


class NotingService(Service):
    """Doesn't know how to stop when it was never started."""

    def __init__(self, life: list[str]) -> None:
        self.life = life

    def startService(self) -> None:
        super().startService()
        self.life.append(f"{self.name} up")

    def stopService(self) -> None:
        self.life.append(f"{self.name} down")
        assert self.running
        super().stopService()


class UnstoppableWorker(Worker):
    def startWorker(self) -> None:
        pass

    def stopWorker(self) -> None:
        raise Broken("does not stop")


class WorkerHelperTests(VumiTestCase):
    def setUp(self) -> None:
        self.helper = self.add_helper(WorkerHelper("a", status_connector_name="b.status"))
        self.messages = MessageHelper()

    @inlineCallbacks
    def test_get_worker(self) -> Any:
        worker = yield self.helper.get_worker(RelayWorker, {})
        self.assertIsInstance(worker, RelayWorker)
        self.assertEqual(worker.options, {})
        self.assertEqual(set(worker.connectors), {"a", "b", "b.status"})
        self.assertTrue(worker.broker.connected)

    @inlineCallbacks
    def test_get_worker_without_starting_it(self) -> Any:
        worker = yield self.helper.get_worker(RelayWorker, {}, start=False)
        self.assertEqual(worker.connectors, {})
        yield worker.startWorker()

    @inlineCallbacks
    def test_the_config_is_copied_and_has_a_name(self) -> Any:
        config: dict[str, Any] = {"amqp_prefetch_count": 3}
        worker = yield self.helper.get_worker(RelayWorker, config, start=False)
        self.assertEqual(config, {"amqp_prefetch_count": 3})
        self.assertEqual(worker.config, {"amqp_prefetch_count": 3, "worker_name": "unnamed"})
        named = self.helper.get_worker_raw(RelayWorker, {"worker_name": "greeter"})
        self.assertEqual(named.config["worker_name"], "greeter")
        self.assertEqual(
            self.helper.get_worker_raw(RelayWorker, None).config["worker_name"], "unnamed"
        )

    @inlineCallbacks
    def test_a_wrong_config_fails_the_deferred(self) -> Any:
        making = self.helper.get_worker(RelayWorker, {"amqp_prefetch_count": "x"})
        yield self.assertFailure(making, ConfigError)

    @inlineCallbacks
    def test_cleanup_worker(self) -> Any:
        worker = yield self.helper.get_worker(RelayWorker, {})
        yield self.helper.cleanup_worker(worker)
        self.assertEqual(worker.connectors, {})
        self.assertFalse(worker.broker.connected)

    @inlineCallbacks
    def test_cleanup_stops_workers_and_their_children(self) -> Any:
        helper = WorkerHelper()
        worker = yield helper.get_worker(ServiceWorker, {})
        yield helper.cleanup()
        self.assertEqual(worker.life, ["started up", "stopWorker", "started down"])

    @inlineCallbacks
    def test_cleanup_stops_a_worker_that_runs_as_a_service(self) -> Any:
        helper = WorkerHelper()
        worker = yield helper.get_worker(ServiceWorker, {}, start=False)
        worker.startService()
        yield a_turn()
        yield helper.cleanup()
        self.assertEqual(
            worker.life,
            ["started up", "idle up", "started up", "stopWorker", "idle down", "started down"],
        )

    @inlineCallbacks
    def test_cleanup_stops_all_workers_though_one_fails(self) -> Any:
        helper = WorkerHelper()
        worker = yield helper.get_worker(ServiceWorker, {})
        yield helper.get_worker(UnstoppableWorker, {})
        yield self.assertFailure(helper.cleanup(), Broken)
        self.assertIn("stopWorker", worker.life)

    @inlineCallbacks
    def test_cleanup_waits_for_what_is_in_hand(self) -> Any:
        helper = WorkerHelper("a")
        yield helper.get_worker(RelayWorker, {})
        _ = helper.dispatch_inbound(self.messages.make_inbound("hi"))
        yield helper.cleanup()
        self.assertEqual(len(helper.get_dispatched_inbound("b")), 1)

    @inlineCallbacks
    def test_what_was_dispatched(self) -> Any:
        yield self.helper.get_worker(RelayWorker, {})
        message = self.messages.make_inbound("hi")
        ack = self.messages.make_ack()
        yield self.helper.dispatch_inbound(message)
        yield self.helper.dispatch_event(ack)
        self.assertEqual(self.helper.get_dispatched_inbound(), [message])
        self.assertEqual(self.helper.get_dispatched_inbound("b"), [message])
        self.assertEqual(self.helper.get_dispatched_inbound(connector_name="b"), [message])
        self.assertEqual(self.helper.get_dispatched_events("b"), [ack])
        self.assertEqual(self.helper.get_dispatched_outbound(), [])
        self.assertEqual(self.helper.get_dispatched("b", "inbound", Message), [message])
        [status] = self.helper.get_dispatched_statuses()
        self.assertEqual(status["component"], "smsc")
        self.assertEqual(
            self.helper.get_dispatched_metrics(), [[["relayed", ["sum"], [[1, 1.0]]]]]
        )

    @inlineCallbacks
    def test_waiting_until_no_work_is_left(self) -> Any:
        yield self.helper.get_worker(RelayWorker, {})
        for wait, number in [
            (lambda: self.helper.wait_for_dispatched_inbound(connector_name="b"), 1),
            (self.helper.wait_for_dispatched_statuses, 2),
            (self.helper.wait_for_dispatched_metrics, 3),
        ]:
            _ = self.helper.dispatch_inbound(self.messages.make_inbound("hi"))
            found = yield wait()
            self.assertEqual(len(found), number)
        self.assertEqual((yield self.helper.wait_for_dispatched_outbound()), [])
        self.assertEqual((yield self.helper.wait_for_dispatched_events()), [])

    @inlineCallbacks
    def test_waiting_for_an_amount(self) -> Any:
        yield self.helper.get_worker(RelayWorker, {})
        waiting = self.helper.wait_for_dispatched_inbound(2, connector_name="b")
        statuses = self.helper.wait_for_dispatched_statuses(1)
        yield self.helper.dispatch_inbound(self.messages.make_inbound("1"))
        self.assertNoResult(waiting)
        self.assertEqual(len((yield statuses)), 1)
        yield self.helper.dispatch_inbound(self.messages.make_inbound("2"))
        first, second = yield waiting
        self.assertEqual((first["content"], second["content"]), ("1", "2"))
        self.assertEqual(len((yield self.helper.wait_for_dispatched_inbound(1))), 2)

    @inlineCallbacks
    def test_clearing(self) -> Any:
        yield self.helper.get_worker(RelayWorker, {})
        yield self.helper.dispatch_inbound(self.messages.make_inbound("hi"))
        yield self.helper.dispatch_event(self.messages.make_ack())
        yield self.helper.dispatch_outbound(self.messages.make_outbound("hi"))
        for kind in ("inbound", "events", "outbound", "statuses", "metrics"):
            get = getattr(self.helper, f"get_dispatched_{kind}")
            clear = getattr(self.helper, f"clear_dispatched_{kind}")
            self.assertEqual(len(get()), 1, kind)
            clear()
            self.assertEqual(get(), [])
            # Once more, now that there is nothing.
            clear()
        self.assertEqual(len(self.helper.get_dispatched_inbound("b")), 1)
        self.helper.clear_all_dispatched()
        self.assertEqual(self.helper.get_dispatched_inbound("b"), [])

    def test_clearing_before_anything_was_published_is_no_error(self) -> None:
        for kind in ("inbound", "events", "outbound", "statuses", "metrics"):
            getattr(self.helper, f"clear_dispatched_{kind}")()
        self.helper.clear_all_dispatched()

    @inlineCallbacks
    def test_dispatch_raw(self) -> Any:
        yield self.helper.get_worker(RelayWorker, {})
        message = self.messages.make_inbound("hi")
        yield self.helper.dispatch_raw("a.inbound", message)
        self.assertEqual(self.helper.get_dispatched_inbound("b"), [message])
        yield self.helper.dispatch_raw(
            "vumi.metrics", Message(datapoints=[]), exchange="vumi.metrics"
        )
        self.assertEqual(self.helper.get_dispatched_metrics()[1:], [[]])

    def test_dispatching_before_there_is_a_worker_says_what_to_do(self) -> None:
        error = self.assertRaises(
            AssertionError, self.helper.dispatch_inbound, self.messages.make_inbound("hi")
        )
        self.assertIn("start the worker first", str(error))

    def test_a_helper_without_a_connector_asks_for_one(self) -> None:
        helper = WorkerHelper()
        for method in (helper.get_dispatched_inbound, helper.clear_dispatched_statuses):
            error = self.assertRaises(ValueError, method)
            self.assertIn("connector_name", str(error))

    def test_statuses_are_the_connectors_own_unless_told_otherwise(self) -> None:
        helper = WorkerHelper("line")
        helper.broker.publish("vumi", "line.status", TransportStatus(**STATUS).to_bytes())
        self.assertEqual(len(helper.get_dispatched_statuses()), 1)

    @inlineCallbacks
    def test_heartbeats_leave_nothing_behind(self) -> Any:
        helper = WorkerHelper()
        yield helper.get_worker(RelayWorker, {})
        running = len(reactor.getDelayedCalls())
        yield helper.cleanup()
        self.assertEqual(len(reactor.getDelayedCalls()), running - 1)

    def test_two_helpers_can_share_a_broker(self) -> None:
        other = WorkerHelper("b", broker=self.helper.broker)
        self.assertIs(other.broker, self.helper.broker)
        self.assertIsNot(WorkerHelper().broker, self.helper.broker)


# The older way


class StubbedWorkerTests(VumiTestCase):
    @inlineCallbacks
    def test_get_stubbed_worker(self) -> Any:
        broker = FakeAMQPBroker()
        worker = get_stubbed_worker(RelayWorker, {"worker_name": "greeter"}, broker)
        yield worker.startWorker()
        self.assertEqual(worker.options, {})
        self.assertIn("a.inbound", broker.queues)
        yield worker.stopWorker()
        yield worker.stopService()
        self.assertEqual(get_stubbed_worker(ServiceWorker).config, {})

    @inlineCallbacks
    def test_workers_of_one_creator_share_a_broker(self) -> Any:
        creator = StubbedWorkerCreator({"hostname": "nowhere"})
        one = creator.create_worker_by_class(RelayWorker, {})
        other = creator.create_worker_by_class(ServiceWorker, {})
        self.assertEqual(one.options, {"hostname": "nowhere"})
        broker = creator.broker
        assert broker is not None
        one.startService()
        while "a.inbound" not in broker.queues:
            yield a_turn()
        yield one.stopService()
        self.assertIs(get_broker(one), broker)
        self.assertIs(get_broker(other), broker)

    def test_get_fake_amq_client(self) -> None:
        broker = FakeAMQPBroker()
        self.assertIs(get_fake_amq_client(broker).broker, broker)


def get_broker(worker: Any) -> Any:
    """What a worker's connection leads to."""
    return worker.broker.broker
