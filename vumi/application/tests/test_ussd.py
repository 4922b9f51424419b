"""Tests for USSD applications in the ancestor's form."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from vumi.application import ussd
from vumi.application.tests.helpers import ApplicationHelper
from vumi.application.ussd import EchoWorker, SessionType, USSDConfig, USSDWorker
from vumi.errors import ConfigError
from vumi.tests.fake_amqp import FakeAMQPBroker
from vumi.tests.helpers import VumiTestCase
from vumi.tests.utils import LogCatcher

#: A worker as programs for Richmond wrote it. Only where it imports from has changed since.
RICHMOND_PROGRAM = '''
from {module} import USSDWorker, SessionType
from twisted.python import log

class FooBarWorker(USSDWorker):

    def new_ussd_session(self, msisdn, message):
        """Somebody dials: ask."""
        self.reply(msisdn, "What comes after foo?", SessionType.existing)

    def existing_ussd_session(self, msisdn, message):
        """Somebody answers: let go, or ask again."""
        if message == "bar" or message == "0":
            self.reply(msisdn, "Right, goodbye!", SessionType.end)
        else:
            self.reply(msisdn, "No: what comes after foo?", SessionType.existing)

    def timed_out_ussd_session(self, msisdn, message):
        """Somebody was too slow."""
        log.msg("%s timed out" % msisdn)

    def end_ussd_session(self, msisdn, message):
        """Somebody has hung up."""
        log.msg("%s ended the session" % msisdn)
'''


def richmond_worker() -> Any:
    """The program's worker, after the one change."""
    names: dict[str, Any] = {}
    exec(RICHMOND_PROGRAM.format(module="vumi.application.ussd"), names)  # noqa: S102 (the above)
    return names["FooBarWorker"]


class RecordingWorker(USSDWorker):
    """Keeps what it is told."""

    def setup_application(self) -> None:
        super().setup_application()
        self.told: list[tuple[str, str, str]] = []

    def new_ussd_session(self, msisdn: str, message: str) -> None:
        self.told.append(("new", msisdn, message))

    def existing_ussd_session(self, msisdn: str, message: str) -> Any:
        self.told.append(("existing", msisdn, message))
        return succeed(None)

    async def timed_out_ussd_session(self, msisdn: str, message: str) -> None:
        self.told.append(("timed out", msisdn, message))

    async def end_ussd_session(self, msisdn: str, message: str) -> None:
        self.told.append(("end", msisdn, message))


class UssdTestCase(VumiTestCase):
    """An application, and a user who dials it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.helper: Any = self.add_helper(
            ApplicationHelper(RecordingWorker, transport_type="ussd", transport_addr="*120*99#")
        )
        self.helper.worker_helper.broker = FakeAMQPBroker(self.clock)

    async def start(self, cls: Any, **config: Any) -> Any:
        return await self.helper.get_application({**config}, cls=cls)

    async def say(self, text: str | None, event: str | None, **kw: Any) -> list[tuple[Any, Any]]:
        """Have the user say something.

        :returns: The texts and session events that are answered.
        """
        message = await self.helper.make_dispatch_inbound(text, session_event=event, **kw)
        replies = self.helper.get_dispatched_outbound()
        self.helper.clear_dispatched_outbound()
        assert all(reply["in_reply_to"] == message["message_id"] for reply in replies)
        assert all(reply["to_addr"] == message["from_addr"] for reply in replies)
        return [(reply["content"], reply["session_event"]) for reply in replies]


class RichmondTests(UssdTestCase):
    """Programs as they were written then."""

    async def test_a_worker_for_richmond_runs_with_only_its_import_changed(self) -> None:
        await self.start(richmond_worker())
        question = ("What comes after foo?", None)
        assert await self.say(None, "new") == [question]
        assert await self.say("baz", "resume") == [("No: what comes after foo?", None)]
        assert await self.say("bar", "resume") == [("Right, goodbye!", "close")]
        assert await self.say(None, "new") == [question]
        assert await self.say("0", "resume") == [("Right, goodbye!", "close")]
        with LogCatcher(message="ended the session") as catcher:
            assert await self.say(None, "new") == [question]
            assert await self.say(None, "close") == []
        assert catcher.messages() == ["+41791234567 ended the session"]
        with LogCatcher(message="timed out") as catcher:
            assert await self.say(None, "new") == [question]
            self.clock.advance(600)
        assert catcher.messages() == ["+41791234567 timed out"]

    async def test_the_echo_worker_echoes(self) -> None:
        await self.start(EchoWorker)
        assert await self.say(None, "new") == [("Say something (0 to end).", None)]
        assert await self.say("hello", "resume") == [("hello", None)]
        with LogCatcher() as catcher:
            await self.say(None, "close")
            await self.say(None, "new")
            self.clock.advance(600)
        assert {"+41791234567 ended the session", "+41791234567 timed out"} <= set(
            catcher.messages()
        )
        await self.say(None, "new")
        assert await self.say("0", "resume") == [("Goodbye.", "close")]

    async def test_the_base_says_goodbye_and_what_to_override(self) -> None:
        await self.start(USSDWorker)
        assert await self.say(None, "new") == [("There is nothing here yet. Goodbye.", "close")]
        for event, method in (("resume", "existing"), ("close", "end")):
            assert await self.say("hi", event) == []
            [failure] = self.flushLoggedErrors(NotImplementedError)
            assert str(failure.value) == f"USSDWorker must override {method}_ussd_session()."

    def test_session_types_are_those_of_the_protocol(self) -> None:
        types = (SessionType.new, SessionType.existing, SessionType.end, SessionType.timeout)
        assert types == ("1", "2", "3", "4")

    def test_the_module_can_stand_in_for_richmonds(self) -> None:
        # For programs whose import nobody wants to change.
        package = ModuleType("richmond.workers")
        self.patch(sys, "modules", {**sys.modules, "richmond.workers": package})
        sys.modules["richmond.workers.ussd"] = ussd
        names: dict[str, Any] = {}
        exec(RICHMOND_PROGRAM.format(module="richmond.workers.ussd"), names)  # noqa: S102 (the above)
        assert issubclass(names["FooBarWorker"], USSDWorker)


class SessionTests(UssdTestCase):
    """Which method is called for what."""

    async def test_session_events_are_calls(self) -> None:
        worker = await self.start(RecordingWorker)
        for text, event, call in (
            (None, "new", ("new", "*120*99#")),
            ("*120*1#", "new", ("new", "*120*1#")),
            ("hi", "resume", ("existing", "hi")),
            (None, "resume", ("existing", "")),
            ("hi", None, ("existing", "hi")),
            (None, "close", ("end", "")),
            ("bye", "close", ("end", "bye")),
            # No session events: whoever is not in a session begins one.
            ("hi", None, ("new", "hi")),
            ("ho", None, ("existing", "ho")),
        ):
            await self.say(text, event)
            kind, message = call
            assert worker.told[-1] == (kind, "+41791234567", message), (text, event)

    async def test_a_session_times_out_when_its_user_is_silent(self) -> None:
        worker = await self.start(RecordingWorker, session_timeout=60)
        await self.say(None, "new")
        self.clock.advance(59)
        await self.say("hi", "resume")
        self.clock.advance(59)
        assert worker.told[-1] == ("existing", "+41791234567", "hi")
        self.clock.advance(1)
        assert worker.told[-1] == ("timed out", "+41791234567", "hi")
        self.clock.advance(10_000)
        assert len(worker.told) == 3

    async def test_a_session_that_the_network_has_dropped_times_out_when_the_next_begins(
        self,
    ) -> None:
        worker = await self.start(RecordingWorker, session_timeout=0)
        await self.say(None, "new")
        await self.say("hi", "resume")
        await self.say(None, "new")
        assert [kind for kind, _, _ in worker.told] == ["new", "existing", "timed out", "new"]

    async def test_a_session_that_has_ended_does_not_time_out(self) -> None:
        worker = await self.start(RecordingWorker)
        await self.say(None, "new")
        await self.say(None, "close")
        await self.say(None, "new", from_addr="+2")
        await worker.reply("+2", "bye", SessionType.end)
        self.helper.clear_dispatched_outbound()
        worker.told.clear()
        self.clock.advance(10_000)
        await self.say(None, "new")
        assert worker.told == [("new", "+41791234567", "*120*99#")]

    async def test_what_fails_about_a_time_out_is_logged_and_costs_no_message(self) -> None:
        class Silent(USSDWorker):
            def new_ussd_session(self, msisdn: str, message: str) -> Any:
                return self.reply(msisdn, "hello", SessionType.existing)

        await self.start(Silent)
        assert await self.say(None, "new") == [("hello", None)]
        assert await self.say(None, "new") == [("hello", None)]
        self.clock.advance(600)
        assert len(self.flushLoggedErrors(NotImplementedError)) == 2

    async def test_stopping_leaves_no_timer_behind(self) -> None:
        worker = await self.start(RecordingWorker)
        await self.say(None, "new")
        await self.helper.cleanup_worker(worker)
        assert self.clock.getDelayedCalls() == []


class ReplyTests(UssdTestCase):
    """What a reply becomes."""

    async def test_a_reply_answers_the_users_last_message(self) -> None:
        worker = await self.start(RecordingWorker)
        for kind, event in (
            (SessionType.new, None),
            (SessionType.existing, None),
            (SessionType.end, "close"),
            (SessionType.timeout, "close"),
        ):
            await self.say(None, "new")
            message = await self.helper.make_dispatch_inbound("hi", session_event="resume")
            await worker.reply("+41791234567", "text", kind)
            [reply] = self.helper.get_dispatched_outbound()
            self.helper.clear_dispatched_outbound()
            assert reply["in_reply_to"] == message["message_id"]
            assert (reply["content"], reply["session_event"]) == ("text", event)

    async def test_who_is_in_no_session_gets_a_message_of_its_own(self) -> None:
        worker = await self.start(
            RecordingWorker, send_to={"default": {"transport_type": "ussd", "from_addr": "99"}}
        )
        for kind, event in (
            (SessionType.new, "new"),
            (SessionType.existing, "resume"),
            (SessionType.end, "close"),
        ):
            await worker.reply("+27", "text", kind)
            [message] = self.helper.get_dispatched_outbound()
            self.helper.clear_dispatched_outbound()
            assert (message["to_addr"], message["from_addr"]) == ("+27", "99")
            assert message["in_reply_to"] is None
            assert message["session_event"] == event

    async def test_a_type_that_is_none_is_an_error(self) -> None:
        worker = await self.start(RecordingWorker)
        with self.assertRaisesRegex(ValueError, "'5' is no SessionType"):
            _ = worker.reply("+27", "text", "5")


def test_a_time_that_is_none_is_refused() -> None:
    for value in (-1, float("nan"), None):
        try:
            USSDConfig({"transport_name": "t", "session_timeout": value})
        except ConfigError as error:
            assert str(error) == "Field 'session_timeout' must not be negative."
        else:
            raise AssertionError(value)
