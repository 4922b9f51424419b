"""Messages for tests, made and dispatched."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.trial.unittest import SynchronousTestCase

from vumi.message import Message, TransportStatus
from vumi.tests.helpers import (
    IHelper,
    MessageDispatchHelper,
    MessageHelper,
    PersistenceHelper,
    VumiTestCase,
    WorkerHelper,
)
from vumi.tests.test_worker_helper import RelayWorker

STATUS: dict[str, Any] = {"component": "smsc", "status": "ok", "type": "bound", "message": "Bound"}


class MessageHelperTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.helper = MessageHelper()

    def assert_fields(self, message: Message, /, **fields: Any) -> None:
        self.assertEqual({name: message[name] for name in fields}, fields)

    def test_it_is_a_helper(self) -> None:
        for cls in (MessageHelper, MessageDispatchHelper, WorkerHelper, PersistenceHelper):
            self.assertTrue(IHelper.implementedBy(cls))
        self.helper.setup()
        self.helper.cleanup()

    def test_inbound_and_outbound(self) -> None:
        common: dict[str, Any] = {
            "content": "hi",
            "transport_name": "sphex",
            "transport_type": "sms",
            "transport_metadata": {},
            "helper_metadata": {},
            "group": None,
            "session_event": None,
            "in_reply_to": None,
            "routing_metadata": {},
        }
        self.assert_fields(
            self.helper.make_inbound("hi"), from_addr="+41791234567", to_addr="9292", **common
        )
        self.assert_fields(
            self.helper.make_outbound("hi"), from_addr="9292", to_addr="+41791234567", **common
        )

    def test_the_defaults_can_be_changed(self) -> None:
        helper = MessageHelper("line", "ussd", "+27", "*120#")
        self.assert_fields(
            helper.make_inbound(None),
            from_addr="+27",
            to_addr="*120#",
            transport_name="line",
            transport_type="ussd",
        )

    def test_all_fields_can_be_given_and_none_is_not_the_default(self) -> None:
        fields: dict[str, Any] = {
            "from_addr": None,
            "to_addr": "b",
            "group": "#room",
            "session_event": "new",
            "transport_type": "irc",
            "transport_name": None,
            "transport_metadata": {"a": 1},
            "helper_metadata": {"b": 2},
            "message_id": "m1",
            "in_reply_to": "m0",
            "sandbox_id": "box",
        }
        message = self.helper.make_inbound("hi", endpoint="vip", **fields)
        self.assert_fields(message, **fields)
        self.assertEqual(message.get_routing_endpoint(), "vip")
        message = self.helper.make_user_message("hi", "a", "b", endpoint=None)
        self.assertEqual(message.routing_metadata, {"endpoint_name": "default"})

    def test_messages_share_nothing(self) -> None:
        self.helper.make_inbound("1")["helper_metadata"]["x"] = 1
        self.assert_fields(self.helper.make_inbound("2"), helper_metadata={})

    def test_events(self) -> None:
        message = self.helper.make_outbound("hi")
        message_id = message["message_id"]
        for event, fields in [
            (self.helper.make_ack(message), {"sent_message_id": message_id}),
            (self.helper.make_ack(message, "n1"), {"sent_message_id": "n1"}),
            (self.helper.make_nack(message), {"nack_reason": "sunspots"}),
            (self.helper.make_nack(message, nack_reason="x"), {"nack_reason": "x"}),
            (self.helper.make_delivery_report(message), {"delivery_status": "delivered"}),
            (
                self.helper.make_delivery_report(message, delivery_status="failed"),
                {"delivery_status": "failed"},
            ),
        ]:
            self.assert_fields(
                event,
                user_message_id=message_id,
                transport_name="sphex",
                transport_type="sms",
                transport_metadata={},
                **fields,
            )

    def test_events_need_no_message(self) -> None:
        for make, event_type in [
            (self.helper.make_ack, "ack"),
            (self.helper.make_nack, "nack"),
            (self.helper.make_delivery_report, "delivery_report"),
        ]:
            event = make(endpoint="vip", transport_metadata={"a": 1}, extra="yes")
            self.assert_fields(
                event, event_type=event_type, transport_metadata={"a": 1}, extra="yes"
            )
            self.assertEqual(event.get_routing_endpoint(), "vip")
            self.assertTrue(event["user_message_id"])

    def test_replies(self) -> None:
        message = self.helper.make_inbound("hi")
        reply = self.helper.make_reply(message, "bye", continue_session=False)
        self.assert_fields(
            reply, in_reply_to=message["message_id"], content="bye", session_event="close"
        )

    def test_statuses(self) -> None:
        status = self.helper.make_status(**STATUS)
        self.assertIsInstance(status, TransportStatus)
        self.assert_fields(status, **STATUS)


class MessageDispatchHelperTests(VumiTestCase):
    @inlineCallbacks
    def setUp(self) -> Any:  # type: ignore[override]  # trial waits for what it returns
        self.worker_helper = self.add_helper(WorkerHelper("a"))
        self.helper = self.add_helper(MessageDispatchHelper(MessageHelper(), self.worker_helper))
        yield self.worker_helper.get_worker(RelayWorker, {})

    @inlineCallbacks
    def test_inbound(self) -> Any:
        message = yield self.helper.make_dispatch_inbound("hi", from_addr="me")
        self.assertEqual(message["from_addr"], "me")
        self.assertEqual(self.worker_helper.get_dispatched_inbound(), [message])
        self.assertEqual(self.worker_helper.get_dispatched_inbound("b"), [message])

    @inlineCallbacks
    def test_outbound_and_replies(self) -> Any:
        message = yield self.helper.make_dispatch_outbound("hi", to_addr="you")
        reply = yield self.helper.make_dispatch_reply(message, "bye", continue_session=False)
        self.assertEqual(reply["in_reply_to"], message["message_id"])
        self.assertEqual(self.worker_helper.get_dispatched_outbound(), [message, reply])

    @inlineCallbacks
    def test_events(self) -> Any:
        sent = MessageHelper().make_outbound("hi")
        ack = yield self.helper.make_dispatch_ack(sent, sent_message_id="n1")
        nack = yield self.helper.make_dispatch_nack(sent, nack_reason="no")
        report = yield self.helper.make_dispatch_delivery_report(sent, delivery_status="failed")
        self.assertEqual(
            [e["event_type"] for e in (ack, nack, report)], ["ack", "nack", "delivery_report"]
        )
        self.assertEqual(self.worker_helper.get_dispatched_events("b"), [ack, nack, report])

    @inlineCallbacks
    def test_statuses(self) -> Any:
        status = yield self.helper.make_dispatch_status(**STATUS)
        self.assertEqual(self.worker_helper.get_dispatched_statuses("a"), [status])
