"""Erasing in the Riak archive: what is old, and what a person wants forgotten.

Each call is one short step. Knows which indexes name what is to go; each object is looked at
before it goes, because an index can be behind.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from vumi.components.message_store.interface import Kind, Order, StoredEvent, StoredMessage
from vumi.components.message_store.riak.layout import BUCKETS
from vumi.components.message_store.riak.listings import Listing, Listings
from vumi.components.message_store.riak.objects import RiakObjects, in_parallel
from vumi.components.message_store.riak.search import Source, merged
from vumi.components.message_store.riak.terms import Index, exact_term
from vumi.errors import StoreError
from vumi.payload import format_vumi_date

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from vumi.components.message_store.riak.own_indexes import OwnIndexes

__all__ = ["RiakEraser"]

#: How many objects are erased at the same time.
_AT_ONCE = 100
_MESSAGES = (Kind.INBOUND, Kind.OUTBOUND)


class RiakEraser:
    """Erases.

    :param own: Says whether all objects are in the indexes of our own.
    """

    def __init__(self, objects: RiakObjects, listings: Listings, own: OwnIndexes) -> None:
        self._objects = objects
        self._listings = listings
        self._own = own

    # What is old

    async def before(self, time: datetime, limit: int, dry_run: bool) -> int:
        """Erase what is older, or count it."""
        await self._own.require("Erasing what is old")
        bound = format_vumi_date(time)
        try:
            end = time - timedelta(microseconds=1)
        except OverflowError:
            # Nothing is older than the first moment there is.
            return 0
        if dry_run:
            counts = await in_parallel(lambda kind: self._count_until(kind, end), list(Kind))
            return sum(counts)
        sources = [
            Source(
                self._listings,
                Listing.of_all(kind),
                Order.OLDEST_FIRST,
                at_once=min(limit, _AT_ONCE),
                end=end,
            )
            for kind in Kind
        ]

        def is_older(stored: StoredMessage | StoredEvent) -> bool:
            message = stored.event if isinstance(stored, StoredEvent) else stored.message
            return format_vumi_date(message.payload["timestamp"]) < bound

        erased = 0
        while erased < limit:
            next_ones = await merged(sources, Order.OLDEST_FIRST, min(limit - erased, _AT_ONCE))
            if not next_ones:
                break
            gone = await in_parallel(
                lambda each: self._objects.erase(each[0], each[1].key, is_older), next_ones
            )
            erased += sum(gone)
        return erased

    async def _count_until(self, kind: Kind, end: datetime) -> int:
        hits = self._listings.everything(Listing.of_all(kind), end=end)
        return len({hit.key async for hit in hits})

    # Whom to forget

    async def person(self, address: str, limit: int, dry_run: bool) -> int:
        """Erase a person's messages and the events about them, or count them."""
        if not address:
            raise StoreError("An empty address belongs to nobody: nothing is forgotten.")
        await self._own.require("Erasing a person")
        done = 0
        for kind in _MESSAGES:
            seen: set[str] = set()
            chunk: list[str] = []
            async for key in self._of_person(kind, address):
                if not dry_run and done >= limit:
                    return done
                if key in seen:
                    continue
                seen.add(key)
                chunk.append(key)
                if len(chunk) >= (_AT_ONCE if dry_run else min(limit - done, _AT_ONCE)):
                    done += await self._some(kind, chunk, address, limit - done, dry_run)
                    chunk = []
            if chunk and (dry_run or done < limit):
                done += await self._some(kind, chunk, address, limit - done, dry_run)
        return done

    async def _of_person(self, kind: Kind, address: str) -> AsyncIterator[str]:
        """The ids of messages from or to an address; some come twice."""
        async for hit in self._listings.everything(Listing.of_address(kind, address)):
            yield hit.key
        term = exact_term(address)
        async for key in self._listings.keys(BUCKETS[kind], Index.OTHER_ADDRESSES, term):
            yield key

    async def _some(
        self, kind: Kind, keys: Sequence[str], address: str, limit: int, dry_run: bool
    ) -> int:
        """Erase, or count, some messages with their events."""

        def is_theirs(stored: StoredMessage | StoredEvent) -> bool:
            return isinstance(stored, StoredEvent) or _is_of(address, stored)

        events: list[list[str]] = [[] for _ in keys]
        if kind is Kind.OUTBOUND:
            # Events of a message that turns out to be somebody else's stay.
            found = await in_parallel(lambda key: self._events_if(key, address), keys)
            events = found
        if dry_run:
            return len(keys) + sum(map(len, events))
        # The events first: by the message they are found again, should this be cut short.
        doomed: list[str] = []
        messages: list[str] = []
        for key, about in zip(keys, events, strict=True):
            left = limit - len(doomed) - len(messages)
            doomed += about[:left]
            if len(about) >= left:
                break
            messages.append(key)
        erased = await in_parallel(lambda key: self._objects.erase(Kind.EVENT, key), doomed)
        erased += await in_parallel(
            lambda key: self._objects.erase(kind, key, is_theirs), messages
        )
        return sum(erased)

    async def _events_if(self, message_id: str, address: str) -> list[str]:
        """The ids of the events about a message, if it is from or to an address."""
        stored = await self._objects.find(Kind.OUTBOUND, message_id)
        if not isinstance(stored, StoredMessage) or not _is_of(address, stored):
            return []
        hits = self._listings.everything(Listing.of_message(message_id))
        keys = {hit.key async for hit in hits}
        # Events of the old Vumi's first version are in no other index.
        async for key in self._listings.keys(
            BUCKETS[Kind.EVENT], Index.MESSAGE, exact_term(message_id)
        ):
            keys.add(key)
        return sorted(keys)


def _is_of(address: str, stored: StoredMessage) -> bool:
    payload = stored.message.payload
    return any(
        payload[name] is not None and str(payload[name]) == address
        for name in ("from_addr", "to_addr")
    )
