"""Both managers keep the contract on a real Redis."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.trial.unittest import TestCase

from vumi.persist.redis_manager import RedisManager
from vumi.persist.tests.contract import ManagerContract
from vumi.persist.txredis_manager import TxRedisManager
from vumi.tests.servers import shared_redis

pytestmark = pytest.mark.integration


class TxRedisManagerTests(ManagerContract, TestCase):
    def connect(self, **options: Any) -> Any:
        return TxRedisManager.from_config({"url": shared_redis().url(), **options})


class RedisManagerTests(ManagerContract, TestCase):
    def connect(self, **options: Any) -> Any:
        return RedisManager.from_config({"url": shared_redis().url(), **options})
