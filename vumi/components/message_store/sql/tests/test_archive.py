"""The SQL archive, where it is more than the contract says, or other databases can't do it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import OperationalError
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

import vumi
from vumi.components.message_store.interface import Entry, Kind, Order, Query
from vumi.components.message_store.sql import SqlArchive
from vumi.components.message_store.sql.schema import (
    VERSION_TABLE,
    entries,
    events,
    messages,
    metadata,
    statuses,
)
from vumi.components.message_store.sql.tests.postgres import drop_schema, make_schema
from vumi.components.message_store.tests.contract import (
    START,
    USER,
    ack,
    all_of,
    at,
    ids,
    inbound,
    outbound,
)
from vumi.errors import StoreError, StoreUnavailable
from vumi.tests.servers import PostgresServer, require, shared_postgres

if TYPE_CHECKING:
    from collections.abc import Callable

TREE = Path(vumi.__file__).parent.parent


class SqlTestCase(TestCase):
    timeout = 120

    async def opened(self, url: str, **options: Any) -> Any:
        archive = SqlArchive(url, reactor, **options)
        self.addCleanup(archive.close)
        await archive.open()
        return archive

    async def fails(self, function: Callable[..., Any], *args: Any, **kw: Any) -> StoreError:
        try:
            result = await function(*args, **kw)
        except StoreError as error:
            return error
        raise AssertionError(f"did not fail, but gave {result!r}")


class BothTests(SqlTestCase):
    """What holds for SQLite; below, the same for PostgreSQL."""

    def setUp(self) -> None:
        self.url = f"sqlite:///{self.mktemp()}"

    def tables(self) -> sa.Engine:
        engine = sa.create_engine(self.url)
        self.addCleanup(engine.dispose)
        return engine

    async def test_the_layout_is_what_queries_take_it_for(self) -> None:
        await self.opened(self.url)
        engine = self.tables()
        with engine.connect() as connection:
            options = {
                "include_object": _is_shared,
                "compare_type": True,
                "version_table": VERSION_TABLE,
            }
            context = MigrationContext.configure(connection, opts=options)
            self.assertEqual(compare_metadata(context, metadata), [])

    async def test_a_layout_of_a_newer_vumi_is_refused(self) -> None:
        archive = await self.opened(self.url)
        await archive.close()
        with self.tables().begin() as connection:
            version = sa.table(VERSION_TABLE, sa.column("version_num"))
            connection.execute(sa.update(version).values(version_num="9999"))
        error = await self.fails(SqlArchive(self.url, reactor).open)
        assert "newer vumi" in str(error), error

    async def test_concurrent_writes_share_transactions(self) -> None:
        archive = await self.opened(self.url)
        sizes: list[int] = []
        attempt = archive._writers._attempt

        def noted(works: Any) -> Any:
            sizes.append(len(works))
            return attempt(works)

        archive._writers._attempt = noted
        await all_of(
            archive.store_message(Kind.INBOUND, inbound(seconds=n), ["b"]) for n in range(300)
        )
        self.assertEqual(sum(sizes), 300)
        assert len(sizes) < 30, sizes

    async def test_a_message_whose_commit_was_not_heard_of_is_still_new(self) -> None:
        archive = await self.opened(self.url)
        attempt = archive._writers._attempt
        problems: list[Exception] = [
            OperationalError("COMMIT", {}, Exception("lost"), connection_invalidated=True)
        ]

        def deaf(works: Any) -> Any:
            results = attempt(works)
            if problems:
                raise problems.pop()
            return results

        archive._writers._attempt = deaf
        message = inbound()
        self.assertEqual(await archive.store_message(Kind.INBOUND, message, ["b"]), True)
        self.assertEqual(await archive.store_message(Kind.INBOUND, message, ["b"]), False)
        self.assertEqual(await archive.count(Kind.INBOUND, "b"), 1)

    async def test_the_database_may_have_other_tenants(self) -> None:
        with self.tables().begin() as connection:
            connection.execute(sa.text("CREATE TABLE messages (id INTEGER)"))
            connection.execute(sa.text("CREATE TABLE alembic_version (version_num TEXT)"))
            connection.execute(sa.text("INSERT INTO alembic_version VALUES ('theirs')"))
        archive = await self.opened(self.url)
        await archive.store_message(Kind.INBOUND, inbound(), ["b"])
        with self.tables().connect() as connection:
            version = connection.execute(sa.text("SELECT version_num FROM alembic_version"))
            self.assertEqual(version.scalar_one(), "theirs")

    async def test_what_is_no_message_in_the_archive_is_told_by_its_id(self) -> None:
        archive = await self.opened(self.url)
        await archive.store_message(Kind.INBOUND, inbound(message_id="m1"), ["b"])
        with self.tables().begin() as connection:
            connection.execute(sa.text("UPDATE vumi_messages SET payload = '[]'"))
        error = await self.fails(archive.get_message, Kind.INBOUND, "m1")
        assert "m1" in str(error), error

    async def test_errors_tell_nothing_of_a_message(self) -> None:
        archive = await self.opened(self.url)
        with self.tables().begin() as connection:
            connection.execute(sa.text("DROP TABLE vumi_entries"))
        message = inbound("private words", user="+999", message_id="m1")
        error: BaseException | None = await self.fails(
            archive.store_message, Kind.INBOUND, message, ["b"]
        )
        assert "message 'm1'" in str(error), error
        while error is not None:
            assert "private" not in str(error), error
            assert "+999" not in str(error), error
            error = error.__cause__

    async def test_the_same_event_for_ever_is_one_row_of_each(self) -> None:
        archive = await self.opened(self.url)
        message, event = outbound(message_id="m"), ack("m", event_id="e")
        for _ in range(3):
            await archive.store_message(Kind.OUTBOUND, message, ["b"])
            await archive.store_event(event)
        with self.tables().connect() as connection:
            for table, rows in ((messages, 1), (events, 1), (entries, 2), (statuses, 1)):
                count = sa.select(sa.func.count()).select_from(table)
                self.assertEqual(connection.execute(count).scalar_one(), rows, str(table))

    async def test_nothing_is_left_of_what_was_erased(self) -> None:
        archive = await self.opened(self.url)
        for n in range(20):
            await archive.store_event(ack(f"m{n}", n), ["x"])
            await archive.store_message(
                Kind.OUTBOUND, outbound(seconds=n, message_id=f"m{n}"), ["b"]
            )
            await archive.store_message(Kind.INBOUND, inbound("a b", seconds=n), ["b", "c"])
        while await archive.forget(USER, 7):
            pass
        with self.tables().connect() as connection:
            for table in (messages, events, entries, statuses):
                count = sa.select(sa.func.count()).select_from(table)
                self.assertEqual(connection.execute(count).scalar_one(), 0, str(table))

    async def test_common_words_are_found_in_order_too(self) -> None:
        archive = await self.opened(self.url)
        self.patch(sys.modules["vumi.components.message_store.sql.search"], "_MANY", 3)
        for n in range(12):
            message = inbound("common rare" if n == 5 else "common", n, message_id=f"m{n:02}")
            await archive.store_message(Kind.INBOUND, message, ["b" if n % 2 else "c"])
            await archive.store_message(
                Kind.OUTBOUND,
                outbound("common", n, message_id=f"o{n:02}"),
                ["b" if n % 3 else "c"],
            )
            await archive.store_event(ack(f"o{n:02}", n))
        for query, expected in (
            (
                Query(text="common", batch_id="b", kinds=frozenset({Kind.INBOUND})),
                [1, 3, 5, 7, 9, 11],
            ),
            (Query(text="common", address=USER, kinds=frozenset({Kind.INBOUND})), list(range(12))),
            (Query(text="common rare"), [5]),
            (Query(text="common", status="ack", end=at(3)), [0, 1, 2, 3]),
            (Query(text="common", status="ack", batch_id="c"), [0, 3, 6, 9]),
            (Query(status="ack", batch_id="c"), [0, 3, 6, 9]),
            (Query(text="common", status="nack"), []),
        ):
            found = []
            continuation = None
            while True:
                page = await archive.search(query, Order.OLDEST_FIRST, 2, continuation)
                found += [int(key[1:]) for key in ids(page)]
                continuation = page.continuation
                if continuation is None:
                    break
            self.assertEqual(found, expected, str(query))


class BothOnPostgresqlTests(BothTests):
    pytestmark = pytest.mark.integration

    def setUp(self) -> None:
        self.url = make_schema(shared_postgres().url())
        self.addCleanup(drop_schema, self.url)

    def tables(self) -> sa.Engine:
        engine = sa.create_engine(self.url.replace("postgresql:", "postgresql+psycopg:"))
        self.addCleanup(engine.dispose)
        return engine


def _is_shared(_: Any, name: str | None, *more: Any) -> bool:
    # SQLite's full-text index is tables, PostgreSQL's is an index.
    return name is None or not name.startswith(("vumi_words", "vumi_messages_by_word"))


class SqliteTests(SqlTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.url = f"sqlite:///{self.path}"

    async def test_one_in_memory_can_do_all_that_one_door_can(self) -> None:
        archive = await self.opened("sqlite://")
        made = [inbound(f"text {n}", n, message_id=f"m{n}") for n in range(20)]
        writes = [archive.store_message(Kind.INBOUND, message, ["b"]) for message in made]
        reads = [archive.page(Kind.INBOUND, "b") for _ in range(5)]
        await all_of(writes)
        await all_of(reads)
        page = await archive.page(Kind.INBOUND, "b", limit=1)
        self.assertEqual(page.entries, (Entry("m0", START, USER),))
        self.assertEqual(ids(await archive.search(Query(text="7"))), ["m7"])
        other = await self.opened("sqlite://")
        self.assertEqual(await other.count(Kind.INBOUND), 0)

    async def test_nothing_that_was_promised_is_lost_when_the_process_is_killed(self) -> None:
        process = self.writing_process("m", 100_000)
        assert process.stdout is not None
        promised = [process.stdout.readline() for _ in range(700)]
        process.send_signal(signal.SIGKILL)
        promised += process.stdout.readlines()
        process.wait()
        # The last line may have been cut by the kill.
        keys = [line.strip() for line in promised if line.endswith("\n")]
        assert len(keys) >= 700
        archive = await self.opened(self.url)
        stored = await archive.get_messages(Kind.OUTBOUND, keys)
        self.assertEqual(ids(stored), keys)
        self.assertEqual(ids(await archive.get_events(keys)), keys)
        number = await archive.count(Kind.OUTBOUND, "b")
        self.assertEqual(await archive.count(Kind.OUTBOUND), number)
        last = keys[-1].removeprefix("m")
        page = await archive.search(Query(text=f"word{last}"))
        self.assertEqual(ids(page), [keys[-1]])
        await archive.close()
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            connection.execute(
                "INSERT INTO vumi_words (vumi_words, rank) VALUES ('integrity-check', 1)"
            )

    async def test_several_processes_make_and_fill_one_file(self) -> None:
        processes = [self.writing_process(prefix, 150) for prefix in ("a", "b", "c")]
        for process in processes:
            output, _ = process.communicate()
            self.assertEqual((process.returncode, len(output.splitlines())), (0, 150))
        archive = await self.opened(self.url)
        self.assertEqual(await archive.count(Kind.OUTBOUND, "b"), 450)
        self.assertEqual((await archive.status_counts("b"))["ack"], 450)

    def writing_process(self, prefix: str, number: int) -> subprocess.Popen[str]:
        module = "vumi.components.message_store.sql.tests.writing_process"
        process = subprocess.Popen(
            [sys.executable, "-m", module, self.url, prefix, str(number)],
            cwd=TREE,
            stdout=subprocess.PIPE,
            text=True,
        )

        def end() -> None:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

        self.addCleanup(end)
        return process

    async def test_commits_are_on_the_disk_before_they_count(self) -> None:
        archive = await self.opened(self.url)
        with archive._database.transaction() as connection:
            found = [
                connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one()
                for pragma in ("journal_mode", "synchronous")
            ]
        self.assertEqual(found, ["wal", 2])

    async def test_readers_can_t_write(self) -> None:
        archive = await self.opened(self.url)
        with archive._database.question() as connection:
            self.assertRaises(
                OperationalError, connection.exec_driver_sql, "DELETE FROM vumi_messages"
            )

    async def test_a_full_disk_is_told_and_what_was_stored_is_safe(self) -> None:
        archive = await self.opened(self.url, patience=0.2)
        await archive.store_message(Kind.INBOUND, inbound(message_id="first"), ["b"])
        with archive._database.transaction() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 5}")
        error = await self.fails(
            archive.store_message, Kind.INBOUND, inbound("x" * 1_000_000, message_id="m"), ["b"]
        )
        self.assertIsInstance(error, StoreUnavailable)
        assert "full" in str(error), error
        assert "Make room" in str(error), error
        self.assertEqual(ids(await archive.page(Kind.INBOUND, "b")), ["first"])
        with archive._database.transaction() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1000000")
        await archive.store_message(Kind.INBOUND, inbound(message_id="m", seconds=1), ["b"])
        self.assertEqual(ids(await archive.page(Kind.INBOUND, "b")), ["first", "m"])

    async def test_a_folder_that_is_not_there_is_told_at_once(self) -> None:
        archive = SqlArchive(f"sqlite:///{self.path}/nowhere/file.db", reactor)
        self.addCleanup(archive.close)
        error = await self.fails(archive.open)
        assert "no folder" in str(error), error
        self.assertNotIsInstance(error, StoreUnavailable)

    async def test_a_file_that_is_no_database_is_told_at_once(self) -> None:
        Path(self.path).write_text("not a database " * 1000)
        archive = SqlArchive(self.url, reactor)
        self.addCleanup(archive.close)
        error = await self.fails(archive.open)
        assert "not a database" in str(error), error
        self.assertNotIsInstance(error, StoreUnavailable)

    async def test_forgetting_overwrites_what_it_erases(self) -> None:
        archive = await self.opened(self.url)
        secret = "unmistakable" * 20
        await archive.store_message(Kind.INBOUND, inbound(secret, message_id="m"), ["b"])
        await archive.store_message(Kind.INBOUND, inbound("x", 1, user="+2"), ["b"])
        while await archive.forget(USER):
            pass
        await archive.close()
        assert secret.encode() not in Path(self.path).read_bytes()

    async def test_a_question_that_takes_too_long_is_cut(self) -> None:
        archive = await self.opened(self.url, patience=0.2, timeout=0.3)
        endless = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n"
        )
        error = await self.fails(
            archive._asked, "too much", lambda connection: connection.exec_driver_sql(endless)
        )
        self.assertIsInstance(error, StoreUnavailable)
        self.assertEqual(await archive.count(Kind.INBOUND), 0)


class PostgresqlTests(SqlTestCase):
    pytestmark = pytest.mark.integration

    def setUp(self) -> None:
        self.url = make_schema(shared_postgres().url())
        self.addCleanup(drop_schema, self.url)

    async def test_a_lock_that_others_hold_too_long_is_given_up(self) -> None:
        archive = await self.opened(self.url, patience=0.2, timeout=0.3)
        with psycopg.connect(self.url) as holder:
            holder.execute("LOCK TABLE vumi_messages IN ACCESS EXCLUSIVE MODE")
            error = await self.fails(archive.store_message, Kind.INBOUND, inbound(), ["b"])
            self.assertIsInstance(error, StoreUnavailable)
        await archive.store_message(Kind.INBOUND, inbound(), ["b"])

    async def test_other_workers_write_the_same_rows_without_blocking_each_other(self) -> None:
        archives = [await self.opened(self.url) for _ in range(3)]
        writes = []
        for n in range(40):
            for archive in archives:
                writes.append(
                    archive.store_message(
                        Kind.OUTBOUND,
                        outbound(seconds=n, message_id=f"m{n * 7 % 40}"),
                        [f"b{n % 3}"],
                    )
                )
                writes.append(archive.store_event(ack(f"m{n * 11 % 40}", event_id=f"e{n}")))
        await gatherResults(writes)
        self.assertEqual(await archives[0].count(Kind.OUTBOUND), 40)
        self.assertEqual(await archives[0].count(Kind.EVENT), 40)
        page = await archives[0].search(Query(status="ack"))
        self.assertEqual(len(page.entries), 40)

    async def test_commits_are_on_the_disk_even_if_the_server_is_set_otherwise(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            (user,) = connection.execute("SELECT current_user").fetchone() or ("",)
            connection.execute(f"ALTER ROLE {user} SET synchronous_commit = off")
            try:
                archive = await self.opened(self.url)
                with archive._database.transaction() as transaction:
                    setting = transaction.exec_driver_sql("SHOW synchronous_commit")
                    self.assertEqual(setting.scalar_one(), "on")
            finally:
                connection.execute(f"ALTER ROLE {user} RESET synchronous_commit")

    async def test_an_encoding_that_can_t_hold_all_texts_is_refused(self) -> None:
        server = shared_postgres()
        name = "vumi_test_latin1"
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name}")
            connection.execute(
                f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'"
            )
            archive = SqlArchive(server.url(name), reactor)
            error = await self.fails(archive.open)
            assert "LATIN1" in str(error), error
            await archive.close()
            connection.execute(f"DROP DATABASE {name}")

    async def test_a_wrong_password_is_told_without_the_password(self) -> None:
        url = shared_postgres().url().replace("@", "wrong@", 1)
        archive = SqlArchive(url, reactor, patience=0.1)
        self.addCleanup(archive.close)
        error: BaseException | None = await self.fails(archive.open)
        assert "password authentication failed" in str(error), error
        password = url.split("@")[0].rpartition(":")[2]
        while error is not None:
            assert password not in str(error)
            error = error.__cause__


class PostgresqlStallTests(SqlTestCase):
    pytestmark = pytest.mark.integration

    async def test_a_connection_that_answers_no_more_is_cut_and_another_one_used(self) -> None:
        require(PostgresServer)
        with (
            tempfile.TemporaryDirectory(prefix="vumi-postgresql-") as directory,
            PostgresServer(directory) as server,
        ):
            archive = await self.opened(server.url(), patience=10, timeout=0.5)
            await archive.store_message(Kind.INBOUND, inbound(message_id="m1"), ["b"])
            self.assertEqual(await archive.count(Kind.INBOUND, "b"), 1)
            with psycopg.connect(server.url(), autocommit=True) as connection:
                query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'vumi'"
                pids = [pid for (pid,) in connection.execute(query)]
            assert len(pids) >= 2
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            try:
                write = archive.store_message(Kind.INBOUND, inbound(message_id="m2"), ["b"])
                read = archive.get_message(Kind.INBOUND, "m1")
                self.assertEqual(await write, True)
                assert (await read) is not None
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
            await archive.close()


class LifeTests(SqlTestCase):
    """Opening and closing, also at the same time."""

    async def test_the_file_and_those_beside_it_are_for_their_owner_only(self) -> None:
        path = Path(self.mktemp())
        before = os.umask(0o022)
        self.addCleanup(os.umask, before)
        archive = await self.opened(f"sqlite:///{path}")
        await archive.store_message(Kind.INBOUND, inbound("m1"), ["b"])
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.glob("*")}
        mine = {name: mode for name, mode in modes.items() if name.startswith(path.name)}
        assert len(mine) > 1
        assert set(mine.values()) == {0o600}, mine

    async def test_a_file_that_is_there_keeps_its_mode(self) -> None:
        path = Path(self.mktemp())
        path.touch()
        path.chmod(0o640)
        await self.opened(f"sqlite:///{path}")
        assert path.stat().st_mode & 0o777 == 0o640

    async def test_an_archive_closed_while_it_opens_is_closed_after_that(self) -> None:
        for url in ("sqlite://", f"sqlite:///{self.mktemp()}"):
            archive = SqlArchive(url, reactor)
            begun, go_on = threading.Event(), threading.Event()
            prepare, close = archive._prepare, archive._database.close
            steps: list[str] = []

            def preparing(
                work: None,
                begun: Any = begun,
                go_on: Any = go_on,
                prepare: Any = prepare,
                steps: list[str] = steps,
            ) -> None:
                begun.set()
                go_on.wait()
                prepare(work)
                steps.append("prepared")

            def closing(close: Any = close, steps: list[str] = steps) -> None:
                steps.append("closed")
                close()

            self.patch(archive, "_prepare", preparing)
            self.patch(archive._database, "close", closing)
            opening = archive.open()
            await deferToThread(begun.wait)
            both = gatherResults([archive.close(), archive.close()])
            go_on.set()
            await both
            await opening
            assert steps == ["prepared", "closed"]
            with self.assertRaisesRegex(StoreError, "is closed"):
                await archive.open()

    async def test_opening_that_is_cancelled_leaves_no_thread_with_a_closed_connection(
        self,
    ) -> None:
        for _ in range(20):
            archive = SqlArchive("sqlite://", reactor)
            opening = archive.open()
            opening.cancel()
            with self.assertRaises(CancelledError):
                await opening
            await archive.close()
