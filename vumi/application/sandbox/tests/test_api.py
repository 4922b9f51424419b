from __future__ import annotations

import logging
from typing import Any

from twisted.internet.defer import fail
from twisted.trial.unittest import TestCase

from vumi.application.sandbox.api import SandboxApi
from vumi.application.sandbox.command import SandboxCommand
from vumi.application.sandbox.errors import SandboxError
from vumi.application.sandbox.resources.base import SandboxResource
from vumi.application.sandbox.tests.helpers import ApiConfig, FakeLink, ListLog, resources_of
from vumi.message import TransportEvent, TransportUserMessage
from vumi.tests.utils import LogCatcher


class Answering(SandboxResource):
    """Answers with what it was asked."""

    def handle_ask(self, api: Any, command: SandboxCommand) -> Any:
        return self.reply(command, success=True, asked=command["cmd"])

    def handle_break(self, api: Any, command: SandboxCommand) -> Any:
        raise RuntimeError("broken")

    def handle_fail(self, api: Any, command: SandboxCommand) -> Any:
        return fail(RuntimeError("failed"))

    def sandbox_init(self, api: SandboxApi) -> None:
        api.sandbox_send(SandboxCommand(cmd="hello"))


def message(**fields: Any) -> TransportUserMessage:
    return TransportUserMessage(**{
        "to_addr": "1", "from_addr": "2", "transport_name": "t", "transport_type": "sms",
        "content": "hi", **fields,
    })  # fmt: skip


class TestSandboxApi(TestCase):
    def setUp(self) -> None:
        self.log = ListLog("log", None, {})
        self.log.setup()
        resources = resources_of(one=Answering("one", None, {}), log=self.log)
        self.link = FakeLink()
        self.api = SandboxApi(resources, ApiConfig(logging_resource="log"))
        self.api.set_sandbox(self.link)

    async def ask(self, name: str, **fields: Any) -> Any:
        return await self.api.dispatch_request(SandboxCommand(cmd=name, cmd_id="7", **fields))

    def test_it_is_for_one_program(self) -> None:
        with self.assertRaises(SandboxError):
            self.api.set_sandbox(FakeLink())

    async def test_resources_are_told_of_the_message_that_comes(self) -> None:
        await self.api.sandbox_init()
        self.assertEqual([command["cmd"] for command in self.link.sent], ["hello"])

    def test_messages_and_events_are_sent_and_messages_remembered(self) -> None:
        msg = message()
        event = TransportEvent(event_type="ack", user_message_id="1", sent_message_id="2")
        self.api.sandbox_inbound_message(msg)
        self.api.sandbox_inbound_event(event)
        sent = [(command["cmd"], command["msg"]) for command in self.link.sent]
        self.assertEqual(
            sent, [("inbound-message", msg.payload), ("inbound-event", event.payload)]
        )
        self.assertIs(self.api.get_inbound_message(msg["message_id"]), msg)
        self.assertIsNone(self.api.get_inbound_message("another"))

    async def test_a_resource_sees_the_bare_name_and_the_reply_has_the_whole(self) -> None:
        reply = await self.ask("one.ask")
        self.assertEqual((reply["cmd"], reply["asked"], reply["cmd_id"]), ("one.ask", "ask", "7"))

    async def test_unknown_resources_and_bare_names_are_refused(self) -> None:
        for name in ("nobody.ask", "ask", "one", ".ask", ""):
            reply = await self.ask(name)
            self.assertEqual(
                (reply["success"], reply["reason"]), (False, f"Unknown command {name!r}.")
            )
        self.assertIn("Resource fallback received unknown command", self.log.told())

    async def test_a_handler_that_fails_is_told_to_the_program_and_its_log(self) -> None:
        for name, reason in (("one.break", "broken"), ("one.fail", "failed")):
            reply = await self.ask(name)
            self.assertEqual((reply["success"], reply["reason"]), (False, reason))
            self.assertEqual(reply["cmd"], name)
            self.assertIn(f"Command {name!r} failed: {reason}", self.log.told())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    async def test_a_log_that_fails_loses_no_line(self) -> None:
        def log(api: Any, msg: str, level: int) -> None:
            raise RuntimeError("the disk is full")

        self.log.log = log  # type: ignore[assignment,method-assign]  # a test's own
        with LogCatcher(log_level=logging.WARNING) as caught:
            await self.api.log("careful", logging.WARNING)
        self.assertIn("careful", caught.messages())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_a_logging_resource_that_is_none_is_told_and_done_without(self) -> None:
        for resource in ({}, {"log": Answering("log", None, {})}):
            with LogCatcher() as caught:
                api = SandboxApi(resources_of(**resource), ApiConfig(logging_resource="log"))
                await api.log("a line", logging.INFO)
            self.assertIn("The logging resource 'log'", caught.messages()[0])
            self.assertEqual(caught.messages()[1], "a line")
