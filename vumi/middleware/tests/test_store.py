"""Middlewares with a connection to the store: opened before the first message, closed once."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from vumi.components.tests.stores import InProcess
from vumi.errors import StoreError, StoreUnavailable
from vumi.middleware.store import StoreMiddleware
from vumi.persist.txredis_manager import TxRedisManager
from vumi.tests.helpers import WorkerHelper
from vumi.transports import Transport

HERE = "vumi.middleware.tests.test_store"


class Prefixed(StoreMiddleware):
    SUB_PREFIX = "mine"

    def setup_store(self) -> None:
        self.was_there = self.redis is not None


class StoreMiddlewareTests(InProcess):
    def setUp(self) -> Any:
        self.closed: list[Any] = []
        close = TxRedisManager.close_manager

        def counting(manager: Any) -> Any:
            self.closed.append(manager)
            return close(manager)

        self.patch(TxRedisManager, "close_manager", counting)
        self.helper = self.add_helper(WorkerHelper())
        return super().setUp()

    async def transport(self) -> Any:
        """A transport, which has two connectors, with two middlewares."""
        section = {"redis_manager": self.redis_config()}
        return await self.helper.get_worker(
            Transport,
            {
                "transport_name": "sphex",
                "middleware": [
                    {"a": "vumi.middleware.store.StoreMiddleware"},
                    {"b": f"{HERE}.Prefixed"},
                ],
                "a": section,
                "b": section,
            },
        )

    async def test_the_store_is_open_while_the_worker_runs_and_closed_once(self) -> None:
        worker = await self.transport()
        plain, prefixed = worker.middlewares
        self.assertTrue(prefixed.was_there)
        await plain.redis.set("key", "1")
        await prefixed.redis.set("key", "2")
        self.assertEqual(await self.keys(), ["key", "mine:key"])
        self.assertEqual(self.closed, [])
        managers = [middleware._manager for middleware in worker.middlewares]
        await self.helper.cleanup_worker(worker)
        self.assertEqual(sorted(map(id, self.closed)), sorted(map(id, managers)))
        with self.assertRaises(StoreError):
            await plain.redis.get("key")

    async def test_a_worker_whose_store_is_away_does_not_start(self) -> None:
        def away(config: Any) -> Any:
            async def fail() -> Any:
                raise StoreUnavailable("Redis is away.")

            return Deferred.fromCoroutine(fail())

        self.patch(TxRedisManager, "from_config", away)
        with self.assertRaises(StoreUnavailable):
            await self.transport()
        self.assertEqual(self.closed, [])

    async def test_what_was_never_set_up_can_be_torn_down(self) -> None:
        await StoreMiddleware("a", {}, None).teardown_middleware()
