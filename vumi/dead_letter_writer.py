"""Puts messages that can't be handled with a queue's dead letters.

Knows the broker's interface and the headers of a dead letter. Knows no handler and no message.

A dead letter must never stop its queue. Its headers are bounded and can always be encoded,
whatever the error and the message's own headers are. If it still can't be published, it is tried
again, the last time with its reason alone; then the caller gives the message up.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.reflect import safe_str

from vumi.broker.interface import Queue
from vumi.broker.queue_types import dead_letter_queue, queue_arguments
from vumi.errors import BrokerClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from vumi.broker.interface import Delivery, IBroker

__all__ = ["DeadLetterWriter", "DeadReason"]

#: How many characters of an error and of its traceback go into a dead letter's headers.
MAX_ERROR, MAX_TRACEBACK = 1_000, 8_000
#: How many octets of a message's own headers are kept in its dead letter.
MAX_OWN_HEADERS = 8_192
#: Seconds before a dead letter that the broker has refused is tried again.
RETRY_DELAYS = (0.5, 2.0)
#: The most that a count is trusted; AMQP has 64 bits for it.
MAX_COUNT = 2**31


class DeadReason(Enum):
    """Why a message became a dead letter: the header ``x-vumi-reason``."""

    INVALID = "invalid-message"
    FAILED = "handler-failed"
    TIMEOUT = "handler-timeout"
    REFUSED = "handler-refused"
    LOOP = "routing-loop"


def error_text(failure: Failure) -> str:
    """An error in one line. Never fails, whatever the exception's own ``__str__`` does."""
    name = getattr(failure.type, "__name__", None) or "Error"
    return f"{safe_str(name)}: {safe_str(failure.value)}"


def traceback_text(failure: Failure) -> str:
    """A failure's traceback. Never fails."""
    try:
        return failure.getTraceback()
    except Exception:  # noqa: BLE001 (an exception's attributes may raise anything)
        return error_text(failure)


class DeadLetterWriter:
    """Writes the dead letters of one queue.

    :param broker: The connection.
    :param queue: The queue that the messages were taken from.
    :param exchange: The exchange that the dead-letter queue is bound to.
    :param queue_type: The type of the dead-letter queue.
    :param scrub: Takes secrets out of a text.
    """

    log = Logger()

    def __init__(
        self,
        broker: IBroker,
        queue: str,
        exchange: str,
        queue_type: str,
        scrub: Callable[[str], str],
    ) -> None:
        self._broker = broker
        self._queue = queue
        self._exchange = exchange
        name = dead_letter_queue(queue)
        self._to = Queue(name, exchange, arguments=queue_arguments(queue_type, name))
        self._scrub = scrub
        self._closed = False
        self._pauses: set[Deferred[None]] = set()

    async def write(
        self, delivery: Delivery, reason: DeadReason, failure: Failure, message_id: str | None
    ) -> bool:
        """Log why a message is dead, and publish its dead letter.

        :param message_id: The message's id, for the log.
        :returns: Whether it is safe. If not, that is logged: there is nothing more to try.
        :raises BrokerClosed: The connection was closed meanwhile; the message is still there.
        """
        self._log_death(reason, failure, message_id)
        minimal = {"x-vumi-reason": reason.value, "x-vumi-queue": self._queue}
        headers = self._headers(delivery.headers, reason, failure)
        problem: Exception | None = None
        for attempt, delay in (
            (headers, 0.0),
            *((headers, d) for d in RETRY_DELAYS[:-1]),
            (minimal, RETRY_DELAYS[-1]),
        ):
            if delay:
                await self._pause(delay)
            if self._closed:
                raise BrokerClosed("The consumer was closed before a dead letter was published.")
            try:
                await self._publish(delivery.body, attempt)
            except BrokerClosed:
                raise
            except Exception as error:  # noqa: BLE001 (whatever it is: the queue must go on)
                problem = error
            else:
                return True
        self.log.error(
            "{queue}: message {message_id} is given up: its dead letter can't be published to "
            "{dead_letters} ({problem}); it was dead for {reason}: {error}",
            event="dead-letter-refused",
            queue=self._queue,
            message_id=message_id,
            dead_letters=self._to.name,
            size=len(delivery.body),
            problem=safe_str(problem),
            reason=reason.value,
            error=headers["x-vumi-error"],
        )
        return False

    def _log_death(self, reason: DeadReason, failure: Failure, message_id: str | None) -> None:
        words = "{queue}: message {message_id} becomes a dead letter ({reason}) {traceback}"
        fields: dict[str, Any] = {
            "event": "dead-letter",
            "queue": self._queue,
            "message_id": message_id,
            "reason": reason.value,
        }
        traceback = traceback_text(failure)
        scrubbed = self._scrub(traceback)
        if scrubbed == traceback:
            self.log.failure(words, failure=failure, traceback="", **fields)
        else:
            # The failure itself holds a secret.
            self.log.critical(words, traceback=scrubbed, **fields)

    async def _publish(self, body: bytes, headers: dict[str, Any]) -> None:
        await self._broker.declare_queue(self._to)
        await self._broker.publish(
            self._exchange, self._to.name, body, headers=headers, mandatory=True, retry=False
        )

    async def _pause(self, seconds: float) -> None:
        pause: Deferred[None] = deferLater(self._broker.clock, seconds)
        self._pauses.add(pause)
        try:
            await pause
        finally:
            self._pauses.discard(pause)

    def close(self) -> None:
        """Publish no more."""
        self._closed = True
        for pause in list(self._pauses):
            pause.cancel()

    # Headers

    def _headers(
        self, before: Mapping[str, Any], reason: DeadReason, failure: Failure
    ) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        first_seen = before.get("x-vumi-first-seen")
        return {
            **_kept(before),
            "x-vumi-reason": reason.value,
            "x-vumi-error": _encodable(self._scrub(error_text(failure)))[:MAX_ERROR],
            "x-vumi-traceback": _encodable(self._scrub(traceback_text(failure)))[-MAX_TRACEBACK:],
            "x-vumi-queue": self._queue,
            "x-vumi-first-seen": _encodable(first_seen)[:40]
            if isinstance(first_seen, str)
            else now,
            "x-vumi-last-seen": now,
            "x-vumi-count": _count(before.get("x-vumi-count")) + 1,
        }


def _count(value: Any) -> int:
    """How often a message has died before, as a header says. Anybody can write a header."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < MAX_COUNT:
        return value
    return 0


def _encodable(text: str) -> str:
    """A text that UTF-8 can carry: lone surrogates become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _kept(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a message's own headers that can be sent along: plain values, as far as they fit.

    Tables, lists and dates of other programs may hold what can't be encoded a second time.
    """
    kept: dict[str, Any] = {}
    room = MAX_OWN_HEADERS
    for name, value in headers.items():
        if isinstance(value, str):
            value = _encodable(value)
            size = len(value.encode())
        elif isinstance(value, bytes):
            size = len(value)
        elif (
            value is None
            or isinstance(value, bool)
            or (isinstance(value, int) and -(2**63) <= value < 2**63)
        ):
            size = 8
        else:
            continue
        size += len(name) + 8
        if size <= room:
            kept[name] = value
            room -= size
    return kept
