"""The helper for tests of transports."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import inlineCallbacks

from vumi.tests.helpers import IHelper, VumiTestCase
from vumi.transports import Transport
from vumi.transports.failures import FailureMessage, PermanentFailure
from vumi.transports.tests.helpers import TransportHelper


class PickyTransport(Transport):
    async def handle_outbound_message(self, message: Any) -> None:
        if message["content"] == "spam":
            raise PermanentFailure("spam")
        await self.publish_ack(message["message_id"], "n1")
        await self.publish_status(component="net", status="ok", type="sent", message="Sent")


class OtherTransport(PickyTransport):
    pass


class TransportHelperTests(VumiTestCase):
    def setUp(self) -> None:
        self.helper = self.add_helper(TransportHelper(PickyTransport, transport_name="line"))

    def test_it_is_made_of_the_other_helpers(self) -> None:
        self.assertTrue(IHelper.providedBy(self.helper))
        self.assertEqual(self.helper.transport_name, "line")
        self.assertEqual(self.helper.transport_class, PickyTransport)
        for name, part in [
            ("make_ack", self.helper.msg_helper),
            ("dispatch_outbound", self.helper.worker_helper),
            ("make_dispatch_outbound", self.helper.dispatch_helper),
            ("mk_config", self.helper.persistence_helper),
        ]:
            self.assertEqual(getattr(self.helper, name), getattr(part, name))

    @inlineCallbacks
    def test_a_typical_test(self) -> Any:
        transport = yield self.helper.get_transport({"publish_status": True})
        self.assertEqual(transport.transport_name, "line")
        message = yield self.helper.make_dispatch_outbound("hi")
        [ack] = yield self.helper.wait_for_dispatched_events(1)
        self.assertEqual(ack["user_message_id"], message["message_id"])
        [status] = self.helper.get_dispatched_statuses()
        self.assertEqual(status["component"], "net")
        self.assertEqual(self.helper.get_dispatched_failures(), [])

    @inlineCallbacks
    def test_failures(self) -> Any:
        yield self.helper.get_transport({})
        message = yield self.helper.make_dispatch_outbound("spam")
        [failure] = self.helper.get_dispatched_failures()
        self.assertIsInstance(failure, FailureMessage)
        self.assertEqual(failure["message"]["message_id"], message["message_id"])
        self.assertEqual(self.helper.get_dispatched_failures("line"), [failure])
        self.assertEqual(self.helper.get_dispatched_failures("other"), [])
        self.flushLoggedErrors(PermanentFailure)

    @inlineCallbacks
    def test_another_class_and_not_started(self) -> Any:
        transport = yield self.helper.get_transport({}, cls=OtherTransport, start=False)
        self.assertIsInstance(transport, OtherTransport)
        self.assertEqual(transport.connectors, {})
