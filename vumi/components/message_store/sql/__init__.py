"""The message archive in SQLite or PostgreSQL. Only re-exports."""

from vumi.components.message_store.sql.archive import SqlArchive

__all__ = ["SqlArchive"]
