"""The order in which deliveries wait for a handler.

Knows that each has a lane (its conversation) and a number (its place in the queue). Knows no
broker and no handler.

Of each lane one delivery at a time is *ahead*: it waits in the common queue or is being handled.
The others stand behind it, in order. What has no lane waits in the common queue alone.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = ["Lanes"]


class InLane(Protocol):
    """What waits.

    :ivar lane: Its lane; ``None``: it follows nobody.
    :ivar number: Its place, from the first to the last that arrived.
    """

    lane: Hashable
    number: int


L = TypeVar("L", bound=InLane)


class Lanes(Generic[L]):
    """Keeps what waits, in order.

    :ivar ready: Those that may be handled next, in order.
    """

    def __init__(self) -> None:
        self.ready: deque[L] = deque()
        #: lane -> those behind the one that is ahead; ``None`` for nobody
        self._behind: dict[Hashable, deque[L] | None] = {}

    def enter(self, item: L) -> bool:
        """Let one take its lane.

        :returns: Whether it is ahead. If not, it waits behind the others of its lane. One that is
            ahead is not in :attr:`ready` yet.
        :raises TypeError: The lane is not hashable.
        """
        lane = item.lane
        if lane is None:
            return True
        if lane not in self._behind:
            self._behind[lane] = None
            return True
        behind = self._behind[lane]
        if behind is None:
            behind = self._behind[lane] = deque()
        behind.append(item)
        return False

    def leave(self, item: L) -> None:
        """One that was ahead is handled: the next of its lane is ready."""
        lane = item.lane
        if lane is None:
            return
        behind = self._behind.get(lane)
        if behind:
            # First in the queue, as it came before all that wait there.
            self.ready.appendleft(behind.popleft())
        else:
            self._behind.pop(lane, None)

    def put_back(self, item: L) -> None:
        """Let one that is ahead wait again, where it was."""
        self.ready = deque(sorted([item, *self.ready], key=lambda item: item.number))

    def forget(self, handled: Iterable[L]) -> int:
        """Forget all that wait.

        :param handled: Those that are being handled; they stay ahead.
        :returns: How many are forgotten.
        """
        forgotten = len(self.ready) + sum(
            len(behind) for behind in self._behind.values() if behind
        )
        self.ready.clear()
        self._behind = {item.lane: None for item in handled if item.lane is not None}
        return forgotten
