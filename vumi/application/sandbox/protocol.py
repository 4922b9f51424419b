"""One message with the program that handles it: from taking a child to knowing how it ended.

Knows the lines (JSON commands), the time and output that a message has, and what the end of a
child means. Commands are answered by the API object; processes are
:mod:`vumi.application.sandbox.children`'s.
"""

from __future__ import annotations

import logging
import secrets
import signal
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.python.failure import Failure

from vumi.application.sandbox.command import SandboxCommand
from vumi.application.sandbox.errors import SandboxError
from vumi.errors import InvalidMessage
from vumi.tasks import on_outcome, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from vumi.application.sandbox.api import SandboxApi
    from vumi.application.sandbox.children import ChildProcess
    from vumi.application.sandbox.pool import ChildPool

__all__ = ["Ending", "Outcome", "SandboxProtocol"]

#: How many of a program's requests are worked on at a time; further ones wait.
MAX_IN_HAND = 100
#: How many lines that are no commands are logged, of one message.
MAX_STRAY_LINES = 20
MAX_STRAY_LENGTH = 500

#: What the runner is told when a message begins, and what it says when that is done and its
#: process may be used again. Both carry a secret, which the runner keeps from scripts.
BEGIN_COMMAND = "sandbox.begin"
DONE_COMMAND = "sandbox.done"


class Ending(Enum):
    """How a program came to its end."""

    DONE = "done"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    OUTPUT = "output"
    UNREAD = "unread"
    KILLED = "killed"
    NOT_STARTED = "not-started"


@dataclass(frozen=True)
class Outcome:
    """What became of a message.

    :param ending: How the program ended.
    :param status: Its exit status, if it exited.
    :param reason: Why it did not end well, in words.
    :param stderr: Its last words: of a script that crashed its stack.
    :param failure: What Twisted says of its end.
    :param errors_logged: How many errors it told in the log.
    """

    ending: Ending
    status: int | None = None
    reason: str = ""
    stderr: str = ""
    failure: Failure | None = None
    errors_logged: int = 0

    @property
    def good(self) -> bool:
        """Whether it ended as it should."""
        return self.ending is Ending.DONE

    def __str__(self) -> str:
        return "\n".join(part for part in (self.reason, self.stderr) if part)


class SandboxProtocol:
    """Handles one message, or event, in a sandboxed program.

    :param api: What answers its requests.
    :param pool: Where the program comes from.
    :param clock: Twisted's reactor.
    :param timeout: How many seconds the program may take, from when it is handed the message.
    :param recv_limit: How many bytes it may write to stdout and stderr.
    """

    def __init__(
        self, api: SandboxApi, pool: ChildPool, clock: Any, *, timeout: float, recv_limit: int
    ) -> None:
        self.api = api
        self.timeout = timeout
        self.recv_limit = recv_limit
        self._pool = pool
        self._clock = clock
        self._child: ChildProcess | None = None
        self._timer: IDelayedCall | None = None
        self._killed_for: tuple[Ending, str] | None = None
        self._ended: Deferred[Outcome] = Deferred()
        self._over = False
        self._in_hand = 0
        self._waiting: deque[bytes] = deque()
        self._settled: Deferred[None] | None = None
        self._stray_lines = 0
        self._errors_logged = 0
        self._secret = ""

    # The whole of it

    async def run(self, deliver: Callable[[], Any]) -> Outcome:
        """Take a child, give it the message, and wait until it and all its requests are done.

        :param deliver: Sends the message, by the API object.
        :raises Exception: What a resource's ``sandbox_init`` or `deliver` raises.
        """
        try:
            child = await self._pool.take()
        except SandboxError as error:
            return Outcome(Ending.NOT_STARTED, reason=str(error), failure=Failure(error))
        self._child = child
        self.api.set_sandbox(self)
        self._timer = self._clock.callLater(self.timeout, self._timed_out)
        child.attach(self, self.recv_limit)
        if self._pool.launch.stays:
            self._secret = secrets.token_hex(16)
            self.send(SandboxCommand(cmd=BEGIN_COMMAND, secret=self._secret))
        try:
            await settle(self.api.sandbox_init())
            await settle(deliver())
        except BaseException:
            self._kill_for(Ending.KILLED, "killed, as it could not be given its message")
            _ = await self._ended
            raise
        outcome = await self._ended
        if self._in_hand or self._waiting:
            self._settled = Deferred()
            await self._settled
        return outcome

    # For resources

    def send(self, command: SandboxCommand) -> None:
        """Write a command to the program. When its message is done nothing is written any more."""
        if self._child is not None and not self._over:
            self._child.write(command.to_line())

    def kill(self) -> None:
        """End the program at once."""
        self._kill_for(Ending.KILLED, "killed")

    def _kill_for(self, ending: Ending, why: str) -> None:
        if self._over or self._child is None:
            return
        if self._killed_for is None:
            self._killed_for = (ending, f"Sandbox {self.api.sandbox_id!r} {why}.")
        self._waiting.clear()
        self._child.kill()

    def _timed_out(self) -> None:
        self._timer = None
        self._kill_for(Ending.TIMEOUT, f"killed for taking more than {self.timeout:g} seconds")

    # From the child

    def output_exceeded(self) -> None:
        """The program writes too much."""
        self._kill_for(Ending.OUTPUT, "killed for producing too much data on stderr and stdout")

    def input_exceeded(self) -> None:
        """The program asks, and does not read the answers."""
        self._kill_for(Ending.UNREAD, "killed for not reading the replies to its requests")

    def line_received(self, line: bytes) -> None:
        """The program wrote a line."""
        line = line.strip()
        if not line or self._over:
            return
        if self._in_hand >= MAX_IN_HAND or self._waiting:
            self._waiting.append(line)
        else:
            self._handle(line)

    def _handle(self, line: bytes) -> None:
        try:
            command = SandboxCommand.from_json(line)
        except InvalidMessage:
            self._stray(line)
            return
        name = command["cmd"]
        if name == DONE_COMMAND and self._pool.launch.stays:
            self._told_done(command)
            return
        self._errors_logged += _is_complaint(name, command)
        self._in_hand += 1
        on_outcome(
            self.api.dispatch_request(command),
            lambda reply: self._answer(command, reply),
            lambda failure: self._answer(
                command, command.reply(success=False, reason=failure.getErrorMessage())
            ),
        )

    def _stray(self, line: bytes) -> None:
        """A line that is no command: something printed. It is told, up to a point."""
        self._stray_lines += 1
        if self._stray_lines > MAX_STRAY_LINES:
            return
        text = line[:MAX_STRAY_LENGTH].decode("utf-8", "replace")
        if self._stray_lines == MAX_STRAY_LINES:
            text += " [and whatever else it prints]"
        _ = self.api.log(f"Sandbox {self.api.sandbox_id!r} printed: {text}", logging.INFO)

    def _answer(self, command: SandboxCommand, reply: Any) -> None:
        self._in_hand -= 1
        if isinstance(reply, SandboxCommand):
            try:
                self.send(reply)
            except (TypeError, ValueError, RecursionError) as error:
                reason = f"The reply can't be written as JSON: {error}"
                self.send(command.reply(success=False, reason=reason))
        while self._waiting and self._in_hand < MAX_IN_HAND:
            self._handle(self._waiting.popleft())
        if self._settled is not None and not self._in_hand and not self._waiting:
            settled, self._settled = self._settled, None
            settled.callback(None)

    # The end

    def _told_done(self, command: SandboxCommand) -> None:
        said = str(command.get("secret")).encode("utf-8", "replace")
        if secrets.compare_digest(said, self._secret.encode()):
            self._done(bool(command.get("recycle")))
        else:
            self._kill_for(Ending.CRASHED, "killed for a false word that its message is done")

    def _done(self, recycle: bool) -> None:
        """The message is done, and the child is there for the next one."""
        child = self._child
        assert child is not None  # noqa: S101 (it has just said so)
        stderr = child.take_stderr()
        if self._killed_for is not None:
            return
        self._end(Outcome(Ending.DONE, 0, stderr=stderr, errors_logged=self._errors_logged))
        self._pool.give_back(child, recycle)

    def child_ended(self, reason: Failure) -> None:
        """The child is no more."""
        child = self._child
        assert child is not None  # noqa: S101 (it has just ended)
        status = getattr(reason.value, "exitCode", None)
        stderr = child.take_stderr()
        if self._killed_for is not None:
            ending, why = self._killed_for
        elif reason.check(ProcessDone):
            ending, why = Ending.DONE, ""
        else:
            ending = Ending.CRASHED
            why = f"Sandbox {self.api.sandbox_id!r} {_how_it_ended(reason)}."
        self._end(Outcome(ending, status, why, stderr, reason, self._errors_logged))

    def _end(self, outcome: Outcome) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if not outcome.good:
            self._waiting.clear()
        self._ended.callback(outcome)


def _how_it_ended(reason: Failure) -> str:
    number = getattr(reason.value, "signal", None)
    if number is None:
        return f"ended with exit code {getattr(reason.value, 'exitCode', None)}"
    with suppress(ValueError):
        number = signal.Signals(number).name
    return f"was ended by signal {number}"


def _is_complaint(name: str, command: SandboxCommand) -> bool:
    """Whether a command tells of an error, as the JavaScript toolkit does with those it catches.

    It then ends as if nothing had been.
    """
    if name in ("log.error", "log.critical"):
        return True
    level = command.get("level")
    return name == "log.log" and isinstance(level, int) and level >= logging.ERROR
