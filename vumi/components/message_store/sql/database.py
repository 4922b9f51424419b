"""One database: its connections, and what its errors mean.

What SQLite and PostgreSQL have in common is here; where they differ is in
:mod:`~vumi.components.message_store.sql.sqlite` and
:mod:`~vumi.components.message_store.sql.postgresql`. Knows the tables; knows no messages, no
reactor and no Deferreds: all of this blocks, and is called in worker threads.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from vumi.components.message_store.sql.batch_threads import ErrorRules
from vumi.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Engine, Select, Table

__all__ = ["Database", "Row"]

#: Values by column.
Row = dict[str, Any]


class Database(ErrorRules[Any]):
    """A database, and what is said to it differently than to others. To be subclassed.

    :param writing: For transactions.
    :param reading: For questions; each is its own transaction.
    :param address: Where it is, fit for a log.
    :param timeout: Seconds that a transaction or a question may take; then its connection is cut.
    """

    #: Whether it has one connection only, that all must share.
    in_memory = False

    def __init__(self, writing: Engine, reading: Engine, address: str, timeout: float) -> None:
        self._writing = writing
        self._reading = reading
        self.address = address
        #: The driver's module.
        self._driver: Any = writing.dialect.dbapi
        self._timeout = timeout
        self._lock = threading.Lock()
        self._busy: dict[Any, float] = {}

    # What differs

    def words_match(
        self, words: Sequence[str], column: ColumnElement[Any]
    ) -> ColumnElement[bool] | None:
        """Whether a message has all these words, as a condition.

        :param column: Its ``words``.
        :returns: ``None``: that is no condition; ask :meth:`with_words`.
        """
        return None

    def with_words(
        self, connection: Connection, words: Sequence[str], seqs: Sequence[int]
    ) -> set[int]:
        """Which of some messages have all these words, by their ``seq``; others may be in it."""
        raise NotImplementedError

    def seqs_with_words(
        self, connection: Connection, words: Sequence[str], most: int
    ) -> Select[tuple[int]] | None:
        """What finds the messages with these words, if it should be where a search begins.

        :param most: Of how many messages it is worth it.
        :returns: A selection of ``seq``; ``None``: the words are too common, or the database
            knows best by itself.
        """
        return None

    def insert_new(
        self, connection: Connection, table: Table, rows: Sequence[Row], key: Sequence[str]
    ) -> set[tuple[Any, ...]]:
        """Insert rows that are not there yet.

        :param key: The columns that say which row it is; no two rows have the same.
        :returns: The keys of those that were inserted; another transaction has locked the others.
        """
        raise NotImplementedError

    def upsert(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[Row],
        key: Sequence[str],
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        """Insert rows, or change those that are there.

        :param changes: What to change, made of :meth:`excluded`; by default all that is given.
        """
        raise NotImplementedError

    def excluded(self, table: Table, column: str) -> ColumnElement[Any]:
        """In an :meth:`upsert`, the value that was to be inserted."""
        raise NotImplementedError

    def now(self) -> ColumnElement[int]:
        """The database's clock: microseconds since 1970."""
        raise NotImplementedError

    def words_value(self, words: ColumnElement[Any]) -> ColumnElement[Any]:
        """Words (a text with spaces) as the column ``words`` keeps them."""
        return words

    def require(self) -> None:
        """Find out whether the database is there, without making it.

        :raises StoreError: It is not.
        """

    def prepare(self) -> None:
        """Find out whether the database is fit, before anything is done with it.

        :raises StoreError: It is not.
        """

    def lock_layout(self, connection: Connection) -> None:
        """Have this transaction be the only one that changes tables, until it ends."""

    def shred(self, connection: Connection, on: bool) -> None:
        """Have what is deleted overwritten, where the database can do it."""

    def cut(self, raw: Any) -> None:
        """Make whatever waits for a connection fail, from another thread."""
        raise NotImplementedError

    # Connections

    @contextmanager
    def transaction(self, *, bounded: bool = True) -> Iterator[Connection]:
        """A transaction for writing.

        :param bounded: Whether it may take no longer than the timeout.
        """
        with self._writing.connect() as connection, self._watched(connection, bounded):
            yield connection
            # Within the watch: it is the commit that waits for the disk.
            connection.commit()

    @contextmanager
    def question(self) -> Iterator[Connection]:
        """A connection for reading."""
        with self._reading.connect() as connection, self._watched(connection, True):
            yield connection

    @contextmanager
    def _watched(self, connection: Connection, bounded: bool) -> Iterator[None]:
        raw = connection.connection.dbapi_connection
        if not bounded:
            yield
            return
        with self._lock:
            self._busy[raw] = monotonic()
        try:
            yield
        finally:
            # Before it can be closed: it must not be cut when its number is another's.
            with self._lock:
                self._busy.pop(raw, None)

    def cut_stalled(self) -> None:
        """Cut the connections on which something takes longer than the timeout."""
        now = monotonic()
        with self._lock:
            for raw, since in list(self._busy.items()):
                if now - since > self._timeout:
                    self._busy[raw] = now
                    with suppress(Exception):  # it may have ended by itself this moment
                        self.cut(raw)

    def close(self) -> None:
        """Close all connections."""
        self._writing.dispose()
        self._reading.dispose()

    # Errors

    def passes(self, error: Any) -> bool:
        """Whether one of the driver's errors may be gone if it is tried again."""
        raise NotImplementedError

    def hint(self, error: Any) -> str:
        """What to do about one of the driver's errors."""
        return ""

    def is_passing(self, error: Exception) -> bool:
        """Whether trying again may help."""
        if isinstance(error, PoolTimeoutError):
            return True
        if isinstance(error, DBAPIError):
            return error.connection_invalidated or self.passes(error.orig)
        # While a connection is set up the driver's errors come unwrapped.
        return isinstance(error, self._driver.Error) and self.passes(error)

    def given_up(self, error: Exception, seconds: float) -> StoreUnavailable:
        """The error to end with when trying again did not help."""
        original = getattr(error, "orig", error)
        unavailable = StoreUnavailable(
            f"The message archive at {self.address} is not available: {_in_words(original)}. "
            f"It was given up after {seconds:.1f} s.{self.hint(original)}",
            maybe_executed=True,
        )
        unavailable.__cause__ = error
        return unavailable

    def refused(self, error: Exception, work: Any) -> Exception:
        """The error to end with for what does not pass."""
        if not isinstance(error, SQLAlchemyError | self._driver.Error):
            return error
        original = getattr(error, "orig", error)
        refusal = StoreError(
            f"The message archive at {self.address} refused {work}: {_in_words(original)}."
        )
        refusal.__cause__ = error
        return refusal

    # Common questions

    @staticmethod
    def in_chunks(values: Collection[Any], size: int = 500) -> Iterator[list[Any]]:
        """Values in pieces that fit into one statement."""
        all_values = list(values)
        for start in range(0, len(all_values), size):
            yield all_values[start : start + size]


def _in_words(error: Any) -> str:
    # Without PostgreSQL's details, which may have a message's texts in them.
    said = getattr(getattr(error, "diag", None), "message_primary", None) or error
    words = " ".join(str(said).split()).rstrip(".")
    return words or type(error).__name__
