"""The tables of the SQL archive, as its queries see them.

What is really in a database the migrations say (``migrations/versions``); a test compares both.
Knows no queries and no threads.

Theory of operation. ``vumi_messages`` and ``vumi_events`` hold what was stored: the JSON text, and
beside it what is asked for. Their ``batches`` column says what batches something belongs to.
``vumi_entries`` is made from that: a row for each batch that something is in, clustered as pages
read it, so a page is one walk along one index. ``vumi_statuses`` has one row for each outbound
message, with what its last event says, and also one for each message that only its events are
known of; both writers go through this row, so neither can miss the other.

All names start with ``vumi_``: the database may have other tenants.
"""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR

from vumi.components.message_store.interface import Kind
from vumi.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vumi.components.message_store.sql.database import Database


__all__ = [
    "KIND_NUMBERS",
    "NO_STATUS",
    "VERSION_TABLE",
    "batch_tags",
    "batches",
    "current_tags",
    "entries",
    "events",
    "from_column",
    "from_list",
    "from_micros",
    "locks",
    "messages",
    "metadata",
    "migrate",
    "require_archive",
    "statuses",
    "to_column",
    "to_list",
    "to_micros",
]

#: Where alembic keeps what version the database has.
VERSION_TABLE = "vumi_archive_version"

#: As kinds are kept.
KIND_NUMBERS = {Kind.INBOUND: 0, Kind.OUTBOUND: 1, Kind.EVENT: 2}

#: An outbound message without events.
NO_STATUS = "none"

metadata = MetaData()

# Compared byte by byte, as SQLite does and as Python does: what collation a database has must not
# change the order of pages.
_Name = Text().with_variant(Text(collation="C"), "postgresql")
_RowId = BigInteger().with_variant(Integer, "sqlite")

messages = Table(
    "vumi_messages",
    metadata,
    Column("seq", _RowId, primary_key=True, autoincrement=True),
    Column("kind", SmallInteger, nullable=False),
    Column("message_id", _Name, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    # The user's: inbound from_addr, outbound to_addr.
    Column("address", _Name, nullable=False),
    Column("other_address", _Name, nullable=False),
    Column("payload", Text, nullable=False),
    Column("batches", Text, nullable=False),
    # PostgreSQL: an index's own type. SQLite: text, and triggers bring it into vumi_words (FTS5).
    Column("words", Text().with_variant(TSVECTOR, "postgresql")),
    UniqueConstraint("kind", "message_id", name="vumi_messages_by_id"),
    Index("vumi_messages_by_time", "kind", "timestamp", "message_id"),
    Index("vumi_messages_by_address", "kind", "address", "timestamp", "message_id"),
    Index("vumi_messages_by_other_address", "other_address"),
    Index("vumi_messages_by_word", "words", postgresql_using="gin").ddl_if(dialect="postgresql"),
)

events = Table(
    "vumi_events",
    metadata,
    Column("event_id", _Name, primary_key=True),
    Column("message_id", _Name, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("batches", Text, nullable=False),
    Index("vumi_events_by_message", "message_id", "timestamp", "event_id"),
    Index("vumi_events_by_time", "timestamp", "event_id"),
)

entries = Table(
    "vumi_entries",
    metadata,
    Column("batch_id", _Name, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("key", _Name, nullable=False),
    Column("term", _Name, nullable=False),
    PrimaryKeyConstraint("batch_id", "kind", "timestamp", "key", name="vumi_entries_in_order"),
    sqlite_with_rowid=False,
)

statuses = Table(
    "vumi_statuses",
    metadata,
    Column("message_id", _Name, primary_key=True),
    Column("status", Text, nullable=False),
    # Of the last event; null: there is none.
    Column("event_timestamp", BigInteger),
    Column("event_id", _Name),
    # The message's; null: the message is not here (yet, or no longer).
    Column("timestamp", BigInteger),
    Index("vumi_statuses_in_order", "status", "timestamp", "message_id"),
    sqlite_with_rowid=False,
)

batches = Table(
    "vumi_batches",
    metadata,
    Column("batch_id", _Name, primary_key=True),
    Column("tags", Text, nullable=False),
    Column("metadata", Text, nullable=False),
)

batch_tags = Table(
    "vumi_batch_tags",
    metadata,
    Column("pool", _Name, nullable=False),
    Column("tag", _Name, nullable=False),
    Column("batch_id", _Name, nullable=False),
    PrimaryKeyConstraint("pool", "tag", "batch_id", name="vumi_batch_tags_by_tag"),
    Index("vumi_batch_tags_by_batch", "batch_id"),
)

current_tags = Table(
    "vumi_current_tags",
    metadata,
    Column("pool", _Name, nullable=False),
    Column("tag", _Name, nullable=False),
    Column("batch_id", _Name),
    Column("metadata", Text, nullable=False, server_default=text("'{}'")),
    PrimaryKeyConstraint("pool", "tag", name="vumi_current_tags_by_tag"),
)

locks = Table(
    "vumi_locks",
    metadata,
    Column("name", _Name, primary_key=True),
    Column("owner", Text, nullable=False),
    # Microseconds since 1970, by the database's clock.
    Column("expires", BigInteger, nullable=False),
)

_ESCAPE = "\x1a"
_UNFIT = re.compile("[\0\x1a\ud800-\udfff]")
_ESCAPED = re.compile("\x1a([0-9a-f]{4})")

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_SECONDS_A_DAY = 86_400
_MICROS = 1_000_000


def to_column(text: str) -> str:
    """A text that every database takes; different texts stay different."""
    return _UNFIT.sub(lambda match: f"{_ESCAPE}{ord(match[0]):04x}", text)


def from_column(text: str) -> str:
    """The text that :func:`to_column` was given."""
    if _ESCAPE not in text:
        return text
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def to_list(values: Iterable[str]) -> str:
    """Column values as one text; sorted, each once."""
    return json.dumps(sorted(set(values)), ensure_ascii=False) if values else "[]"


def from_list(text: str) -> list[str]:
    """The column values that :func:`to_list` was given."""
    if text == "[]":
        return []
    values: list[str] = json.loads(text)
    return values


def to_micros(time: datetime) -> int:
    """Microseconds since 1970.

    :param time: Naive UTC, or aware of its zone.
    """
    if time.tzinfo is not None:
        time = time.astimezone(UTC).replace(tzinfo=None)
    since = time - _EPOCH
    return (since.days * _SECONDS_A_DAY + since.seconds) * _MICROS + since.microseconds


def from_micros(micros: int) -> datetime:
    """Naive UTC."""
    return _EPOCH + int(micros) * _MICROSECOND


# Alembic's environment is one for the whole process.
_alembic = threading.Lock()


def require_archive(database: Database) -> None:
    """Refuse a database that has no archive.

    :raises StoreError: It has none.
    """
    if database.in_memory:
        return
    database.require()
    with database.question() as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            raise StoreError(f"There is no message archive at {database.address}.")


def migrate(database: Database) -> None:
    """Bring a database to the newest layout; nothing happens if it has it.

    :raises StoreError: It was written by a newer vumi.
    """
    # Some 0.2 seconds, for those only that have such an archive.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    with _alembic, database.transaction(bounded=False) as connection:
        database.lock_layout(connection)
        config = Config()
        config.set_main_option("script_location", "vumi.components.message_store.sql:migrations")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(
                f"The message archive at {database.address} can't be brought up to date: {error}. "
                "Was it used with a newer vumi?"
            ) from error
