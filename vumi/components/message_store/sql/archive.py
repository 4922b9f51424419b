"""The message archive in a SQL database: SQLite or PostgreSQL.

Knows what of the archive is done where: what is written, in the one writing thread
(:mod:`~vumi.components.message_store.sql.writes`), what is asked for, in a few reading threads.
Nothing here blocks. Needs SQLAlchemy and alembic; for PostgreSQL psycopg.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError
from twisted.internet.defer import Deferred, DeferredLock, fail
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from vumi.components.message_store.continuations import check_limit, position
from vumi.components.message_store.continuations import continuation as make_continuation
from vumi.components.message_store.interface import (
    Batch,
    BatchStats,
    CurrentTag,
    IMessageArchive,
    Kind,
    Order,
    Page,
    Query,
    StoredEvent,
    StoredMessage,
)
from vumi.components.message_store.sql import batches, erasing, reads
from vumi.components.message_store.sql.batch_threads import BatchThreads
from vumi.components.message_store.sql.pending_writes import (
    EventWork,
    MessageWork,
    Step,
)
from vumi.components.message_store.sql.schema import migrate, require_archive, to_column, to_micros
from vumi.components.message_store.sql.search import Search
from vumi.components.message_store.sql.sqlite import SqliteDatabase
from vumi.components.message_store.sql.writes import write
from vumi.config.redact import mask_text
from vumi.errors import ConfigError, StoreError
from vumi.tasks import in_background, when_ended

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from vumi.components.message_store.interface import Tag
    from vumi.components.message_store.sql.database import Database
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["SqlArchive"]

_READERS = 4
#: How many writes one transaction has at most.
_WRITES_AT_ONCE = 500
#: How long SQLite itself waits for another process, before we try again.
_SQLITE_BUSY_SECONDS = 5.0


@implementer(IMessageArchive)
class SqlArchive:
    """A message archive in SQLite or PostgreSQL.

    :param url: ``sqlite:///path``, ``sqlite://`` (in memory), or
        ``postgresql://user:password@host:port/database``.
    :param reactor: Its own threads report to it.
    :param patience: For how many seconds something is tried again while the database is away.
    :param timeout: Seconds that the database may take for one transaction or question.
    :param create: Whether opening makes an archive if there is none.
    :raises ConfigError: The URL is none of these.
    """

    log = Logger()

    #: Words are searched for in either.
    full_text = True

    def __init__(
        self,
        url: str,
        reactor: Any,
        *,
        patience: float = 15.0,
        timeout: float = 60.0,
        create: bool = True,
    ) -> None:
        self._reactor = reactor
        self._create = create
        self._patience = patience
        self._database = database = _database(url, patience, timeout)
        #: Where it is, fit for a log.
        self.address = database.address
        self._writers: BatchThreads[Any] = BatchThreads(
            reactor,
            "message-archive-writer",
            self._write,
            database,
            at_once=_WRITES_AT_ONCE,
            patience=patience,
        )
        self._readers: BatchThreads[Any] = (
            self._writers
            if database.in_memory
            else BatchThreads(
                reactor,
                "message-archive-reader",
                self._read,
                database,
                threads=_READERS,
                patience=patience,
            )
        )
        self._watch = LoopingCall(database.cut_stalled)
        self._watch.clock = reactor
        self._watch_every = max(0.1, timeout / 4)
        self._is_open = False
        #: Held while connections are made or closed: no thread is in the middle of anything then.
        self._connecting = DeferredLock()
        self._closing: Deferred[None] | None = None

    # Its life

    def open(self) -> Deferred[None]:
        """Connect, and bring the layout up to date. Cancelling it closes the archive."""

        def give_up(_: Deferred[None]) -> None:
            in_background(self.close(), self.log, "Closing the message archive")

        opened: Deferred[None] = Deferred(give_up)

        def tell(result: Any) -> None:
            if not opened.called:
                # A Failure makes it fail.
                opened.callback(result)

        _ = self._connecting.run(Deferred.fromCoroutine, self._open()).addBoth(tell)
        return opened

    async def _open(self) -> None:
        if self._closing is not None:
            raise StoreError("The message archive is closed.")
        if self._is_open:
            return
        # In a thread of its own: this is the one thing that is not a transaction of the writer.
        threads: BatchThreads[Any] = BatchThreads(
            self._reactor,
            "message-archive-opener",
            lambda works: [work(None) for work in works],
            self._database,
            patience=self._patience,
        )
        try:
            try:
                await threads.do(Step("to be opened", self._prepare))
            finally:
                # The driver's connections are closed only when no thread uses them.
                await threads.finish()
        except BaseException:
            # The caller need not close an archive that did not open.
            self._database.close()
            raise
        if self._closing is None:
            self._is_open = True
            in_background(
                self._watch.start(self._watch_every, now=False), self.log, "Watching connections"
            )

    def _prepare(self, _: None) -> None:
        if not self._create:
            require_archive(self._database)
        self._database.prepare()
        migrate(self._database)

    def close(self) -> Deferred[None]:
        """Finish what is being written, and let go."""
        if self._closing is None:
            self._closing = Deferred.fromCoroutine(self._close())
        return when_ended(self._closing)

    async def _close(self) -> None:
        self._is_open = False
        await self._writers.finish()
        await self._readers.finish()
        if self._watch.running:
            self._watch.stop()
        await self._connecting.run(self._database.close)

    # In the threads

    def _write(self, works: Sequence[Any]) -> list[Any]:
        with self._database.transaction() as connection:
            return write(self._database, connection, works)

    def _read(self, works: Sequence[Step]) -> list[Any]:
        results = []
        for work in works:
            with self._database.question() as connection:
                results.append(work(connection))
        return results

    # To the threads

    def _written(self, make: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Have a work made, and written; what refuses to be made fails the Deferred."""
        try:
            self._check_open()
            work = make(*args)
        except StoreError:
            return fail()
        return self._writers.do(work, work.weight)

    def _changed(self, what: str, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Have a function called in a transaction, with its connection and arguments."""
        return self._written(Step, what, function, *args)

    def _asked(self, what: str, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Have a function called for reading, with a connection and arguments."""
        try:
            self._check_open()
        except StoreError:
            return fail()
        return self._readers.do(Step(what, function, *args))

    def _check_open(self) -> None:
        if not self._is_open:
            state = "not open" if self._closing is None else "closed"
            raise StoreError(f"The message archive at {self.address} is {state}.")

    # Batches and tags

    def put_batch(self, batch: Batch) -> Deferred[None]:
        """Keep a batch; one with this id is replaced."""
        row = batches.encode_batch(batch)
        what = f"batch {batch.batch_id!r}"
        return self._changed(what, partial(batches.put_batch, self._database), row)

    def get_batch(self, batch_id: str) -> Deferred[Batch | None]:
        """Find a batch."""
        return self._asked("finding a batch", batches.find_batch, batch_id)

    def list_batches(self, limit: int = 1000, continuation: str | None = None) -> Deferred[Page]:
        """A page of :class:`Batch`, ordered by id."""

        def more(connection: Connection, last: tuple[str] | None, limit: int) -> list[Any]:
            after = None if last is None else last[0]
            found = batches.batches_after(connection, after, limit)
            return [((to_column(batch.batch_id),), batch) for batch in found]

        return self._paged("listing batches", ("batches",), (str,), more, limit, continuation)

    def set_current_batch(self, tags: Sequence[Tag], batch_id: str | None) -> Deferred[None]:
        """Make a batch the one of these tags, or none."""
        function = partial(batches.set_current_batch, self._database)
        return self._changed("tags", function, tuple(tags), batch_id)

    def get_current_tag(self, tag: Tag) -> Deferred[CurrentTag | None]:
        """Find a tag."""
        return self._asked("finding a tag", batches.find_tag, tag)

    # Messages and events

    def store_message(
        self, kind: Kind, message: TransportUserMessage, batch_ids: Collection[str] = ()
    ) -> Deferred[bool]:
        """Keep a message; fires with whether it is new."""
        return self._written(MessageWork, kind, message, batch_ids)

    def store_event(
        self, event: TransportEvent, batch_ids: Collection[str] | None = None
    ) -> Deferred[StoredEvent]:
        """Keep an event; fires with what is in the archive now."""
        return self._written(EventWork, event, batch_ids)

    def get_message(self, kind: Kind, message_id: str) -> Deferred[StoredMessage | None]:
        """Find a message by its id."""
        return self.get_messages(kind, [message_id]).addCallback(_first)

    def get_messages(
        self, kind: Kind, message_ids: Sequence[str]
    ) -> Deferred[list[StoredMessage]]:
        """Find many messages, in the order of the ids."""
        if kind is Kind.EVENT:
            return fail(StoreError("Events are found by get_event and get_events."))
        keys = [to_column(message_id) for message_id in message_ids]
        function = partial(reads.messages_by_id, self._database)
        return self._asked("finding messages", function, kind, keys)

    def get_event(self, event_id: str) -> Deferred[StoredEvent | None]:
        """Find an event by its id."""
        return self.get_events([event_id]).addCallback(_first)

    def get_events(self, event_ids: Sequence[str]) -> Deferred[list[StoredEvent]]:
        """Find many events, in the order of the ids."""
        keys = [to_column(event_id) for event_id in event_ids]
        function = partial(reads.events_by_id, self._database)
        return self._asked("finding events", function, keys)

    # Pages

    def page(
        self,
        kind: Kind,
        batch_id: str,
        order: Order = Order.OLDEST_FIRST,
        limit: int = 1000,
        continuation: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Deferred[Page]:
        """A page of entries: a batch's messages or events, by time."""
        batch = to_column(batch_id)
        bounds = {
            "start": None if start is None else to_micros(start),
            "end": None if end is None else to_micros(end),
            "newest_first": order is Order.NEWEST_FIRST,
        }

        def more(connection: Connection, last: reads.Place | None, limit: int) -> list[Any]:
            return reads.page(connection, kind, batch, limit, last=last, **bounds)

        question = ("page", kind.name, batch, *bounds.values())
        return self._paged("a page", question, (int, str), more, limit, continuation)

    def message_events(
        self, message_id: str, limit: int = 1000, continuation: str | None = None
    ) -> Deferred[Page]:
        """A page of entries: the events about one outbound message, oldest first."""
        key = to_column(message_id)

        def more(connection: Connection, last: reads.Place | None, limit: int) -> list[Any]:
            return reads.page_of_message(connection, key, limit, last)

        question = ("message events", key)
        return self._paged("a page of events", question, (int, str), more, limit, continuation)

    def search(
        self,
        query: Query,
        order: Order = Order.NEWEST_FIRST,
        limit: int = 1000,
        continuation: str | None = None,
    ) -> Deferred[Page]:
        """A page of stored messages that a query finds."""
        try:
            search = Search(query)
        except StoreError:
            return fail()

        def more(connection: Connection, last: Any, limit: int) -> list[Any]:
            return search.run(self._database, connection, order, limit, last)

        question = (*search.question, order.name)
        return self._paged("a search", question, (int, str, int), more, limit, continuation)

    def _paged(
        self,
        what: str,
        question: tuple[Any, ...],
        types: tuple[type[int | str], ...],
        more: Callable[[Connection, Any, int], list[Any]],
        limit: int,
        continuation: str | None,
    ) -> Deferred[Page]:
        """One page.

        :param question: What its continuations belong to.
        :param types: What a place consists of.
        :param more: Called with a connection, the last place or ``None``, and a number; gives so
            many places and what is there, or ``None`` if that is gone.
        """
        try:
            check_limit(limit)
            last = None if continuation is None else position(question, continuation, *types)
        except StoreError:
            return fail()

        def read(connection: Connection) -> Page:
            # One more than the page has tells whether there is another one.
            found = more(connection, last, limit + 1)
            shown = found[:limit]
            there_is_more = len(found) > limit
            return Page(
                tuple(item for _, item in shown if item is not None),
                make_continuation(question, shown[-1][0]) if there_is_more else None,
            )

        return self._asked(what, read)

    # Counts

    def count(self, kind: Kind, batch_id: str | None = None) -> Deferred[int]:
        """How many there are, in one batch or in all."""
        batch = None if batch_id is None else to_column(batch_id)
        return self._asked("counting", reads.count, kind, batch)

    def stats(
        self,
        kind: Kind,
        batch_id: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Deferred[BatchStats]:
        """Exact figures of a batch's messages."""
        if kind is Kind.EVENT:
            return fail(StoreError("Events have no addresses: status_counts() counts them."))
        bounds = [None if time is None else to_micros(time) for time in (start, end)]
        batch = to_column(batch_id)
        return self._asked("counting", reads.batch_stats, kind, batch, *bounds)

    def status_counts(self, batch_id: str) -> Deferred[dict[str, int]]:
        """How many events of each status a batch has."""
        return self._asked("counting", reads.status_counts, to_column(batch_id))

    # Erasing

    def delete_before(
        self, time: datetime, limit: int = 1000, dry_run: bool = False
    ) -> Deferred[int]:
        """Erase some of the messages and events that are older, oldest first."""
        micros = to_micros(time)
        return self._erased(erasing.count_before, erasing.erase_before, micros, limit, dry_run)

    def forget(self, address: str, limit: int = 1000, dry_run: bool = False) -> Deferred[int]:
        """Erase some of the messages from or to an address, and the events about them."""
        if not address:
            return fail(StoreError("An empty address belongs to nobody: nothing is forgotten."))
        return self._erased(
            erasing.count_person, erasing.erase_person, to_column(address), limit, dry_run
        )

    def _erased(
        self,
        count: Callable[..., int],
        erase: Callable[..., int],
        what: int | str,
        limit: int,
        dry_run: bool,
    ) -> Deferred[int]:
        try:
            check_limit(limit)
        except StoreError:
            return fail()
        if dry_run:
            return self._asked("counting", count, what)
        return self._changed("erasing", partial(erase, self._database), what, limit)

    # Locks

    def acquire_lock(self, name: str, owner: str, seconds: float) -> Deferred[bool]:
        """Take a lock, or prolong one's own."""
        function = partial(batches.acquire_lock, self._database)
        return self._changed("a lock", function, name, owner, seconds)

    def release_lock(self, name: str, owner: str) -> Deferred[None]:
        """Let go of a lock, if it is the owner's."""
        return self._changed("a lock", batches.release_lock, name, owner)


def _first(found: list[Any]) -> Any:
    return found[0] if found else None


def _database(url: str, patience: float, timeout: float) -> Database:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Its words have the URL in them.
        raise ConfigError(f"{mask_text(url)!r} is not a URL of a message archive.") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if parsed.host:
            raise ConfigError(
                f"{mask_text(url)!r} names a host, and SQLite has none: a relative path is "
                "sqlite:///path, an absolute one sqlite:////path."
            )
        if parsed.database == "" or parsed.query:
            raise ConfigError(
                f"{mask_text(url)!r} is not a URL of a SQLite file: sqlite:///path has a path "
                "and nothing else; sqlite:// is in memory."
            )
        return SqliteDatabase(parsed, _READERS, timeout, min(patience, _SQLITE_BUSY_SECONDS))
    if backend in ("postgresql", "postgres"):
        from vumi.components.message_store.sql.postgresql import PostgresqlDatabase

        return PostgresqlDatabase(parsed, _READERS, timeout, patience)
    raise ConfigError(
        f"{mask_text(url)!r} is not a SQL archive: use sqlite:///path and postgresql://..."
    )
