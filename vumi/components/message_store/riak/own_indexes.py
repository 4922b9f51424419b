"""The indexes of our own in an archive that the old Vumi began.

Knows whether all messages, events and batches are in them, which the archive itself notes; and how
to make it so: everything is read and written again. To be done once, when the last old worker is
gone: what such a worker saves is not in them.

``python -m vumi.components.message_store.riak URL`` does it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from vumi.components.message_store.riak.layout import BUCKETS, ArchiveRecord
from vumi.components.message_store.riak.objects import BATCH_BUCKET, in_parallel
from vumi.components.message_store.riak.terms import Index, unescape_key
from vumi.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vumi.components.message_store.interface import Kind
    from vumi.components.message_store.riak.client import RiakClient
    from vumi.components.message_store.riak.objects import RiakObjects

__all__ = ["NOTE_BUCKET", "OwnIndexes"]

#: Where the archive keeps notes about itself.
NOTE_BUCKET = "archive"
_KEY = "indexes"
_COMPLETE = b'{"complete":true}'
_AT_ONCE = 100


class OwnIndexes:
    """Whether all is in the indexes of our own, and making it so."""

    def __init__(self, client: RiakClient, objects: RiakObjects) -> None:
        self._client = client
        self._objects = objects
        self._complete = False

    async def note_if_new(self, write: bool = True) -> None:
        """Note that an archive that has nothing yet has all in its indexes.

        :param write: Whether to note it in the archive too.
        """
        if await self.are_complete():
            return
        pages = await in_parallel(
            lambda bucket: self._client.index(bucket, Index.BUCKET, "_", limit=1),
            [*BUCKETS.values(), BATCH_BUCKET],
        )
        if not any(page.hits for page in pages):
            if write:
                await self._note()
            self._complete = True

    async def are_complete(self) -> bool:
        """Whether they are."""
        if not self._complete:
            found = await self._client.get(NOTE_BUCKET, _KEY)
            self._complete = any(sibling.body == _COMPLETE for sibling in found.siblings)
        return self._complete

    async def require(self, what: str) -> None:
        """Refuse what needs them, if they are not complete.

        :raises StoreError: They are not.
        """
        if not await self.are_complete():
            raise StoreError(
                f"{what} needs indexes that the old Vumi did not write: run `python -m "
                "vumi.components.message_store.riak URL` when no old worker writes to "
                "this archive any more."
            )

    async def upgrade(
        self, tell: Callable[[int, int], object] = lambda seen, changed: None
    ) -> int:
        """Write everything again that is not in them, and note that it is done.

        :param tell: Called now and then with how many objects were seen and how many changed.
        :returns: How many were changed.
        """
        seen = changed = 0
        for kind in (None, *BUCKETS):
            bucket = BATCH_BUCKET if kind is None else BUCKETS[kind]
            continuation = None
            while True:
                page = await self._client.index(
                    bucket, Index.BUCKET, "_", limit=_AT_ONCE, continuation=continuation
                )
                keys = [unescape_key(key) for _, key in page.hits]
                changes = await in_parallel(partial(self._rewrite, kind), keys)
                seen += len(keys)
                changed += sum(changes)
                tell(seen, changed)
                continuation = page.continuation
                if continuation is None:
                    break
        await self._note()
        return changed

    def _rewrite(self, kind: Kind | None, key: str) -> Awaitable[bool]:
        if kind is None:
            return self._objects.rewrite_batch(key)
        return self._objects.rewrite(kind, key)

    async def _note(self) -> None:
        found = await self._client.get(NOTE_BUCKET, _KEY)
        await self._client.put(NOTE_BUCKET, _KEY, ArchiveRecord(_COMPLETE), found.vclock)
        self._complete = True
