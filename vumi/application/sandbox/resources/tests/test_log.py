from __future__ import annotations

import logging
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from vumi.application.sandbox.resources.log import LoggingResource
from vumi.application.sandbox.resources.tests.utils import DummyAppWorker, ResourceTestCaseBase
from vumi.tests.utils import LogCatcher


class Listing(LoggingResource):
    """Keeps what it is given."""

    def setup(self) -> None:
        self.lines: list[tuple[int, str]] = []

    def log(self, api: Any, msg: str, level: int) -> Deferred[None]:
        self.lines.append((level, msg))
        return succeed(None)


class ClockedWorker(DummyAppWorker):
    def __init__(self) -> None:
        self.clock = Clock()


class TestLoggingResource(ResourceTestCaseBase):
    app_worker_cls = ClockedWorker
    resource_cls: Any = Listing

    async def check(self, cmd: str, expected: tuple[int, str], **fields: Any) -> None:
        self.check_reply(await self.dispatch_command(cmd, **fields))
        self.assertEqual(self.resource.lines[-1], expected)

    async def test_levels(self) -> None:
        await self.create_resource({})
        for name in ("debug", "info", "warning", "error", "critical"):
            level = getattr(logging, name.upper())
            await self.check(name, (level, "text"), msg="text")
        await self.check("log", (logging.INFO, "text"), msg="text")
        await self.check("log", (5, "text"), msg="text", level=5)
        await self.check("error", (5, "text"), msg="text", level=5)
        await self.check("log", (30, "text"), msg="text", level="30")

    async def test_what_is_no_text_is_written_as_it_shows(self) -> None:
        await self.create_resource({})
        await self.check("info", (20, "{'a': [1]}"), msg={"a": [1]})
        await self.check("info", (20, ""), msg="")

    async def test_a_line_must_be_given(self) -> None:
        await self.create_resource({})
        self.check_reply_error(await self.dispatch_command("info"), "Value expected for msg")
        reply = await self.dispatch_command("info", msg="a", level="loud")
        self.assertFalse(reply["success"])

    async def test_a_loop_that_logs_flooded_the_log(self) -> None:
        await self.create_resource({"burst": 3, "lines_per_second": 1})
        for number in range(10):
            self.check_reply(await self.dispatch_command("info", msg=str(number)))
        self.assertEqual([msg for _level, msg in self.resource.lines], ["0", "1", "2"])
        self.app_worker.clock.advance(1)
        await self.dispatch_command("info", msg="later")
        told = [msg for _level, msg in self.resource.lines[3:]]
        self.assertEqual(told, ["7 lines were dropped: the sandbox logs too much.", "later"])

    async def test_a_flood_of_one_sandbox_silences_no_other(self) -> None:
        await self.create_resource({"burst": 1, "lines_per_second": 1})
        await self.dispatch_command("info", msg="a")
        await self.dispatch_command("info", msg="b")
        self.api.sandbox_id = "another"
        await self.dispatch_command("info", msg="c")
        self.assertEqual([msg for _level, msg in self.resource.lines], ["a", "c"])

    async def test_the_runners_own_lines_are_not_charged_to_the_script(self) -> None:
        await self.create_resource({"burst": 1, "lines_per_second": 1})
        for msg in ("Starting sandbox ...", "Loading sandboxed code ...", "mine", "Done."):
            await self.dispatch_command("info", msg=msg)
        self.assertEqual(len(self.resource.lines), 4)
        await self.dispatch_command("info", msg="Done.")
        self.assertEqual(len(self.resource.lines), 4)

    async def test_long_lines_are_cut(self) -> None:
        await self.create_resource({"max_length": 5})
        await self.check("info", (20, "abcde... [3 characters cut]"), msg="abcdefgh")

    async def test_lines_end_in_the_workers_log_with_their_level(self) -> None:
        self.resource_cls = LoggingResource
        await self.create_resource({})
        with LogCatcher(log_level=logging.ERROR) as caught:
            await self.dispatch_command("error", msg="from the script")
        [event] = caught.logs
        self.assertEqual(event["message"], ("from the script",))
        self.assertEqual(event["sandbox_id"], "test_id")
        self.assertFalse(event["isError"])

    async def test_what_a_script_logs_can_not_control_a_terminal_or_forge_a_line(self) -> None:
        self.resource_cls = LoggingResource
        await self.create_resource({})
        with LogCatcher() as caught:
            for text in ("\x1b[2J", "\x9b1m", "a\rb", "\u2028", "\u202etxt", "\ud800", "a\nb\tc"):
                await self.dispatch_command("info", msg=text)
        self.assertEqual(
            [event["message"][0] for event in caught.logs],
            ["\\x1b[2J", "\\x9b1m", "a\\rb", "\\u2028", "\\u202etxt", "\\ud800", "a\nb\tc"],
        )
