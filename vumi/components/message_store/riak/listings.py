"""Entries in the order of time, found by Riak's secondary indexes.

Knows the old Vumi's index terms (and ours), and what Riak's indexes can do: a range, sorted, from
its beginning. Knows nothing of what the entries are for.

How it works. A listing is one group of entries, such as a batch's messages. It has a *forward*
index, whose terms have the exact time and sort by it, and may have a *reverse* one, precise to the
second, which sorts backwards. An index can only be read from its beginning, so each order needs
the index that runs its way; where that is missing or not complete, windows of time that hold a
page or so are looked for by halving. Whatever way a window of whole seconds was found, its exact
entries are then got together and sorted here: by time, and by id where that is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import nlargest, nsmallest
from typing import TYPE_CHECKING, Generic, TypeVar

from vumi.components.message_store.interface import Kind, Order
from vumi.components.message_store.riak.layout import BUCKETS
from vumi.components.message_store.riak.objects import in_parallel
from vumi.components.message_store.riak.terms import (
    CoarseHit,
    Hit,
    Index,
    from_second,
    group_prefix,
    last_of_second,
    parse_forward,
    parse_reverse,
    reverse_timestamp,
    second_of,
    split_forward,
    unescape_key,
)
from vumi.payload import format_vumi_date
from vumi.steady_clock import wall_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
    from datetime import datetime

    from twisted.internet.interfaces import IReactorTime

    from vumi.components.message_store.riak.client import RiakClient
    from vumi.components.message_store.riak.objects import RiakObjects

__all__ = ["Listing", "Listings", "Place"]

H = TypeVar("H")

#: A time (Vumi date) and an id: where an entry is among others.
Place = tuple[str, str]

_FIRST_SECOND = 0
#: The last one that a date has.
_LAST_SECOND = second_of("9999-12-31 23:59:59.999999")
_FIRST = from_second(_FIRST_SECOND)
_LAST = last_of_second(_LAST_SECOND)
#: Sorts after what separates the parts of a term.
_AFTER = "%"
#: How many matches one question to Riak may have.
_AT_ONCE = 1000
#: How many messages' last events a page of an index must tell to be better than a query for each.
_WORTH_IT = 8
#: How far back the first look goes, in seconds, where there is no index that runs backwards.
_FIRST_LOOK = 3600


@dataclass(frozen=True, slots=True)
class Listing:
    """A group of entries.

    :param group: What its terms begin with.
    :param forward: The index with exact times.
    :param reverse: The one that sorts backwards.
    :param forward_has_all: If not, only the reverse one has: events of old workers.
    """

    kind: Kind
    group: str
    forward: str
    reverse: str | None = None
    forward_has_all: bool = True

    @classmethod
    def of_batch(cls, kind: Kind, batch_id: str) -> Listing:
        """A batch's messages or events."""
        if kind is Kind.EVENT:
            return cls(
                kind,
                batch_id,
                Index.BATCH_STATUSES,
                Index.BATCH_STATUSES_REVERSE,
                forward_has_all=False,
            )
        return cls(kind, batch_id, Index.BATCH_ADDRESSES, Index.BATCH_ADDRESSES_REVERSE)

    @classmethod
    def of_address(cls, kind: Kind, address: str) -> Listing:
        """A user's messages."""
        return cls(kind, address, Index.ADDRESSES)

    @classmethod
    def of_all(cls, kind: Kind) -> Listing:
        """All messages or events of this kind."""
        return cls(kind, "", Index.TIMESTAMPS)

    @classmethod
    def of_message(cls, message_id: str) -> Listing:
        """The events about an outbound message."""
        return cls(Kind.EVENT, message_id, Index.MESSAGE_STATUS)


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What is wanted of a listing."""

    order: Order
    first: str
    last: str
    after: Place | None
    or_equal: bool

    def holds(self, hit: Hit) -> bool:
        if not self.first <= hit.timestamp <= self.last:
            return False
        if self.after is None:
            return True
        here = (hit.timestamp, hit.key)
        if here == self.after:
            return self.or_equal
        return (here > self.after) == (self.order is Order.OLDEST_FIRST)

    def pick(self, hits: Iterable[Hit], want: int) -> list[Hit]:
        # One key may be there twice: versions that nobody has merged yet.
        distinct = {hit[:2]: hit for hit in hits if self.holds(hit)}.values()
        choose = nsmallest if self.order is Order.OLDEST_FIRST else nlargest
        return choose(want, distinct)


class Listings:
    """Reads listings.

    :param client: Asks Riak.
    :param objects: Finds objects, where an index does not say enough.
    :param clock: Says what time it is.
    """

    def __init__(self, client: RiakClient, objects: RiakObjects, clock: IReactorTime) -> None:
        self._client = client
        self._objects = objects
        self._clock = clock

    async def page(
        self,
        listing: Listing,
        want: int,
        order: Order = Order.OLDEST_FIRST,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        after: Place | None = None,
        or_equal: bool = False,
    ) -> list[Hit]:
        """The first entries after a place.

        :param want: How many; fewer: there are no more.
        :param start: Only those not older; UTC.
        :param end: Only those not newer; UTC.
        :param or_equal: The place itself is wanted too.
        """
        first = _FIRST if start is None else format_vumi_date(start)
        last = _LAST if end is None else format_vumi_date(end)
        if after is not None and order is Order.OLDEST_FIRST:
            first = max(first, after[0])
        elif after is not None:
            last = min(last, after[0])
        bounds = _Bounds(order, first, last, after, or_equal)
        if first > last:
            return []
        if order is Order.OLDEST_FIRST and listing.forward_has_all:
            return await self._straight(listing, bounds, want)
        return await self._by_windows(listing, bounds, want)

    async def everything(
        self, listing: Listing, start: datetime | None = None, end: datetime | None = None
    ) -> AsyncIterator[Hit]:
        """All entries that the forward index has, oldest first; a key may come twice."""
        first = _FIRST if start is None else format_vumi_date(start)
        last = _LAST if end is None else format_vumi_date(end)
        if first > last:
            return
        reading = self._forward(listing, first, last, _AT_ONCE)
        while reading.more:
            for hit in await reading.page():
                yield hit

    async def everything_coarsely(self, listing: Listing) -> AsyncIterator[CoarseHit]:
        """All entries that the reverse index has, newest first."""
        reading = self._reverse(listing, _FIRST_SECOND, _LAST_SECOND, _AT_ONCE)
        while reading.more:
            for hit in await reading.page():
                yield hit

    async def keys(self, bucket: str, index: str, term: str) -> AsyncIterator[str]:
        """The ids that an index has for exactly this term, each once."""
        last, reading = None, _Reading(self._client, bucket, index, (term, None), _AT_ONCE, _id)
        while reading.more:
            for key in await reading.page():
                # Sorted by key.
                if key != last:
                    yield key
                last = key

    async def last_events(self, message_ids: Sequence[str]) -> dict[str, Hit]:
        """The last event of each of some messages that have any, by message id.

        The index is read from message to message, skipping what lies between: where many of the
        archive's messages are asked for, a page of the index tells about many of them. Where they
        are few, each is asked for by a query of its own.
        """
        ids = {group_prefix(message_id): message_id for message_id in message_ids}
        wanted = sorted(ids)
        last: dict[str, Hit] = {}
        while wanted:
            listing = Listing.of_message(ids[wanted[0]])
            page = await self._client.index(
                BUCKETS[Kind.EVENT],
                listing.forward,
                f"{wanted[0]}{_FIRST}",
                f"{wanted[-1]}{_LAST}{_AFTER}",
                limit=_AT_ONCE,
            )
            reached = ""
            for term, key in page.hits:
                found = split_forward(term, key)
                if found is None:
                    continue
                reached, hit = found
                message_id = ids.get(reached)
                if message_id is not None:
                    last[message_id] = max(hit, last.get(message_id, hit))
            if page.continuation is None:
                break
            # The last one that was reached may have more events.
            left = [prefix for prefix in wanted if prefix >= reached]
            if len(wanted) - len(left) < _WORTH_IT:
                each = await in_parallel(self._last_event, [ids[prefix] for prefix in left])
                last.update({hit_id: hit for hit_id, hit in each if hit is not None})
                break
            wanted = left
        return last

    async def _last_event(self, message_id: str) -> tuple[str, Hit | None]:
        hits = self.everything(Listing.of_message(message_id))
        return message_id, max([hit async for hit in hits], default=None)

    # The way of the index

    async def _straight(self, listing: Listing, bounds: _Bounds, want: int) -> list[Hit]:
        found: list[Hit] = []
        # Two more show that those of the last one's time are all there.
        reading = self._forward(listing, bounds.first, bounds.last, want + 2)
        while reading.more:
            hits = await reading.page()
            found += filter(bounds.holds, hits)
            if hits and len(found) >= want:
                # Entries of this time may be still to come, and sort before these.
                sure = [hit for hit in found if hit.timestamp < hits[-1].timestamp]
                if len(sure) >= want:
                    return bounds.pick(sure, want)
        return bounds.pick(found, want)

    # By windows

    async def _by_windows(self, listing: Listing, bounds: _Bounds, want: int) -> list[Hit]:
        low, high = second_of(bounds.first), second_of(bounds.last)
        found: list[Hit] = []
        while low <= high and len(found) < want:
            # One more, because the place where we go on is in the first window too.
            if bounds.order is Order.OLDEST_FIRST:
                window = (low, await self._reach_up(listing, low, high, want + 1))
                low = window[1] + 1
            else:
                window = (await self._reach_down(listing, low, high, want + 1), high)
                high = window[0] - 1
            found += await self._exact(listing, *window, bounds, want - len(found))
        return found

    async def _exact(
        self, listing: Listing, low: int, high: int, bounds: _Bounds, want: int
    ) -> list[Hit]:
        """The entries of whole seconds, with exact times."""
        kept: list[Hit] = []
        known: set[str] = set()
        reading = self._forward(listing, from_second(low), last_of_second(high), _AT_ONCE)
        while reading.more:
            hits = await reading.page()
            # A window can turn out to be big: no more is kept than is wanted.
            kept = bounds.pick([*kept, *hits], want)
            if not listing.forward_has_all:
                known.update(hit.key for hit in hits)
        if listing.forward_has_all:
            return kept
        unknown: dict[str, None] = {}
        coarse = self._reverse(listing, low, high, _AT_ONCE)
        while coarse.more:
            unknown.update((hit.key, None) for hit in await coarse.page() if hit.key not in known)
        return bounds.pick([*kept, *await self._look_up(listing, list(unknown))], want)

    async def _look_up(self, listing: Listing, keys: Sequence[str]) -> list[Hit]:
        """Events as they are: those that have no entry with an exact time."""
        hits = []
        for stored in await self._objects.find_events(keys):
            if listing.group in stored.batch_ids:
                timestamp = format_vumi_date(stored.event.payload["timestamp"])
                hits.append(Hit(timestamp, stored.event_id, stored.event.status()))
        return hits

    async def _reach_down(self, listing: Listing, low: int, high: int, want: int) -> int:
        """The second down to which, from the top, there are as many entries as wanted."""
        if listing.reverse is None:
            return await self._halved_down(listing, low, high, want)
        reading = self._reverse(listing, low, high, want)
        hits = await reading.at_least(want)
        # Hits are of these seconds, but for what a wrong clock of an old worker has written.
        return min(max(low, hits[-1].second), high) if reading.more and hits else low

    async def _reach_up(self, listing: Listing, low: int, high: int, want: int) -> int:
        """The second up to which, from the bottom, there are as many entries as wanted."""
        reading = self._forward(listing, from_second(low), last_of_second(high), want)
        hits = await reading.at_least(want)
        if reading.more and hits:
            high = second_of(hits[-1].timestamp)
        # There may be many more that are in the reverse index only.
        too_many = _most(want)

        async def fits(second: int) -> bool:
            reading = self._reverse(listing, low, second, too_many)
            return len(await reading.at_least(too_many)) < too_many

        return high if await fits(high) else await _last_that(fits, low, high)

    async def _halved_down(self, listing: Listing, low: int, high: int, want: int) -> int:
        last = last_of_second(high)

        async def has(number: int, second: int) -> bool:
            reading = self._forward(listing, from_second(second), last, number)
            return len(await reading.at_least(number)) >= number

        look = _FIRST_LOOK
        newest = min(high, int(wall_seconds(self._clock)))
        reached = max(low, newest - look)
        while reached > low and not await has(want, reached):
            look *= 4
            reached = max(low, newest - look)
        if not await has(_most(want), reached):
            return reached

        async def is_enough(second: int) -> bool:
            return await has(want, second)

        return await _last_that(is_enough, reached, high)

    # Riak

    def _forward(self, listing: Listing, first: str, last: str, at_once: int) -> _Reading[Hit]:
        group = listing.group
        prefix = group_prefix(group)
        terms = (f"{prefix}{first}", f"{prefix}{last}{_AFTER}")
        return _Reading(
            self._client,
            BUCKETS[listing.kind],
            listing.forward,
            terms,
            min(at_once, _AT_ONCE),
            lambda term, key: parse_forward(group, term, key),
        )

    def _reverse(self, listing: Listing, low: int, high: int, at_once: int) -> _Reading[CoarseHit]:
        group = listing.group
        assert listing.reverse is not None  # noqa: S101 (tells the type checker)
        first, last = reverse_timestamp(high), reverse_timestamp(low)
        prefix = group_prefix(group)
        terms = (f"{prefix}{first}", f"{prefix}{last}{_AFTER}")
        return _Reading(
            self._client,
            BUCKETS[listing.kind],
            listing.reverse,
            terms,
            min(at_once, _AT_ONCE),
            lambda term, key: parse_reverse(group, term, key),
        )


def _most(want: int) -> int:
    """How many entries are too many for a window that is to have as many as wanted."""
    return 2 * want + 50


async def _last_that(holds: Callable[[int], Awaitable[bool]], low: int, high: int) -> int:
    """The last number for which something holds that holds up to it; at least `low`."""
    while low < high:
        middle = (low + high + 1) // 2
        if await holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _id(_: str, key: str) -> str:
    return unescape_key(key)


class _Reading(Generic[H]):
    """What an index has in a range, page by page.

    :param terms: The first and the last one; the last one ``None``: only the first.
    :param at_once: How many matches a page has at most.
    :param parse: Makes something of a term and a key; ``None``: it does not belong here.
    """

    def __init__(
        self,
        client: RiakClient,
        bucket: str,
        index: str,
        terms: tuple[str, str | None],
        at_once: int,
        parse: Callable[[str, str], H | None],
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._index = index
        self._terms = terms
        self._at_once = at_once
        self._parse = parse
        self._continuation: str | None = None
        #: Whether there may be another page.
        self.more = True

    async def page(self) -> list[H]:
        """The next page, without what does not belong here."""
        found = await self._client.index(
            self._bucket,
            self._index,
            *self._terms,
            limit=self._at_once,
            continuation=self._continuation,
        )
        self._continuation = found.continuation
        self.more = found.continuation is not None
        parsed = (self._parse(term, key) for term, key in found.hits)
        return [hit for hit in parsed if hit is not None]

    async def at_least(self, number: int) -> list[H]:
        """So many, or all."""
        hits: list[H] = []
        while self.more and len(hits) < number:
            hits += await self.page()
        return hits
