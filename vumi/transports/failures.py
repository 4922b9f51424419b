"""Failures of outbound messages: the message that tells of one, and the errors that classify it.

Knows no transport. A transport publishes a :class:`FailureMessage` on ``<transport>.failures`` for
whoever retries, and a nack for whoever sent the message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.message import TransportMessage

if TYPE_CHECKING:
    from vumi.transports.retries import FailureWorker

__all__ = [
    "FailureCodeException",
    "FailureMessage",
    "FailureWorker",
    "PermanentFailure",
    "TemporaryFailure",
]

# Not seen by mypy, as in vumi.transports. The worker that sends failed messages again lived here.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name != "FailureWorker":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from vumi.transports.retries import FailureWorker

        return FailureWorker


class FailureMessage(TransportMessage):
    """Says which outbound message failed, and why."""

    MESSAGE_TYPE = "failure_message"

    FC_UNSPECIFIED: ClassVar[None] = None
    FC_PERMANENT: ClassVar[str] = "permanent"
    FC_TEMPORARY: ClassVar[str] = "temporary"
    FAILURE_CODES: ClassVar[frozenset[str | None]] = frozenset([None, "permanent", "temporary"])

    REQUIRED_FIELDS = ("message", "failure_code", "reason")


class FailureCodeException(Exception):
    """An error that says of which kind a failure is.

    :param failure_code: One of :class:`FailureMessage`'s codes.
    :param msg: What happened, in words.
    """

    failure_code: str | None

    def __init__(self, failure_code: str | None, msg: str) -> None:
        super().__init__(msg)
        self.failure_code = failure_code


class TemporaryFailure(FailureCodeException):
    """Sending failed; later it may work."""

    def __init__(self, msg: str) -> None:
        super().__init__(FailureMessage.FC_TEMPORARY, msg)


class PermanentFailure(FailureCodeException):
    """Sending failed, and will fail again."""

    def __init__(self, msg: str) -> None:
        super().__init__(FailureMessage.FC_PERMANENT, msg)
