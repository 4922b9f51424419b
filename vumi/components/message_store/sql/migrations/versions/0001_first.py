"""The first layout: messages, events, entries of pages, statuses, batches, tags, locks, words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

#: SQLite: the index of words, kept in step with every change of vumi_messages. Only whole words
#: are asked for, so it keeps no positions; words are separated by spaces already.
_SQLITE_WORDS = (
    """
    CREATE VIRTUAL TABLE vumi_words USING fts5(
        words, content='vumi_messages', content_rowid='seq',
        tokenize='ascii', detail=none, columnsize=0
    )
    """,
    """
    CREATE TRIGGER vumi_words_insert AFTER INSERT ON vumi_messages
    WHEN new.words IS NOT NULL BEGIN
        INSERT INTO vumi_words (rowid, words) VALUES (new.seq, new.words);
    END
    """,
    """
    CREATE TRIGGER vumi_words_delete AFTER DELETE ON vumi_messages
    WHEN old.words IS NOT NULL BEGIN
        INSERT INTO vumi_words (vumi_words, rowid, words) VALUES ('delete', old.seq, old.words);
    END
    """,
    """
    CREATE TRIGGER vumi_words_update AFTER UPDATE OF words ON vumi_messages
    WHEN old.words IS NOT new.words BEGIN
        INSERT INTO vumi_words (vumi_words, rowid, words)
            SELECT 'delete', old.seq, old.words WHERE old.words IS NOT NULL;
        INSERT INTO vumi_words (rowid, words)
            SELECT new.seq, new.words WHERE new.words IS NOT NULL;
    END
    """,
)


def upgrade() -> None:
    """Make everything."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    name = sa.Text(collation="C") if postgresql else sa.Text()
    number = sa.BigInteger() if postgresql else sa.Integer()
    op.create_table(
        "vumi_messages",
        sa.Column("seq", number, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("message_id", name, nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("address", name, nullable=False),
        sa.Column("other_address", name, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("batches", sa.Text(), nullable=False),
        sa.Column("words", TSVECTOR() if postgresql else sa.Text()),
        sa.UniqueConstraint("kind", "message_id", name="vumi_messages_by_id"),
    )
    op.create_index("vumi_messages_by_time", "vumi_messages", ["kind", "timestamp", "message_id"])
    op.create_index(
        "vumi_messages_by_address",
        "vumi_messages",
        ["kind", "address", "timestamp", "message_id"],
    )
    op.create_index("vumi_messages_by_other_address", "vumi_messages", ["other_address"])
    if postgresql:
        op.create_index(
            "vumi_messages_by_word", "vumi_messages", ["words"], postgresql_using="gin"
        )
    else:
        for statement in _SQLITE_WORDS:
            op.execute(statement)
    op.create_table(
        "vumi_events",
        sa.Column("event_id", name, primary_key=True),
        sa.Column("message_id", name, nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("batches", sa.Text(), nullable=False),
    )
    op.create_index(
        "vumi_events_by_message", "vumi_events", ["message_id", "timestamp", "event_id"]
    )
    op.create_index("vumi_events_by_time", "vumi_events", ["timestamp", "event_id"])
    op.create_table(
        "vumi_entries",
        sa.Column("batch_id", name, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("key", name, nullable=False),
        sa.Column("term", name, nullable=False),
        sa.PrimaryKeyConstraint(
            "batch_id", "kind", "timestamp", "key", name="vumi_entries_in_order"
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "vumi_statuses",
        sa.Column("message_id", name, primary_key=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("event_timestamp", sa.BigInteger()),
        sa.Column("event_id", name),
        sa.Column("timestamp", sa.BigInteger()),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "vumi_statuses_in_order", "vumi_statuses", ["status", "timestamp", "message_id"]
    )
    op.create_table(
        "vumi_batches",
        sa.Column("batch_id", name, primary_key=True),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
    )
    op.create_table(
        "vumi_batch_tags",
        sa.Column("pool", name, nullable=False),
        sa.Column("tag", name, nullable=False),
        sa.Column("batch_id", name, nullable=False),
        sa.PrimaryKeyConstraint("pool", "tag", "batch_id", name="vumi_batch_tags_by_tag"),
    )
    op.create_index("vumi_batch_tags_by_batch", "vumi_batch_tags", ["batch_id"])
    op.create_table(
        "vumi_current_tags",
        sa.Column("pool", name, nullable=False),
        sa.Column("tag", name, nullable=False),
        sa.Column("batch_id", name),
        sa.Column("metadata", sa.Text(), nullable=False, server_default=sa.text("'{}'")),
        sa.PrimaryKeyConstraint("pool", "tag", name="vumi_current_tags_by_tag"),
    )
    op.create_table(
        "vumi_locks",
        sa.Column("name", name, primary_key=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
    )
