"""Key-value stores for tests: the one in the process, and a real Redis.

A suite of tests is a mixin that asks for managers (:meth:`InProcess.manager`); it becomes test
cases by :class:`InProcess` and :class:`OnRedis`.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from twisted.internet import reactor
from twisted.internet.task import deferLater

from vumi.errors import StoreError
from vumi.persist.fake_redis import FakeRedis
from vumi.persist.redis_manager import RedisManager
from vumi.persist.txredis_manager import TxRedisManager
from vumi.tasks import settle
from vumi.tests.helpers import VumiTestCase
from vumi.tests.servers import shared_redis

__all__ = ["CrashingStore", "InProcess", "OnRedis"]


class InProcess(VumiTestCase):
    """Tests whose store is in the process; all managers of one test share it."""

    manager_class: Any = TxRedisManager

    def setUp(self) -> Any:
        self.prefix = f"test-{uuid4().hex}"
        self.fake = FakeRedis()
        self.add_cleanup(self._purge)

    def redis_config(self) -> dict[str, Any]:
        """The options of the store, with a key prefix of this test's own."""
        return {"FAKE_REDIS": self.fake, "key_prefix": self.prefix}

    async def manager(self, manager_class: Any = None) -> Any:
        """A manager with a connection of its own, which is closed after the test."""
        manager = await settle(
            (manager_class or self.manager_class).from_config(self.redis_config())
        )
        self.add_cleanup(manager.close_manager)
        return manager

    async def pass_seconds(self, seconds: int) -> None:
        """Let time pass for the store."""
        self.fake.clock.advance(seconds)

    async def keys(self) -> list[str]:
        """All keys of this test, sorted."""
        manager = await self.manager()
        return sorted(await settle(manager.keys()))

    async def _purge(self) -> None:
        manager = await settle(self.manager_class.from_config(self.redis_config()))
        await settle(manager._purge_all())
        await settle(manager.close_manager())


class OnRedis(InProcess):
    """The same, on a real Redis."""

    timeout = 30

    def redis_config(self) -> dict[str, Any]:
        return {"url": shared_redis().url(), "key_prefix": self.prefix}

    async def pass_seconds(self, seconds: int) -> None:
        await deferLater(reactor, seconds + 0.1)


class CrashingStore:
    """A store in the process whose client crashes: only so many commands are executed.

    :param store: The store.
    :param commands: How many.
    """

    def __init__(self, store: FakeRedis, commands: int) -> None:
        self.address = store.address
        self._store = store
        self._commands = commands

    def execute(self, words: Any, repeatable: bool = False) -> Any:
        """Execute a command, unless the client has crashed."""
        # A script that Redis doesn't know yet takes a second try.
        if words[0] != b"EVALSHA":
            if self._commands <= 0:
                raise StoreError("crashed")
            self._commands -= 1
            return self._store.execute(words, repeatable)
        if self._commands <= 0:
            raise StoreError("crashed")
        reply = self._store.execute(words, repeatable)
        self._commands -= 1
        return reply

    def close(self) -> None:
        """Nothing to close."""

    @classmethod
    def manager(cls, store: FakeRedis, commands: int, prefix: str) -> RedisManager:
        """A manager that crashes."""
        return RedisManager(cls(store, commands), prefix)
