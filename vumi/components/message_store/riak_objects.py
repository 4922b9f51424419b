"""Objects of the archive in Riak: read, changed and erased, one by one.

Knows how a change is made where nothing holds others off: what is there is read, the change is
added to it, and it is written with the causal context (vclock) of what was read. If another
process did the same meanwhile, Riak keeps both as siblings; whoever reads them next merges them,
and writes that. Nothing is lost in any order of events.

Writers of one process take turns, all archives in it together: that saves the merging, and says
for certain whose write was the first. Between processes both of two writers that come at the same
moment may be told that theirs was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from vumi.components.message_store.interface import (
    Batch,
    CurrentTag,
    Kind,
    StoredEvent,
    StoredMessage,
)
from vumi.components.message_store.riak_layout import (
    BUCKETS,
    Draft,
    batch_record,
    event_draft,
    message_draft,
    read_batch,
    read_event,
    read_message,
    read_tag,
    tag_key,
    tag_record,
)
from vumi.components.message_store.riak_merge import merge_stored, newest
from vumi.components.message_store.riak_terms import Index, escape_key
from vumi.components.message_store.riak_turns import Turns
from vumi.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

    from vumi.components.message_store.riak_answers import Fetched
    from vumi.components.message_store.riak_client import RiakClient

__all__ = ["BATCH_BUCKET", "TAG_BUCKET", "RiakObjects", "in_parallel"]

BATCH_BUCKET = "batch"
TAG_BUCKET = "currenttag"

T = TypeVar("T")
R = TypeVar("R")
Stored = StoredMessage | StoredEvent

#: Of the process: archives of the same cluster would race each other for nothing.
_TURNS = Turns()


async def in_parallel(work: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
    """The results of some work for each item, in their order.

    All of it is done when this ends, also when some has failed.

    :raises Exception: The first failure.
    """

    async def done(item: T) -> R:
        return await work(item)

    working = [Deferred.fromCoroutine(done(item)) for item in items]
    outcomes: list[tuple[bool, Any]] = await DeferredList(working, consumeErrors=True)
    for succeeded, outcome in outcomes:
        if not succeeded:
            outcome.raiseException()
    return [outcome for _, outcome in outcomes]


class RiakObjects:
    """Messages, events, batches and tags by their ids.

    :param client: Asks Riak.
    :param place: What tells this archive from others of the process.
    """

    log = Logger()

    def __init__(self, client: RiakClient, place: str) -> None:
        self._client = client
        self._place = place

    # Messages and events

    async def store(
        self, draft: Draft, batch_ids: Collection[str]
    ) -> tuple[bool, tuple[str, ...]]:
        """Keep a message or event.

        :returns: Whether it is new, and its batches.
        """
        bucket = BUCKETS[draft.kind]
        async with self._turn(bucket, draft.key):
            found = await self._fetch(bucket, draft.key)
            old = self._stored(draft.kind, draft.key, found)
            batches = set(batch_ids)
            if old is not None:
                batches.update(old.batch_ids)
            await self._put(bucket, draft.key, draft.record(batches), found)
        return old is None, tuple(sorted(batches))

    async def find(self, kind: Kind, key: str) -> Stored | None:
        """Find a message or event. Siblings are merged, in Riak too."""
        bucket = BUCKETS[kind]
        found = await self._fetch(bucket, key)
        stored = self._stored(kind, key, found)
        if stored is not None and found.to_be_merged:
            try:
                await self._heal(kind, key)
            except StoreError as error:
                # It can be read all the same.
                self.log.warn(
                    "The versions of {key} are not merged in Riak: {reason}",
                    event="riak-not-merged",
                    key=key,
                    reason=str(error),
                )
        return stored

    async def find_messages(self, kind: Kind, keys: Sequence[str]) -> list[StoredMessage]:
        """Find many, in the order of the ids; those that are missing are left out."""
        return cast("list[StoredMessage]", await self._find_many(kind, keys))

    async def find_events(self, keys: Sequence[str]) -> list[StoredEvent]:
        """Find many; the same."""
        return cast("list[StoredEvent]", await self._find_many(Kind.EVENT, keys))

    async def _find_many(self, kind: Kind, keys: Sequence[str]) -> list[Stored]:
        distinct = list(dict.fromkeys(keys))
        found = await in_parallel(lambda key: self.find(kind, key), distinct)
        by_key = dict(zip(distinct, found, strict=True))
        return [stored for key in keys if (stored := by_key[key]) is not None]

    async def erase(
        self, kind: Kind, key: str, may_go: Callable[[Stored], bool] = lambda _: True
    ) -> bool:
        """Erase a message or event.

        :param may_go: Looks at what is there: an index can be behind. It is not asked about what
            can't be read; that goes.
        :returns: Whether something was erased.
        """
        bucket = BUCKETS[kind]
        async with self._turn(bucket, key):
            found = await self._fetch(bucket, key)
            if not found.siblings:
                return False
            try:
                stored = self._stored(kind, key, found)
            except StoreError as error:
                # Otherwise one object that is damaged would hold up erasing for ever.
                self.log.warn(
                    "{key} is erased unread: {reason}",
                    event="riak-erased-unread",
                    key=key,
                    reason=str(error),
                )
            else:
                if stored is None or not may_go(stored):
                    return False
            return await self._client.delete(bucket, escape_key(key), found.vclock)

    async def rewrite(self, kind: Kind, key: str) -> bool:
        """Write what is there as this Vumi would, if it was not.

        :returns: Whether it had to be.
        """
        bucket = BUCKETS[kind]
        async with self._turn(bucket, key):
            found = await self._fetch(bucket, key)
            if all(Index.TIMESTAMPS in sibling.indexes for sibling in found.siblings):
                return False
            await self._put_stored(kind, key, found)
        return True

    async def _heal(self, kind: Kind, key: str) -> None:
        bucket = BUCKETS[kind]
        async with self._turn(bucket, key):
            found = await self._fetch(bucket, key)
            if found.siblings and found.to_be_merged:
                await self._put_stored(kind, key, found)

    async def _put_stored(self, kind: Kind, key: str, found: Fetched) -> None:
        stored = self._stored(kind, key, found)
        assert stored is not None  # noqa: S101 (it has siblings)
        draft = (
            event_draft(stored.event)
            if isinstance(stored, StoredEvent)
            else message_draft(kind, stored.message)
        )
        await self._put(BUCKETS[kind], key, draft.record(stored.batch_ids), found)

    def _stored(self, kind: Kind, key: str, found: Fetched) -> Stored | None:
        if not found.siblings:
            return None
        if kind is Kind.EVENT:
            return merge_stored(
                [(s.modified, s.body, read_event(key, s.body)) for s in found.siblings]
            )
        return merge_stored(
            [(s.modified, s.body, read_message(kind, key, s.body)) for s in found.siblings]
        )

    # Batches and tags

    async def put_batch(self, batch: Batch) -> None:
        """Keep a batch; one with this id is replaced."""
        record = batch_record(batch)
        async with self._turn(BATCH_BUCKET, batch.batch_id):
            found = await self._fetch(BATCH_BUCKET, batch.batch_id)
            await self._put(BATCH_BUCKET, batch.batch_id, record, found)

    async def find_batch(self, batch_id: str) -> Batch | None:
        """Find a batch; of siblings the newest."""
        found = await self._fetch(BATCH_BUCKET, batch_id)
        if not found.siblings:
            return None
        return newest([(s.modified, s.body, read_batch(batch_id, s.body)) for s in found.siblings])

    async def rewrite_batch(self, batch_id: str) -> bool:
        """Write a batch as this Vumi would, if it was not."""
        batch = await self.find_batch(batch_id)
        if batch is None:
            return False
        found = await self._fetch(BATCH_BUCKET, batch_id)
        if not batch.tags or all(Index.TAGS in sibling.indexes for sibling in found.siblings):
            return False
        await self.put_batch(batch)
        return True

    async def set_current_batch(self, tag: tuple[str, str], batch_id: str | None) -> None:
        """Make a batch the one of a tag, or none."""
        key = tag_key(tag)
        async with self._turn(TAG_BUCKET, key):
            found = await self._fetch(TAG_BUCKET, key)
            old = self._tag(tag, found)
            record = tag_record(CurrentTag(tag, batch_id, {} if old is None else old.metadata))
            await self._put(TAG_BUCKET, key, record, found)

    async def find_tag(self, tag: tuple[str, str]) -> CurrentTag | None:
        """Find a tag; of siblings the newest."""
        return self._tag(tag, await self._fetch(TAG_BUCKET, tag_key(tag)))

    def _tag(self, tag: tuple[str, str], found: Fetched) -> CurrentTag | None:
        if not found.siblings:
            return None
        return newest([(s.modified, s.body, read_tag(tag, s.body)) for s in found.siblings])

    # Riak

    def _turn(self, bucket: str, key: str) -> Any:
        return _TURNS.turn((self._place, bucket, key))

    async def _fetch(self, bucket: str, key: str) -> Fetched:
        return await self._client.get(bucket, escape_key(key))

    async def _put(self, bucket: str, key: str, record: Any, found: Fetched) -> None:
        await self._client.put(bucket, escape_key(key), record, found.vclock)
