"""Both managers keep the contract on the store in this process."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import TestCase

from vumi.persist.config import TEST_DB_VARIABLE
from vumi.persist.fake_redis import FakeRedis
from vumi.persist.redis_manager import RedisManager
from vumi.persist.tests.contract import ManagerContract
from vumi.persist.txredis_manager import TxRedisManager


class InProcessContract(ManagerContract):
    """The contract, all managers of a test on one store."""

    manager_class: Any

    def setUp(self) -> None:
        assert isinstance(self, TestCase)
        without = {key: text for key, text in os.environ.items() if key != TEST_DB_VARIABLE}
        self.patch(os, "environ", without)
        self.fake = FakeRedis()

    def connect(self, **options: Any) -> Any:
        return self.manager_class.from_config({"FAKE_REDIS": self.fake, **options})

    async def pass_seconds(self, manager: Any, seconds: int) -> None:
        self.fake.clock.advance(seconds + 0.1)


class TxRedisManagerInProcessTests(InProcessContract, TestCase):
    manager_class = TxRedisManager


class RedisManagerInProcessTests(InProcessContract, TestCase):
    manager_class = RedisManager
