"""Batches and tags: which messages belong together.

Knows when a batch begins and ends, and what a tag is used for meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from vumi.components.message_store.interface import Batch, CurrentTag
from vumi.components.message_store.part import StorePart, gives_deferred
from vumi.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vumi.components.message_store.interface import Tag

__all__ = ["Batches", "as_tag"]


class Batches(StorePart):
    """The operations on batches and tags."""

    @gives_deferred
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

    @gives_deferred
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

    @gives_deferred
    async def get_batch(self, batch_id: str) -> Batch | None:
        """Find a batch."""
        batch: Batch | None = await self.archive.get_batch(batch_id)
        return batch

    @gives_deferred
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
        raise StoreError(f"{tag!r} is no tag: it has a pool and a name.")
    return parts
