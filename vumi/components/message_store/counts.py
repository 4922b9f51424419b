"""How many messages a batch has, from how many users, and what became of them.

Knows where a figure comes from: the cache if there is one that has heard of the batch, or else the
archive. The archive's are exact.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from vumi.components.message_store.base import StorePart, as_datetime
from vumi.components.message_store.cache import EVENT_STATUSES
from vumi.components.message_store.interface import Kind, Order
from vumi.errors import StoreError
from vumi.tasks import deferred

if TYPE_CHECKING:
    from datetime import datetime

    from twisted.internet.defer import Deferred

    from vumi.components.message_store.interface import BatchStats, Page

__all__ = ["Counts"]

#: Entries of the archive that are read at a time.
PAGE = 1000


class Counts(StorePart):
    """The operations that count, and those that keep the cache true."""

    # Exact ones, of the archive

    def batch_inbound_count(self, batch_id: str) -> Deferred[int]:
        """How many messages from users there are."""
        return self._count(Kind.INBOUND, batch_id)

    def batch_outbound_count(self, batch_id: str) -> Deferred[int]:
        """How many messages to users there are."""
        return self._count(Kind.OUTBOUND, batch_id)

    def _count(self, kind: Kind, batch_id: str) -> Deferred[int]:
        count: Deferred[int] = self.archive.count(kind, batch_id)
        return count

    def batch_inbound_stats(
        self,
        batch_id: str,
        max_results: int | None = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
    ) -> Deferred[dict[str, int]]:
        """Exact figures of messages from users.

        :param max_results: Not needed any more.
        :param start: Only of those not older.
        :param end: Only of those not newer.
        :returns: Fires with ``total`` and ``unique_addresses``.
        """
        return self._stats(Kind.INBOUND, batch_id, start, end)

    def batch_outbound_stats(
        self,
        batch_id: str,
        max_results: int | None = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
    ) -> Deferred[dict[str, int]]:
        """Exact figures of messages to users. See :meth:`batch_inbound_stats`."""
        return self._stats(Kind.OUTBOUND, batch_id, start, end)

    @deferred
    async def _stats(
        self, kind: Kind, batch_id: str, start: datetime | str | None, end: datetime | str | None
    ) -> dict[str, int]:
        stats: BatchStats = await self.archive.stats(
            kind, batch_id, as_datetime(start), as_datetime(end)
        )
        return {"total": stats.total, "unique_addresses": stats.unique_addresses}

    # Quick ones, of the cache

    @deferred
    async def batch_status(self, batch_id: str) -> dict[str, int]:
        """How many events of each status a batch has, and how many messages were ``sent``.

        :returns: Fires with numbers for ``ack``, ``nack``, ``delivery_report``,
            ``delivery_report.pending``, ``.failed`` and ``.delivered``, and ``sent``.
        """
        if await self._is_cached(batch_id):
            status = await self.cache.get_event_status(batch_id)
            return {name: int(status.get(name, 0)) for name in {*EVENT_STATUSES, *status}}
        counts: dict[str, int] = await self.archive.status_counts(batch_id)
        return counts

    @deferred
    async def get_cached_inbound_message_keys(
        self, batch_id: str, start: int = 0, stop: int = -1, with_timestamp: bool = False
    ) -> list[Any]:
        """Ids of the newest messages from users, newest first.

        :param start: The first one's place, counted from 0.
        :param stop: The last one's place; -1 is the last of those that are cached (2000).
        :param with_timestamp: Give pairs of id and seconds since 1970.
        """
        return await self._cached_keys("inbound", batch_id, start, stop, with_timestamp)

    @deferred
    async def get_cached_outbound_message_keys(
        self, batch_id: str, start: int = 0, stop: int = -1, with_timestamp: bool = False
    ) -> list[Any]:
        """Ids of the newest messages to users: :meth:`get_cached_inbound_message_keys`."""
        return await self._cached_keys("outbound", batch_id, start, stop, with_timestamp)

    async def _cached_keys(
        self, direction: str, batch_id: str, start: int, stop: int, with_timestamp: bool
    ) -> list[Any]:
        if self.cache is None:
            raise StoreError(
                "Which messages are the newest is kept in Redis, and this message store has none: "
                f"ask for a page (batch_{direction}_keys_with_addresses_reverse)."
            )
        get = getattr(self.cache, f"get_{direction}_message_keys")
        keys: list[Any] = await get(batch_id, start, stop, with_timestamp=with_timestamp)
        return keys

    def get_inbound_message_keys(self, *args: Any, **kw: Any) -> Deferred[list[Any]]:
        """The old name of :meth:`get_cached_inbound_message_keys`."""
        _deprecated("get_inbound_message_keys", "get_cached_inbound_message_keys")
        return self.get_cached_inbound_message_keys(*args, **kw)

    def get_outbound_message_keys(self, *args: Any, **kw: Any) -> Deferred[list[Any]]:
        """The old name of :meth:`get_cached_outbound_message_keys`."""
        _deprecated("get_outbound_message_keys", "get_cached_outbound_message_keys")
        return self.get_cached_outbound_message_keys(*args, **kw)

    async def _is_cached(self, batch_id: str) -> bool:
        return self.cache is not None and bool(await self.cache.batch_exists(batch_id))

    # Keeping the cache true

    @deferred
    async def needs_reconciliation(self, batch_id: str, delta: float = 0.01) -> bool:
        """Whether the cache's numbers of messages differ from the archive's.

        :param delta: By more than this part of the archive's: 0.01 is 1 %.
        """
        if self.cache is None:
            return False
        for kind, cached in (
            (Kind.INBOUND, self.cache.inbound_message_count),
            (Kind.OUTBOUND, self.cache.outbound_message_count),
        ):
            there: int = await self.archive.count(kind, batch_id)
            if abs(await cached(batch_id) - there) > there * delta:
                return True
        return False

    @deferred
    async def reconcile_cache(
        self, batch_id: str, start_timestamp: datetime | str | None = None
    ) -> None:
        """Make the cache's figures of a batch anew from the archive.

        Until it is done the figures are too low. What is stored meanwhile is counted once.

        :param start_timestamp: Not needed any more.
        """
        if self.cache is None:
            return
        await self.cache.clear_batch(batch_id)
        await self.cache.batch_start(batch_id)
        for kind in Kind:
            continuation: str | None = None
            while True:
                # Newest first: these are the ones whose ids are kept.
                page: Page = await self.archive.page(
                    kind, batch_id, Order.NEWEST_FIRST, PAGE, continuation
                )
                entries = [(entry.key, entry.timestamp, entry.term) for entry in page.entries]
                await self.cache.add_entries(kind.value, batch_id, entries)
                continuation = page.continuation
                if continuation is None:
                    break


def _deprecated(old: str, new: str) -> None:
    warnings.warn(f"{old}() is deprecated: use {new}()", DeprecationWarning, stacklevel=3)
