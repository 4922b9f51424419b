"""Figures of the Riak archive: all of an index is read for each, a page at a time.

Knows which index has what is to be counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vumi.components.message_store.interface import BatchStats, Kind
from vumi.components.message_store.riak_layout import BUCKETS
from vumi.components.message_store.riak_listings import Listing, Listings
from vumi.components.message_store.riak_terms import Index, exact_term
from vumi.message import TransportEvent

if TYPE_CHECKING:
    from datetime import datetime

    from vumi.components.message_store.riak_upgrade import OwnIndexes

__all__ = ["RiakFigures"]

_STATUSES = (
    "ack",
    "nack",
    "delivery_report",
    *(f"delivery_report.{status}" for status in sorted(TransportEvent.DELIVERY_STATUSES)),
)


class RiakFigures:
    """Counts.

    :param own: Says whether all objects are in the indexes of our own.
    """

    def __init__(self, listings: Listings, own: OwnIndexes) -> None:
        self._listings = listings
        self._own = own

    async def count(self, kind: Kind, batch_id: str | None) -> int:
        """How many there are, in one batch or in all."""
        if batch_id is None and await self._own.are_complete():
            hits = self._listings.everything(Listing.of_all(kind))
            return len({hit.key async for hit in hits})
        index, term = Index.BUCKET, "_"
        if batch_id is not None:
            index, term = Index.BATCHES, exact_term(batch_id)
        number = 0
        async for _ in self._listings.keys(BUCKETS[kind], index, term):
            number += 1
        return number

    async def stats(
        self, kind: Kind, batch_id: str, start: datetime | None, end: datetime | None
    ) -> BatchStats:
        """Exact figures of a batch's messages."""
        terms: dict[str, str] = {}
        listing = Listing.of_batch(kind, batch_id)
        async for hit in self._listings.everything(listing, start, end):
            terms[hit.key] = hit.term
        return BatchStats(len(terms), len(set(terms.values()) - {""}))

    async def statuses(self, batch_id: str) -> dict[str, int]:
        """How many events of each status a batch has, and how many outbound messages."""
        statuses: dict[str, str] = {}
        listing = Listing.of_batch(Kind.EVENT, batch_id)
        async for hit in self._listings.everything_coarsely(listing):
            # The newest first: of several versions that one counts.
            statuses.setdefault(hit.key, hit.term)
        counts = dict.fromkeys(_STATUSES, 0)
        for status in statuses.values():
            counts[status] = counts.get(status, 0) + 1
            event_type, is_detailed, _ = status.partition(".")
            if is_detailed:
                counts[event_type] = counts.get(event_type, 0) + 1
        counts["sent"] = await self.count(Kind.OUTBOUND, batch_id)
        return counts
