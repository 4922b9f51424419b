"""The helpers for tests of dispatchers and routers."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.trial.unittest import SynchronousTestCase

from vumi.dispatchers.tests.helpers import DispatcherHelper, DummyDispatcher
from vumi.tests.helpers import IHelper, MessageHelper, VumiTestCase
from vumi.worker import BaseWorker


class OneToOneDispatcher(BaseWorker):
    """Between one transport and one application."""

    @inlineCallbacks
    def setup_connectors(self) -> Any:
        transport = yield self.setup_ri_connector("tx")
        application = yield self.setup_ro_connector("app")
        transport.set_default_inbound_handler(application.publish_inbound)
        transport.set_default_event_handler(application.publish_event)
        application.set_default_outbound_handler(transport.publish_outbound)

    def setup_worker(self) -> Any:
        return self.unpause_connectors()


class DispatcherHelperTests(VumiTestCase):
    def setUp(self) -> None:
        self.helper = self.add_helper(DispatcherHelper(OneToOneDispatcher))

    def test_it_is_made_of_the_other_helpers(self) -> None:
        self.assertTrue(IHelper.providedBy(self.helper))
        for name, part in [
            ("make_ack", self.helper.msg_helper),
            ("get_worker", self.helper.worker_helper),
            ("make_dispatch_outbound", self.helper.dispatch_helper),
        ]:
            self.assertEqual(getattr(self.helper, name), getattr(part, name))
        self.assertFalse(hasattr(self.helper, "mk_config"))

    @inlineCallbacks
    def test_messages_from_one_end_to_the_other(self) -> Any:
        yield self.helper.get_dispatcher({})
        transport = self.helper.get_connector_helper("tx")
        application = self.helper.get_connector_helper("app")
        inbound = yield transport.make_dispatch_inbound("hi")
        self.assertEqual(application.get_dispatched_inbound(), [inbound])
        reply = yield application.make_dispatch_reply(inbound, "bye")
        self.assertEqual(transport.get_dispatched_outbound(), [reply])
        ack = yield transport.make_dispatch_ack(reply)
        self.assertEqual((yield application.wait_for_dispatched_events(1)), [ack])
        application.clear_dispatched_events()
        self.assertEqual(application.get_dispatched_events(), [])
        self.assertEqual(self.helper.get_dispatched_events("tx"), [ack])

    @inlineCallbacks
    def test_the_config_and_the_class(self) -> Any:
        class OtherDispatcher(OneToOneDispatcher):
            pass

        dispatcher = yield self.helper.get_dispatcher({"a": 1}, cls=OtherDispatcher, start=False)
        self.assertIsInstance(dispatcher, OtherDispatcher)
        self.assertEqual(dispatcher.config["a"], 1)
        self.assertIn("redis_manager", dispatcher.config)

    def test_an_end_makes_no_workers(self) -> None:
        end = self.helper.get_connector_helper("tx")
        for name in ("get_worker", "cleanup_worker"):
            self.assertFalse(hasattr(end, name))
        self.assertIs(end.worker_helper.broker, self.helper.worker_helper.broker)


class DummyDispatcherTests(SynchronousTestCase):
    def test_it_keeps_what_a_router_publishes(self) -> None:
        dispatcher = DummyDispatcher({"transport_names": ["t1", "t2"], "exposed_names": ["app"]})
        self.assertEqual(dispatcher.transport_names, ["t1", "t2"])
        self.assertEqual(dispatcher.exposed_names, ["app"])
        message, event = MessageHelper().make_inbound("hi"), MessageHelper().make_ack()
        self.successResultOf(dispatcher.publish_inbound_message("app", message))
        self.successResultOf(dispatcher.publish_inbound_event("app", event))
        self.successResultOf(dispatcher.publish_outbound_message("t1", message))
        self.assertEqual(dispatcher.exposed_publisher["app"].msgs, [message])
        self.assertEqual(dispatcher.exposed_event_publisher["app"].msgs, [event])
        self.assertEqual(dispatcher.transport_publisher["t1"].msgs, [message])
        self.assertEqual(dispatcher.transport_publisher["t2"].msgs, [])
        dispatcher.transport_publisher["t1"].clear()
        self.assertEqual(dispatcher.transport_publisher["t1"].msgs, [])

    def test_a_name_that_is_not_configured_is_an_error(self) -> None:
        dispatcher = DummyDispatcher({})
        message = MessageHelper().make_inbound("hi")
        self.assertRaises(KeyError, dispatcher.publish_outbound_message, "t1", message)
