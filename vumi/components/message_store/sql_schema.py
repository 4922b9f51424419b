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
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR

from vumi.components.message_store.interface import Kind

__all__ = [
    "KIND_NUMBERS",
    "NO_STATUS",
    "VERSION_TABLE",
    "batch_tags",
    "batches",
    "current_tags",
    "entries",
    "events",
    "locks",
    "messages",
    "metadata",
    "statuses",
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
