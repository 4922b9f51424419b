"""What the tests of sandboxes share: Node.js or a skip, resources in memory, and an API double."""

from __future__ import annotations

import os
import unittest
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from vumi.application.sandbox.node import find_nodejs
from vumi.application.sandbox.resources.base import SandboxResource, SandboxResources

if TYPE_CHECKING:
    from vumi.application.sandbox.command import SandboxCommand

PATH = "vumi.application.sandbox.tests.helpers"

RESOURCES = {
    "kv": {"cls": f"{PATH}.MemoryKv"},
    "outbound": {"cls": f"{PATH}.PlainOutbound"},
    "log": {"cls": f"{PATH}.ListLog"},
}


def require_node() -> str:
    """The path of a Node.js.

    :raises unittest.SkipTest: There is none.
    :raises AssertionError: There is none, and this is CI, where a skipped test proves nothing.
    """
    found = os.environ.get("VUMI_TEST_NODE_PATH") or find_nodejs()
    if found is not None:
        return found
    reason = "No Node.js was found. Set VUMI_TEST_NODE_PATH to the path of one."
    if os.environ.get("CI") or os.environ.get("VUMI_TEST_REQUIRE_SERVERS"):
        raise AssertionError(reason)
    raise unittest.SkipTest(reason)


class MemoryKv(SandboxResource):
    """Keys and values of each sandbox, in memory."""

    def setup(self) -> None:
        self.values: dict[tuple[str, str], Any] = {}

    def handle_get(self, api: Any, command: SandboxCommand) -> Any:
        value = self.values.get((api.sandbox_id, command["key"]))
        return self.reply(command, success=True, value=value)

    def handle_set(self, api: Any, command: SandboxCommand) -> Any:
        self.values[api.sandbox_id, command["key"]] = command["value"]
        return self.reply(command, success=True)


class PlainOutbound(SandboxResource):
    """Replies to the message that the program was given."""

    async def handle_reply_to(self, api: Any, command: SandboxCommand) -> Any:
        message = api.get_inbound_message(command["in_reply_to"])
        if message is None:
            return self.reply_error(command, "No such message.")
        goes_on = command.get("continue_session", True)
        await self.app_worker.reply_to(message, command["content"], continue_session=goes_on)
        return self.reply(command, success=True)


class ListLog(SandboxResource):
    """Keeps what programs log, and what is logged about them."""

    def setup(self) -> None:
        self.lines: list[tuple[int, str]] = []

    def log(self, api: Any, msg: str, level: int) -> Deferred[None]:
        self.lines.append((level, msg))
        return succeed(None)

    def handle_info(self, api: Any, command: SandboxCommand) -> Any:
        self.lines.append((20, command["msg"]))
        return self.reply(command, success=True)

    def handle_error(self, api: Any, command: SandboxCommand) -> Any:
        self.lines.append((40, command["msg"]))
        return self.reply(command, success=True)

    def told(self) -> str:
        return "\n".join(msg for _level, msg in self.lines)


class ApiConfig:
    """What an API object reads of a worker's config."""

    def __init__(self, sandbox_id: str = "box", logging_resource: str | None = None) -> None:
        self.sandbox_id = sandbox_id
        self.logging_resource = logging_resource


class FakeLink:
    """A program that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[SandboxCommand] = []
        self.killed = False

    def send(self, command: SandboxCommand) -> None:
        self.sent.append(command)

    def kill(self) -> None:
        self.killed = True


def resources_of(**resources: SandboxResource) -> SandboxResources:
    """A worker's resources, made already."""
    found = SandboxResources(None, {})
    for name, resource in resources.items():
        found.add_resource(name, resource)
    return found


class FakeTransport:
    """A process that only notes what it is sent."""

    pid = None

    def __init__(self) -> None:
        self.written = b""
        self.pipes: dict[int, Any] = {}

    def write(self, data: bytes) -> None:
        self.written += data


class FakeReactor(Clock):
    """Time, and processes that do nothing by themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.children: list[Any] = []
        self.refuses = False

    def spawnProcess(self, child: Any, executable: str, args: list[str], env: Any) -> None:
        if self.refuses:
            raise OSError("no more processes")
        self.children.append(child)
        child.makeConnection(FakeTransport())

    def says(self, number: int, data: bytes) -> None:
        self.children[number].outReceived(data)

    def ends(self, number: int, code: int = 0) -> None:
        why: Exception = ProcessTerminated(code) if code else ProcessDone(0)
        self.children[number].processExited(Failure(why))
        self.children[number].processEnded(Failure(why))

    def is_killed(self, number: int) -> bool:
        return self.children[number]._killing is not None


class ListeningEar:
    """Hears a child."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def line_received(self, line: bytes) -> None:
        self.heard.append(line)

    def output_exceeded(self) -> None:
        self.heard.append("too much")

    def input_exceeded(self) -> None:
        self.heard.append("does not read")

    def child_ended(self, reason: Failure) -> None:
        self.heard.append(type(reason.value).__name__)
