"""A conversation outlives any time without Redis: no message lost, the session goes on."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import redis
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from vumi.application import ApplicationConfig, ApplicationWorker
from vumi.application.tests.helpers import ApplicationHelper
from vumi.components.session import SessionManager
from vumi.config import ConfigDict
from vumi.tests.helpers import VumiTestCase
from vumi.tests.servers import RedisServer, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from vumi.message import TransportUserMessage

pytestmark = pytest.mark.integration

#: How long Redis is away, in seconds.
OUTAGE = 10.0
#: The same where a command may take less than that, and for how long it may.
LONG, SHORT = 2.0, 0.3


class CountingConfig(ApplicationConfig):
    """Options of the counting application."""

    redis_manager = ConfigDict("Where sessions are kept.", required=True, static=True)


class CountingApplication(ApplicationWorker):
    """Answers each user with how many messages he has sent in this session."""

    CONFIG_CLASS: ClassVar[Any] = CountingConfig

    async def setup_application(self) -> None:
        config = self.get_static_config().redis_manager
        self.sessions: Any = await SessionManager.from_redis_config(config, "counting", 600)

    async def teardown_application(self) -> None:
        await self.sessions.stop()

    async def consume_user_message(self, message: TransportUserMessage) -> None:
        session = await self.sessions.load_session(message.user())
        session["count"] = str(int(session.get("count", 0)) + 1)
        await self.sessions.save_session(message.user(), session)
        await self.reply_to(message, f"{message['content']} is number {session['count']}")


class RedisAwayTests(VumiTestCase):
    timeout = 60

    def setUp(self) -> None:
        require(RedisServer)
        self.directory = directory = Path(tempfile.mkdtemp(prefix="vumi-redis-away-"))
        self.add_cleanup(rmtree, directory)
        self.server = RedisServer(directory)
        self.server.start()
        self.add_cleanup(self.server.stop)
        self.helper = self.add_helper(ApplicationHelper(CountingApplication))

    async def talk_through(
        self,
        away: Callable[[], object],
        back: Callable[[], object],
        outage: float = OUTAGE,
        timeout: float = 30,
    ) -> None:
        """Write messages, with Redis away for the middle ten of them.

        :param outage: For how many seconds it is away.
        :param timeout: That of the application's ``redis_manager``.
        """
        config = {"url": self.server.url(), "timeout": timeout}
        await self.helper.get_application({"redis_manager": config})
        users = ("+27820000001", "+27820000002")
        sent = []

        async def send(number: int) -> None:
            for user in users:
                # Not waited for: users don't wait for each other, nor for Redis.
                sent.append(self.helper.make_dispatch_inbound(str(number), from_addr=user))
            await deferLater(reactor, outage / 10, lambda: None)

        for number in (1, 2):
            await send(number)
        await deferToThread(away)
        for number in range(3, 13):
            await send(number)
        await deferToThread(back)
        for number in (13, 14):
            await send(number)
        for dispatched in sent:
            await dispatched
        for user in users:
            replies = [
                reply["content"]
                for reply in self.helper.get_dispatched_outbound()
                if reply["to_addr"] == user
            ]
            self.assertEqual(replies, [f"{number} is number {number}" for number in range(1, 15)])
        broker = self.helper.worker_helper.broker
        dead = broker.get_messages("vumi", f"{self.helper.transport_name}.inbound.dead")
        self.assertEqual(dead, [])

    async def test_redis_that_hangs_for_ten_seconds(self) -> None:
        await self.talk_through(self.server.pause, self.server.resume)

    # For longer than a command may take: messages wait

    def admin(self, *words: str) -> Callable[[], object]:
        """What says something to Redis, on a connection of its own."""

        def say() -> object:
            client = redis.Redis(port=self.server.port)
            try:
                return client.execute_command(*words)
            finally:
                client.close()

        return say

    async def through(self, away: Callable[[], object], back: Callable[[], object]) -> None:
        await self.talk_through(away, back, LONG, SHORT)

    async def test_redis_that_hangs_for_longer_than_a_command_may_take(self) -> None:
        await self.through(self.server.pause, self.server.resume)

    async def test_redis_that_is_killed_and_started_again(self) -> None:
        self.server.stop()
        self.server = RedisServer(self.directory / "persistent", persistent=True)
        self.server.start()
        self.add_cleanup(self.server.stop)
        await self.through(self.server.kill, self.server.start)

    async def test_redis_that_becomes_a_replica_for_a_while(self) -> None:
        away = self.admin("REPLICAOF", "127.0.0.1", "1")
        await self.through(away, self.admin("REPLICAOF", "NO", "ONE"))

    async def test_a_replica_without_its_master(self) -> None:
        self.admin("CONFIG", "SET", "replica-serve-stale-data", "no")()
        away = self.admin("REPLICAOF", "127.0.0.1", "1")
        await self.through(away, self.admin("REPLICAOF", "NO", "ONE"))

    async def test_redis_that_is_out_of_memory(self) -> None:
        back = self.admin("CONFIG", "SET", "maxmemory", "0")
        await self.through(self.admin("CONFIG", "SET", "maxmemory", "1"), back)

    async def test_redis_that_lacks_replicas(self) -> None:
        back = self.admin("CONFIG", "SET", "min-replicas-to-write", "0")
        await self.through(self.admin("CONFIG", "SET", "min-replicas-to-write", "1"), back)

    async def test_redis_that_takes_no_more_clients(self) -> None:
        # Whoever has a connection keeps it, so it is closed.
        self.addCleanup(self.admin("CONFIG", "SET", "maxclients", "1000"))
        kept = redis.Redis(port=self.server.port, single_connection_client=True)
        self.addCleanup(kept.close)

        def away() -> None:
            kept.execute_command("CONFIG", "SET", "maxclients", "1")
            kept.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        await self.through(away, lambda: kept.execute_command("CONFIG", "SET", "maxclients", "99"))

    async def test_redis_that_is_busy_with_a_script(self) -> None:
        self.admin("CONFIG", "SET", "lua-time-limit", "10")()
        running: list[Any] = []

        def loop() -> None:
            with contextlib.suppress(redis.RedisError):
                self.admin("EVAL", "while true do end", "0")()

        def away() -> None:
            thread = threading.Thread(target=loop)
            thread.start()
            running.append(thread)

        def back() -> None:
            self.admin("SCRIPT", "KILL")()
            running[0].join()

        await self.through(away, back)
