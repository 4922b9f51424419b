"""Messages and events: putting them into the store, and getting them out by their ids.

Knows which batches they belong to, and that what is stored is counted. The archive comes first:
the cache's figures are made of what is safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from twisted.logger import Logger

from vumi.components.message_store.base import StorePart
from vumi.components.message_store.interface import Batch, CurrentTag, Kind
from vumi.errors import StoreError
from vumi.tasks import deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from twisted.internet.defer import Deferred

    from vumi.components.message_store.interface import StoredEvent, StoredMessage, Tag
    from vumi.message import TransportEvent, TransportUserMessage


__all__ = ["Batches", "Messages", "as_tag"]


class Messages(StorePart):
    """The operations on single messages and events.

    Storing may be repeated: a message or event is there once, and counted once.
    """

    log = Logger()

    def add_inbound_message(
        self,
        msg: TransportUserMessage,
        tag: Sequence[str] | None = None,
        batch_id: str | None = None,
        batch_ids: Iterable[str] = (),
    ) -> Deferred[None]:
        """Store a message from a user.

        :param tag: A tag; the message belongs to what is its batch now. Not looked at if there is
            a `batch_id`.
        :param batch_id: A batch that the message belongs to.
        :param batch_ids: Further ones.
        :returns: Fires when the message is safe.
        """
        return self._add(Kind.INBOUND, msg, tag, batch_id, batch_ids)

    def add_outbound_message(
        self,
        msg: TransportUserMessage,
        tag: Sequence[str] | None = None,
        batch_id: str | None = None,
        batch_ids: Iterable[str] = (),
    ) -> Deferred[None]:
        """Store a message to a user. See :meth:`add_inbound_message`."""
        return self._add(Kind.OUTBOUND, msg, tag, batch_id, batch_ids)

    @deferred
    async def add_event(
        self, event: TransportEvent, batch_ids: Iterable[str] | None = None
    ) -> None:
        """Store an event.

        :param batch_ids: The batches it belongs to; ``None``: those of the message it is about.
        """
        stored: StoredEvent = await self.archive.store_event(
            event, None if batch_ids is None else sorted(set(batch_ids))
        )
        await self._tell_cache(stored.batch_ids, lambda batch: self.cache.add_event(batch, event))

    @deferred
    async def _add(
        self,
        kind: Kind,
        msg: TransportUserMessage,
        tag: Sequence[str] | None,
        batch_id: str | None,
        batch_ids: Iterable[str],
    ) -> None:
        batches = set(batch_ids)
        if batch_id is None and tag is not None:
            current: CurrentTag | None = await self.archive.get_current_tag(as_tag(tag))
            batch_id = None if current is None else current.current_batch
        if batch_id is not None:
            batches.add(batch_id)
        is_new: bool = await self.archive.store_message(kind, msg, sorted(batches))

        def count(batch: str) -> Any:
            # Only for what is not new must the cache find out itself whether it has it.
            if kind is Kind.INBOUND:
                return self.cache.add_inbound_message(batch, msg, is_new)
            return self.cache.add_outbound_message(batch, msg, is_new)

        await self._tell_cache(sorted(batches), count)

    async def _tell_cache(self, batches: Sequence[str], count: Callable[[str], Any]) -> None:
        """Tell the cache; what it can't take now a reconciliation finds."""
        if self.cache is None:
            return
        for batch in batches:
            try:
                await count(batch)
            except StoreError as error:
                self.log.warn(
                    "The figures of batch {batch_id} lack something now, until they are "
                    "reconciled: {error}",
                    event="message-store-cache-error",
                    batch_id=batch,
                    error=str(error),
                )

    @deferred
    async def get_inbound_message(self, msg_id: str) -> TransportUserMessage | None:
        """Find a message from a user."""
        return await self._get(Kind.INBOUND, msg_id)

    @deferred
    async def get_outbound_message(self, msg_id: str) -> TransportUserMessage | None:
        """Find a message to a user."""
        return await self._get(Kind.OUTBOUND, msg_id)

    async def _get(self, kind: Kind, msg_id: str) -> TransportUserMessage | None:
        stored: StoredMessage | None = await self.archive.get_message(kind, msg_id)
        return None if stored is None else stored.message

    @deferred
    async def get_event(self, event_id: str) -> TransportEvent | None:
        """Find an event."""
        stored: StoredEvent | None = await self.archive.get_event(event_id)
        return None if stored is None else stored.event

    @deferred
    async def get_events_for_message(self, message_id: str) -> list[TransportEvent]:
        """All events about a message to a user, oldest first."""
        events: list[TransportEvent] = []
        continuation: str | None = None
        while True:
            page = await self.archive.message_events(
                message_id, self.DEFAULT_MAX_RESULTS, continuation
            )
            keys = [entry.key for entry in page.entries]
            events.extend(stored.event for stored in await self.archive.get_events(keys))
            continuation = page.continuation
            if continuation is None:
                return events


class Batches(StorePart):
    """The operations on batches and tags."""

    @deferred
    async def batch_start(self, tags: Iterable[Sequence[str]] = (), **metadata: str) -> str:
        """Start a batch. Messages with one of these tags belong to it from now on.

        :param tags: Pairs of pool and name.
        :param metadata: Texts about the batch.
        :returns: Fires with its id.
        """
        batch = Batch(uuid4().hex, tuple(as_tag(tag) for tag in tags), metadata)
        await self.archive.put_batch(batch)
        if batch.tags:
            await self.archive.set_current_batch(batch.tags, batch.batch_id)
        if self.cache is not None:
            await self.cache.batch_start(batch.batch_id)
        return batch.batch_id

    @deferred
    async def batch_done(self, batch_id: str) -> None:
        """End a batch: no more messages come to it by its tags. Those that are there stay."""
        batch: Batch | None = await self.archive.get_batch(batch_id)
        if batch is None:
            return
        own = []
        for tag in batch.tags:
            current = await self.archive.get_current_tag(tag)
            # Another batch may have taken it over.
            if current is not None and current.current_batch == batch_id:
                own.append(tag)
        if own:
            await self.archive.set_current_batch(own, None)

    @deferred
    async def get_batch(self, batch_id: str) -> Batch | None:
        """Find a batch."""
        batch: Batch | None = await self.archive.get_batch(batch_id)
        return batch

    @deferred
    async def get_tag_info(self, tag: Sequence[str]) -> CurrentTag:
        """What a tag is used for; of a tag never heard of, that it is used for nothing."""
        wanted = as_tag(tag)
        found: CurrentTag | None = await self.archive.get_current_tag(wanted)
        return CurrentTag(wanted) if found is None else found


def as_tag(tag: Any) -> Tag:
    """A tag as a pair.

    :param tag: A pair of pool and name, or the text ``pool:name``.
    :raises StoreError: It is neither.
    """
    parts = tag.partition(":")[::2] if isinstance(tag, str) else tuple(tag)
    if len(parts) != 2 or not all(isinstance(part, str) and part for part in parts):
        raise StoreError(f"{tag!r} is not a tag: a tag has a pool and a name.")
    return parts
