"""The resource by which a sandboxed program writes to the log: ``log.info`` and its like.

Knows levels and how much a program may say; where the lines end is :meth:`LoggingResource.log`'s,
which subclasses override.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from vumi.application.sandbox.resources.base import SandboxResource
from vumi.application.sandbox.tokens import TokenBuckets
from vumi.config import Config, ConfigFloat, ConfigInt
from vumi.log import info as write_log
from vumi.printable import printable_lines
from vumi.steady_clock import wall_seconds
from vumi.tasks import deferred, settle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vumi.application.sandbox.api import SandboxApi
    from vumi.application.sandbox.command import SandboxCommand

__all__ = ["LoggingResource", "LoggingResourceConfig", "write_line"]

DEFAULT_LINES_PER_SECOND, DEFAULT_BURST, DEFAULT_MAX_LENGTH = 50.0, 500, 10_000

#: What the runner says of each message. The script is not charged for it.
RUNNER_LINES = frozenset(("Starting sandbox ...", "Loading sandboxed code ...", "Done."))


def write_line(sandbox_id: str | None, text: str, level: int) -> None:
    """Write a line to the worker's log.

    :param sandbox_id: Whose it is; a field of the event.
    :param text: The line.
    :param level: Its level.
    """
    # Not as an error: what a script says about itself is no failure of the worker's.
    write_log(printable_lines(text), logLevel=level, sandbox_id=sandbox_id)


class LoggingResourceConfig(Config):
    """Options of the log resource."""

    lines_per_second = ConfigFloat(
        "How many lines a second one sandbox may write in the long run. What is more is counted, "
        "and told in one line. 0 is no limit.",
        default=DEFAULT_LINES_PER_SECOND,
        static=True,
        lowest=0,
        nullable=False,
    )
    burst = ConfigInt(
        "How many lines it may write at once after it was silent for a while.",
        default=DEFAULT_BURST,
        static=True,
        lowest=1,
        nullable=False,
    )
    max_length = ConfigInt(
        "How many characters of a line are kept.",
        default=DEFAULT_MAX_LENGTH,
        static=True,
        lowest=1,
        nullable=False,
    )


class LoggingResource(SandboxResource):
    """Writes what sandboxed programs say to the worker's log.

    ``log.log`` takes ``msg`` and ``level`` (a number, as the standard library has them; 20 if left
    out). ``log.debug``, ``log.info``, ``log.warning``, ``log.error`` and ``log.critical`` take
    ``msg``. A ``msg`` that is no text is written as it shows. Lines over the limit are dropped
    with a successful reply: a program need not know that it talks too much.
    """

    CONFIG_CLASS = LoggingResourceConfig

    def __init__(self, name: str, app_worker: Any, config: Mapping[str, Any]) -> None:
        super().__init__(name, app_worker, config)
        options = self.CONFIG_CLASS(dict(config))
        self._max_length: int = options.max_length
        self._buckets = TokenBuckets(options.lines_per_second, options.burst)

    def log(self, api: SandboxApi, msg: str, level: int) -> Deferred[Any]:
        """Write one line. To be overridden.

        :param api: Who says it.
        :param msg: The line.
        :param level: Its level.
        :returns: Fires when it is written.
        """
        write_line(api.sandbox_id, msg, level)
        return succeed(None)

    @deferred
    async def handle_log(
        self, api: SandboxApi, command: SandboxCommand, level: int | None = None
    ) -> SandboxCommand:
        """Log a line at a level."""
        given = command.get("level")
        if given is None:
            given = logging.INFO if level is None else level
        try:
            number = int(given)
        except (TypeError, ValueError, OverflowError):
            return self.reply_error(command, "Value expected for level must be a number")
        if "msg" not in command or command["msg"] is None:
            return self.reply_error(command, "Value expected for msg")
        text = command["msg"]
        text = text if isinstance(text, str) else str(text)
        await self._write(api, text, number)
        return self.reply(command, success=True)

    async def _write(self, api: SandboxApi, text: str, level: int) -> None:
        allowed, dropped = True, 0
        if not self._is_runners(api, text):
            allowed, dropped = self._buckets.take(api.sandbox_id, self._now())
        if not allowed:
            return
        if dropped:
            warning = f"{dropped} lines were dropped: the sandbox logs too much."
            await settle(self.log(api, warning, level=logging.WARNING))
        if len(text) > self._max_length:
            cut = len(text) - self._max_length
            text = f"{text[: self._max_length]}... [{cut} characters cut]"
        await settle(self.log(api, text, level=level))

    def _is_runners(self, api: SandboxApi, text: str) -> bool:
        if text not in RUNNER_LINES or api.runner_lines >= len(RUNNER_LINES):
            return False
        api.runner_lines += 1
        return True

    def _now(self) -> float:
        return wall_seconds(self.app_worker.clock)

    def handle_debug(self, api: SandboxApi, command: SandboxCommand) -> Deferred[SandboxCommand]:
        """Log a line at level debug."""
        return self.handle_log(api, command, logging.DEBUG)

    def handle_info(self, api: SandboxApi, command: SandboxCommand) -> Deferred[SandboxCommand]:
        """Log a line at level info."""
        return self.handle_log(api, command, logging.INFO)

    def handle_warning(self, api: SandboxApi, command: SandboxCommand) -> Deferred[SandboxCommand]:
        """Log a line at level warning."""
        return self.handle_log(api, command, logging.WARNING)

    def handle_error(self, api: SandboxApi, command: SandboxCommand) -> Deferred[SandboxCommand]:
        """Log a line at level error."""
        return self.handle_log(api, command, logging.ERROR)

    def handle_critical(
        self, api: SandboxApi, command: SandboxCommand
    ) -> Deferred[SandboxCommand]:
        """Log a line at level critical."""
        return self.handle_log(api, command, logging.CRITICAL)
