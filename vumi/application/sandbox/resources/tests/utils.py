"""The base of test cases for a resource; also for those written elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from vumi.application.sandbox.command import SandboxCommand
from vumi.application.sandbox.resources.base import SandboxResource, SandboxResources
from vumi.tasks import settle
from vumi.tests.helpers import VumiTestCase

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DummyAppWorker", "ResourceTestCaseBase"]


class DummyApi:
    """What a resource sees of a program: its id, the log, and a message."""

    def __init__(self, inbound_messages: dict[str, Any], method_mock: Any = None) -> None:
        self.inbound_messages = inbound_messages
        self.logs: list[tuple[int, str]] = []
        self.killed = False
        self.runner_lines = 0
        self.sandbox_id = "test_id"

    def sandbox_kill(self) -> None:
        self.killed = True

    def log(self, msg: str, level: int) -> Deferred[None]:
        self.logs.append((level, msg))
        return succeed(None)

    def get_inbound_message(self, message_id: str) -> Any:
        return self.inbound_messages.get(message_id)


class DummyAppWorker:
    """A worker that does nothing; replace what a resource uses."""

    sandbox_api_cls = DummyApi

    def create_sandbox_api(self) -> Any:
        return self.sandbox_api_cls({})


class ResourceTestCaseBase(VumiTestCase):
    """Makes a resource and hands it commands.

    Set :attr:`resource_cls`, and :attr:`app_worker_cls` if the resource needs more of a worker.
    Call :meth:`create_resource` first.
    """

    app_worker_cls: Any = DummyAppWorker
    resource_cls: Any = None
    resource_name = "test_resource"
    sandbox_id = "test_id"

    def setUp(self) -> None:
        self.app_worker = self.app_worker_cls()
        self.resource: Any = None
        self.api = self.app_worker.create_sandbox_api()
        self.api.sandbox_id = self.sandbox_id

    def create_resource(self, config: Mapping[str, Any]) -> Deferred[SandboxResource]:
        """Make the resource and set it up; it is torn down after the test."""
        return Deferred.fromCoroutine(self._create_resource(config))

    async def _create_resource(self, config: Mapping[str, Any]) -> SandboxResource:
        resources = SandboxResources(self.app_worker, {})
        resource: SandboxResource = self.resource_cls(
            self.resource_name, self.app_worker, dict(config)
        )
        resources.add_resource(self.resource_name, resource)
        self.addCleanup(resources.teardown_resources)
        await settle(resources.setup_resources())
        self.resource = resource
        return resource

    def dispatch_command(self, cmd: str, **fields: Any) -> Deferred[SandboxCommand]:
        """Hand the resource a command, as it arrives from a program."""
        command = SandboxCommand.from_json(SandboxCommand(cmd=cmd, **fields).to_json())
        dispatched: Deferred[SandboxCommand] = self.resource.dispatch_request(self.api, command)
        return dispatched

    def check_reply(self, reply: SandboxCommand, **fields: Any) -> None:
        """Check a reply's fields; it must tell of a success if not said otherwise."""
        for key, value in {"success": True, **fields}.items():
            self.assertEqual(reply[key], value)

    def check_reply_error(self, reply: SandboxCommand, reason: str) -> None:
        """Check that a reply tells of a failure, and why."""
        self.check_reply(reply, success=False, reason=reason)
