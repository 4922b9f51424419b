from __future__ import annotations

from typing import Any

from vumi.application import ApplicationWorker
from vumi.application.sandbox.command import SandboxCommand
from vumi.application.sandbox.resources.outbound import OutboundResource
from vumi.application.sandbox.resources.tests.utils import DummyApi
from vumi.application.tests.helpers import ApplicationHelper
from vumi.errors import ConfigError
from vumi.tests.helpers import VumiTestCase

METADATA = {"tag": {"tag": ["pool", "tag"]}, "session": "1"}


class TestOutboundResource(VumiTestCase):
    async def make(self, worker_config: Any = None, **config: Any) -> None:
        self.helper: Any = self.add_helper(ApplicationHelper(ApplicationWorker))
        worker = await self.helper.get_application(worker_config or {})
        self.resource = OutboundResource("outbound", worker, config)
        self.resource.setup()
        self.msg = self.helper.make_inbound(
            "hi", message_id="m1", helper_metadata=METADATA, group="#room"
        )
        self.api: Any = DummyApi({"m1": self.msg})

    async def ask(self, cmd: str, **fields: Any) -> Any:
        command = SandboxCommand.from_json(SandboxCommand(cmd=cmd, **fields).to_json())
        reply = await self.resource.dispatch_request(self.api, command)
        return True if reply["success"] else reply["reason"]

    def sent(self) -> Any:
        [message] = self.helper.get_dispatched_outbound()
        self.helper.clear_all_dispatched()
        return message

    async def test_a_reply(self) -> None:
        await self.make()
        self.assertIs(await self.ask("reply_to", content="hello", in_reply_to="m1"), True)
        reply = self.sent()
        self.assertEqual(reply["content"], "hello")
        self.assertEqual(reply["in_reply_to"], "m1")
        self.assertEqual(reply["to_addr"], self.msg["from_addr"])
        self.assertIs(reply["session_event"], None)

    async def test_a_reply_that_ends_the_session(self) -> None:
        await self.make()
        fields = {"content": None, "in_reply_to": "m1", "continue_session": False}
        self.assertIs(await self.ask("reply_to", **fields), True)
        reply = self.sent()
        self.assertEqual((reply["content"], reply["session_event"]), (None, "close"))

    async def test_a_reply_to_a_group(self) -> None:
        await self.make()
        self.assertIs(await self.ask("reply_to_group", content="all", in_reply_to="m1"), True)
        reply = self.sent()
        self.assertEqual((reply["group"], reply["to_addr"]), ("#room", None))

    async def test_a_reply_has_the_metadata_of_what_it_answers_and_what_is_given_on_top(
        self,
    ) -> None:
        await self.make(allowed_helper_metadata=["voice", "session"])
        nothing: tuple[Any, ...] = (None, {})
        for given in nothing:
            await self.ask("reply_to", content="x", in_reply_to="m1", helper_metadata=given)
            self.assertEqual(self.sent()["helper_metadata"], METADATA)
        given = {"voice": {"speech_url": "x"}, "session": "2"}
        await self.ask("reply_to", content="x", in_reply_to="m1", helper_metadata=given)
        self.assertEqual(self.sent()["helper_metadata"], {**METADATA, **given})
        self.assertEqual(self.msg["helper_metadata"], METADATA)

    async def test_only_the_message_that_the_program_was_given_can_be_replied_to(self) -> None:
        await self.make()
        reason = "Could not find original message with id: 'm2'"
        for cmd in ("reply_to", "reply_to_group"):
            self.assertEqual(await self.ask(cmd, content="x", in_reply_to="m2"), reason)

    async def test_what_is_wrong_with_a_reply_is_told_in_words(self) -> None:
        await self.make()
        good = {"content": "x", "in_reply_to": "m1"}
        cases: list[tuple[dict[str, Any], str]] = [
            ({"in_reply_to": "m1"}, "'content' must be given."),
            ({**good, "content": 5}, "'content' must be unicode or null."),
            ({"content": "x"}, "'in_reply_to' must be given."),
            ({**good, "in_reply_to": None}, "'in_reply_to' must be given."),
            ({**good, "in_reply_to": ["m1"]}, "'in_reply_to' must be given."),
            (
                {**good, "continue_session": "yes"},
                "'continue_session' must be either true or false if given",
            ),
            ({**good, "helper_metadata": {"a": 1}}, "'helper_metadata' is not allowed"),
            ({**good, "helper_metadata": "a"}, "'helper_metadata' must be object or null."),
        ]
        for fields, reason in cases:
            for cmd in ("reply_to", "reply_to_group"):
                self.assertEqual(await self.ask(cmd, **fields), reason)
        self.assertEqual(self.helper.get_dispatched_outbound(), [])

    async def test_what_is_wrong_with_a_send_is_told_in_words(self) -> None:
        await self.make(allowed_helper_metadata=["b", "a"])
        good = {"content": "x", "to_addr": "+1", "endpoint": "default"}
        both = ("send_to", "send_to_endpoint")
        cases: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
            (both, {"to_addr": "+1", "endpoint": "default"}, "'content' must be given."),
            (both, {**good, "content": []}, "'content' must be unicode or null."),
            (both, {**good, "to_addr": None}, "'to_addr' must be given in sends."),
            (both, {"content": "x", "endpoint": "default"}, "'to_addr' must be given in sends."),
            (both[1:], {"content": "x", "to_addr": "+1"}, "'endpoint' must be given in sends."),
            (both, {**good, "endpoint": 5}, "'endpoint' must be given in sends."),
            (both, {**good, "endpoint": "extra"}, "Endpoint 'extra' not configured"),
            (
                both,
                {**good, "helper_metadata": {"c": 1}},
                "'helper_metadata' may only contain the following keys: a, b",
            ),
        ]
        for commands, fields, reason in cases:
            for cmd in commands:
                self.assertEqual(await self.ask(cmd, **fields), reason)
        self.assertEqual(self.helper.get_dispatched_outbound(), [])

    async def test_messages_that_are_no_replies(self) -> None:
        send_to = {"sms": {"transport_name": "smsc", "from_addr": "8080"}}
        await self.make({"send_to": send_to}, endpoints=["extra"], allowed_helper_metadata=["a"])
        self.assertIs(await self.ask("send_to", content="x", to_addr="+1"), True)
        self.assertEqual(self.sent().get_routing_endpoint(), "default")
        for endpoint in ("extra", "sms", "default"):
            fields = {"content": "x", "to_addr": "+1", "endpoint": endpoint}
            for cmd in ("send_to", "send_to_endpoint"):
                answer = await self.ask(cmd, **fields, helper_metadata={"a": 1})
                self.assertIs(answer, True)
                message = self.sent()
                self.assertEqual(message.get_routing_endpoint(), endpoint)
                self.assertEqual(message["helper_metadata"], {"a": 1})
                self.assertEqual(message["from_addr"], "8080" if endpoint == "sms" else None)

    async def test_what_one_worker_allows_no_other_does(self) -> None:
        await self.make(endpoints=["extra"])
        self.assertEqual(ApplicationWorker.ALLOWED_ENDPOINTS, frozenset(["default"]))

    async def test_a_message_by_a_tag(self) -> None:
        await self.make(tags={"pool": {"t1": "default", "t2": "extra"}})
        fields = {"tagpool": "pool", "tag": "t2", "content": "x", "to_addr": "+1"}
        self.assertIs(await self.ask("send_to_tag", **fields), True)
        message = self.sent()
        self.assertEqual(message["helper_metadata"], {"tag": {"tag": ["pool", "t2"]}})
        self.assertEqual(message.get_routing_endpoint(), "extra")
        for wrong in ({"tag": "t3"}, {"tagpool": "other"}):
            reason = await self.ask("send_to_tag", **{**fields, **wrong})
            self.assertIn("not configured", reason)

    async def test_bad_options_are_refused(self) -> None:
        for config in (
            {"allowed_helper_metadata": [1]},
            {"endpoints": "all"},
            {"tags": {"pool": ["t1"]}},
            {"tags": {"pool": {"t1": None}}},
        ):
            with self.assertRaises(ConfigError):
                OutboundResource("outbound", None, config)
