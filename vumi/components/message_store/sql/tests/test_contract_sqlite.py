"""The SQL archive keeps the contract on SQLite."""

from __future__ import annotations

import sqlite3
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from vumi.components.message_store.sql import SqlArchive
from vumi.components.message_store.tests.contract import ArchiveContract, ArchiveOutageContract


class SqliteArchiveTests(ArchiveContract, TestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()

    def make_archive(self) -> Any:
        return SqlArchive(f"sqlite:///{self.path}", reactor)


class SqliteOutageTests(ArchiveOutageContract, TestCase):
    """A SQLite file is away for writers while another process holds it."""

    reads_go_on = True

    def setUp(self) -> None:
        self.path = self.mktemp()
        self.holder: sqlite3.Connection | None = None

    def make_archive(self) -> Any:
        return SqlArchive(f"sqlite:///{self.path}", reactor)

    def make_impatient_archive(self) -> Any:
        return SqlArchive(f"sqlite:///{self.path}", reactor, patience=0.3)

    async def take_away(self) -> None:
        self.holder = sqlite3.connect(self.path, isolation_level=None)
        self.holder.execute("BEGIN IMMEDIATE")

    async def bring_back(self) -> None:
        if self.holder is not None:
            self.holder.close()
            self.holder = None
