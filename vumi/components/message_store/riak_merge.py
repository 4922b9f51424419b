"""Siblings: several versions of one object, written at the same time, made one again.

Pure. Whoever merges the same versions gets the same, in whatever order they come; so two that
merge at the same time disturb nobody.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from vumi.components.message_store.interface import StoredEvent, StoredMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Version", "merge_stored", "newest"]

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
