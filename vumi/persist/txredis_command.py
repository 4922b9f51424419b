"""One command for Redis, from being issued to being answered.

Knows the format of a request (an array of bulk strings). Knows neither connections nor queues.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vumi.persist.interface import Reply

__all__ = ["Command"]


class Command:
    """One command on its way.

    :param words: The command and its arguments.
    :param deadline: Until when it may take, by the reactor's clock; ``None``: it belongs to one
        connection and dies with it.
    :param repeatable: Whether it may be executed twice.

    :ivar data: What is sent: an array of bulk strings, as the protocol has it.
    :ivar result: Fires with the reply.
    """

    __slots__ = ("data", "deadline", "name", "repeatable", "result")

    def __init__(
        self, words: Sequence[bytes], deadline: float | None = None, repeatable: bool = False
    ) -> None:
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
        self.data = b"".join(parts)
        self.name = words[0]
        self.deadline = deadline
        self.repeatable = repeatable
        self.result: Deferred[Reply] = Deferred()

    @property
    def done(self) -> bool:
        """It was answered, has failed, or nobody waits for it any more."""
        return bool(self.result.called)

    def succeed(self, reply: Reply) -> None:
        """Give the reply, unless it is done."""
        if not self.result.called:
            self.result.callback(reply)

    def fail(self, error: Exception) -> None:
        """Give an error, unless it is done."""
        if not self.result.called:
            self.result.errback(error)

    def __str__(self) -> str:
        return self.name.decode("ascii", "replace")
