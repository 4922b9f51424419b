"""What resources may know of the program that they work for, and do for it.

One API object serves one message (or event). Knows the resources, and of the program what
:meth:`SandboxApi.set_sandbox` hands it: something to send to and to kill.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred, succeed

from vumi import log
from vumi.application.sandbox.command import SandboxCommand
from vumi.application.sandbox.errors import SandboxError
from vumi.application.sandbox.resources.base import SandboxResource
from vumi.application.sandbox.resources.log import write_line
from vumi.tasks import as_deferred, deferred, settle

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from vumi.application.sandbox.resources.base import SandboxResources
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["SandboxApi", "SandboxLink"]


class SandboxLink(Protocol):
    """The program, as the API object sees it."""

    def send(self, command: SandboxCommand) -> None:
        """Write a command to the program."""

    def kill(self) -> None:
        """End the program at once."""


class SandboxApi:
    """What resources work with: one for each message.

    :param resources: The worker's resources.
    :param config: The worker's config for this message.

    :ivar sandbox_id: Whose program it is.
    """

    def __init__(self, resources: SandboxResources, config: Any) -> None:
        self.resources = resources
        self.config = config
        self.sandbox_id: str = config.sandbox_id
        self.fallback_resource = SandboxResource("fallback", None, {})
        self.logging_resource = self._find_logging_resource()
        #: How often the runner told of itself; for the resource that logs.
        self.runner_lines = 0
        self._sandbox: SandboxLink | None = None
        self._inbound_messages: dict[str, TransportUserMessage] = {}

    def _find_logging_resource(self) -> Any:
        name = self.config.logging_resource
        if name is None:
            return None
        resource = self.resources.resources.get(name)
        if not callable(getattr(resource, "log", None)):
            what = "is not there" if resource is None else "has no log()"
            log.warning(
                f"The logging resource {name!r} {what}; what concerns sandboxes goes to the "
                "worker's log."
            )
            return None
        return resource

    # The program

    def set_sandbox(self, sandbox: SandboxLink) -> None:
        """Say which program it is. Once only.

        :raises SandboxError: It was said already.
        """
        if self._sandbox is not None:
            raise SandboxError("Sandbox already set (existing id: this API is in use).")
        self._sandbox = sandbox

    def _program(self) -> SandboxLink:
        if self._sandbox is None:
            raise SandboxError("There is no sandbox to talk to: call set_sandbox() before.")
        return self._sandbox

    @deferred
    async def sandbox_init(self) -> None:
        """Tell all resources that a message is about to come."""
        for resource in self.resources.resources.values():
            await settle(resource.sandbox_init(self))

    def sandbox_inbound_message(self, msg: TransportUserMessage) -> None:
        """Send a user's message to the program, which may then reply to it."""
        self._inbound_messages[msg["message_id"]] = msg
        self.sandbox_send(SandboxCommand(cmd="inbound-message", msg=msg.payload))

    def sandbox_inbound_event(self, event: TransportEvent) -> None:
        """Send an event to the program."""
        self.sandbox_send(SandboxCommand(cmd="inbound-event", msg=event.payload))

    def sandbox_send(self, command: SandboxCommand) -> None:
        """Send any command to the program."""
        self._program().send(command)

    def sandbox_kill(self) -> None:
        """End the program at once."""
        self._program().kill()

    # For resources

    def get_inbound_message(self, message_id: str) -> TransportUserMessage | None:
        """The message of that id if the program was sent it; ``None`` for all others."""
        return self._inbound_messages.get(message_id)

    def log(self, msg: str, level: int = logging.INFO) -> Deferred[Any]:
        """Log something about the program where its author will look for it.

        :param msg: The line.
        :param level: Its level, as the standard library has them.
        :returns: Fires when it is written; never fails.
        """
        if self.logging_resource is None:
            write_line(self.sandbox_id, msg, level)
            return succeed(None)
        written = as_deferred(self.logging_resource.log, self, msg, level=level)
        return written.addErrback(self._log_here, msg, level)

    def _log_here(self, failure: Failure, msg: str, level: int) -> None:
        log.err(failure, "The sandbox's logging resource failed")
        write_line(self.sandbox_id, msg, level)

    def dispatch_request(self, command: SandboxCommand) -> Deferred[Any]:
        """Have a command of the program answered by the resource that it names.

        :param command: The command, with the resource's name before the first dot.
        :returns: Fires with the reply, which has the command's full name, or with ``None``. A
            handler that raised is logged, and the reply then tells the error's text.
        """
        full_name = command["cmd"]
        resource_name, dot, name = full_name.partition(".")
        resource = self.resources.resources.get(resource_name) if dot else None
        if resource is None:
            answering = as_deferred(self.fallback_resource.dispatch_request, self, command)
        else:
            inner = SandboxCommand(**{**command.payload, "cmd": name})
            answering = as_deferred(resource.dispatch_request, self, inner)
        return answering.addCallbacks(
            self._named, self._failed, callbackArgs=(full_name,), errbackArgs=(command,)
        )

    def _named(self, reply: Any, full_name: str) -> Any:
        if isinstance(reply, SandboxCommand):
            reply["cmd"] = full_name
        return reply

    def _failed(self, failure: Failure, command: SandboxCommand) -> SandboxCommand:
        log.err(failure, f"Command {command['cmd']!r} of sandbox {self.sandbox_id!r} failed")
        reason = failure.getErrorMessage()
        # The program's author is told, too.
        _ = self.log(f"Command {command['cmd']!r} failed: {reason}", logging.ERROR)
        return command.reply(success=False, reason=reason)
