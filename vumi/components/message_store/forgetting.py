"""Erasing: what is older than a date, and all of one person.

Knows that figures in the cache must follow. The archive erases in small steps; whoever erases much
is told how far it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from vumi.components.message_store.interface import Kind, Query
from vumi.components.message_store.part import StorePart, as_datetime, gives_deferred
from vumi.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from vumi.components.message_store.interface import StoredMessage

    Progress = Callable[[int], object]

__all__ = ["Forgetting"]

#: How many are erased in one step.
STEP = 500


class Forgetting(StorePart):
    """The operations that erase."""

    log = Logger()

    @gives_deferred
    async def forget(
        self, address: str, dry_run: bool = False, progress: Progress | None = None
    ) -> int:
        """Erase all messages from and to an address, and the events about them.

        :param address: A user's address, exactly as it is in the messages.
        :param dry_run: Only count them.
        :param progress: Called with how many were erased in each step.
        :returns: Fires with how many messages and events were erased.
        """
        if dry_run:
            count: int = await self.archive.forget(address, dry_run=True)
            return count
        if self.cache is not None:
            await self._uncount(address)
        return await self._all_steps(lambda: self.archive.forget(address, STEP), progress)

    @gives_deferred
    async def delete_before(
        self, time: datetime | str, dry_run: bool = False, progress: Progress | None = None
    ) -> int:
        """Erase all messages and events that are older.

        Figures in the cache stay: they say what was sent and received, not what is kept.

        :param time: A Vumi date in UTC or a datetime.
        :param dry_run: Only count them.
        :param progress: Called with how many were erased in each step.
        :returns: Fires with how many messages and events were erased.
        """
        before = as_datetime(time)
        if dry_run:
            count: int = await self.archive.delete_before(before, dry_run=True)
            return count
        return await self._all_steps(lambda: self.archive.delete_before(before, STEP), progress)

    async def _all_steps(self, step: Callable[[], Any], progress: Progress | None) -> int:
        total = 0
        while True:
            erased: int = await step()
            if not erased:
                return total
            total += erased
            if progress is not None:
                progress(erased)

    async def _uncount(self, address: str) -> None:
        """Take a person's messages out of the cache, while it is known which they are."""
        continuation: str | None = None
        while True:
            try:
                page = await self.archive.search(
                    Query(address=address), limit=STEP, continuation=continuation
                )
            except StoreError as error:
                self.log.warn(
                    "The cache still counts messages that are being erased, until it is "
                    "reconciled: {error}",
                    event="message-store-forget-uncounted",
                    error=str(error),
                )
                return
            for stored in page.entries:
                await self._uncount_message(stored)
            continuation = page.continuation
            if continuation is None:
                return

    async def _uncount_message(self, stored: StoredMessage) -> None:
        key = stored.message_id
        events = []
        if stored.kind is Kind.OUTBOUND and stored.batch_ids:
            page = await self.archive.message_events(key)
            events = [(entry.key, entry.term) for entry in page.entries]
        for batch_id in stored.batch_ids:
            await self.cache.remove_entries(stored.kind.value, batch_id, [(key, "")])
            if events:
                await self.cache.remove_entries(Kind.EVENT.value, batch_id, events)
