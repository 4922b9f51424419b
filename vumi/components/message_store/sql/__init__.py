"""The message archive in SQLite or PostgreSQL. Only re-exports."""

from vumi.extras import needs_extra

with needs_extra("sql"):
    # All that is in this folder needs both.
    import alembic as alembic
    import sqlalchemy as sqlalchemy

from vumi.components.message_store.sql.archive import SqlArchive

__all__ = ["SqlArchive"]
