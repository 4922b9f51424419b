"""The errors of the sandbox."""

from __future__ import annotations

from vumi.errors import VumiError

__all__ = ["CommandRefused", "SandboxError"]


class SandboxError(VumiError):
    """A sandboxed program could not be run, or it did not end as it should.

    :param message: What happened, in words.
    :param outcome: What kind of end it was: a value of
        :class:`~vumi.application.sandbox.protocol.Ending`, or ``None``.
    """

    def __init__(self, message: str = "", outcome: object = None) -> None:
        super().__init__(message)
        self.outcome = outcome


class CommandRefused(VumiError):
    """A program's command can't be carried out. The program is told the error's words."""
