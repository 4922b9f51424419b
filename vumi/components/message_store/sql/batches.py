"""Batches, tags and locks in the SQL archive. Knows their tables; runs in worker threads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, or_, select, update

from vumi.components.message_store.interface import Batch, CurrentTag
from vumi.components.message_store.sql.schema import (
    batch_tags,
    batches,
    current_tags,
    from_column,
    locks,
    to_column,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from vumi.components.message_store.interface import Tag
    from vumi.components.message_store.sql.database import Database, Row

__all__ = [
    "acquire_lock",
    "batches_after",
    "batches_of_tag",
    "encode_batch",
    "find_batch",
    "find_tag",
    "put_batch",
    "release_lock",
    "set_current_batch",
]

_MICROS = 1_000_000


def encode_batch(batch: Batch) -> Row:
    """A batch as a row, as it is now."""
    return {
        "batch_id": to_column(batch.batch_id),
        "tags": json.dumps([[str(pool), str(tag)] for pool, tag in batch.tags]),
        "metadata": _encode_metadata(batch.metadata),
    }


def _encode_metadata(metadata: Mapping[str, str]) -> str:
    return json.dumps({str(name): str(value) for name, value in metadata.items()})


def _decode_batch(row: Any) -> Batch:
    tags = tuple((pool, tag) for pool, tag in json.loads(row.tags))
    return Batch(from_column(row.batch_id), tags, json.loads(row.metadata))


def put_batch(database: Database, connection: Connection, row: Row) -> None:
    """Keep a batch."""
    # First: of two that put the same batch one waits here.
    database.upsert(connection, batches, [row], ("batch_id",))
    connection.execute(delete(batch_tags).where(batch_tags.c.batch_id == row["batch_id"]))
    tags = [
        {"pool": pool, "tag": tag, "batch_id": row["batch_id"]}
        for pool, tag in sorted(
            {(to_column(pool), to_column(tag)) for pool, tag in json.loads(row["tags"])}
        )
    ]
    if tags:
        connection.execute(insert(batch_tags), tags)


def find_batch(connection: Connection, batch_id: str) -> Batch | None:
    """Find a batch."""
    query = select(batches).where(batches.c.batch_id == to_column(batch_id))
    row = connection.execute(query).one_or_none()
    return None if row is None else _decode_batch(row)


def batches_after(connection: Connection, last: str | None, limit: int) -> list[Batch]:
    """Some batches, by id.

    :param last: The id as a column has it.
    """
    query = select(batches).order_by(batches.c.batch_id).limit(limit)
    if last is not None:
        query = query.where(batches.c.batch_id > last)
    return [_decode_batch(row) for row in connection.execute(query)]


def batches_of_tag(connection: Connection, tag: Tag) -> list[str]:
    """The ids, as columns have them, of the batches that were started with a tag."""
    pool, name = map(to_column, tag)
    query = (
        select(batch_tags.c.batch_id)
        .where(batch_tags.c.pool == pool, batch_tags.c.tag == name)
        .order_by(batch_tags.c.batch_id)
    )
    return list(connection.execute(query).scalars())


def set_current_batch(
    database: Database, connection: Connection, tags: Sequence[Tag], batch_id: str | None
) -> None:
    """Make a batch the one of these tags."""
    column = None if batch_id is None else to_column(batch_id)
    keys = sorted({(to_column(pool), to_column(tag)) for pool, tag in tags})
    rows = [{"pool": pool, "tag": tag, "batch_id": column} for pool, tag in keys]
    database.upsert(connection, current_tags, rows, ("pool", "tag"))


def find_tag(connection: Connection, tag: Tag) -> CurrentTag | None:
    """Find a tag."""
    pool, name = map(to_column, tag)
    query = select(current_tags).where(current_tags.c.pool == pool, current_tags.c.tag == name)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    batch_id = None if row.batch_id is None else from_column(row.batch_id)
    return CurrentTag((tag[0], tag[1]), batch_id, json.loads(row.metadata))


# Locks


def acquire_lock(
    database: Database, connection: Connection, name: str, owner: str, seconds: float
) -> bool:
    """Take or prolong a lock; gives whether it is the owner's."""
    # The database's clock: those of the workers may differ.
    now = connection.execute(select(database.now())).scalar_one()
    expires = now + int(seconds * _MICROS)
    row = {"name": to_column(name), "owner": to_column(owner), "expires": expires}
    if database.insert_new(connection, locks, [row], ("name",)):
        return True
    free = or_(locks.c.owner == row["owner"], locks.c.expires <= now)
    result = connection.execute(
        update(locks)
        .where(locks.c.name == row["name"], free)
        .values(owner=row["owner"], expires=row["expires"])
    )
    return result.rowcount == 1


def release_lock(connection: Connection, name: str, owner: str) -> None:
    """Let go of a lock."""
    connection.execute(
        delete(locks).where(locks.c.name == to_column(name), locks.c.owner == to_column(owner))
    )
