"""The layouts that the SQL archive has had, one after another: alembic's folder."""
