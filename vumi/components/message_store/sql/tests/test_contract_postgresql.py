"""The SQL archive keeps the contract on PostgreSQL."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from vumi.components.message_store.sql import SqlArchive
from vumi.components.message_store.sql.tests.postgres import drop_schema, make_schema
from vumi.components.message_store.tests.contract import ArchiveContract, ArchiveOutageContract
from vumi.tests.servers import PostgresServer, require, shared_postgres

pytestmark = pytest.mark.integration


class PostgresqlArchiveTests(ArchiveContract, TestCase):
    def setUp(self) -> None:
        self.url = make_schema(shared_postgres().url())
        self.addCleanup(drop_schema, self.url)

    def make_archive(self) -> Any:
        return SqlArchive(self.url, reactor)


class PostgresqlOutageTests(ArchiveOutageContract, TestCase):
    """The server is killed, and started again."""

    server: PostgresServer

    @classmethod
    def setUpClass(cls) -> None:
        require(PostgresServer)
        # Not a folder of pytest's: an unprivileged user must be able to reach it.
        cls.server = PostgresServer(tempfile.mkdtemp(prefix="vumi-postgresql-"))
        cls.server.start()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.stop()
        shutil.rmtree(cls.server.directory)

    def setUp(self) -> None:
        self.url = make_schema(self.server.url())

    def make_archive(self) -> Any:
        return SqlArchive(self.url, reactor)

    def make_impatient_archive(self) -> Any:
        return SqlArchive(self.url, reactor, patience=0.5)

    async def take_away(self) -> None:
        self.server.kill()

    async def bring_back(self) -> None:
        if not self.server.running:
            self.server.start()
