"""The base of transports: an outbound message gets one ack or nack, whatever its handler does."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater

from vumi.config import ConfigText
from vumi.connectors import IgnoreMessage
from vumi.errors import ConfigError, HandleLater, InvalidMessage
from vumi.message import TransportUserMessage
from vumi.tests.helpers import VumiTestCase
from vumi.tests.utils import LogCatcher
from vumi.transports import Transport, TransportConfig
from vumi.transports.failures import FailureMessage, PermanentFailure, TemporaryFailure
from vumi.transports.tests.helpers import TransportHelper

SECRET = "correct-horse-battery"
RECORDER = "vumi.middleware.tests.utils.RecordingMiddleware"


class ScriptedTransport(Transport):
    """Handles a message as the test says."""

    def setup_transport(self) -> None:
        self.life: list[str] = ["setup"]
        self.handled: list[Any] = []
        self.handler: Any = self.acknowledge

    def teardown_transport(self) -> None:
        self.life.append("teardown")

    def handle_outbound_message(self, message: Any) -> Any:
        self.handled.append(message)
        return self.handler(message)

    def acknowledge(self, message: Any) -> Any:
        return self.publish_ack(message["message_id"], "net-1")

    def failure_published(self) -> None:
        self.life.append("failure published")


class UnsuppressedTransport(ScriptedTransport):
    SUPPRESS_FAILURE_EXCEPTIONS = False


def a_turn() -> Deferred[None]:
    from twisted.internet import reactor

    return deferLater(reactor, 0, lambda: None)


class Broken(Exception):
    """What a handler may raise."""


class TransportTestCase(VumiTestCase):
    TRANSPORT: ClassVar[type[Transport]] = ScriptedTransport

    def setUp(self) -> Any:
        self.tx_helper = self.add_helper(TransportHelper(self.TRANSPORT))

    @inlineCallbacks
    def get_transport(self, handler: Any = None, **config: Any) -> Any:
        transport = yield self.tx_helper.get_transport(config)
        if handler is not None:
            transport.handler = handler
        return transport

    def dead_letters(self) -> list[TransportUserMessage]:
        letters: list[TransportUserMessage] = self.tx_helper.get_dispatched(
            None, "outbound.dead", TransportUserMessage
        )
        return letters

    def failures(self) -> list[FailureMessage]:
        failures: list[FailureMessage] = self.tx_helper.get_dispatched_failures()
        return failures


class AnswerTests(TransportTestCase):
    @inlineCallbacks
    def test_a_handler_that_acks(self) -> Any:
        transport = yield self.get_transport()
        msg = yield self.tx_helper.make_dispatch_outbound("hi")
        self.assertEqual(transport.handled, [msg])
        [event] = self.tx_helper.get_dispatched_events()
        self.assertEqual(event["event_type"], "ack")
        self.assertEqual(event["user_message_id"], msg["message_id"])
        self.assertEqual(event["sent_message_id"], "net-1")
        self.assertEqual(event["transport_name"], "sphex")
        self.assertEqual(event["transport_metadata"], {})
        self.assertEqual(self.failures(), [])

    @inlineCallbacks
    def check_failure(self, handler: Any, reason: str, code: Any = None) -> Any:
        transport = yield self.get_transport(handler)
        msg = yield self.tx_helper.make_dispatch_outbound(
            "hi", transport_metadata={"session": "7"}, endpoint="default"
        )
        [failure] = self.failures()
        self.assertEqual(failure["message"]["message_id"], msg["message_id"])
        self.assertEqual(failure["failure_code"], code)
        self.assertIn(reason, failure["reason"])
        self.assertIn("Traceback", failure["reason"])
        [event] = self.tx_helper.get_dispatched_events()
        self.assertEqual(event["event_type"], "nack")
        self.assertEqual(event["user_message_id"], msg["message_id"])
        self.assertEqual(event["nack_reason"], reason)
        self.assertEqual(event["transport_name"], "sphex")
        self.assertEqual(event["transport_metadata"], {"session": "7"})
        self.assertEqual(event.get_routing_endpoint(), "default")
        self.assertEqual(self.dead_letters(), [])
        self.assertEqual(transport.life, ["setup", "failure published"])
        # The next message is handled.
        transport.handler = transport.acknowledge
        yield self.tx_helper.make_dispatch_outbound("next")
        self.assertEqual(
            [e["event_type"] for e in self.tx_helper.get_dispatched_events()], ["nack", "ack"]
        )

    @inlineCallbacks
    def test_a_handler_that_raises(self) -> Any:
        def handler(message: Any) -> Any:
            raise Broken("no more beans")

        yield self.check_failure(handler, "no more beans")
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)

    @inlineCallbacks
    def test_a_handler_whose_deferred_fails(self) -> Any:
        @inlineCallbacks
        def handler(message: Any) -> Any:
            yield a_turn()
            raise Broken("no more beans")

        yield self.check_failure(handler, "no more beans")
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)

    @inlineCallbacks
    def test_an_async_handler_that_raises(self) -> Any:
        async def handler(message: Any) -> Any:
            await a_turn()
            raise Broken("no more beans")

        yield self.check_failure(handler, "no more beans")
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)

    @inlineCallbacks
    def test_a_temporary_failure(self) -> Any:
        def handler(message: Any) -> Any:
            raise TemporaryFailure("the line is busy")

        yield self.check_failure(handler, "the line is busy", "temporary")
        self.assertEqual(len(self.flushLoggedErrors(TemporaryFailure)), 1)

    @inlineCallbacks
    def test_a_permanent_failure(self) -> Any:
        async def handler(message: Any) -> Any:
            raise PermanentFailure("no such number")

        yield self.check_failure(handler, "no such number", "permanent")
        self.assertEqual(len(self.flushLoggedErrors(PermanentFailure)), 1)

    @inlineCallbacks
    def test_an_error_without_words_still_gives_a_reason(self) -> Any:
        def handler(message: Any) -> Any:
            raise Broken

        yield self.check_failure(handler, "Broken")
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)

    @inlineCallbacks
    def test_raising_after_acking_does_not_nack(self) -> Any:
        transport = yield self.get_transport()

        async def handler(message: Any) -> Any:
            await transport.acknowledge(message)
            raise Broken("afterwards")

        transport.handler = handler
        yield self.tx_helper.make_dispatch_outbound("hi")
        [event] = self.tx_helper.get_dispatched_events()
        self.assertEqual(event["event_type"], "ack")
        [failure] = self.failures()
        self.assertIn("afterwards", failure["reason"])
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)

    @inlineCallbacks
    def test_raising_after_nacking_does_not_nack_again(self) -> Any:
        transport = yield self.get_transport()

        def handler(message: Any) -> Any:
            _ = transport.publish_nack(message["message_id"], "barred")
            raise PermanentFailure("number barred")

        transport.handler = handler
        yield self.tx_helper.make_dispatch_outbound("hi")
        [event] = self.tx_helper.get_dispatched_events()
        self.assertEqual(event["nack_reason"], "barred")
        self.flushLoggedErrors(PermanentFailure)

    @inlineCallbacks
    def test_a_delivery_report_is_no_answer(self) -> Any:
        transport = yield self.get_transport()

        def handler(message: Any) -> Any:
            _ = transport.publish_delivery_report(message["message_id"], "pending")
            raise Broken("then it broke")

        transport.handler = handler
        yield self.tx_helper.make_dispatch_outbound("hi")
        report, nack = self.tx_helper.get_dispatched_events()
        self.assertEqual(report["event_type"], "delivery_report")
        self.assertEqual(nack["event_type"], "nack")
        self.flushLoggedErrors(Broken)

    @inlineCallbacks
    def test_an_ack_for_one_message_is_none_for_another(self) -> Any:
        transport = yield self.get_transport()
        gates: dict[str, Deferred[None]] = {"a": Deferred(), "b": Deferred()}

        async def handler(message: Any) -> Any:
            await gates[message["content"]]
            if message["content"] == "b":
                raise Broken("b")
            await transport.acknowledge(message)

        transport.handler = handler
        first = self.tx_helper.make_dispatch_outbound("a", to_addr="+1")
        second = self.tx_helper.make_dispatch_outbound("b", to_addr="+2")
        yield a_turn()
        gates["a"].callback(None)
        gates["b"].callback(None)
        msg_a, msg_b = (yield first), (yield second)
        self.assertEqual(
            {
                e["user_message_id"]: e["event_type"]
                for e in self.tx_helper.get_dispatched_events()
            },
            {msg_a["message_id"]: "ack", msg_b["message_id"]: "nack"},
        )
        self.flushLoggedErrors(Broken)

    @inlineCallbacks
    def test_nothing_is_remembered_of_messages_that_are_done(self) -> Any:
        def broken(message: Any) -> Any:
            raise Broken

        def ignoring(message: Any) -> Any:
            raise IgnoreMessage("spam")

        async def ignoring_later(message: Any) -> Any:
            raise IgnoreMessage("spam")

        transport = yield self.get_transport()
        for handler in (transport.acknowledge, broken, ignoring, ignoring_later, lambda m: None):
            transport.handler = handler
            yield self.tx_helper.make_dispatch_outbound("hi")
        self.assertEqual(transport._answered, {})
        self.flushLoggedErrors(Broken)

    @inlineCallbacks
    def test_ignoring_a_message_nacks_it_without_a_failure(self) -> Any:
        def handler(message: Any) -> Any:
            raise IgnoreMessage("spam")

        async def async_handler(message: Any) -> Any:
            await a_turn()
            raise IgnoreMessage("spam")

        transport = yield self.get_transport()
        for transport.handler in (handler, async_handler):
            msg = yield self.tx_helper.make_dispatch_outbound("hi")
            [event] = self.tx_helper.get_dispatched_events()
            self.assertEqual(event["event_type"], "nack")
            self.assertEqual(event["user_message_id"], msg["message_id"])
            self.assertEqual(event["nack_reason"], "spam")
            self.assertEqual(self.failures(), [])
            self.assertEqual(self.dead_letters(), [])
            self.tx_helper.clear_all_dispatched()

    @inlineCallbacks
    def test_a_message_that_is_to_be_handled_later_is_neither_nacked_nor_a_failure(self) -> Any:
        missed: list[Deferred[None]] = []

        def handler(message: Any) -> Any:
            transport.handler = transport.acknowledge
            missed.pop().callback(None)
            raise HandleLater("Redis is away.")

        async def async_handler(message: Any) -> Any:
            await a_turn()
            handler(message)

        transport = yield self.get_transport()
        for transport.handler in (handler, async_handler):
            waiter: Deferred[None] = Deferred()
            missed.append(waiter)
            dispatched = self.tx_helper.make_dispatch_outbound("hi")
            yield waiter
            self.assertEqual(self.tx_helper.get_dispatched_events(), [])
            yield dispatched
            [event] = self.tx_helper.get_dispatched_events()
            self.assertEqual(event["event_type"], "ack")
            self.assertEqual((self.failures(), self.dead_letters()), ([], []))
            self.assertEqual(transport._answered, {})
            self.tx_helper.clear_all_dispatched()

    @inlineCallbacks
    def test_a_message_for_an_unknown_endpoint_is_nacked(self) -> Any:
        transport = yield self.get_transport()
        msg = yield self.tx_helper.make_dispatch_outbound("hi", endpoint="elsewhere")
        self.assertEqual(transport.handled, [])
        [event] = self.tx_helper.get_dispatched_events()
        self.assertEqual(event["event_type"], "nack")
        self.assertEqual(event["user_message_id"], msg["message_id"])
        self.assertIn("elsewhere", event["nack_reason"])
        self.assertEqual(event.get_routing_endpoint(), "elsewhere")

    @inlineCallbacks
    def test_further_endpoints_have_their_failures_dealt_with_too(self) -> Any:
        transport = yield self.get_transport()

        def handler(message: Any) -> Any:
            raise TemporaryFailure("busy")

        transport.add_outbound_handler(handler, endpoint_name="voice")
        yield self.tx_helper.make_dispatch_outbound("hi", endpoint="voice")
        [failure] = self.failures()
        self.assertEqual(failure["failure_code"], "temporary")
        [event] = self.tx_helper.get_dispatched_events()
        self.assertEqual(event["nack_reason"], "busy")
        self.assertEqual(event.get_routing_endpoint(), "voice")
        self.flushLoggedErrors(TemporaryFailure)

    @inlineCallbacks
    def test_a_transport_without_a_handler_nacks(self) -> Any:
        yield self.tx_helper.get_transport({}, cls=Transport)
        yield self.tx_helper.make_dispatch_outbound("hi")
        [event] = self.tx_helper.get_dispatched_events()
        self.assertEqual(event["event_type"], "nack")
        self.assertEqual(len(self.flushLoggedErrors(NotImplementedError)), 1)

    @inlineCallbacks
    def test_failures_pass_the_middleware(self) -> Any:
        def handler(message: Any) -> Any:
            raise Broken("x")

        yield self.get_transport(handler, middleware=[{"rec": RECORDER}])
        yield self.tx_helper.make_dispatch_outbound("hi")
        [failure] = self.failures()
        self.assertEqual(failure["record"], [["rec", "failure", "sphex"]])
        self.assertEqual(failure["message"]["record"], [["rec", "outbound", "sphex"]])
        [event] = self.tx_helper.get_dispatched_events()
        self.assertEqual(event["record"], [["rec", "event", "sphex"]])
        self.flushLoggedErrors(Broken)


class UnsuppressedFailureTests(TransportTestCase):
    TRANSPORT = UnsuppressedTransport

    @inlineCallbacks
    def test_a_failed_message_becomes_a_dead_letter_as_well(self) -> Any:
        def handler(message: Any) -> Any:
            raise TemporaryFailure("busy")

        yield self.get_transport(handler)
        msg = yield self.tx_helper.make_dispatch_outbound("hi")
        self.assertEqual(self.dead_letters(), [msg])
        self.assertEqual(len(self.failures()), 1)
        [event] = self.tx_helper.get_dispatched_events()
        self.assertEqual(event["event_type"], "nack")
        self.assertTrue(self.flushLoggedErrors(TemporaryFailure))


class SecretConfig(TransportConfig):
    """Options of a transport with a password."""

    password = ConfigText("The account's password.", secret=True, required=True, static=True)


class SecretTransport(ScriptedTransport):
    CONFIG_CLASS = SecretConfig


class UnsuppressedSecretTransport(UnsuppressedTransport):
    CONFIG_CLASS = SecretConfig


class SecretTests(TransportTestCase):
    TRANSPORT = SecretTransport

    @inlineCallbacks
    def test_secrets_are_nowhere(self) -> Any:
        def handler(message: Any) -> Any:
            raise Broken(f"could not open http://user:{SECRET}@example.com/")

        with LogCatcher() as catcher:
            yield self.get_transport(handler, password=SECRET)
            yield self.tx_helper.make_dispatch_outbound("hi")
        [failure] = self.failures()
        self.assertIn("could not open", failure["reason"])
        [event] = self.tx_helper.get_dispatched_events()
        self.assertIn("could not open", event["nack_reason"])
        texts = catcher.messages()
        self.assertTrue([text for text in texts if "could not open" in text])
        self.assert_no_secret(catcher)

    @inlineCallbacks
    def test_secrets_are_not_in_a_dead_letter_either(self) -> Any:
        async def handler(message: Any) -> Any:
            raise Broken(f"could not log in with {SECRET}")

        with LogCatcher() as catcher:
            transport = yield self.tx_helper.get_transport(
                {"password": SECRET}, cls=UnsuppressedSecretTransport
            )
            transport.handler = handler
            yield self.tx_helper.make_dispatch_outbound("hi")
        self.assertEqual(len(self.dead_letters()), 1)
        self.assert_no_secret(catcher)

    @inlineCallbacks
    def test_an_error_without_a_secret_is_logged_as_it_is(self) -> Any:
        def handler(message: Any) -> Any:
            raise Broken("no more beans")

        yield self.get_transport(handler, password=SECRET)
        yield self.tx_helper.make_dispatch_outbound("hi")
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)

    def assert_no_secret(self, catcher: LogCatcher) -> None:
        for event in catcher.logs:
            self.assertNotIn(SECRET, str(event))
        for keys in self.tx_helper.worker_helper.broker.dispatched.values():
            for contents in keys.values():
                for content in contents:
                    self.assertNotIn(SECRET, str(content))


class PublishTests(TransportTestCase):
    @inlineCallbacks
    def test_inbound_messages(self) -> Any:
        transport = yield self.get_transport()
        published = yield transport.publish_message(
            content="hi", from_addr="+1", to_addr="8864", transport_type="sms"
        )
        [message] = self.tx_helper.get_dispatched_inbound()
        self.assertEqual(message, published)
        self.assertEqual(message["transport_name"], "sphex")
        self.assertEqual(message["transport_metadata"], {})

    @inlineCallbacks
    def test_fields_that_are_given_win(self) -> Any:
        transport = yield self.get_transport()
        yield transport.publish_message(
            content="hi",
            from_addr="+1",
            to_addr="8864",
            transport_type="sms",
            transport_name="other",
            transport_metadata={"a": 1},
            message_id="m1",
        )
        [message] = self.tx_helper.get_dispatched_inbound()
        self.assertEqual(message["transport_name"], "other")
        self.assertEqual(message["transport_metadata"], {"a": 1})
        self.assertEqual(message["message_id"], "m1")

    @inlineCallbacks
    def test_a_message_that_lacks_a_field_is_refused(self) -> Any:
        transport = yield self.get_transport()
        self.assertRaises(InvalidMessage, transport.publish_message, content="hi")
        self.assertRaises(InvalidMessage, transport.publish_event, event_type="ack")
        self.assertEqual(self.tx_helper.get_dispatched_inbound(), [])

    @inlineCallbacks
    def test_events(self) -> Any:
        transport = yield self.get_transport()
        yield transport.publish_ack("m1", "n1", transport_metadata={"a": 1})
        yield transport.publish_nack("m2", "barred")
        yield transport.publish_delivery_report("m3", "failed")
        ack, nack, report = self.tx_helper.get_dispatched_events()
        self.assertEqual(
            (ack["event_type"], ack["user_message_id"], ack["sent_message_id"]),
            ("ack", "m1", "n1"),
        )
        self.assertEqual(ack["transport_metadata"], {"a": 1})
        self.assertEqual(
            (nack["event_type"], nack["user_message_id"], nack["nack_reason"]),
            ("nack", "m2", "barred"),
        )
        self.assertEqual(
            (report["event_type"], report["user_message_id"], report["delivery_status"]),
            ("delivery_report", "m3", "failed"),
        )
        self.assertEqual({e["transport_name"] for e in (ack, nack, report)}, {"sphex"})

    def test_message_ids_differ(self) -> None:
        self.assertNotEqual(Transport.generate_message_id(), Transport.generate_message_id())
        self.assertRegex(Transport.generate_message_id(), "^[0-9a-f]{32}$")


class StatusTests(TransportTestCase):
    STATUS: ClassVar[dict[str, Any]] = {
        "component": "smsc",
        "status": "down",
        "type": "unbound",
        "message": "The SMSC has unbound us",
    }

    @inlineCallbacks
    def test_a_status_goes_to_the_transports_status_key(self) -> Any:
        transport = yield self.get_transport(publish_status=True)
        published = yield transport.publish_status(**self.STATUS, details={"code": 5})
        [status] = self.tx_helper.get_dispatched_statuses()
        self.assertEqual(status, published)
        self.assertEqual(status["details"], {"code": 5})
        self.assertEqual(status["reasons"], [])
        broker = self.tx_helper.worker_helper.broker
        self.assertEqual(len(broker.get_messages("vumi", "sphex.status.status")), 1)
        # It may have no reader: a queue would fill for ever.
        self.assertNotIn("sphex.status.status", broker.queues)

    @inlineCallbacks
    def test_statuses_are_off_unless_the_config_wants_them(self) -> Any:
        transport = yield self.get_transport()
        status = yield transport.publish_status(**self.STATUS)
        self.assertEqual(status["component"], "smsc")
        self.assertEqual(self.tx_helper.get_dispatched_statuses(), [])

    @inlineCallbacks
    def test_a_wrong_status_is_refused_also_if_statuses_are_off(self) -> Any:
        transport = yield self.get_transport()
        wrong = {**self.STATUS, "status": "sleepy"}
        self.assertRaises(InvalidMessage, transport.publish_status, **wrong)

    @inlineCallbacks
    def test_statuses_pass_the_middleware(self) -> Any:
        transport = yield self.get_transport(publish_status=True, middleware=[{"rec": RECORDER}])
        yield transport.publish_status(**self.STATUS)
        [status] = self.tx_helper.get_dispatched_statuses()
        self.assertEqual(status["record"], [["rec", "status", "sphex.status"]])


class LifeTests(TransportTestCase):
    @inlineCallbacks
    def test_setup_and_teardown(self) -> Any:
        transport = yield self.get_transport()
        self.assertEqual(transport.life, ["setup"])
        self.assertEqual(transport.transport_name, "sphex")
        yield self.tx_helper.cleanup_worker(transport)
        self.assertEqual(transport.life, ["setup", "teardown"])

    @inlineCallbacks
    def test_the_message_in_hand_is_finished_before_the_teardown(self) -> Any:
        gate: Deferred[None] = Deferred()
        transport = yield self.get_transport()

        async def handler(message: Any) -> Any:
            await gate
            await transport.acknowledge(message)
            transport.life.append("handled")

        transport.handler = handler
        dispatched = self.tx_helper.make_dispatch_outbound("hi")
        yield a_turn()
        stopping = self.tx_helper.cleanup_worker(transport)
        self.assertNoResult(stopping)
        gate.callback(None)
        yield dispatched
        yield stopping
        self.assertEqual(transport.life, ["setup", "handled", "teardown"])
        self.assertEqual(len(self.tx_helper.get_dispatched_events()), 1)

    @inlineCallbacks
    def test_a_transport_can_wait_for_its_network(self) -> Any:
        class WaitingTransport(ScriptedTransport):
            start_message_consumer = False

        transport = yield self.tx_helper.get_transport({}, cls=WaitingTransport)
        yield self.tx_helper.make_dispatch_outbound("hi")
        self.assertEqual(transport.handled, [])
        yield transport.unpause_connectors()
        yield self.tx_helper.kick_delivery()
        self.assertEqual(len(transport.handled), 1)

    def test_the_transport_name_is_required(self) -> None:
        error = self.assertRaises(ConfigError, Transport, {}, {})
        self.assertIn("transport_name", str(error))
