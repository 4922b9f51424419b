"""Objects of the archive in Riak: read, changed and erased, one by one.

Knows how a change is made where nothing is locked. A message or event is first written on the
condition that there is none yet: one request, and most are new. Otherwise what is there is read,
the change is added, and it is written with the causal context (vclock) of what was read. If
another process does the same meanwhile, Riak keeps both as siblings; the next reader merges them
and writes the result. Nothing is lost in any order of events. Merging the same versions gives the
same result in any order, so two readers that merge at the same time do no harm.

Writers of one archive take turns, which saves merging. Of two archives or processes that write a
new id at the same moment, both may be told that it was new.
"""

from __future__ import annotations

from dataclasses import replace
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
from vumi.components.message_store.riak.client import Put
from vumi.components.message_store.riak.layout import (
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
from vumi.components.message_store.riak.terms import Index, object_key
from vumi.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

    from vumi.components.message_store.riak.answers import Fetched
    from vumi.components.message_store.riak.client import RiakClient
    from vumi.named_locks import NamedLocks


__all__ = [
    "BATCH_BUCKET",
    "TAG_BUCKET",
    "RiakObjects",
    "Version",
    "in_parallel",
    "merge_stored",
    "newest",
]

BATCH_BUCKET = "batch"
TAG_BUCKET = "currenttag"

T = TypeVar("T")
R = TypeVar("R")
Stored = StoredMessage | StoredEvent

#: The condition that nothing is there.
_NEW = ("If-None-Match", "*")


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
    :param turns: Lets the writers of this archive take turns.
    """

    log = Logger()

    def __init__(self, client: RiakClient, turns: NamedLocks) -> None:
        self._client = client
        self._turns = turns

    # Messages and events

    async def store(
        self, draft: Draft, batch_ids: Collection[str]
    ) -> tuple[bool, tuple[str, ...]]:
        """Keep a message or event.

        :returns: Whether it is new, and its batches.
        """
        bucket = BUCKETS[draft.kind]
        batches = set(batch_ids)
        record = draft.record(batches)
        async with self._turn(bucket, draft.key):
            written = await self._client.put(bucket, object_key(draft.key), record, None, _NEW)
            if written is Put.DONE:
                return True, tuple(sorted(batches))
            found = await self._fetch(bucket, draft.key)
            old = self._stored(draft.kind, draft.key, found)
            if old is not None:
                batches.update(old.batch_ids)
            await self._put(bucket, draft.key, draft.record(batches), found)
        # What is there may be what the attempt wrote whose answer was lost.
        is_own = written is Put.UNSURE and [s.body for s in found.siblings] == [record.body]
        return old is None or is_own, tuple(sorted(batches))

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
            return await self._client.delete(bucket, object_key(key), found.vclock)

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
        return self._turns.hold((bucket, key))

    async def _fetch(self, bucket: str, key: str) -> Fetched:
        return await self._client.get(bucket, object_key(key))

    async def _put(self, bucket: str, key: str, record: Any, found: Fetched) -> None:
        await self._client.put(bucket, object_key(key), record, found.vclock)


V = TypeVar("V")
S = TypeVar("S", StoredMessage, StoredEvent)

#: When it was written (Unix time, as Riak says), its body, and what was read from it.
Version = tuple[float, bytes, V]


def newest(versions: Sequence[Version[V]]) -> V:
    """The version that was written last; of those of the same second the one that sorts last."""
    return max(versions, key=lambda version: version[:2])[2]


def merge_stored(versions: Sequence[Version[S]]) -> S:
    """The newest message or event, in the batches of all versions."""
    batch_ids: set[str] = set()
    for _, _, stored in versions:
        batch_ids.update(stored.batch_ids)
    return replace(newest(versions), batch_ids=tuple(sorted(batch_ids)))
