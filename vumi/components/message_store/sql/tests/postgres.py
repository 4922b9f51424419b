"""Schemas of their own for tests on PostgreSQL."""

from __future__ import annotations

from urllib.parse import quote
from uuid import uuid4

import psycopg

__all__ = ["drop_schema", "make_schema"]


def make_schema(server_url: str) -> str:
    """Make an empty schema.

    :returns: The URL of it.
    """
    name = f"vumi_test_{uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    joined = "&" if "?" in server_url else "?"
    return f"{server_url}{joined}options={quote(f'-csearch_path={name}', safe='')}"


def drop_schema(url: str) -> None:
    """Drop the schema of a URL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = error")
        (name,) = connection.execute("SELECT current_schema()").fetchone() or ("",)
        connection.execute(f"DROP SCHEMA {name} CASCADE")
