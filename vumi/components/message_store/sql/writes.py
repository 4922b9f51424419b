"""Writing what has come together, in one transaction.

Knows the tables and what must stay in step: a message and its entries in batches, an event and
its message's status. Runs in the writing thread, with a connection that is in a transaction.

Theory of operation. Works are merged by id first: of several for one message the last one's
content counts, and all batches. Then every table is written once, with as many rows as there are,
in this order: messages, events, entries, statuses; and sorted within. Two workers that write the
same rows thus wait for each other instead of blocking each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, case, delete, func, or_, select, tuple_, update

from vumi.components.message_store.interface import Kind
from vumi.components.message_store.sql.pending_writes import EventWork, MessageWork, Step
from vumi.components.message_store.sql.schema import (
    KIND_NUMBERS,
    NO_STATUS,
    entries,
    events,
    from_list,
    messages,
    statuses,
    to_list,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from vumi.components.message_store.sql.database import Database, Row

__all__ = ["delete_entries", "refresh_statuses", "write"]

_OUTBOUND = KIND_NUMBERS[Kind.OUTBOUND]
_EVENT = KIND_NUMBERS[Kind.EVENT]
_ENTRY_KEY = ("batch_id", "kind", "timestamp", "key")


def write(
    database: Database, connection: Connection, works: Sequence[MessageWork | EventWork | Step]
) -> list[Any]:
    """Write works, in their order as far as anybody can tell.

    :returns: Their results, in their order.
    """
    results: dict[int, Any] = {}
    messages_now: list[MessageWork] = []
    events_now: list[EventWork] = []

    def write_gathered() -> None:
        if messages_now or events_now:
            _Writing(database, connection).write(messages_now, events_now, results)
            messages_now.clear()
            events_now.clear()

    for work in works:
        # Messages before events, whichever came first: no caller has been told of either yet.
        if isinstance(work, MessageWork):
            messages_now.append(work)
        elif isinstance(work, EventWork):
            events_now.append(work)
        else:
            write_gathered()
            results[id(work)] = work(connection)
    write_gathered()
    return [results[id(work)] for work in works]


@dataclass
class _Merged:
    """All that is to be written of one message or event."""

    last: Any
    batches: set[str] = field(default_factory=set)


class _Writing:
    """One time that every table is written."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database = database
        self._connection = connection
        self._entries: dict[tuple[Any, ...], str] = {}
        self._gone_entries: list[tuple[Any, ...]] = []
        self._statuses: dict[str, Row] = {}
        self._changed_statuses: set[str] = set()

    def write(
        self,
        message_works: Sequence[MessageWork],
        event_works: Sequence[EventWork],
        results: dict[int, Any],
    ) -> None:
        if message_works:
            self._write_messages(message_works, results)
        if event_works:
            self._write_events(event_works, results)
        delete_entries(self._connection, self._gone_entries)
        rows = [
            dict(zip((*_ENTRY_KEY, "term"), (*key, term), strict=True))
            for key, term in sorted(self._entries.items())
        ]
        self._database.upsert(self._connection, entries, rows, _ENTRY_KEY)
        self._write_statuses()
        refresh_statuses(self._database, self._connection, self._changed_statuses)

    # Messages

    def _write_messages(self, works: Sequence[MessageWork], results: dict[int, Any]) -> None:
        merged: dict[tuple[int, str], _Merged] = {}
        for work in works:
            one = merged.setdefault(work.key, _Merged(work))
            one.last = work
            one.batches.update(work.batches)
        rows = [
            {**merged[key].last.full_row(), "batches": to_list(merged[key].batches)}
            for key in sorted(merged)
        ]
        new = self._database.insert_new(self._connection, messages, rows, ("kind", "message_id"))
        for row in rows:
            if (row["kind"], row["message_id"]) in new:
                self._file_message(row, merged[row["kind"], row["message_id"]].batches)
        if len(new) < len(rows):
            self._replace_messages(
                [row for row in rows if (row["kind"], row["message_id"]) not in new], merged
            )
        told: set[tuple[int, str]] = set()
        for work in works:
            work.is_new = work.is_new or (work.key in new and work.key not in told)
            told.add(work.key)
            results[id(work)] = work.is_new

    def _replace_messages(
        self, rows: Sequence[Row], merged: dict[tuple[int, str], _Merged]
    ) -> None:
        changed = []
        for old in self._locked_messages(rows):
            key = (old.kind, old.message_id)
            row = next(row for row in rows if (row["kind"], row["message_id"]) == key)
            had = set(from_list(old.batches))
            batches = had | merged[key].batches
            same = batches == had and row["payload"] == old.payload
            if same:
                continue
            if (row["timestamp"], row["address"]) != (old.timestamp, old.address):
                self._gone_entries += [
                    (batch_id, old.kind, old.timestamp, old.message_id) for batch_id in had
                ]
                had = set()
            self._file_message(row, batches - had)
            changed.append({f"new_{name}": value for name, value in row.items()})
            changed[-1]["new_batches"] = to_list(batches)
        self._update(messages, changed, ("kind", "message_id"))

    def _locked_messages(self, rows: Sequence[Row]) -> Iterable[Any]:
        for kind in sorted({row["kind"] for row in rows}):
            message_ids = [row["message_id"] for row in rows if row["kind"] == kind]
            query = (
                select(
                    messages.c.kind,
                    messages.c.message_id,
                    messages.c.timestamp,
                    messages.c.address,
                    messages.c.payload,
                    messages.c.batches,
                )
                .where(messages.c.kind == kind, messages.c.message_id.in_(message_ids))
                .order_by(messages.c.message_id)
                .with_for_update()
            )
            yield from self._connection.execute(query)

    def _file_message(self, row: Row, batches: Iterable[str]) -> None:
        """Note the entries and the status that a message's row brings."""
        for batch_id in batches:
            key = (batch_id, row["kind"], row["timestamp"], row["message_id"])
            self._entries[key] = row["address"]
        if row["kind"] == _OUTBOUND:
            self._statuses[row["message_id"]] = {
                "message_id": row["message_id"],
                "status": NO_STATUS,
                "event_timestamp": None,
                "event_id": None,
                "timestamp": row["timestamp"],
            }

    # Events

    def _write_events(self, works: Sequence[EventWork], results: dict[int, Any]) -> None:
        merged: dict[str, _Merged] = {}
        ask = {work.row["message_id"] for work in works if work.batches is None}
        found = self._batches_of_messages(ask)
        for work in works:
            one = merged.setdefault(work.key, _Merged(work))
            one.last = work
            if work.batches is None:
                one.batches.update(found.get(work.row["message_id"], ()))
            else:
                one.batches.update(work.batches)
        rows = [
            {**merged[key].last.row, "batches": to_list(merged[key].batches)}
            for key in sorted(merged)
        ]
        new = self._database.insert_new(self._connection, events, rows, ("event_id",))
        for row in rows:
            if (row["event_id"],) in new:
                self._file_event(row, merged[row["event_id"]].batches)
        if len(new) < len(rows):
            self._replace_events([row for row in rows if (row["event_id"],) not in new], merged)
        for work in works:
            one = merged[work.key]
            results[id(work)] = one.last.stored(one.batches)

    def _batches_of_messages(self, message_ids: set[str]) -> dict[str, list[str]]:
        if not message_ids:
            return {}
        query = select(messages.c.message_id, messages.c.batches).where(
            messages.c.kind == _OUTBOUND, messages.c.message_id.in_(sorted(message_ids))
        )
        return {row.message_id: from_list(row.batches) for row in self._connection.execute(query)}

    def _replace_events(self, rows: Sequence[Row], merged: dict[str, _Merged]) -> None:
        by_id = {row["event_id"]: row for row in rows}
        query = (
            select(events)
            .where(events.c.event_id.in_(list(by_id)))
            .order_by(events.c.event_id)
            .with_for_update()
        )
        changed = []
        for old in self._connection.execute(query):
            row = by_id[old.event_id]
            had = set(from_list(old.batches))
            batches = merged[old.event_id].batches
            batches |= had
            if batches == had and row["payload"] == old.payload:
                continue
            if (row["timestamp"], row["status"]) != (old.timestamp, old.status):
                self._gone_entries += [
                    (batch_id, _EVENT, old.timestamp, old.event_id) for batch_id in had
                ]
                had = set()
            self._file_event(row, batches - had)
            # What was last before may be no longer.
            self._changed_statuses |= {row["message_id"], old.message_id}
            changed.append({f"new_{name}": value for name, value in row.items()})
            changed[-1]["new_batches"] = to_list(batches)
        self._update(events, changed, ("event_id",))

    def _file_event(self, row: Row, batches: Iterable[str]) -> None:
        """Note the entries and the status that an event's row brings."""
        for batch_id in batches:
            key = (batch_id, _EVENT, row["timestamp"], row["event_id"])
            self._entries[key] = row["status"]
        status = self._statuses.setdefault(
            row["message_id"],
            {
                "message_id": row["message_id"],
                "status": NO_STATUS,
                "event_timestamp": None,
                "event_id": None,
                "timestamp": None,
            },
        )
        last = (status["event_timestamp"], status["event_id"])
        if last[0] is None or (row["timestamp"], row["event_id"]) >= last:
            status["status"] = row["status"].rpartition(".")[2]
            status["event_timestamp"] = row["timestamp"]
            status["event_id"] = row["event_id"]

    # Both

    def _update(self, table: Any, changed: Sequence[Row], key: tuple[str, ...]) -> None:
        if not changed:
            return
        names = [name.removeprefix("new_") for name in changed[0]]
        values: dict[str, Any] = {
            name: bindparam(f"new_{name}") for name in names if name not in key
        }
        if "words" in values:
            values["words"] = self._database.words_value(values["words"])
        statement = (
            update(table).where(*(table.c[name] == bindparam(f"new_{name}") for name in key))
        ).values(values)
        self._connection.execute(statement, list(changed))

    def _write_statuses(self) -> None:
        """Bring statuses together with what is there: the message's time, and the last event."""
        rows = [self._statuses[message_id] for message_id in sorted(self._statuses)]

        def given(name: str) -> Any:
            return self._database.excluded(statuses, name)

        there = statuses.c
        is_later = and_(
            given("event_timestamp").is_not(None),
            or_(
                there.event_timestamp.is_(None),
                tuple_(given("event_timestamp"), given("event_id"))
                >= tuple_(there.event_timestamp, there.event_id),
            ),
        )
        changes: dict[str, Any] = {
            name: case((is_later, given(name)), else_=there[name])
            for name in ("status", "event_timestamp", "event_id")
        }
        changes["timestamp"] = func.coalesce(given("timestamp"), there.timestamp)
        self._database.upsert(self._connection, statuses, rows, ("message_id",), changes)


def delete_entries(connection: Connection, keys: Sequence[tuple[Any, ...]]) -> None:
    """Delete entries.

    :param keys: Batch, kind, time and id of each.
    """
    if keys:
        statement = delete(entries).where(
            *(entries.c[name] == bindparam(f"gone_{name}") for name in _ENTRY_KEY)
        )
        names = [f"gone_{name}" for name in _ENTRY_KEY]
        rows = [dict(zip(names, key, strict=True)) for key in sorted(keys)]
        connection.execute(statement, rows)


def refresh_statuses(
    database: Database, connection: Connection, message_ids: Iterable[str]
) -> None:
    """Find out anew what the last events of messages are, after some were changed or erased."""
    for chunk in database.in_chunks(sorted(set(message_ids))):
        # Writers of events go through these rows, too.
        connection.execute(
            select(statuses.c.message_id)
            .where(statuses.c.message_id.in_(chunk))
            .order_by(statuses.c.message_id)
            .with_for_update()
        )
        rows: dict[str, Row] = {
            message_id: {
                "message_id": message_id,
                "status": NO_STATUS,
                "event_timestamp": None,
                "event_id": None,
                "timestamp": None,
            }
            for message_id in chunk
        }
        query: Any = select(messages.c.message_id, messages.c.timestamp).where(
            messages.c.kind == _OUTBOUND, messages.c.message_id.in_(chunk)
        )
        for row in connection.execute(query):
            rows[row.message_id]["timestamp"] = row.timestamp
        query = (
            select(events.c.message_id, events.c.status, events.c.timestamp, events.c.event_id)
            .where(events.c.message_id.in_(chunk))
            .order_by(events.c.message_id, events.c.timestamp, events.c.event_id)
        )
        for row in connection.execute(query):
            rows[row.message_id].update(
                status=row.status.rpartition(".")[2],
                event_timestamp=row.timestamp,
                event_id=row.event_id,
            )
        empty = [
            message_id
            for message_id, row in rows.items()
            if row["timestamp"] is None and row["event_timestamp"] is None
        ]
        connection.execute(delete(statuses).where(statuses.c.message_id.in_(empty)))
        left = [row for message_id, row in rows.items() if message_id not in set(empty)]
        database.upsert(connection, statuses, left, ("message_id",))
