"""Bringing a database to the newest layout.

Knows alembic and where the layouts are; what they are, ``migrations`` says. Several workers that
start at once do it once: each first gets a lock of the database, then looks what there is to do.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from vumi.errors import StoreError

if TYPE_CHECKING:
    from vumi.components.message_store.sql_database import Database

__all__ = ["migrate"]

# Alembic's environment is one for the whole process.
_alembic = threading.Lock()


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
        config.set_main_option("script_location", "vumi.components.message_store:migrations")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(
                f"The message archive at {database.address} can't be brought up to date: {error}. "
                "Was it used with a newer vumi?"
            ) from error
