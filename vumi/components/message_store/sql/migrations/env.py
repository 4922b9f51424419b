"""What alembic asks for: how to connect. It is given a connection that is in a transaction.

To change the layout write the next module in ``versions`` and change ``schema.py`` to match;
both databases go through the same steps. Workers that still run the old code must be able to use
the new layout, as they are restarted one after another: add, and take away a release later.
"""

from __future__ import annotations

from alembic import context

from vumi.components.message_store.sql.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
