from __future__ import annotations

from typing import Any

from vumi.application.sandbox.resources.base import SandboxResource, SandboxResources
from vumi.application.sandbox.resources.log import LoggingResource
from vumi.application.sandbox.resources.tests.utils import ResourceTestCaseBase
from vumi.errors import ConfigError
from vumi.tests.helpers import VumiTestCase


class Chest(SandboxResource):
    """A resource with all kinds of handlers, and traps."""

    def handle_plain(self, api: Any, command: Any) -> Any:
        return self.reply(command, success=True, got=command.get("value"))

    async def handle_later(self, api: Any, command: Any) -> Any:
        return self.reply(command, success=True)

    def handle_nothing(self, api: Any, command: Any) -> None:
        return None

    @property
    def handle_trap(self) -> Any:
        raise AssertionError("a program made a property run")


class TestSandboxResource(ResourceTestCaseBase):
    resource_cls = Chest

    async def test_commands_reach_their_handlers(self) -> None:
        await self.create_resource({})
        self.check_reply(await self.dispatch_command("plain", value=3), got=3, cmd="plain")
        self.check_reply(await self.dispatch_command("later"))
        self.assertIsNone(await self.dispatch_command("nothing"))

    async def test_a_reply_has_the_commands_id(self) -> None:
        await self.create_resource({})
        reply = await self.dispatch_command("plain", cmd_id="seven")
        self.assertEqual((reply["cmd_id"], reply["reply"]), ("seven", True))

    async def test_an_unknown_command_killed_the_program(self) -> None:
        await self.create_resource({})
        for name in ("nonsense", "trap", "", "plain.deeper"):
            reply = await self.dispatch_command(name)
            self.check_reply_error(reply, f"Unknown command {name!r}.")
        self.assertFalse(self.api.killed)
        level, text = self.api.logs[0]
        self.assertEqual(level, 40)
        self.assertIn("Resource test_resource received unknown command 'nonsense'", text)

    async def test_a_reply_that_no_one_waits_for_gets_none(self) -> None:
        await self.create_resource({})
        self.assertIsNone(await self.dispatch_command("nonsense", reply=True))


class Living(SandboxResource):
    """Notes when it is set up and torn down."""

    def setup(self) -> None:
        if self.config.get("breaks") == "setup":
            raise RuntimeError("no setup")
        self.app_worker.append(f"+{self.name}")

    async def teardown(self) -> None:
        self.app_worker.append(f"-{self.name}")
        if self.config.get("breaks") == "teardown":
            raise RuntimeError("no teardown")


LIVING = f"{__name__}.Living"


class TestSandboxResources(VumiTestCase):
    def make(self, **config: Any) -> SandboxResources:
        self.story: list[str] = []
        resources = SandboxResources(self.story, config)
        resources.validate_config()
        return resources

    async def test_they_are_made_of_the_config(self) -> None:
        cls = "vumi.application.sandbox.resources.log.LoggingResource"
        resources = self.make(log={"cls": cls, "burst": 3})
        resource = resources.resources["log"]
        self.assertIsInstance(resource, LoggingResource)
        self.assertEqual((resource.name, resource.config), ("log", {"burst": 3}))

    async def test_they_are_torn_down_in_the_opposite_order_whatever_fails(self) -> None:
        resources = self.make(
            a={"cls": LIVING}, b={"cls": LIVING, "breaks": "teardown"}, c={"cls": LIVING}
        )
        await resources.setup_resources()
        with self.assertRaises(RuntimeError):
            await resources.teardown_resources()
        self.assertEqual(self.story, ["+a", "+b", "+c", "-c", "-b", "-a"])

    async def test_what_came_up_is_torn_down_when_the_next_does_not(self) -> None:
        resources = self.make(a={"cls": LIVING}, b={"cls": LIVING, "breaks": "setup"})
        with self.assertRaises(RuntimeError):
            await resources.setup_resources()
        await resources.teardown_resources()
        self.assertEqual(self.story, ["+a", "-b", "-a"])

    def test_all_that_is_wrong_is_told_at_once(self) -> None:
        log = "vumi.application.sandbox.resources.log.LoggingResource"
        with self.assertRaises(ConfigError) as caught:
            self.make(
                a={},
                b="text",
                c={"cls": "no.such.Thing"},
                d={"cls": log, "burst": 0},
                e={"cls": "x"},
            )
        problems = caught.exception.problems
        self.assertEqual([problem.partition(":")[0] for problem in problems], [
            "sandbox.a", "sandbox.b", "sandbox.c", "sandbox.d", "sandbox.e",
        ])  # fmt: skip
