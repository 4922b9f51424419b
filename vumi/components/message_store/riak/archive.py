"""The message archive in Riak.

Knows its parts: where the cluster is (:mod:`.url`), how it is asked (:mod:`.client`), what objects
look like (:mod:`.layout`), how they are changed (:mod:`.objects`) and found (:mod:`.listings`,
:mod:`.search`). Here is the archive's life, and which part does what.

It reads and writes archives of the old Vumi. What only this Vumi's indexes can find is refused
until :meth:`RiakArchive.upgrade` has been run on such an archive.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from zope.interface import implementer

from vumi.components.message_store.continuations import check_limit, continuation, position
from vumi.components.message_store.interface import (
    Batch,
    CurrentTag,
    Entry,
    IMessageArchive,
    Kind,
    Order,
    Page,
    Query,
    StoredEvent,
    StoredMessage,
)
from vumi.components.message_store.riak.client import RiakClient
from vumi.components.message_store.riak.erasing import RiakEraser
from vumi.components.message_store.riak.layout import (
    BUCKETS,
    event_draft,
    message_draft,
    user_address,
)
from vumi.components.message_store.riak.listings import Listing, Listings
from vumi.components.message_store.riak.locks import LOCK_BUCKET, RiakLocks
from vumi.components.message_store.riak.objects import (
    BATCH_BUCKET,
    RiakObjects,
    in_parallel,
)
from vumi.components.message_store.riak.own_indexes import OwnIndexes
from vumi.components.message_store.riak.search import RiakCounts, RiakSearch
from vumi.components.message_store.riak.terms import (
    Hit,
    Index,
    is_digest,
    object_key,
    unescape_key,
)
from vumi.components.message_store.riak.url import parse_riak_url
from vumi.errors import StoreError
from vumi.named_locks import NamedLocks
from vumi.payload import format_vumi_date, parse_timestamp
from vumi.tasks import when_ended

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Sequence
    from datetime import datetime

    from twisted.web.iweb import IAgent

    from vumi.components.message_store.interface import BatchStats, Tag
    from vumi.components.message_store.riak.url import RiakPlace
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["RiakArchive"]

T = TypeVar("T")

#: Those that must keep siblings; of the others the newest version is all there is to know. Each
#: bucket with properties of its own costs the cluster something.
_SHARED_BUCKETS = (*BUCKETS.values(), LOCK_BUCKET)
#: After all ids that are text.
_LAST_KEY = "\U0010ffff"


@implementer(IMessageArchive)
class RiakArchive:
    """A message archive in Riak. Make it with :meth:`from_url`.

    :param place: Where it is.
    :param reactor: Twisted's.
    :param agent: Makes the HTTP requests; Twisted's own if left out.
    :param create: Whether opening sets properties of buckets and notes that the archive is new.
    """

    log = Logger()

    #: Riak has no index of words.
    full_text = False

    def __init__(
        self, place: RiakPlace, reactor: Any, agent: IAgent | None = None, create: bool = True
    ) -> None:
        self._create = create
        #: Where it is, fit for a log.
        self.address = place.address
        self._place = place
        self._client = RiakClient(reactor, place, agent)
        turns = NamedLocks()
        self._objects = RiakObjects(self._client, turns)
        self._own = OwnIndexes(self._client, self._objects)
        self._listings = Listings(self._client, self._objects, reactor)
        self._search = RiakSearch(self._objects, self._listings, self._own)
        self._counts = RiakCounts(self._listings, self._own)
        self._eraser = RiakEraser(self._objects, self._listings, self._own)
        self._locks = RiakLocks(self._client, turns, reactor)
        self._is_open = False
        self._working: set[Deferred[Any]] = set()
        self._closing: Deferred[None] | None = None

    @classmethod
    def from_url(
        cls,
        url: str,
        reactor: Any,
        *,
        patience: float | None = None,
        timeout: float | None = None,
        agent: IAgent | None = None,
        create: bool = True,
    ) -> RiakArchive:
        """An archive by its URL, ``riak://user:password@host:8098,host2/?bucket_prefix=...``.

        :param patience: For how many seconds a request is tried again; wins over the URL's.
        :param timeout: Seconds that Riak may take for one request; wins over the URL's.
        :raises ConfigError: The URL can't be used; the words say why, and have no password.
        """
        place = parse_riak_url(url)
        if patience is not None:
            place = replace(place, patience=patience)
        if timeout is not None:
            place = replace(place, timeout=timeout)
        return cls(place, reactor, agent, create)

    # Its life

    def open(self) -> Deferred[None]:
        """Have the buckets keep siblings, and look whether the archive is new."""
        if self._closing is not None:
            return fail(StoreError("The message archive is closed."))
        return self._start(self._open())

    async def _open(self) -> None:
        if self._place.set_properties and self._create:
            await in_parallel(self._keep_siblings, _SHARED_BUCKETS)
        await self._own.note_if_new(self._create)
        self._is_open = self._closing is None

    async def _keep_siblings(self, bucket: str) -> None:
        # Without dotted version vectors a writer that has not read everything keeps the version
        # that it replaces as a sibling: what was erased would come back.
        wanted = {"allow_mult": True, "last_write_wins": False, "dvv_enabled": True}
        properties = await self._client.properties(bucket)
        changes = {name: value for name, value in wanted.items() if properties.get(name) != value}
        if changes:
            await self._client.set_properties(bucket, json.dumps({"props": changes}).encode())

    def close(self) -> Deferred[None]:
        """Finish what is going on, and let go."""
        if self._closing is None:
            self._is_open = False
            self._closing = Deferred.fromCoroutine(self._close())
        return when_ended(self._closing)

    async def _close(self) -> None:
        while self._working:
            await when_ended(next(iter(self._working)))
        await self._client.close()

    def _do(self, make: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Deferred[T]:
        """Have something done, if the archive is open."""
        if not self._is_open:
            closed = self._closing is not None
            state = "closed" if closed else "not open"
            return fail(StoreError(f"The message archive is {state}."))
        return self._start(make(*args))

    def _start(self, work: Coroutine[Any, Any, T]) -> Deferred[T]:
        """Have something done to its end; who cancels only does not hear of it any more.

        Cut in the middle, a change would be left half done.
        """
        working = Deferred.fromCoroutine(work)
        outcome: Deferred[T] = Deferred(lambda _: None)

        def done(result: Any) -> None:
            self._working.discard(working)
            if not outcome.called:
                outcome.callback(result)

        self._working.add(working)
        _ = working.addBoth(done)
        return outcome

    # Batches and tags

    def put_batch(self, batch: Batch) -> Deferred[None]:
        """Keep a batch; one with this id is replaced."""
        return self._do(self._objects.put_batch, batch)

    def get_batch(self, batch_id: str) -> Deferred[Batch | None]:
        """Find a batch."""
        return self._do(self._objects.find_batch, batch_id)

    def list_batches(self, limit: int = 1000, continuation: str | None = None) -> Deferred[Page]:
        """A page of batches, ordered by id."""
        return self._do(self._list_batches, limit, continuation)

    async def _list_batches(self, limit: int, given: str | None) -> Page:
        check_limit(limit)
        question = ("batches",)
        found: list[Batch] = []
        (last,) = position(question, given, str) if given is not None else ("",)
        last_key = object_key(last) if last else None
        while len(found) <= limit:
            page = await self._client.index(
                BATCH_BUCKET,
                Index.KEY,
                last_key or " ",
                _LAST_KEY,
                limit=limit + 2 - len(found),
            )
            keys = [key for _, key in page.hits if key != last_key]
            batches = await in_parallel(
                lambda key: self._objects.find_batch(unescape_key(key)), keys
            )
            found += [batch for batch in batches if batch is not None]
            if page.continuation is None:
                break
            last_key = page.hits[-1][1]
        if len(found) <= limit:
            return Page(tuple(found))
        return Page(tuple(found[:limit]), continuation(question, (found[limit - 1].batch_id,)))

    def set_current_batch(self, tags: Sequence[Tag], batch_id: str | None) -> Deferred[None]:
        """Make a batch the one of these tags, or none."""
        return self._do(self._set_current_batch, list(tags), batch_id)

    async def _set_current_batch(self, tags: Sequence[Tag], batch_id: str | None) -> None:
        await in_parallel(lambda tag: self._objects.set_current_batch(tag, batch_id), tags)

    def get_current_tag(self, tag: Tag) -> Deferred[CurrentTag | None]:
        """Find a tag."""
        return self._do(self._objects.find_tag, tag)

    # Messages and events

    def store_message(
        self, kind: Kind, message: TransportUserMessage, batch_ids: Collection[str] = ()
    ) -> Deferred[bool]:
        """Keep a message. If it is there its batches are added to, its content is replaced.

        :returns: Fires with whether it is new.
        """
        try:
            _check_message_kind(kind)
            # At once: the message is its owner's again when this returns.
            draft = message_draft(kind, message)
        except StoreError:
            return fail()
        return self._do(self._store_message, draft, frozenset(batch_ids))

    async def _store_message(self, draft: Any, batch_ids: Collection[str]) -> bool:
        is_new, _ = await self._objects.store(draft, batch_ids)
        return is_new

    def store_event(
        self, event: TransportEvent, batch_ids: Collection[str] | None = None
    ) -> Deferred[StoredEvent]:
        """Keep an event.

        :param batch_ids: ``None``: those of the outbound message that it is about.
        """
        try:
            draft = event_draft(event)
        except StoreError:
            return fail()
        copied = event.copy()
        given = None if batch_ids is None else frozenset(batch_ids)
        return self._do(self._store_event, copied, draft, given)

    async def _store_event(
        self, event: TransportEvent, draft: Any, given: Collection[str] | None
    ) -> StoredEvent:
        if given is None:
            message_id = str(event.payload["user_message_id"])
            about = await self._objects.find(Kind.OUTBOUND, message_id)
            given = () if about is None else about.batch_ids
        _, batch_ids = await self._objects.store(draft, given)
        return StoredEvent(event, batch_ids)

    def get_message(self, kind: Kind, message_id: str) -> Deferred[StoredMessage | None]:
        """Find a message by its id."""
        return self._do(self._get_message, kind, message_id)

    async def _get_message(self, kind: Kind, message_id: str) -> StoredMessage | None:
        _check_message_kind(kind)
        return cast("StoredMessage | None", await self._objects.find(kind, message_id))

    def get_messages(
        self, kind: Kind, message_ids: Sequence[str]
    ) -> Deferred[list[StoredMessage]]:
        """Find many messages, in the order of the ids; those that are missing are left out."""
        return self._do(self._get_messages, kind, list(message_ids))

    async def _get_messages(self, kind: Kind, message_ids: Sequence[str]) -> list[StoredMessage]:
        _check_message_kind(kind)
        return await self._objects.find_messages(kind, message_ids)

    def get_event(self, event_id: str) -> Deferred[StoredEvent | None]:
        """Find an event by its id."""
        return self._do(self._get_event, event_id)

    async def _get_event(self, event_id: str) -> StoredEvent | None:
        return cast("StoredEvent | None", await self._objects.find(Kind.EVENT, event_id))

    def get_events(self, event_ids: Sequence[str]) -> Deferred[list[StoredEvent]]:
        """Find many events; as :meth:`get_messages`."""
        return self._do(self._objects.find_events, list(event_ids))

    # Pages

    def page(
        self,
        kind: Kind,
        batch_id: str,
        order: Order = Order.OLDEST_FIRST,
        limit: int = 1000,
        continuation: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Deferred[Page]:
        """A page of a batch's messages or events, by time."""
        times = [None if time is None else format_vumi_date(time) for time in (start, end)]
        question = ("page", kind, batch_id, order, times)
        listing = Listing.of_batch(kind, batch_id)
        return self._do(self._page, question, listing, order, limit, continuation, start, end)

    def message_events(
        self, message_id: str, limit: int = 1000, continuation: str | None = None
    ) -> Deferred[Page]:
        """A page of the events about one outbound message, oldest first."""
        question = ("message events", message_id)
        listing = Listing.of_message(message_id)
        return self._do(self._page, question, listing, Order.OLDEST_FIRST, limit, continuation)

    async def _page(
        self,
        question: Sequence[Any],
        listing: Listing,
        order: Order,
        limit: int,
        given: str | None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Page:
        check_limit(limit)
        after = None if given is None else position(question, given, str, str)
        hits = await self._listings.page(
            listing, limit + 1, order, start=start, end=end, after=cast("Any", after)
        )
        entries = tuple(
            await in_parallel(lambda hit: self._looked_up(listing.kind, hit), hits[:limit])
            if any(is_digest(hit.key) or is_digest(hit.term) for hit in hits)
            else map(_entry, hits[:limit])
        )
        if len(hits) <= limit:
            return Page(entries)
        return Page(entries, continuation(question, hits[limit - 1][:2]))

    async def _looked_up(self, kind: Kind, hit: Hit) -> Entry:
        """The entry of a hit whose id or address is too long for an index."""
        stored = await self._objects.find(kind, hit.key)
        if isinstance(stored, StoredEvent):
            return _entry(hit._replace(key=stored.event_id))
        if isinstance(stored, StoredMessage):
            address = user_address(kind, stored.message)
            return _entry(hit._replace(key=stored.message_id, term=address or ""))
        return _entry(hit)

    def search(
        self,
        query: Query,
        order: Order = Order.NEWEST_FIRST,
        limit: int = 1000,
        continuation: str | None = None,
    ) -> Deferred[Page]:
        """A page of messages that a query finds. Not by text; by status it is slow."""
        return self._do(self._searched, query, order, limit, continuation)

    async def _searched(self, query: Query, order: Order, limit: int, given: str | None) -> Page:
        check_limit(limit)
        return await self._search.search(query, order, limit, given)

    # Counts

    def count(self, kind: Kind, batch_id: str | None = None) -> Deferred[int]:
        """How many there are, in one batch or in all. All of the index is read for it."""
        return self._do(self._counts.count, kind, batch_id)

    def stats(
        self, kind: Kind, batch_id: str, start: datetime | None = None, end: datetime | None = None
    ) -> Deferred[BatchStats]:
        """Exact figures of a batch's messages. All of the index is read for it."""
        try:
            _check_message_kind(kind)
        except StoreError:
            return fail()
        return self._do(self._counts.stats, kind, batch_id, start, end)

    def status_counts(self, batch_id: str) -> Deferred[dict[str, int]]:
        """How many events of each status a batch has. All of the index is read for it."""
        return self._do(self._counts.statuses, batch_id)

    # Erasing

    def delete_before(
        self, time: datetime, limit: int = 1000, dry_run: bool = False
    ) -> Deferred[int]:
        """Erase some of the messages and events that are older, oldest first, or count them."""
        return self._do(self._erase, self._eraser.before, time, limit, dry_run)

    def forget(self, address: str, limit: int = 1000, dry_run: bool = False) -> Deferred[int]:
        """Erase some of the messages from or to an address, and the events about them."""
        return self._do(self._erase, self._eraser.person, address, limit, dry_run)

    async def _erase(
        self, erase: Callable[..., Coroutine[Any, Any, int]], what: Any, limit: int, dry_run: bool
    ) -> int:
        check_limit(limit)
        return await erase(what, limit, dry_run)

    def acquire_lock(self, name: str, owner: str, seconds: float) -> Deferred[bool]:
        """Take a lock, or prolong one's own; see :mod:`.locks` for what it is worth."""
        return self._do(self._locks.acquire, name, owner, seconds)

    def release_lock(self, name: str, owner: str) -> Deferred[None]:
        """Let go of a lock, if it is the owner's."""
        return self._do(self._locks.release, name, owner)

    def upgrade(
        self, tell: Callable[[int, int], object] = lambda seen, changed: None
    ) -> Deferred[int]:
        """Write again what the old Vumi wrote, so that all indexes have it.

        :param tell: Called now and then with how many objects were seen and how many changed.
        :returns: Fires with how many were changed.
        """
        return self._do(self._own.upgrade, tell)


def _entry(hit: Hit) -> Entry:
    return Entry(hit.key, parse_timestamp(hit.timestamp), hit.term)


def _check_message_kind(kind: Kind) -> None:
    if kind not in (Kind.INBOUND, Kind.OUTBOUND):
        raise StoreError(f"Messages are INBOUND or OUTBOUND, not {kind.name}.")
