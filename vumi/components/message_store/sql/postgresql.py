"""The archive's part that is PostgreSQL's. Needs psycopg.

Rows go over the network as one JSON text, so a statement is the same for one row and for a
thousand, and there is one parameter to convert.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import (
    JSON,
    URL,
    BigInteger,
    Text,
    bindparam,
    cast,
    column,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.dialects.postgresql import insert as postgresql_insert

from vumi.components.message_store.sql.database import Database, Row
from vumi.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Column, ColumnElement, Connection, Table

__all__ = ["PostgresqlDatabase"]

#: Classes of errors that may be gone later: the connection; rolled back for another transaction's
#: sake; out of disk, memory or connections; stopped by an operator or starting; its own disk.
_PASSING_CLASSES = frozenset({"08", "40", "53", "57", "58"})
#: A standby that is still read-only; a lock that was not got.
_PASSING = frozenset({"25006", "55P03"})
_DISK_FULL = "53100"

# Any number that is the same in every worker.
_LAYOUT_LOCK = 0x76756D69


class PostgresqlDatabase(Database):
    """A PostgreSQL database.

    :param url: ``postgresql://user:password@host:port/database``; what follows as a query goes to
        libpq.
    :param readers: How many threads read.
    :param patience: Seconds that connecting may take.
    """

    def __init__(self, url: URL, readers: int, timeout: float, patience: float) -> None:
        url = url.set(drivername="postgresql+psycopg")
        arguments: dict[str, Any] = {
            "connect_timeout": max(2, round(patience)),
            "application_name": "vumi",
            # Statements with a name live in one server process, and poolers change that.
            "prepare_threshold": None,
        }
        for name in url.query:
            arguments.pop(name, None)
        options: dict[str, Any] = {
            "connect_args": arguments,
            "hide_parameters": True,
            "max_overflow": 0,
            "pool_recycle": 3600,
        }
        writing = create_engine(url, pool_size=1, isolation_level="READ COMMITTED", **options)
        reading = create_engine(url, pool_size=readers, isolation_level="AUTOCOMMIT", **options)
        milliseconds = max(1, round(timeout * 1000))

        @event.listens_for(writing, "connect")
        @event.listens_for(reading, "connect")
        def connected(raw: Any, _: Any) -> None:
            autocommit, raw.autocommit = raw.autocommit, True
            # The promise needs commits that are on the disk; stronger settings stay.
            raw.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
            raw.execute(f"SET statement_timeout = {milliseconds}")
            raw.autocommit = autocommit

        shown = URL.create("postgresql", url.username, None, url.host, url.port, url.database)
        super().__init__(writing, reading, shown.render_as_string(), timeout)

    def prepare(self) -> None:
        with self._reading.connect() as connection:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise StoreError(
                f"{self.address} can't be a message archive: its encoding is {encoding}. Create "
                "it with ENCODING 'UTF8'."
            )

    def lock_layout(self, connection: Connection) -> None:
        # Waiting for other workers' migrations, and doing our own, may take long.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.execute(select(func.pg_advisory_xact_lock(_LAYOUT_LOCK)))

    # Writing

    def insert_new(
        self, connection: Connection, table: Table, rows: Sequence[Row], key: Sequence[str]
    ) -> set[tuple[Any, ...]]:
        if not rows:
            return set()
        statement = (
            self._insert(table, rows[0])
            .on_conflict_do_nothing(index_elements=list(key))
            .returning(*(table.c[name] for name in key))
        )
        return {tuple(row) for row in connection.execute(statement, _as_json(rows))}

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
        statement = self._insert(table, rows[0])
        if changes is None:
            changes = {name: statement.excluded[name] for name in rows[0] if name not in set(key)}
        connection.execute(
            statement.on_conflict_do_update(index_elements=list(key), set_=dict(changes)),
            _as_json(rows),
        )

    def _insert(self, table: Table, names: Iterable[str]) -> Any:
        columns = [column(name, _plain_type(table.c[name])) for name in names]
        given = (
            func.json_to_recordset(cast(bindparam("rows", type_=Text()), JSON))
            .table_valued(*columns)
            .render_derived("given", with_types=True)
        )
        values = [
            self.words_value(given.c[name]) if name == "words" else given.c[name] for name in names
        ]
        return postgresql_insert(table).from_select(list(names), select(*values))

    def excluded(self, table: Table, column: str) -> ColumnElement[Any]:
        return postgresql_insert(table).excluded[column]

    def words_value(self, words: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.array_to_tsvector(func.string_to_array(words, " "))

    def now(self) -> ColumnElement[int]:
        return cast(func.extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger)

    # Words

    def words_match(
        self, words: Sequence[str], column: ColumnElement[Any]
    ) -> ColumnElement[bool] | None:
        # Words are letters, digits and marks: nothing in them has a meaning in a query. They were
        # made words by us, so PostgreSQL's parser is passed by, here and in words_value.
        expression = " & ".join(f"'{word}'" for word in words)
        match: ColumnElement[bool] = column.op("@@")(cast(expression, TSQUERY))
        return match

    # ErrorRules

    def cut(self, raw: Any) -> None:
        duplicate = socket.socket(fileno=os.dup(raw.fileno()))
        try:
            duplicate.shutdown(socket.SHUT_RDWR)
        finally:
            duplicate.close()

    def passes(self, error: Any) -> bool:
        state = getattr(error, "sqlstate", None)
        if state is None:
            # It did not come from the server: there is no connection. But psycopg's own
            # refusals of a value have none either.
            return isinstance(error, self._driver.OperationalError | self._driver.InterfaceError)
        return state in _PASSING or state[:2] in _PASSING_CLASSES

    def hint(self, error: Any) -> str:
        state = getattr(error, "sqlstate", None)
        if state == _DISK_FULL:
            return " Make room on its disk; what was stored before is safe."
        if state is not None:
            return ""
        return " Is PostgreSQL running, and are host, port, user and password of the url right?"


def _plain_type(its: Column[Any]) -> Any:
    # Words come as text, and names need no collation on their way.
    return its.type if its.type.python_type is int else Text()


def _as_json(rows: Sequence[Row]) -> dict[str, str]:
    return {"rows": orjson.dumps(rows).decode("utf-8")}
