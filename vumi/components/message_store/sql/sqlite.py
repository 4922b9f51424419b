"""The archive's part that is SQLite's.

One file that several processes may have open. WAL: readers and the one writer don't wait for each
other. Every commit is on the disk before it counts (``synchronous=FULL``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Integer,
    bindparam,
    cast,
    column,
    create_engine,
    event,
    func,
    literal_column,
    select,
    table,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.pool import QueuePool, StaticPool

from vumi.components.message_store.sql.database import Database, Row
from vumi.errors import StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from sqlalchemy import URL, ColumnElement, Connection, Engine, Select, Table

__all__ = ["SqliteDatabase"]

#: Errors that may be gone later: busy, locked, read-only, interrupted, disk error, disk full,
#: can't open, lock protocol, no memory.
_PASSING = frozenset({5, 6, 7, 8, 9, 10, 13, 14, 15})
_DISK_FULL = 13
_BUSY = frozenset({5, 6})

_WRITER_CACHE_KIB = 64 * 1024
_READER_CACHE_KIB = 16 * 1024
_PAGES_TO_CHECKPOINT = 16_000

_fts = table("vumi_words", column("rowid"), column("vumi_words"))


class SqliteDatabase(Database):
    """A SQLite file, or a database in memory that is gone with the archive.

    :param url: ``sqlite:///path`` or ``sqlite://``.
    :param readers: How many threads read.
    :param busy_timeout: Seconds that another process may hold the file.
    """

    def __init__(self, url: URL, readers: int, timeout: float, busy_timeout: float) -> None:
        self._path = None if url.database in (None, "", ":memory:") else Path(str(url.database))
        arguments = {"check_same_thread": False, "timeout": busy_timeout}
        if self._path is None:
            writing = reading = create_engine(
                "sqlite://",
                poolclass=StaticPool,
                connect_args=arguments,
                hide_parameters=True,
            )
            _configure(writing, _WRITER_CACHE_KIB, "BEGIN")
        else:
            writing, reading = (
                create_engine(
                    url,
                    poolclass=QueuePool,
                    pool_size=size,
                    max_overflow=0,
                    connect_args=arguments,
                    hide_parameters=True,
                )
                for size in (1, readers)
            )
            # IMMEDIATE: a transaction that begins with a question and then writes would fail if
            # another process wrote in between.
            _configure(writing, _WRITER_CACHE_KIB, "BEGIN IMMEDIATE")
            _configure(reading, _READER_CACHE_KIB, "")
        self.in_memory = self._path is None
        address = "sqlite://" if self._path is None else f"sqlite:///{self._path}"
        super().__init__(writing, reading, address, timeout)

    def require(self) -> None:
        if self._path is not None and not self._path.is_file():
            raise StoreError(
                f"There is no message archive at {self.address}: there is no such file."
            )

    def prepare(self) -> None:
        if self._path is None:
            return
        if not self._path.parent.is_dir():
            raise StoreError(
                f"There is no folder {str(self._path.parent)!r} for the message archive: make it, "
                "or correct the url (sqlite:///relative/path or sqlite:////absolute/path)."
            )
        _make_private(self._path)
        with self._writing.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None  # noqa: S101 (tells the type checker)
            cursor = raw.cursor()
            # Not in a transaction, and only once: it is the file's.
            (mode,) = cursor.execute("PRAGMA journal_mode=WAL").fetchone()
            cursor.close()
        if mode != "wal":
            raise StoreError(
                f"{self.address} can't be a message archive: SQLite keeps no write-ahead log "
                "there. Is it on a network file system?"
            )

    # Writing

    def insert_new(
        self, connection: Connection, table: Table, rows: Sequence[Row], key: Sequence[str]
    ) -> set[tuple[Any, ...]]:
        if not rows:
            return set()
        columns = [table.c[name] for name in key]
        keys = {tuple(row[name] for name in key) for row in rows}
        # Nobody else can write now, and what is new comes after all that is there.
        rowid: ColumnElement[int] = literal_column("rowid", Integer())
        last = connection.execute(select(func.max(rowid)).select_from(table)).scalar_one() or 0
        result = connection.execute(sqlite_insert(table).on_conflict_do_nothing(), list(rows))
        if result.rowcount == len(keys):
            return keys
        new = select(*columns).select_from(table).where(rowid > last)
        return {tuple(row) for row in connection.execute(new)}

    def upsert(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[Row],
        key: Sequence[str],
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        if not rows:
            return
        statement = sqlite_insert(table)
        if changes is None:
            changes = {name: statement.excluded[name] for name in rows[0] if name not in set(key)}
        connection.execute(
            statement.on_conflict_do_update(index_elements=list(key), set_=dict(changes)),
            list(rows),
        )

    def excluded(self, table: Table, column: str) -> ColumnElement[Any]:
        return sqlite_insert(table).excluded[column]

    def now(self) -> ColumnElement[int]:
        days_since_1970 = func.julianday("now") - literal_column("2440587.5")
        return cast(days_since_1970 * literal_column("86400000000.0"), BigInteger)

    def shred(self, connection: Connection, on: bool) -> None:
        connection.exec_driver_sql(f"PRAGMA secure_delete={'ON' if on else 'OFF'}")

    # Words

    def with_words(
        self, connection: Connection, words: Sequence[str], seqs: Sequence[int]
    ) -> set[int]:
        if not seqs:
            return set()
        # Looking up a single message in a common word's list takes longer than reading a part of
        # it. Messages of about the same time were mostly stored one after another.
        query = select(_fts.c.rowid).where(
            _fts.c.vumi_words.op("MATCH")(_expression(words)),
            _fts.c.rowid.between(min(seqs), max(seqs)),
        )
        return set(connection.execute(query).scalars())

    def seqs_with_words(
        self, connection: Connection, words: Sequence[str], most: int
    ) -> Select[tuple[int]] | None:
        found: Select[tuple[int]] = select(_fts.c.rowid).where(
            _fts.c.vumi_words.op("MATCH")(_expression(words))
        )
        # SQLite has no idea how common a word is, and would sort a million messages.
        some = found.limit(bindparam("some", most + 1)).subquery()
        count = connection.execute(select(func.count()).select_from(some)).scalar_one()
        return found if count <= most else None

    # ErrorRules

    def cut(self, raw: Any) -> None:
        raw.interrupt()

    def passes(self, error: Any) -> bool:
        return _code(error) in _PASSING

    def hint(self, error: Any) -> str:
        if _code(error) == _DISK_FULL:
            return " Make room on its disk; what was stored before is safe."
        if _code(error) in _BUSY:
            return " Another process holds the file."
        return ""


def _make_private(path: Path) -> None:
    """Make a file that is not there yet, for its owner's eyes: it will have people's messages.

    SQLite gives the files beside it (``-wal``, ``-shm``) the same mode.

    :raises StoreError: It can't be made.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if not path.exists():
            raise StoreError(
                f"The message archive {str(path)!r} can't be made: {error.strerror}."
            ) from None
        # One that may only be read says so itself.


def _expression(words: Sequence[str]) -> str:
    return " AND ".join(f'"{word}"' for word in words)


def _code(error: Any) -> int:
    code = getattr(error, "sqlite_errorcode", None)
    return (code & 0xFF) if isinstance(code, int) else 0


def _configure(engine: Engine, cache_kib: int, begin: str) -> None:
    """Set a connection up, and begin transactions ourselves.

    The driver's own way begins them too late: only before the first change.
    """

    @event.listens_for(engine, "connect")
    def connected(raw: sqlite3.Connection, _: Any) -> None:
        raw.isolation_level = None
        cursor = raw.cursor()
        for pragma in (
            "synchronous=FULL",
            f"cache_size=-{cache_kib}",
            f"wal_autocheckpoint={_PAGES_TO_CHECKPOINT}",
            "secure_delete=OFF",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        if not begin:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        if begin:
            connection.exec_driver_sql(begin)
