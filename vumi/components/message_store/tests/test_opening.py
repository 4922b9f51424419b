"""Archives by URL."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from vumi.components.message_store.config import open_archive
from vumi.components.message_store.sql import SqlArchive
from vumi.errors import ConfigError

ROOM = "vumi.components.message_store"


class OpenArchiveTests(SynchronousTestCase):
    def opened(self, url: str, **options: Any) -> Any:
        archive = open_archive(url, reactor, **options)
        self.addCleanup(lambda: self.successResultOf(archive.close()))
        return archive

    def refused(self, url: str) -> str:
        return str(self.assertRaises(ConfigError, open_archive, url, reactor))

    def test_urls_of_sql_databases(self) -> None:
        for url, address in (
            ("sqlite://", "sqlite://"),
            ("sqlite:///:memory:", "sqlite://"),
            ("sqlite:///relative/file.db", "sqlite:///relative/file.db"),
            ("sqlite:////var/lib/file.db", "sqlite:////var/lib/file.db"),
            ("postgresql://host/base", "postgresql://host/base"),
            ("postgres://me@host:5433/base", "postgresql://me@host:5433/base"),
            ("postgresql+psycopg://me:secret@[::1]/base", "postgresql://me@[::1]/base"),
            (
                "postgresql://me:secret@host/base?sslmode=require&password=secret",
                "postgresql://me@host/base",
            ),
        ):
            archive = self.opened(url)
            self.assertIsInstance(archive, SqlArchive)
            self.assertEqual(archive.address, address)

    def test_urls_that_are_none_are_refused_without_their_passwords(self) -> None:
        for url in (
            "",
            "messages.db",
            "mysql://me:secret@host/base",
            "sqlite:///",
            "sqlite://messages.db",
            "sqlite:///messages.db?mode=ro",
            "postgresql://me:secret@host:port/base",
            "://me:secret@host",
        ):
            words = self.refused(url)
            assert "secret" not in words, words

    def test_a_missing_library_is_told_with_the_extra_that_has_it(self) -> None:
        with mock.patch.dict(sys.modules, {"psycopg": None}):
            words = self.refused("postgresql://me:secret@host/base")
        assert "[postgres]" in words, words
        assert "psycopg" in words, words
        assert "secret" not in words, words
        with mock.patch.dict(sys.modules, {"sqlalchemy": None}):
            for name in [f"{ROOM}.sql", f"{ROOM}.sql.archive"]:
                del sys.modules[name]
            words = self.refused("sqlite://")
        assert "[sql]" in words, words

    def test_a_fault_of_our_own_is_not_taken_for_a_missing_library(self) -> None:
        with mock.patch.dict(sys.modules, {f"{ROOM}.sql": None}):
            self.assertRaises(ModuleNotFoundError, open_archive, "sqlite://", reactor)

    def test_riak_is_made_by_its_own_module(self) -> None:
        module = ModuleType("riak")
        made: list[Any] = []

        class RiakArchive:
            @classmethod
            def from_url(cls, *args: Any, **kw: Any) -> Any:
                made.append((args, kw))
                return "the archive"

        module.RiakArchive = RiakArchive  # type: ignore[attr-defined]  # made here
        url = "riak://one:8098,two/?bucket_prefix=x"
        with mock.patch.dict(sys.modules, {f"{ROOM}.riak": module}):
            archive: Any = open_archive(url, reactor, patience=5)
        self.assertEqual(archive, "the archive")
        self.assertEqual(made, [((url, reactor), {"patience": 5})])
