"""One at a time, for each name, within this process.

Knows Twisted's Deferreds only.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from twisted.internet.defer import DeferredLock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

__all__ = ["NamedLocks"]


class NamedLocks:
    """Locks by name. A lock exists while it is held or waited for; waiters get it in order."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, DeferredLock] = {}

    def __len__(self) -> int:
        return len(self._locks)

    @asynccontextmanager
    async def hold(self, name: Hashable) -> AsyncIterator[None]:
        """Wait until the name is free, and hold it."""
        lock = self._locks.setdefault(name, DeferredLock())
        await lock.acquire()
        try:
            yield
        finally:
            lock.release()
            if not lock.locked:
                self._locks.pop(name, None)
