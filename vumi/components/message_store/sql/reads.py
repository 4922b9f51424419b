"""Questions to the SQL archive that are not searches: by id, pages, figures.

Knows the tables; runs in a reading thread. Ids are as columns have them, times in microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import func, select, tuple_

from vumi.components.message_store.interface import (
    BatchStats,
    Entry,
    Kind,
    StoredEvent,
    StoredMessage,
)
from vumi.components.message_store.sql.schema import (
    KIND_NUMBERS,
    entries,
    events,
    from_column,
    from_list,
    from_micros,
    messages,
)
from vumi.errors import InvalidMessage, StoreError
from vumi.message import TransportEvent, TransportUserMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection, Select

    from vumi.components.message_store.sql.database import Database
    from vumi.message import Message

__all__ = [
    "Place",
    "after",
    "batch_stats",
    "count",
    "events_by_id",
    "messages_by_id",
    "page",
    "page_of_message",
    "status_counts",
]

#: A time and an id: where an entry is among others.
Place = tuple[int, str]

M = TypeVar("M", bound="Message")


def _decoded(message_class: type[M], row: Any, key: str) -> M:
    try:
        return message_class.from_json(row.payload)
    except InvalidMessage as error:
        raise StoreError(f"The archive has something else than a message at {key!r}.") from error


def _batch_ids(row: Any) -> tuple[str, ...]:
    return tuple(sorted(map(from_column, from_list(row.batches))))


def messages_by_id(
    database: Database, connection: Connection, kind: Kind, message_ids: Sequence[str]
) -> list[StoredMessage]:
    """Messages, in the order of the ids."""
    found: dict[str, StoredMessage] = {}
    for chunk in database.in_chunks(dict.fromkeys(message_ids)):
        query = select(messages.c.message_id, messages.c.payload, messages.c.batches).where(
            messages.c.kind == KIND_NUMBERS[kind], messages.c.message_id.in_(chunk)
        )
        for row in connection.execute(query):
            message = _decoded(TransportUserMessage, row, row.message_id)
            found[row.message_id] = StoredMessage(kind, message, _batch_ids(row))
    return [found[message_id] for message_id in message_ids if message_id in found]


def events_by_id(
    database: Database, connection: Connection, event_ids: Sequence[str]
) -> list[StoredEvent]:
    """Events, in the order of the ids."""
    found: dict[str, StoredEvent] = {}
    for chunk in database.in_chunks(dict.fromkeys(event_ids)):
        query = select(events.c.event_id, events.c.payload, events.c.batches).where(
            events.c.event_id.in_(chunk)
        )
        for row in connection.execute(query):
            event = _decoded(TransportEvent, row, row.event_id)
            found[row.event_id] = StoredEvent(event, _batch_ids(row))
    return [found[event_id] for event_id in event_ids if event_id in found]


# Pages


def after(
    query: Select[Any],
    time: ColumnElement[int],
    key: ColumnElement[str],
    *,
    newest_first: bool = False,
    last: Place | None = None,
    or_last: bool = False,
    start: int | None = None,
    end: int | None = None,
) -> Select[Any]:
    """A query with order and bounds: what comes after a place.

    :param last: The place; itself it is not in.
    :param or_last: But now it is.
    :param start: The least time.
    :param end: The greatest time.
    """
    if start is not None:
        query = query.where(time >= start)
    if end is not None:
        query = query.where(time <= end)
    if last is not None:
        here, there = tuple_(time, key), tuple_(*last)
        if or_last:
            query = query.where(here <= there if newest_first else here >= there)
        else:
            query = query.where(here < there if newest_first else here > there)
    if newest_first:
        return query.order_by(time.desc(), key.desc())
    return query.order_by(time, key)


def page(
    connection: Connection, kind: Kind, batch_id: str, limit: int, **bounds: Any
) -> list[tuple[Place, Entry]]:
    """Entries of a batch, with their places; `bounds` are as for :func:`after`."""
    query: Select[Any] = select(entries.c.timestamp, entries.c.key, entries.c.term).where(
        entries.c.batch_id == batch_id, entries.c.kind == KIND_NUMBERS[kind]
    )
    query = after(query, entries.c.timestamp, entries.c.key, **bounds)
    return _entries(connection, query.limit(limit))


def page_of_message(
    connection: Connection, message_id: str, limit: int, last: Place | None
) -> list[tuple[Place, Entry]]:
    """The events of a message, with their places, oldest first."""
    query: Select[Any] = select(events.c.timestamp, events.c.event_id, events.c.status).where(
        events.c.message_id == message_id
    )
    query = after(query, events.c.timestamp, events.c.event_id, last=last)
    return _entries(connection, query.limit(limit))


def _entries(connection: Connection, query: Select[Any]) -> list[tuple[Place, Entry]]:
    return [
        ((time, key), Entry(from_column(key), from_micros(time), from_column(term)))
        for time, key, term in connection.execute(query)
    ]


# Counts


def count(connection: Connection, kind: Kind, batch_id: str | None) -> int:
    """How many there are."""
    query: Any
    if batch_id is not None:
        query = select(func.count()).where(
            entries.c.batch_id == batch_id, entries.c.kind == KIND_NUMBERS[kind]
        )
    elif kind is Kind.EVENT:
        query = select(func.count()).select_from(events)
    else:
        query = select(func.count()).where(messages.c.kind == KIND_NUMBERS[kind])
    total: int = connection.execute(query).scalar_one()
    return total


def batch_stats(
    connection: Connection, kind: Kind, batch_id: str, start: int | None, end: int | None
) -> BatchStats:
    """Exact figures of a batch."""
    query = select(func.count(), func.count(func.nullif(entries.c.term, "").distinct())).where(
        entries.c.batch_id == batch_id, entries.c.kind == KIND_NUMBERS[kind]
    )
    if start is not None:
        query = query.where(entries.c.timestamp >= start)
    if end is not None:
        query = query.where(entries.c.timestamp <= end)
    total, unique = connection.execute(query).one()
    return BatchStats(total, unique)


def status_counts(connection: Connection, batch_id: str) -> dict[str, int]:
    """How many events of each status a batch has."""
    counts = dict.fromkeys(
        (
            "ack",
            "nack",
            "delivery_report",
            *(f"delivery_report.{each}" for each in sorted(TransportEvent.DELIVERY_STATUSES)),
        ),
        0,
    )
    query = (
        select(entries.c.term, func.count())
        .where(entries.c.batch_id == batch_id, entries.c.kind == KIND_NUMBERS[Kind.EVENT])
        .group_by(entries.c.term)
    )
    for status, number in connection.execute(query):
        counts[status] = number
        event_type, is_detailed, _ = status.partition(".")
        if is_detailed:
            counts[event_type] += number
    counts["sent"] = count(connection, Kind.OUTBOUND, batch_id)
    return counts
