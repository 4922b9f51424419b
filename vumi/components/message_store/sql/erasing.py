"""Erasing: what is old, and what a person wants forgotten.

Each call is one short step. Knows the tables; runs in the writing thread, with a connection that
is in a transaction (but for counting, which is reading).
"""

from __future__ import annotations

from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, or_, select

from vumi.components.message_store.interface import Kind
from vumi.components.message_store.sql.schema import KIND_NUMBERS, events, from_list, messages
from vumi.components.message_store.sql.writes import delete_entries, refresh_statuses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection, Select

    from vumi.components.message_store.sql.database import Database

__all__ = ["count_before", "count_person", "erase_before", "erase_person"]

_INBOUND = KIND_NUMBERS[Kind.INBOUND]
_OUTBOUND = KIND_NUMBERS[Kind.OUTBOUND]
_EVENT = KIND_NUMBERS[Kind.EVENT]

_MESSAGE_COLUMNS = (
    messages.c.kind,
    messages.c.message_id,
    messages.c.timestamp,
    messages.c.batches,
)
_EVENT_COLUMNS = (
    events.c.event_id,
    events.c.message_id,
    events.c.timestamp,
    events.c.batches,
)


# What is old


def count_before(connection: Connection, micros: int) -> int:
    """How many messages and events are older."""
    return sum(
        connection.execute(
            select(func.count()).select_from(table).where(table.c.timestamp < micros)
        ).scalar_one()
        for table in (messages, events)
    )


def erase_before(database: Database, connection: Connection, micros: int, limit: int) -> int:
    """Erase the oldest messages and events that are older; gives how many."""
    old: list[list[tuple[int, int, Any]]] = []
    for kind in (_INBOUND, _OUTBOUND):
        query: Any = (
            select(*_MESSAGE_COLUMNS)
            .where(messages.c.kind == kind, messages.c.timestamp < micros)
            .order_by(messages.c.timestamp, messages.c.message_id)
        )
        old.append(_first(connection, query, kind, limit))
    query = (
        select(*_EVENT_COLUMNS)
        .where(events.c.timestamp < micros)
        .order_by(events.c.timestamp, events.c.event_id)
    )
    old.append(_first(connection, query, _EVENT, limit))
    oldest = list(islice(merge(*old, key=lambda item: item[0]), limit))
    _erase_messages(database, connection, [row for _, kind, row in oldest if kind != _EVENT])
    _erase_events(database, connection, [row for _, kind, row in oldest if kind == _EVENT])
    return len(oldest)


def _first(
    connection: Connection, query: Select[Any], kind: int, limit: int
) -> list[tuple[int, int, Any]]:
    # Locked: a message that is being replaced by a newer one must not be erased for its old self.
    rows = connection.execute(query.limit(limit).with_for_update())
    return [(row.timestamp, kind, row) for row in rows]


# A person


def _is_persons(address: str) -> ColumnElement[bool]:
    return or_(messages.c.address == address, messages.c.other_address == address)


def count_person(connection: Connection, address: str) -> int:
    """How many messages are from or to an address, and events about them."""
    found = select(func.count()).select_from(messages).where(_is_persons(address))
    about = (
        select(func.count())
        .select_from(events.join(messages, messages.c.message_id == events.c.message_id))
        .where(messages.c.kind == _OUTBOUND, _is_persons(address))
    )
    return connection.execute(found).scalar_one() + connection.execute(about).scalar_one()


def erase_person(database: Database, connection: Connection, address: str, limit: int) -> int:
    """Erase some messages from or to an address, and first the events about them; how many."""
    database.shred(connection, True)
    try:
        rows = connection.execute(
            select(*_MESSAGE_COLUMNS)
            .where(_is_persons(address))
            .order_by(messages.c.kind, messages.c.message_id)
            .limit(limit)
            .with_for_update()
        ).all()
        # While there are events about them the messages stay: only they tell
        # whose events they are.
        outbound = [row.message_id for row in rows if row.kind == _OUTBOUND]
        for chunk in database.in_chunks(outbound):
            about = connection.execute(
                select(*_EVENT_COLUMNS)
                .where(events.c.message_id.in_(chunk))
                .order_by(events.c.event_id)
                .limit(limit)
                .with_for_update()
            ).all()
            if about:
                _erase_events(database, connection, about)
                return len(about)
        _erase_messages(database, connection, rows)
        return len(rows)
    finally:
        database.shred(connection, False)


# Both


def _erase_messages(database: Database, connection: Connection, rows: Sequence[Any]) -> None:
    delete_entries(
        connection,
        [
            (batch_id, row.kind, row.timestamp, row.message_id)
            for row in rows
            for batch_id in from_list(row.batches)
        ],
    )
    for kind in (_INBOUND, _OUTBOUND):
        message_ids = [row.message_id for row in rows if row.kind == kind]
        for chunk in database.in_chunks(message_ids):
            connection.execute(
                delete(messages).where(messages.c.kind == kind, messages.c.message_id.in_(chunk))
            )
        if kind == _OUTBOUND:
            refresh_statuses(database, connection, message_ids)


def _erase_events(database: Database, connection: Connection, rows: Sequence[Any]) -> None:
    delete_entries(
        connection,
        [
            (batch_id, _EVENT, row.timestamp, row.event_id)
            for row in rows
            for batch_id in from_list(row.batches)
        ],
    )
    for chunk in database.in_chunks([row.event_id for row in rows]):
        connection.execute(delete(events).where(events.c.event_id.in_(chunk)))
    refresh_statuses(database, connection, [row.message_id for row in rows])
