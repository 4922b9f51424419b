"""One result that many may wait for. Knows Deferreds only."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

__all__ = ["MultiDeferred"]


class MultiDeferred:
    """A result that can be asked for any number of times, before and after it is there."""

    NOT_FIRED = object()

    def __init__(self) -> None:
        self._result: Any = self.NOT_FIRED
        self._waiting: list[Deferred[Any]] = []

    def callback(self, result: Any) -> None:
        """Set the result; whoever waits for it gets it."""
        self._result = result
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(result)

    def get(self) -> Deferred[Any]:
        """A Deferred of the result."""
        deferred: Deferred[Any] = Deferred()
        if self.fired():
            deferred.callback(self._result)
        else:
            self._waiting.append(deferred)
        return deferred

    def fired(self) -> bool:
        """Whether the result is there."""
        return self._result is not self.NOT_FIRED
