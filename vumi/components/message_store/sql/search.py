"""Searching the SQL archive.

Knows the tables and how a query is answered best; runs in a reading thread.

Theory of operation. A search begins at one or several *sources*: for each kind, and for each batch
where batches lead the way, a walk along an index in the order that was asked for. Each gives as
many places as the page has; the places are merged, and only then the messages are fetched. What
does not lead the way is a condition on each place. The most telling part leads: words that are not
too common, an address, a status, a batch; else it is the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, func, literal_column, select

from vumi.components.message_store.interface import Kind, Order, Query, StoredMessage
from vumi.components.message_store.sql.batches import batches_of_tag
from vumi.components.message_store.sql.reads import after, messages_by_id
from vumi.components.message_store.sql.schema import (
    KIND_NUMBERS,
    NO_STATUS,
    batch_tags,
    entries,
    messages,
    statuses,
    to_column,
    to_micros,
)
from vumi.components.message_store.tokenize import words
from vumi.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection, Select, Table

    from vumi.components.message_store.sql.database import Database

__all__ = ["Found", "Place", "Search"]

#: What more messages have doesn't lead the way: sorting so many takes longer than walking.
_MANY = 5_000

_STATUSES = frozenset({"ack", "nack", "pending", "failed", "delivered", NO_STATUS})
_KINDS = {KIND_NUMBERS[kind]: kind for kind in (Kind.INBOUND, Kind.OUTBOUND)}

#: So many places at least, and at most, are looked at together whether they have words.
_LEAST_TOGETHER = 200
_MOST_TOGETHER = 20_000

#: Time, id and kind.
Place = tuple[int, str, int]
#: Without the message if it was erased since its place was found.
Found = tuple[Place, StoredMessage | None]


@dataclass
class _Walk:
    """Where places are found, and by which columns they are ordered.

    :param filtered: Whether the words are still to be looked for; then each place comes with the
        message's ``seq``.
    """

    query: Select[Any]
    time: ColumnElement[int]
    key: ColumnElement[str]
    filtered: bool = False


class Search:
    """One query, checked.

    :raises StoreError: It can't be answered.
    """

    def __init__(self, query: Query) -> None:
        if Kind.EVENT in query.kinds:
            raise StoreError("Events can't be searched for: search for the messages' status.")
        if query.status is not None and query.status not in _STATUSES:
            known = ", ".join(sorted(_STATUSES))
            raise StoreError(f"There is no status {query.status!r}: there are {known}.")
        self._words = None if query.text is None else words(query.text)
        if self._words is not None and not self._words:
            raise StoreError(f"There is no word in {query.text!r} that could be searched for.")
        kinds = query.kinds if query.status is None else query.kinds & {Kind.OUTBOUND}
        self._kinds = sorted(KIND_NUMBERS[kind] for kind in kinds)
        self._address = None if query.address is None else to_column(query.address)
        self._batch_id = None if query.batch_id is None else to_column(query.batch_id)
        self._tag = query.tag
        self._status = query.status
        self._start = None if query.start is None else to_micros(query.start)
        self._end = None if query.end is None else to_micros(query.end)
        # For the fingerprint of continuations: one spelling for equal queries.
        self.question = (
            "search",
            self._kinds,
            self._address,
            self._batch_id,
            query.tag,
            self._start,
            self._end,
            self._words,
            self._status,
        )

    def run(
        self,
        database: Database,
        connection: Connection,
        order: Order,
        limit: int,
        last: Place | None,
    ) -> list[Found]:
        """Find messages.

        :param last: The place after which to go on.
        """
        newest_first = order is Order.NEWEST_FIRST
        bounds = {"newest_first": newest_first, "start": self._start, "end": self._end}
        sources = []
        for walk, kind in self._walks(database, connection):
            here = {**bounds, "last": None if last is None else last[:2]}
            if last is not None:
                # Of one time and id, the kinds come one after another.
                here["or_last"] = kind < last[2] if newest_first else kind > last[2]
            found = self._filtered if walk.filtered else self._walked
            rows = found(database, connection, walk, limit, here)
            sources.append([(row[0], row[1], kind) for row in rows])
        places = islice(_unique(merge(*sources, reverse=newest_first)), limit)
        return self._fetched(database, connection, list(places))

    def _walked(
        self,
        database: Database,
        connection: Connection,
        walk: _Walk,
        limit: int,
        bounds: dict[str, Any],
    ) -> Sequence[Any]:
        query = after(walk.query, walk.time, walk.key, **bounds)
        return connection.execute(query.limit(limit)).all()

    def _filtered(
        self,
        database: Database,
        connection: Connection,
        walk: _Walk,
        limit: int,
        bounds: dict[str, Any],
    ) -> Sequence[Any]:
        """Walk, and look for the words in ever longer pieces of the way."""
        assert self._words is not None  # noqa: S101 (tells the type checker)
        found: list[Any] = []
        together = max(_LEAST_TOGETHER, 2 * limit)
        while True:
            rows = self._walked(database, connection, walk, together, bounds)
            matching = database.with_words(
                connection, self._words, [row.seq for row in rows if row.seq is not None]
            )
            found += [row for row in rows if row.seq in matching]
            if len(found) >= limit or len(rows) < together:
                return found[:limit]
            bounds = {**bounds, "last": tuple(rows[-1][:2]), "or_last": False}
            together = min(2 * together, _MOST_TOGETHER)

    def _fetched(
        self, database: Database, connection: Connection, places: list[Place]
    ) -> list[Found]:
        found: dict[tuple[str, int], StoredMessage] = {}
        for number, kind in _KINDS.items():
            keys = [key for _, key, its_kind in places if its_kind == number]
            stored = messages_by_id(database, connection, kind, keys)
            for message in stored:
                found[to_column(message.message_id), number] = message
        return [(place, found.get(place[1:])) for place in places]

    # Walks

    def _walks(self, database: Database, connection: Connection) -> Iterator[tuple[_Walk, int]]:
        leading = None
        if self._words is not None:
            leading = database.seqs_with_words(connection, self._words, _MANY)
        has_batches = self._batch_id is not None or self._tag is not None
        for kind in self._kinds:
            if leading is not None:
                yield self._walk_of_words(database, leading, kind), kind
            elif self._address is not None:
                yield self._walk_of_messages(database, kind), kind
            elif self._status is not None and (
                not has_batches or self._is_rare_status(connection)
            ):
                yield self._walk_of_statuses(database, kind), kind
            elif self._batch_id is not None:
                yield self._walk_of_batch(database, kind, self._batch_id), kind
            elif self._tag is not None:
                for batch_id in batches_of_tag(connection, self._tag):
                    yield self._walk_of_batch(database, kind, batch_id), kind
            else:
                yield self._walk_of_messages(database, kind), kind

    def _is_rare_status(self, connection: Connection) -> bool:
        some = (
            select(statuses.c.message_id)
            .where(statuses.c.status == self._status)
            .limit(_MANY + 1)
            .subquery()
        )
        number: int = connection.execute(select(func.count()).select_from(some)).scalar_one()
        return number <= _MANY

    def _walk_of_words(self, database: Database, seqs: Select[tuple[int]], kind: int) -> _Walk:
        # The sum keeps SQLite from taking the index of kind and time instead of the words'.
        query = self._from_messages().where(messages.c.kind + 0 == kind, messages.c.seq.in_(seqs))
        return self._with_conditions(database, query, messages, kind, {"words"})

    def _walk_of_messages(self, database: Database, kind: int) -> _Walk:
        query = self._from_messages().where(messages.c.kind == kind)
        return self._with_conditions(database, query, messages, kind, set())

    def _from_messages(self) -> Select[Any]:
        query = select(messages.c.timestamp, messages.c.message_id)
        return query if self._address is None else query.where(messages.c.address == self._address)

    def _walk_of_statuses(self, database: Database, kind: int) -> _Walk:
        query = select(statuses.c.timestamp, statuses.c.message_id).where(
            statuses.c.status == self._status, statuses.c.timestamp.is_not(None)
        )
        return self._with_conditions(database, query, statuses, kind, {"status"})

    def _walk_of_batch(self, database: Database, kind: int, batch_id: str) -> _Walk:
        query = select(entries.c.timestamp, entries.c.key).where(
            entries.c.batch_id == batch_id, entries.c.kind == kind
        )
        # The tag leads, or it must hold besides.
        met = {"batch"} if self._batch_id is not None else {"tag"}
        return self._with_conditions(database, query, entries, kind, met)

    def _with_conditions(
        self, database: Database, query: Select[Any], walked: Table, kind: int, met: set[str]
    ) -> _Walk:
        """A walk through a table, with all that the table itself does not see to."""
        time = walked.c.timestamp
        key = walked.c.key if walked is entries else walked.c.message_id
        here = entries.alias("filed")
        in_entries: Select[Any] = (
            select(literal_column("1"))
            .select_from(here)
            .where(here.c.kind == kind, here.c.timestamp == time, here.c.key == key)
        )
        if self._batch_id is not None and "batch" not in met:
            query = query.where(exists(in_entries.where(here.c.batch_id == self._batch_id)))
        if self._tag is not None and "tag" not in met:
            pool, tag = map(to_column, self._tag)
            query = query.where(
                exists(
                    in_entries.where(
                        here.c.batch_id == batch_tags.c.batch_id,
                        batch_tags.c.pool == pool,
                        batch_tags.c.tag == tag,
                    )
                )
            )
        if self._status is not None and "status" not in met:
            query = query.where(
                exists(
                    select(literal_column("1"))
                    .select_from(statuses)
                    .where(statuses.c.message_id == key, statuses.c.status == self._status)
                )
            )
        if self._words is None or "words" in met:
            return _Walk(query, time, key)
        message = messages.alias("message") if walked is not messages else messages
        match = database.words_match(self._words, message.c.words)
        is_message = [message.c.kind == kind, message.c.message_id == key]
        if match is None:
            seq: Any = message.c.seq
            if walked is not messages:
                seq = select(seq).where(*is_message).scalar_subquery()
            return _Walk(query.add_columns(seq.label("seq")), time, key, filtered=True)
        if walked is not messages:
            match = exists(
                select(literal_column("1")).select_from(message).where(*is_message, match)
            )
        return _Walk(query.where(match), time, key)


def _unique(places: Iterable[Place]) -> Iterator[Place]:
    """Places in order, without those that are there twice."""
    last = None
    for place in places:
        if place != last:
            yield place
        last = place
