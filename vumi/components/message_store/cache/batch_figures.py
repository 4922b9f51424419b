"""Counts about batches, kept in Redis so that figures need no count in the archive.

Knows Redis' keys, which are those of the old Vumi: old and new workers may share them. Knows no
archive: what is not here is not missed (:class:`~vumi.components.message_store.counts.Counts`
makes it anew from there).

Theory of operation. A message or event is counted when its id comes into the batch's sorted set.
That set is cut to the newest 2000, so it does not remember all that was ever counted: an id that
was cut may be counted again, unless its caller says that it is old. Each step is one Lua script; a
crash leaves a message counted or not, never half.

A batch that an old worker has started without counters is counted by the size of its sorted sets,
which then are not cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.components.message_store.cache.scripts import ADD, EVENT_STATUSES, REMOVE, START
from vumi.components.message_store.cache.searches import (
    CachedSearches,
    MessageStoreCacheException,
    encodable,
)
from vumi.persist.redis_base import Manager

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["EVENT_STATUSES", "MessageStoreCache", "MessageStoreCacheException"]

#: Entries per call of a script that takes many.
CHUNK = 500


class MessageStoreCache(CachedSearches):
    """Counts about batches.

    :param redis: A manager of the key-value store; with one that blocks, all methods block.
    """

    OUTBOUND_KEY = "outbound"
    INBOUND_KEY = "inbound"
    EVENT_KEY = "event"
    STATUS_KEY = "status"

    #: How many ids of each kind are kept for a batch.
    TRUNCATE_MESSAGE_KEY_COUNT_AT = 2000
    #: Where the pair of keys of a kind is among a script's keys.
    _PLACES: ClassVar[dict[str, int]] = {INBOUND_KEY: 3, OUTBOUND_KEY: 5, EVENT_KEY: 7}
    _ADDRESSES: ClassVar[dict[str, str]] = {INBOUND_KEY: "from_addr", OUTBOUND_KEY: "to_addr"}

    def __init__(self, redis: Any) -> None:
        super().__init__(redis)
        self._start = redis.script(START, repeatable=True)
        self._add = redis.script(ADD)
        self._remove = redis.script(REMOVE)

    # Keys

    def _set_key(self, kind: str, batch_id: str) -> str:
        return self.batch_key(kind, batch_id)

    def _count_key(self, kind: str, batch_id: str) -> str:
        return self.batch_key(f"{kind}_count", batch_id)

    def _address_key(self, kind: str, batch_id: str) -> str:
        return self.batch_key(f"{self._ADDRESSES[kind]}_hll", batch_id)

    def status_key(self, batch_id: str) -> str:
        """Where the counts of events are."""
        return self.batch_key(self.STATUS_KEY, batch_id)

    def _keys(self, batch_id: str) -> list[str]:
        keys = [self.BATCH_KEY, self.status_key(batch_id)]
        for kind in self._PLACES:
            keys += [self._set_key(kind, batch_id), self._count_key(kind, batch_id)]
        return keys

    # Batches

    def batch_start(self, batch_id: str, use_counters: bool = True) -> Any:
        """Begin to count for a batch. Counts that are there stay.

        :param use_counters: ``False``: keep all ids, and count these.
        """
        limit = self.TRUNCATE_MESSAGE_KEY_COUNT_AT
        return self._start(self._keys(batch_id), [batch_id, int(use_counters), limit])

    def init_status(self, batch_id: str) -> Any:
        """Set the counts of events to 0, as far as they are not there."""
        return self.batch_start(batch_id, use_counters=False)

    def switch_to_counters(self, batch_id: str) -> Any:
        """Have a batch of an old worker counted by counters, and its ids cut to the newest."""
        return self.batch_start(batch_id)

    def get_batch_ids(self) -> Any:
        """The batches that there are figures of, as a set."""
        return self.redis.smembers(self.BATCH_KEY)

    def batch_exists(self, batch_id: str) -> Any:
        """Whether there are figures of a batch."""
        return self.redis.sismember(self.BATCH_KEY, batch_id)

    @Manager.calls_manager("redis")
    def clear_batch(self, batch_id: str) -> Any:
        """Forget all figures of a batch."""
        yield self.redis.srem(self.BATCH_KEY, batch_id)
        for kind in self._ADDRESSES:
            yield self.redis.delete(self._address_key(kind, batch_id))
        for key in self._keys(batch_id)[1:]:
            yield self.redis.delete(key)

    def uses_counters(self, batch_id: str) -> Any:
        """Whether messages of a batch are counted by counters."""
        return self.redis.exists(self._count_key(self.INBOUND_KEY, batch_id))

    def uses_event_counters(self, batch_id: str) -> Any:
        """Whether events of a batch are counted."""
        return self.redis.exists(self._count_key(self.EVENT_KEY, batch_id))

    # Adding

    def add_inbound_message(
        self, batch_id: str, msg: TransportUserMessage, is_new: bool | None = None
    ) -> Any:
        """Count a message from a user, unless it is counted.

        :param is_new: Whether the archive has not had it before, if that is known.
        """
        return self._add_message(self.INBOUND_KEY, batch_id, msg, is_new)

    def add_outbound_message(
        self, batch_id: str, msg: TransportUserMessage, is_new: bool | None = None
    ) -> Any:
        """Count a message to a user, unless it is counted. See :meth:`add_inbound_message`."""
        return self._add_message(self.OUTBOUND_KEY, batch_id, msg, is_new)

    def _add_message(
        self, kind: str, batch_id: str, msg: TransportUserMessage, is_new: bool | None
    ) -> Any:
        entry = (msg["message_id"], msg["timestamp"], msg[self._ADDRESSES[kind]])
        return self._add_entries(kind, batch_id, [entry], is_new)

    def add_event(self, batch_id: str, event: TransportEvent) -> Any:
        """Count an event, unless it is counted, or the batch's events are not."""
        entry = (event["event_id"], event["timestamp"], event.status())
        return self._add_entries(self.EVENT_KEY, batch_id, [entry])

    @Manager.calls_manager("redis")
    def add_entries(
        self, kind: str, batch_id: str, entries: Sequence[tuple[str, Any, str | None]]
    ) -> Any:
        """Count many messages or events, those that are counted excepted.

        :param kind: ``inbound``, ``outbound`` or ``event``.
        :param entries: Ids, dates, and addresses or statuses, newest first.
        :returns: How many were counted.
        """
        added = 0
        for start in range(0, len(entries), CHUNK):
            added += yield self._add_entries(kind, batch_id, entries[start : start + CHUNK])
        return added

    def _add_entries(
        self,
        kind: str,
        batch_id: str,
        entries: Iterable[tuple[str, Any, str | None]],
        is_new: bool | None = None,
    ) -> Any:
        keys = self._keys(batch_id)
        if kind in self._ADDRESSES:
            keys.append(self._address_key(kind, batch_id))
        words = [
            word
            for key, timestamp, term in entries
            for word in (encodable(key), repr(self.get_timestamp(timestamp)), encodable(term))
        ]
        known = "" if is_new is None else int(is_new)
        place, limit = self._PLACES[kind], self.TRUNCATE_MESSAGE_KEY_COUNT_AT
        events = int(kind == self.EVENT_KEY)
        return self._add(keys, [batch_id, place, limit, known, events, *words])

    def add_inbound_message_key(self, batch_id: str, message_key: str, timestamp: float) -> Any:
        """Count a message from a user of whom nothing is known.

        :param timestamp: Seconds since 1970.
        """
        return self._add_entries(self.INBOUND_KEY, batch_id, [(message_key, timestamp, None)])

    def add_outbound_message_key(self, batch_id: str, message_key: str, timestamp: float) -> Any:
        """Count a message to a user of whom nothing is known."""
        return self._add_entries(self.OUTBOUND_KEY, batch_id, [(message_key, timestamp, None)])

    @Manager.calls_manager("redis")
    def add_event_key(self, batch_id: str, event_key: str, timestamp: float) -> Any:
        """Count an event, but none of its status. Gives whether it was counted."""
        if not (yield self.uses_event_counters(batch_id)):
            return False
        key = self._set_key(self.EVENT_KEY, batch_id)
        added = yield self.redis.zadd(key, {event_key: timestamp})
        if added:
            yield self.redis.incr(self._count_key(self.EVENT_KEY, batch_id))
        return bool(added)

    def add_inbound_message_count(self, batch_id: str, count: int) -> Any:
        """Add to the number of messages from users."""
        return self.redis.incr(self._count_key(self.INBOUND_KEY, batch_id), count)

    @Manager.calls_manager("redis")
    def add_outbound_message_count(self, batch_id: str, count: int) -> Any:
        """Add to the number of messages to users."""
        yield self.redis.hincrby(self.status_key(batch_id), "sent", count)
        return (yield self.redis.incr(self._count_key(self.OUTBOUND_KEY, batch_id), count))

    @Manager.calls_manager("redis")
    def add_event_count(self, batch_id: str, status: str, count: int) -> Any:
        """Add to the number of events of a status.

        :param status: One of ``delivery_report.pending`` and such adds to ``delivery_report`` too,
            and all is one event.
        """
        yield self.redis.hincrby(self.status_key(batch_id), status, count)
        whole, _, part = status.partition(".")
        if part:
            yield self.redis.hincrby(self.status_key(batch_id), whole, count)
        return (yield self.redis.incr(self._count_key(self.EVENT_KEY, batch_id), count))

    @Manager.calls_manager("redis")
    def add_from_addr(self, batch_id: str, from_addr: str | None) -> Any:
        """Count a user that messages come from; ``None`` is not counted."""
        if from_addr is not None:
            key = self._address_key(self.INBOUND_KEY, batch_id)
            yield self.redis.pfadd(key, encodable(from_addr))

    @Manager.calls_manager("redis")
    def add_to_addr(self, batch_id: str, to_addr: str | None) -> Any:
        """Count a user that messages go to; ``None`` is not counted."""
        if to_addr is not None:
            key = self._address_key(self.OUTBOUND_KEY, batch_id)
            yield self.redis.pfadd(key, encodable(to_addr))

    @Manager.calls_manager("redis")
    def remove_entries(self, kind: str, batch_id: str, entries: Sequence[tuple[str, str]]) -> Any:
        """Take messages or events out of the figures that are erased.

        How many users there are is not corrected: that figure can't be taken back from.

        :param kind: ``inbound``, ``outbound`` or ``event``.
        :param entries: Pairs of id, and status or address.
        """
        events = int(kind == self.EVENT_KEY)
        for start in range(0, len(entries), CHUNK):
            words = [
                word
                for key, term in entries[start : start + CHUNK]
                for word in (encodable(key), term if events else "")
            ]
            yield self._remove(
                self._keys(batch_id), [batch_id, self._PLACES[kind], events, *words]
            )

    # Counts

    @Manager.calls_manager("redis")
    def get_event_status(self, batch_id: str) -> Any:
        """How many events of each status there are, as texts."""
        return (yield self.redis.hgetall(self.status_key(batch_id)))

    def inbound_message_count(self, batch_id: str) -> Any:
        """How many messages from users there are."""
        return self._count(self.INBOUND_KEY, batch_id)

    def outbound_message_count(self, batch_id: str) -> Any:
        """How many messages to users there are."""
        return self._count(self.OUTBOUND_KEY, batch_id)

    def event_count(self, batch_id: str) -> Any:
        """How many events there are."""
        return self._count(self.EVENT_KEY, batch_id)

    @Manager.calls_manager("redis")
    def _count(self, kind: str, batch_id: str) -> Any:
        count = yield self.redis.get(self._count_key(kind, batch_id))
        if count is None:
            count = yield self.redis.zcard(self._set_key(kind, batch_id))
        return int(count)

    def count_inbound_message_keys(self, batch_id: str) -> Any:
        """How many ids of messages from users are kept."""
        return self.redis.zcard(self._set_key(self.INBOUND_KEY, batch_id))

    def count_outbound_message_keys(self, batch_id: str) -> Any:
        """How many ids of messages to users are kept."""
        return self.redis.zcard(self._set_key(self.OUTBOUND_KEY, batch_id))

    def count_event_keys(self, batch_id: str) -> Any:
        """How many ids of events are kept."""
        return self.redis.zcard(self._set_key(self.EVENT_KEY, batch_id))

    inbound_message_keys_size = count_inbound_message_keys
    outbound_message_keys_size = count_outbound_message_keys
    event_keys_size = count_event_keys

    def count_from_addrs(self, batch_id: str) -> Any:
        """About how many users messages came from (within 1 %)."""
        return self.redis.pfcount(self._address_key(self.INBOUND_KEY, batch_id))

    def count_to_addrs(self, batch_id: str) -> Any:
        """About how many users messages went to (within 1 %)."""
        return self.redis.pfcount(self._address_key(self.OUTBOUND_KEY, batch_id))

    @Manager.calls_manager("redis")
    def get_from_addrs(self, batch_id: str) -> Any:
        """Nothing: who they are is not kept here."""
        return []
        yield

    get_to_addrs = get_from_addrs

    def get_inbound_message_keys(
        self,
        batch_id: str,
        start: int = 0,
        stop: int = -1,
        asc: bool = False,
        with_timestamp: bool = False,
    ) -> Any:
        """Some of the ids that are kept of messages from users.

        :param start: The first one's place, counted from 0.
        :param stop: The last one's place; -1 is the end.
        :param asc: Oldest first, not newest first.
        :param with_timestamp: Give pairs of id and seconds since 1970.
        """
        key = self._set_key(self.INBOUND_KEY, batch_id)
        return self.redis.zrange(key, start, stop, desc=not asc, withscores=with_timestamp)

    def get_outbound_message_keys(
        self,
        batch_id: str,
        start: int = 0,
        stop: int = -1,
        asc: bool = False,
        with_timestamp: bool = False,
    ) -> Any:
        """Some of the ids that are kept of messages to users: :meth:`get_inbound_message_keys`."""
        key = self._set_key(self.OUTBOUND_KEY, batch_id)
        return self.redis.zrange(key, start, stop, desc=not asc, withscores=with_timestamp)

    def count_inbound_throughput(self, batch_id: str, sample_time: float = 300) -> Any:
        """How many messages came from users within some seconds before the newest one."""
        return self._throughput(self.INBOUND_KEY, batch_id, sample_time)

    def count_outbound_throughput(self, batch_id: str, sample_time: float = 300) -> Any:
        """How many messages went to users within some seconds before the newest one."""
        return self._throughput(self.OUTBOUND_KEY, batch_id, sample_time)

    @Manager.calls_manager("redis")
    def _throughput(self, kind: str, batch_id: str, sample_time: float) -> Any:
        key = self._set_key(kind, batch_id)
        newest = yield self.redis.zrange(key, 0, 0, desc=True, withscores=True)
        if not newest:
            return 0
        ((_, timestamp),) = newest
        return (yield self.redis.zcount(key, repr(timestamp - sample_time), "+inf"))

    # Cutting

    def truncate_inbound_message_keys(self, batch_id: str, truncate_at: int | None = None) -> Any:
        """Keep only the newest ids; gives how many were cut."""
        return self._truncate(self.INBOUND_KEY, batch_id, truncate_at)

    def truncate_outbound_message_keys(self, batch_id: str, truncate_at: int | None = None) -> Any:
        """Keep only the newest ids; gives how many were cut."""
        return self._truncate(self.OUTBOUND_KEY, batch_id, truncate_at)

    def truncate_event_keys(self, batch_id: str, truncate_at: int | None = None) -> Any:
        """Keep only the newest ids; gives how many were cut."""
        return self._truncate(self.EVENT_KEY, batch_id, truncate_at)

    def _truncate(self, kind: str, batch_id: str, truncate_at: int | None) -> Any:
        limit = self.TRUNCATE_MESSAGE_KEY_COUNT_AT if truncate_at is None else truncate_at
        return self.redis.zremrangebyrank(self._set_key(kind, batch_id), 0, -limit - 1)
