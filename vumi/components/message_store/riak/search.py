"""Search in the Riak archive: what its indexes find, looked at one by one.

Knows which listing answers which question, and how several are read as one; and which index has
what is to be counted: all of an index is read for a figure, a page at a time. There is no index of
words. The last events of messages are read from the events' index, many at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from vumi.components.message_store.continuations import continuation, position
from vumi.components.message_store.interface import BatchStats, Kind, Order, Page, StoredMessage
from vumi.components.message_store.riak.layout import BUCKETS, tag_key, user_address
from vumi.components.message_store.riak.listings import Listing, Listings
from vumi.components.message_store.riak.objects import BATCH_BUCKET, RiakObjects, in_parallel
from vumi.components.message_store.riak.terms import Hit, Index, exact_term, rest_term
from vumi.errors import StoreError
from vumi.message import TransportEvent
from vumi.payload import format_vumi_date

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from vumi.components.message_store.interface import Query
    from vumi.components.message_store.riak.own_indexes import OwnIndexes


__all__ = ["RiakCounts", "RiakSearch", "Source", "merged"]

#: What ``Query.status`` may be, and the status of the last event that it means.
_STATUSES = {
    "ack": "ack",
    "nack": "nack",
    "delivered": "delivery_report.delivered",
    "failed": "delivery_report.failed",
    "pending": "delivery_report.pending",
    "none": None,
}
#: How many messages are looked at together.
_MOST_AT_ONCE = 200
#: Of how many messages the last events are looked for together.
_MOST_BY_STATUS = 1000

#: A time, an id and a kind's value: where a message is among others.
SearchPlace = tuple[str, str, str]


class Source:
    """One listing, read bit by bit.

    :param after: The place after which it begins; the listings of other kinds have places too.
    :param term: Only entries with this one, if it is given.
    """

    def __init__(
        self,
        listings: Listings,
        listing: Listing,
        order: Order,
        *,
        after: SearchPlace | None = None,
        term: str | None = None,
        at_once: int = _MOST_AT_ONCE,
        **times: Any,
    ) -> None:
        self._listings = listings
        self._listing = listing
        self._order = order
        self._term = term
        self._at_once = at_once
        self._times = times
        self._after = None if after is None else after[:2]
        # Entries of the same time and id, but of another kind, are one before the other too.
        self._or_equal = after is not None and self._is_later(listing.kind.value, after[2])
        self._hits: list[Hit] = []
        self._ended = False

    def _is_later(self, one: str, other: str) -> bool:
        return one > other if self._order is Order.OLDEST_FIRST else one < other

    @property
    def kind(self) -> Kind:
        """What it is of."""
        return self._listing.kind

    async def first(self) -> Hit | None:
        """The next entry, which stays the next one."""
        while not self._hits and not self._ended:
            hits = await self._listings.page(
                self._listing,
                self._at_once,
                self._order,
                after=self._after,
                or_equal=self._or_equal,
                **self._times,
            )
            self._ended = len(hits) < self._at_once
            if hits:
                self._after, self._or_equal = hits[-1][:2], False
            wanted = (hit for hit in hits if self._term is None or hit.term == self._term)
            # The next one is the last of the list.
            self._hits = list(wanted)[::-1]
        return self._hits[-1] if self._hits else None

    def drop(self) -> None:
        """Go on to the entry after the next one."""
        self._hits.pop()


async def merged(sources: Sequence[Source], order: Order, number: int) -> list[tuple[Kind, Hit]]:
    """The next entries of several sources, each once, in order."""
    found: list[tuple[Kind, Hit]] = []
    last: SearchPlace | None = None
    choose = min if order is Order.OLDEST_FIRST else max
    while len(found) < number:
        heads = [
            ((hit.timestamp, hit.key, source.kind.value), source, hit)
            for source in sources
            if (hit := await source.first()) is not None
        ]
        if not heads:
            break
        place, source, hit = choose(heads, key=lambda head: head[0])
        source.drop()
        if place != last:
            found.append((source.kind, hit))
        last = place
    return found


@dataclass(frozen=True, slots=True)
class _Scope:
    """Which batches are searched.

    :param read: Those whose listings are read; ``None``: it is about all.
    :param needed: A message must be in one of each of these.
    """

    read: frozenset[str] | None
    needed: tuple[frozenset[str], ...]


class RiakSearch:
    """Answers queries.

    :param own: Says whether all objects are in the indexes of our own.
    """

    def __init__(self, objects: RiakObjects, listings: Listings, own: OwnIndexes) -> None:
        self._objects = objects
        self._listings = listings
        self._own = own

    async def search(self, query: Query, order: Order, limit: int, given: str | None) -> Page:
        """A page of messages that a query finds."""
        _check(query)
        question = _question(query, order)
        after = None if given is None else position(question, given, str, str, str)
        if not query.kinds or (query.status is not None and Kind.OUTBOUND not in query.kinds):
            return Page(())
        scope = await self._scope(query)
        sources = await self._sources(query, order, scope, cast("SearchPlace | None", after))
        found: list[tuple[SearchPlace, StoredMessage]] = []
        number = min(limit + 1, _MOST_AT_ONCE)
        while len(found) <= limit:
            candidates = await merged(sources, order, number)
            if not candidates:
                break
            if query.status is not None:
                candidates = await self._with_status(query.status, candidates)
                # Most have another status, it seems: more are looked at the next time.
                number = min(2 * number, _MOST_BY_STATUS)
            while candidates and len(found) <= limit:
                # Not more than the page needs: each is fetched.
                needed = min(limit + 1 - len(found), _MOST_AT_ONCE)
                some, candidates = candidates[:needed], candidates[needed:]
                looked_at = await in_parallel(
                    lambda candidate: self._checked(*candidate, query, scope), some
                )
                found += [
                    ((hit.timestamp, hit.key, kind.value), stored)
                    for (kind, hit), stored in zip(some, looked_at, strict=True)
                    if stored is not None
                ]
        entries = tuple(stored for _, stored in found[:limit])
        if len(found) <= limit:
            return Page(entries)
        return Page(entries, continuation(question, found[limit - 1][0]))

    async def _with_status(
        self, status: str, candidates: Sequence[tuple[Kind, Hit]]
    ) -> list[tuple[Kind, Hit]]:
        """Those whose last event says this."""
        last = await self._listings.last_events([hit.key for _, hit in candidates])
        terms = {key: hit.term for key, hit in last.items()}
        wanted = _STATUSES[status]
        return [(kind, hit) for kind, hit in candidates if terms.get(hit.key) == wanted]

    async def _scope(self, query: Query) -> _Scope:
        named = None if query.batch_id is None else frozenset([query.batch_id])
        if query.tag is None:
            return _Scope(named, () if named is None else (named,))
        found = await in_parallel(self._objects.find_batch, await self._tagged(query.tag))
        tagged = frozenset(
            batch.batch_id for batch in found if batch is not None and query.tag in batch.tags
        )
        # One batch is read faster than many.
        return _Scope(tagged, (tagged,)) if named is None else _Scope(named, (named, tagged))

    async def _tagged(self, tag: tuple[str, str]) -> list[str]:
        """Batches that may have a tag."""
        index, term = Index.TAGS, exact_term(tag_key(tag))
        if not await self._own.are_complete():
            # The old Vumi has no such index; but batches are few.
            index, term = Index.BUCKET, "_"
        return [key async for key in self._listings.keys(BATCH_BUCKET, index, term)]

    async def _sources(
        self,
        query: Query,
        order: Order,
        scope: _Scope,
        after: SearchPlace | None,
    ) -> list[Source]:
        kinds = query.kinds if query.status is None else frozenset([Kind.OUTBOUND])
        if scope.read is not None:
            read = sorted(scope.read)
            wanted = [Listing.of_batch(kind, batch) for kind in kinds for batch in read]
        elif query.address is not None:
            await self._own.require("Searching an address in all batches")
            wanted = [Listing.of_address(kind, query.address) for kind in kinds]
        else:
            await self._own.require("Searching in all batches")
            wanted = [Listing.of_all(kind) for kind in kinds]
        in_batches = scope.read is not None and query.address is not None
        term = rest_term(query.address or "") if in_batches else None
        return [
            Source(
                self._listings,
                listing,
                order,
                after=after,
                term=term,
                at_once=_MOST_AT_ONCE if query.status is None else _MOST_BY_STATUS,
                start=query.start,
                end=query.end,
            )
            for listing in wanted
        ]

    async def _checked(
        self, kind: Kind, hit: Hit, query: Query, scope: _Scope
    ) -> StoredMessage | None:
        """The message of an entry, if it is still what the index says, and what is wanted."""
        stored = await self._objects.find(kind, hit.key)
        if not isinstance(stored, StoredMessage):
            return None
        message = stored.message
        if format_vumi_date(message.payload["timestamp"]) != hit.timestamp:
            # Its time has changed since: it is found where it is now.
            return None
        if query.address is not None and user_address(kind, message) != query.address:
            return None
        if not all(batches.intersection(stored.batch_ids) for batches in scope.needed):
            return None
        return stored


def _check(query: Query) -> None:
    if query.text is not None:
        raise StoreError(
            "Riak has no index of words, so text can't be searched for: use a SQL archive."
        )
    if Kind.EVENT in query.kinds:
        raise StoreError("Events can't be searched for: only messages.")
    if query.status is not None and query.status not in _STATUSES:
        raise StoreError(
            f"There is no status {query.status!r}: use one of {', '.join(_STATUSES)}."
        )


def _question(query: Query, order: Order) -> tuple[Any, ...]:
    times = [None if time is None else format_vumi_date(time) for time in (query.start, query.end)]
    kinds = sorted(kind.value for kind in query.kinds)
    return ("search", kinds, query.address, query.batch_id, query.tag, times, query.status, order)


_EVENT_STATUSES = (
    "ack",
    "nack",
    "delivery_report",
    *(f"delivery_report.{status}" for status in sorted(TransportEvent.DELIVERY_STATUSES)),
)


class RiakCounts:
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
        counts = dict.fromkeys(_EVENT_STATUSES, 0)
        for status in statuses.values():
            counts[status] = counts.get(status, 0) + 1
            event_type, is_detailed, _ = status.partition(".")
            if is_detailed:
                counts[event_type] = counts.get(event_type, 0) + 1
        counts["sent"] = await self.count(Kind.OUTBOUND, batch_id)
        return counts
