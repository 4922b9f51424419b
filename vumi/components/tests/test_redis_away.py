"""A conversation outlives ten seconds without Redis: no message lost, the session goes on."""

from __future__ import annotations

import tempfile
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
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
        directory = Path(tempfile.mkdtemp(prefix="vumi-redis-away-"))
        self.add_cleanup(rmtree, directory)
        self.server = RedisServer(directory)
        self.server.start()
        self.add_cleanup(self.server.stop)
        self.helper = self.add_helper(ApplicationHelper(CountingApplication))

    async def talk_through(self, away: Callable[[], None], back: Callable[[], None]) -> None:
        """Write a message a second, with Redis away for the middle ten of them."""
        config = {"url": self.server.url(), "timeout": 30}
        await self.helper.get_application({"redis_manager": config})
        users = ("+27820000001", "+27820000002")
        sent = []

        async def send(number: int) -> None:
            for user in users:
                # Not waited for: users don't wait for each other, nor for Redis.
                sent.append(self.helper.make_dispatch_inbound(str(number), from_addr=user))
            await deferLater(reactor, OUTAGE / 10, lambda: None)

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

    async def test_redis_that_hangs_for_ten_seconds(self) -> None:
        await self.talk_through(self.server.pause, self.server.resume)
