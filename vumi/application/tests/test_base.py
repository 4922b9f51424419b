"""Applications, tested the way their authors test them.

Most of this file is written as a test for the old Vumi is: with ApplicationHelper, inlineCallbacks
and the helper's methods. That it passes is what these authors were promised.
"""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.task import deferLater

from vumi.application import ApplicationWorker
from vumi.application.tests.helpers import ApplicationHelper
from vumi.errors import ConfigError, InvalidEndpoint
from vumi.message import TransportUserMessage
from vumi.tests.helpers import VumiTestCase


class _Notes(ApplicationWorker):
    """Writes down which hook got what; subclasses do it in one style each."""

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.notes: list[tuple[str, Any]] = []

    def note(self, hook: str, message: Any = None) -> None:
        self.notes.append((hook, message and message.get("content", message.get("event_type"))))


class SyncApp(_Notes):
    def setup_application(self) -> None:
        self.note("setup")

    def teardown_application(self) -> None:
        self.note("teardown")

    def consume_user_message(self, message: Any) -> None:
        self.note("message", message)

    def new_session(self, message: Any) -> None:
        self.note("new", message)

    def close_session(self, message: Any) -> None:
        self.note("close", message)

    def consume_ack(self, event: Any) -> None:
        self.note("ack", event)

    def consume_nack(self, event: Any) -> None:
        self.note("nack", event)

    def consume_delivery_report(self, event: Any) -> None:
        self.note("report", event)


def a_turn() -> Deferred[None]:
    from twisted.internet import reactor

    return deferLater(reactor, 0, lambda: None)


class InlineCallbacksApp(_Notes):
    @inlineCallbacks
    def _note_later(self, hook: str, message: Any = None) -> Any:
        yield a_turn()
        self.note(hook, message)

    def setup_application(self) -> Any:
        return self._note_later("setup")

    def teardown_application(self) -> Any:
        return self._note_later("teardown")

    @inlineCallbacks
    def consume_user_message(self, message: Any) -> Any:
        yield self._note_later("message", message)

    @inlineCallbacks
    def new_session(self, message: Any) -> Any:
        yield self._note_later("new", message)

    @inlineCallbacks
    def close_session(self, message: Any) -> Any:
        yield self._note_later("close", message)

    @inlineCallbacks
    def consume_ack(self, event: Any) -> Any:
        yield self._note_later("ack", event)

    @inlineCallbacks
    def consume_nack(self, event: Any) -> Any:
        yield self._note_later("nack", event)

    @inlineCallbacks
    def consume_delivery_report(self, event: Any) -> Any:
        yield self._note_later("report", event)


class AsyncApp(_Notes):
    async def _note_later(self, hook: str, message: Any = None) -> None:
        await a_turn()
        self.note(hook, message)

    async def setup_application(self) -> None:
        await self._note_later("setup")

    async def teardown_application(self) -> None:
        await self._note_later("teardown")

    async def consume_user_message(self, message: Any) -> None:
        await self._note_later("message", message)

    async def new_session(self, message: Any) -> None:
        await self._note_later("new", message)

    async def close_session(self, message: Any) -> None:
        await self._note_later("close", message)

    async def consume_ack(self, event: Any) -> None:
        await self._note_later("ack", event)

    async def consume_nack(self, event: Any) -> None:
        await self._note_later("nack", event)

    async def consume_delivery_report(self, event: Any) -> None:
        await self._note_later("report", event)


class HookTests(VumiTestCase):
    """Every hook gets what is meant for it. Subclasses: in whatever style it is written."""

    APPLICATION: ClassVar[type[_Notes]] = SyncApp

    @inlineCallbacks
    def setUp(self) -> Any:  # type: ignore[override]  # trial waits for what it returns
        self.app_helper = self.add_helper(ApplicationHelper(self.APPLICATION))
        self.app = yield self.app_helper.get_application({})

    def assert_notes(self, *notes: tuple[str, Any]) -> None:
        self.assertEqual(self.app.notes, [("setup", None), *notes])

    @inlineCallbacks
    def test_messages_by_session_event(self) -> Any:
        for content, session_event, hook in [
            ("a", None, "message"),
            ("b", "new", "new"),
            ("c", "resume", "message"),
            ("d", "close", "close"),
        ]:
            self.app.notes[1:] = []
            yield self.app_helper.make_dispatch_inbound(content, session_event=session_event)
            self.assert_notes((hook, content))

    @inlineCallbacks
    def test_events_by_type(self) -> Any:
        yield self.app_helper.make_dispatch_ack()
        yield self.app_helper.make_dispatch_nack()
        yield self.app_helper.make_dispatch_delivery_report()
        self.assert_notes(("ack", "ack"), ("nack", "nack"), ("report", "delivery_report"))

    @inlineCallbacks
    def test_messages_and_events_for_other_endpoints_are_handled_too(self) -> Any:
        yield self.app_helper.make_dispatch_inbound("hi", endpoint="elsewhere")
        yield self.app_helper.make_dispatch_ack(endpoint="elsewhere")
        self.assert_notes(("message", "hi"), ("ack", "ack"))

    @inlineCallbacks
    def test_teardown_is_waited_for(self) -> Any:
        yield self.app_helper.cleanup_worker(self.app)
        self.assert_notes(("teardown", None))


class InlineCallbacksHookTests(HookTests):
    APPLICATION = InlineCallbacksApp


class AsyncHookTests(HookTests):
    APPLICATION = AsyncApp


class EchoApp(ApplicationWorker):
    def consume_user_message(self, message: Any) -> Any:
        return self.reply_to(message, message["content"])


class ForgetfulEchoApp(ApplicationWorker):
    """Doesn't wait for its reply, as many applications don't."""

    def consume_user_message(self, message: Any) -> Any:
        _ = self.reply_to(message, message["content"])


class DefaultHooksTests(VumiTestCase):
    @inlineCallbacks
    def setUp(self) -> Any:  # type: ignore[override]  # trial waits for what it returns
        self.app_helper = self.add_helper(ApplicationHelper(EchoApp))
        self.app = yield self.app_helper.get_application({})

    @inlineCallbacks
    def test_a_new_session_is_a_message_like_others(self) -> Any:
        yield self.app_helper.make_dispatch_inbound("hi", session_event="new")
        [reply] = self.app_helper.get_dispatched_outbound()
        self.assertEqual(reply["content"], "hi")

    @inlineCallbacks
    def test_the_end_of_a_session_and_events_are_taken_without_a_word(self) -> Any:
        yield self.app_helper.make_dispatch_inbound("bye", session_event="close")
        yield self.app_helper.make_dispatch_ack()
        yield self.app_helper.make_dispatch_nack()
        yield self.app_helper.make_dispatch_delivery_report()
        self.assertEqual(self.app_helper.get_dispatched_outbound(), [])
        self.assertEqual(
            dict.keys(self.app_helper.worker_helper.broker.dispatched["vumi"]),
            {"sphex.inbound", "sphex.event"},
        )

    def test_an_unknown_event_type_is_logged(self) -> Any:
        event = self.app_helper.make_ack()
        event["event_type"] = "eclipse"
        self.app.dispatch_event(event)

    @inlineCallbacks
    def test_a_hook_that_is_replaced_on_the_object_is_used(self) -> Any:
        seen: list[Any] = []
        self.app.dispatch_user_message = seen.append
        msg = yield self.app_helper.make_dispatch_inbound("hi")
        self.assertEqual(seen, [msg])


class ReplyTests(VumiTestCase):
    def setUp(self) -> None:
        self.app_helper = self.add_helper(
            ApplicationHelper(EchoApp, transport_name="ussd_line", transport_type="ussd")
        )

    @inlineCallbacks
    def test_a_reply_goes_back_to_where_the_message_came_from(self) -> Any:
        yield self.app_helper.get_application({})
        msg = yield self.app_helper.make_dispatch_inbound("Hé", endpoint="vip", provider="mtn")
        [reply] = self.app_helper.get_dispatched_outbound()
        self.assertEqual(reply["content"], "Hé")
        self.assertEqual(reply["in_reply_to"], msg["message_id"])
        self.assertEqual(reply["to_addr"], msg["from_addr"])
        self.assertEqual(reply["from_addr"], msg["to_addr"])
        self.assertEqual(reply["transport_name"], "ussd_line")
        self.assertEqual(reply["transport_type"], "ussd")
        self.assertEqual(reply["provider"], "mtn")
        self.assertEqual(reply["session_event"], None)
        self.assertEqual(reply.get_routing_endpoint(), "vip")

    @inlineCallbacks
    def test_a_reply_nobody_waits_for_is_there_after_the_dispatch(self) -> Any:
        yield self.app_helper.get_application({}, cls=ForgetfulEchoApp)
        yield self.app_helper.make_dispatch_inbound("hi")
        [reply] = self.app_helper.get_dispatched_outbound()
        self.assertEqual(reply["content"], "hi")

    @inlineCallbacks
    def test_reply_to_ends_the_session_if_told_so(self) -> Any:
        app = yield self.app_helper.get_application({})
        msg = self.app_helper.make_inbound("hi")
        sent = yield app.reply_to(msg, "bye", continue_session=False, helper_metadata={"a": 1})
        self.assertIsInstance(sent, TransportUserMessage)
        [reply] = self.app_helper.get_dispatched_outbound()
        self.assertEqual(reply, sent)
        self.assertEqual(reply["session_event"], "close")
        self.assertEqual(reply["helper_metadata"], {"a": 1})

    @inlineCallbacks
    def test_reply_to_group(self) -> Any:
        app = yield self.app_helper.get_application({})
        msg = self.app_helper.make_inbound("hi", group="#chatter")
        yield app.reply_to_group(msg, "all of you")
        yield app.reply_to(msg, "you")
        to_all, to_one = self.app_helper.get_dispatched_outbound()
        self.assertEqual((to_all["group"], to_all["to_addr"]), ("#chatter", None))
        self.assertEqual((to_one["group"], to_one["to_addr"]), ("#chatter", "+41791234567"))


class EndpointApp(ApplicationWorker):
    ALLOWED_ENDPOINTS = frozenset(["default", "alerts"])


class AnyEndpointApp(ApplicationWorker):
    ALLOWED_ENDPOINTS = None


class SendTests(VumiTestCase):
    CONFIG: ClassVar[dict[str, Any]] = {
        "send_to": {
            "default": {"transport_name": "sms_gw", "transport_type": "sms", "from_addr": "8864"},
            "alerts": {"transport_name": "sms_gw2", "helper_metadata": {"urgent": True}},
        }
    }

    def setUp(self) -> None:
        self.app_helper = self.add_helper(ApplicationHelper(EndpointApp))

    @inlineCallbacks
    def test_the_default_endpoint_with_the_fields_of_the_config(self) -> Any:
        app = yield self.app_helper.get_application(self.CONFIG)
        sent = yield app.send_to("+27831112222", "hello")
        [message] = self.app_helper.get_dispatched_outbound()
        self.assertEqual(message, sent)
        self.assertEqual(message["to_addr"], "+27831112222")
        self.assertEqual(message["from_addr"], "8864")
        self.assertEqual(message["content"], "hello")
        self.assertEqual(message["transport_name"], "sms_gw")
        self.assertEqual(message["transport_type"], "sms")
        self.assertEqual(message["in_reply_to"], None)
        self.assertEqual(message["session_event"], None)
        self.assertEqual(message.get_routing_endpoint(), "default")

    @inlineCallbacks
    def test_another_endpoint_and_fields_that_win_over_the_config(self) -> Any:
        app = yield self.app_helper.get_application(self.CONFIG)
        yield app.send_to("+27831112222", "hello", endpoint="alerts", transport_name="sms_gw3")
        [message] = self.app_helper.get_dispatched_outbound()
        self.assertEqual(message["transport_name"], "sms_gw3")
        self.assertEqual(message["helper_metadata"], {"urgent": True})
        self.assertEqual(message.get_routing_endpoint(), "alerts")

    @inlineCallbacks
    def test_a_sent_message_does_not_share_the_fields_of_the_config(self) -> Any:
        app = yield self.app_helper.get_application(self.CONFIG)
        sent = yield app.send_to("+27831112222", "one", endpoint="alerts")
        sent["helper_metadata"]["urgent"] = False
        sent = yield app.send_to("+27831112222", "two", endpoint="alerts")
        self.assertEqual(sent["helper_metadata"], {"urgent": True})

    @inlineCallbacks
    def test_without_a_config_for_the_endpoint(self) -> Any:
        app = yield self.app_helper.get_application({})
        yield app.send_to("+27831112222", "hello", "alerts")
        [message] = self.app_helper.get_dispatched_outbound()
        self.assertEqual(message["transport_name"], None)
        self.assertEqual(message["from_addr"], None)

    @inlineCallbacks
    def test_an_endpoint_that_is_not_allowed_is_refused_at_once(self) -> Any:
        app = yield self.app_helper.get_application({})
        # Not by a Deferred that fails.
        error = self.assertRaises(
            InvalidEndpoint, app.send_to, "+27831112222", "hello", endpoint="elsewhere"
        )
        self.assertIn("elsewhere", str(error))
        self.assertEqual(self.app_helper.get_dispatched_outbound(), [])

    @inlineCallbacks
    def test_any_endpoint_if_the_application_says_so(self) -> Any:
        app = yield self.app_helper.get_application({}, cls=AnyEndpointApp)
        yield app.send_to("+27831112222", "hello", endpoint="elsewhere")
        [message] = self.app_helper.get_dispatched_outbound()
        self.assertEqual(message.get_routing_endpoint(), "elsewhere")

    def test_check_endpoint(self) -> None:
        check = ApplicationWorker.check_endpoint
        check(None, "anything")
        check(None, None)
        check(["default"], None)
        check(["alerts"], "alerts")
        self.assertRaises(InvalidEndpoint, check, ["alerts"], None)
        self.assertRaises(InvalidEndpoint, check, [], "alerts")


class Grumpy(Exception):
    """What a hook may raise."""


class GrumpyApp(ApplicationWorker):
    def consume_user_message(self, message: Any) -> Any:
        if message["content"] == "at once":
            raise Grumpy(message["content"])
        if message["content"] == "later":
            return self.raise_later()
        return self.reply_to(message, "fine")

    async def raise_later(self) -> None:
        await a_turn()
        raise Grumpy("later")

    def consume_ack(self, event: Any) -> Any:
        raise Grumpy("ack")


class FailingHookTests(VumiTestCase):
    @inlineCallbacks
    def setUp(self) -> Any:  # type: ignore[override]  # trial waits for what it returns
        self.app_helper = self.add_helper(ApplicationHelper(GrumpyApp))
        yield self.app_helper.get_application({})

    @inlineCallbacks
    def test_the_message_becomes_a_dead_letter_and_the_next_is_handled(self) -> Any:
        for content in ("at once", "later"):
            msg = yield self.app_helper.make_dispatch_inbound(content)
            [dead] = self.app_helper.get_dispatched(None, "inbound.dead", TransportUserMessage)
            self.assertEqual(dead, msg)
            self.assertEqual(len(self.flushLoggedErrors(Grumpy)), 1)
            self.assertEqual(self.app_helper.get_dispatched_outbound(), [])
            yield self.app_helper.make_dispatch_inbound("hi")
            [reply] = self.app_helper.get_dispatched_outbound()
            self.assertEqual(reply["content"], "fine")
            self.app_helper.clear_all_dispatched()

    @inlineCallbacks
    def test_the_dead_letter_says_why(self) -> Any:
        yield self.app_helper.make_dispatch_inbound("at once")
        broker = self.app_helper.worker_helper.broker
        [letter] = broker.get_dispatched("vumi", "sphex.inbound.dead")
        headers = letter.properties["headers"]
        self.assertEqual(headers["x-vumi-reason"], "handler-failed")
        self.assertEqual(headers["x-vumi-error"], "Grumpy: at once")
        self.assertEqual(headers["x-vumi-queue"], "sphex.inbound")
        self.assertEqual(broker.queues["sphex.inbound.dead"].ready[0].body, letter.body)
        self.flushLoggedErrors(Grumpy)

    @inlineCallbacks
    def test_events_too(self) -> Any:
        yield self.app_helper.make_dispatch_ack()
        self.assertEqual(len(self.flushLoggedErrors(Grumpy)), 1)
        broker = self.app_helper.worker_helper.broker
        self.assertEqual(len(broker.get_messages("vumi", "sphex.event.dead")), 1)
        yield self.app_helper.make_dispatch_nack()
        self.assertEqual(len(broker.get_messages("vumi", "sphex.event.dead")), 1)


class SlowApp(ApplicationWorker):
    """Handles a message only as fast as the test wants it to."""

    def setup_application(self) -> None:
        self.life: list[str] = []
        self.pending: list[tuple[Any, Deferred[None]]] = []

    async def consume_user_message(self, message: Any) -> None:
        gate: Deferred[None] = Deferred()
        self.pending.append((message, gate))
        await gate
        self.life.append(f"handled {message['content']}")
        await self.reply_to(message, message["content"])

    def teardown_application(self) -> Any:
        self.life.append("teardown")
        return succeed(None)


class LifeTests(VumiTestCase):
    def setUp(self) -> None:
        self.app_helper = self.add_helper(ApplicationHelper(SlowApp))

    @inlineCallbacks
    def test_what_is_in_hand_is_finished_before_the_teardown(self) -> Any:
        app = yield self.app_helper.get_application({})
        dispatched = self.app_helper.make_dispatch_inbound("hi")
        yield a_turn()
        stopping = self.app_helper.cleanup_worker(app)
        self.assertNoResult(stopping)
        [(_, gate)] = app.pending
        gate.callback(None)
        yield dispatched
        yield stopping
        self.assertEqual(app.life, ["handled hi", "teardown"])
        [reply] = self.app_helper.get_dispatched_outbound()
        self.assertEqual(reply["content"], "hi")

    @inlineCallbacks
    def test_one_user_in_order_several_users_at_once(self) -> Any:
        app = yield self.app_helper.get_application({})
        for content, user in [("1", "+1"), ("2", "+1"), ("3", "+2")]:
            self.app_helper.make_dispatch_inbound(content, from_addr=user)
        done = self.app_helper.kick_delivery()
        yield a_turn()
        self.assertEqual([msg["content"] for msg, _ in app.pending], ["1", "3"])
        app.pending[1][1].callback(None)
        app.pending[0][1].callback(None)
        self.assertEqual([msg["content"] for msg, _ in app.pending], ["1", "3", "2"])
        app.pending[2][1].callback(None)
        yield done

    @inlineCallbacks
    def test_connectors_stay_paused_if_the_application_says_so(self) -> Any:
        class PatientApp(EchoApp):
            UNPAUSE_CONNECTORS = False

        app = yield self.app_helper.get_application({}, cls=PatientApp)
        yield self.app_helper.make_dispatch_inbound("hi")
        self.assertEqual(self.app_helper.get_dispatched_outbound(), [])
        yield app.unpause_connectors()
        [reply] = yield self.app_helper.wait_for_dispatched_outbound(1)
        self.assertEqual(reply["content"], "hi")

    @inlineCallbacks
    def test_the_transport_name_is_needed_and_known_to_validate_config(self) -> Any:
        class CheckingApp(EchoApp):
            def validate_config(self) -> None:
                self.name_seen = self.transport_name

        app = yield self.app_helper.get_application({"transport_name": "line"}, cls=CheckingApp)
        self.assertEqual(app.name_seen, "line")
        self.assertRaises(ConfigError, EchoApp, {}, {})
