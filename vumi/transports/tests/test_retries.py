"""The worker that sends failed messages again: later and later, never lost, not for ever."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

from twisted.internet.task import Clock

from vumi.components.tests.stores import InProcess, OnRedis
from vumi.errors import ConfigError, StoreUnavailable
from vumi.tests.helpers import MessageHelper, WorkerHelper
from vumi.tests.utils import LogCatcher
from vumi.transports import FailureWorker
from vumi.transports.failures import FailureMessage

NOON = 1_700_000_000 - 1_700_000_000 % 86400 + 43200


class ClockedWorker(FailureWorker):
    now: float = NOON
    test_clock: Clock

    @property
    def clock(self) -> Any:
        return self.test_clock

    def unix_time(self) -> float:
        return self.now + float(self.clock.seconds())


class RetriesContract:
    """What the worker does, on either store."""

    async def worker(self: Any, **config: Any) -> Any:
        self.clock = getattr(self, "clock", None) or Clock()
        self.messages = self.add_helper(MessageHelper())
        self.workers = self.add_helper(WorkerHelper("sphex"))
        config = {"transport_name": "sphex", "redis_manager": self.redis_config(), **config}
        worker = await self.workers.get_worker(ClockedWorker, config, start=False)
        worker.test_clock = self.clock
        await worker.startWorker()
        return worker

    async def dispatch_failure(self: Any, code: str | None, **fields: Any) -> Any:
        message = self.messages.make_outbound("hello", **fields)
        failure = FailureMessage(message=message.payload, failure_code=code, reason="no line")
        await self.workers.dispatch_raw("sphex.failures", failure)
        return message

    def again(self: Any) -> Any:
        return self.workers.get_dispatched_outbound()

    async def due(self: Any, worker: Any, seconds: float) -> Any:
        worker.now += seconds
        return await worker.deliver_retries()

    async def test_a_temporary_failure_is_sent_again_and_then_forgotten(self: Any) -> None:
        worker = await self.worker()
        message = await self.dispatch_failure("temporary")
        self.assertEqual(await self.due(worker, 0), 0)
        self.assertEqual(await self.due(worker, 5), 1)
        [sent] = self.again()
        self.assertEqual(sent["message_id"], message["message_id"])
        self.assertEqual(sent["timestamp"], message["timestamp"])
        self.assertEqual(sent["retry_metadata"], {"retries": 1, "delay": 1.0})
        self.assertEqual(await self.keys(), [])
        self.assertEqual(await self.due(worker, 3600), 0)

    async def test_one_that_fails_again_waits_longer_up_to_a_bound(self: Any) -> None:
        worker = await self.worker(retry_max_delay=30)
        delays = []
        metadata: dict[str, Any] = {}
        for _ in range(5):
            metadata = worker.update_retry_metadata({"retry_metadata": metadata})["retry_metadata"]
            delays.append(metadata["delay"])
        self.assertEqual(delays, [1, 3, 9, 27, 30])
        self.assertEqual(metadata["retries"], 5)

    async def test_permanent_failures_were_kept_for_ever(self: Any) -> None:
        worker = await self.worker(failure_lifetime=100)
        _ = await self.dispatch_failure("permanent")
        _ = await self.dispatch_failure(None)
        self.assertEqual(await self.due(worker, 3600), 0)
        keys = await worker.get_failure_keys()
        self.assertEqual(len(keys), 2)
        for key in keys:
            failure = await worker.get_failure(key)
            self.assertEqual(failure["reason"], "no line")
            self.assertEqual(json.loads(failure["message"])["content"], "hello")
            self.assertTrue(0 < await worker.redis.ttl(key) <= 100)

    async def test_the_keys_of_expired_failures_were_never_forgotten(self: Any) -> None:
        worker = await self.worker()
        _ = await self.dispatch_failure("permanent")
        [old] = await worker.get_failure_keys()
        _ = await worker.redis.delete(old)
        for _ in range(2):
            _ = await self.dispatch_failure("permanent")
        self.assertNotIn(old, await worker.get_failure_keys())

    async def test_retries_had_no_limit(self: Any) -> None:
        worker = await self.worker(max_retries=2)
        with LogCatcher() as log:
            _ = await self.dispatch_failure("temporary", retry_metadata={"retries": 2, "delay": 3})
        self.assertIn("not sent again", " ".join(log.messages()))
        self.assertEqual(await self.due(worker, 7200), 0)
        self.assertEqual(len(await worker.get_failure_keys()), 1)

    async def test_a_message_that_could_not_be_published_was_lost(self: Any) -> None:
        worker = await self.worker()
        _ = await self.dispatch_failure("temporary")
        publish = worker.retry_publisher.publish_message

        def refuse(message: Any) -> None:
            raise StoreUnavailable("the broker is away")

        worker.retry_publisher.publish_message = refuse
        worker.now += 5
        with self.assertRaises(StoreUnavailable):
            await worker.deliver_retries()
        worker.retry_publisher.publish_message = publish
        self.assertEqual(await self.due(worker, 10), 0)
        self.assertEqual(await self.due(worker, worker.LEASE), 1)
        self.assertEqual(len(self.again()), 1)

    async def test_a_missing_failure_stopped_all_retries(self: Any) -> None:
        worker = await self.worker()
        _ = await self.dispatch_failure("temporary")
        [key] = await worker.get_failure_keys()
        _ = await worker.redis.delete(key)
        _ = await self.dispatch_failure("temporary")
        with LogCatcher() as log:
            self.assertEqual(await self.due(worker, 5), 2)
        self.assertIn(key, " ".join(log.messages()))
        self.assertEqual(len(self.again()), 1)

    async def test_what_the_old_worker_stored_is_sent(self: Any) -> None:
        worker = await self.worker()
        key = "failure.2012-01-01T00:00:00.abc"
        message = self.messages.make_outbound("old").to_json()
        _ = await worker.redis.hmset(key, {"message": message, "reason": "r", "retry_delay": "1"})
        _ = await worker.redis.sadd("failure_keys", key)
        _ = await worker.redis.sadd("retry_keys.2012-01-01T00:00:05", key)
        # Local time, as the old one wrote it.
        _ = await worker.redis.zadd("retry_timestamps", **{"2012-01-01T00:00:05": 1325368805.0})
        self.assertEqual(await self.due(worker, 0), 1)
        self.assertEqual([sent["content"] for sent in self.again()], ["old"])
        self.assertEqual(await self.keys(), [])

    async def test_many_are_sent_in_one_run(self: Any) -> None:
        worker = await self.worker()
        for _ in range(20):
            _ = await self.dispatch_failure("temporary")
        self.assertEqual(await self.due(worker, 5), 20)
        self.assertEqual(len(self.again()), 20)


class RetriesInProcess(RetriesContract, InProcess):
    async def test_the_loop_goes_on_after_an_error(self) -> None:
        worker: Any = await self.worker()
        with patch.object(worker, "_claim", side_effect=StoreUnavailable("away")):
            self.clock.advance(3)
        self.assertEqual(len(self.flushLoggedErrors(StoreUnavailable)), 1)
        _ = await self.dispatch_failure("temporary")
        sent = self.workers.wait_for_dispatched_outbound(1)
        for _ in range(4):
            self.clock.advance(3)
        self.assertEqual(len(await sent), 1)

    async def test_zero_seconds_means_no_loop(self) -> None:
        worker: Any = await self.worker(retry_delivery_period=0)
        self.assertIsNone(worker._loop)

    async def test_one_that_started_half_can_be_stopped(self) -> None:
        self.workers = self.add_helper(WorkerHelper("sphex"))
        worker = await self.workers.get_worker(
            ClockedWorker,
            {"transport_name": "sphex", "redis_manager": self.redis_config()},
            start=False,
        )
        worker.test_clock = Clock()
        await worker.stopWorker()

    async def test_keys_that_cannot_be_filled_in_are_refused(self) -> None:
        for name in ("retry_routing_key", "failures_routing_key"):
            with self.assertRaises(ConfigError) as caught:
                await self.worker(**{name: "%(transport)s.outbound"})
            self.assertIn(name, str(caught.exception))
        with self.assertRaises(ConfigError):
            await self.worker(retry_granularity=0)


class RetriesOnRedis(RetriesContract, OnRedis):
    pass
