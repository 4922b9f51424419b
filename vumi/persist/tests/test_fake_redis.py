"""The store in the process: what is its own, beside the contract."""

from __future__ import annotations

import copy
import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vumi.config.tree import copy_tree
from vumi.errors import ConfigError, StoreError
from vumi.persist import interface, redis_base
from vumi.persist.config import TEST_DB_VARIABLE
from vumi.persist.fake_redis import (
    WAIT_VARIABLE,
    FakeRedis,
    LaterStore,
    ResponseError,
    Zset,
    shared_fake,
)
from vumi.persist.redis_manager import RedisManager
from vumi.persist.txredis_manager import TxRedisManager


class FakeRedisCase(SynchronousTestCase):
    """A test that the environment has no say in."""

    def setUp(self) -> None:
        ours = (TEST_DB_VARIABLE, WAIT_VARIABLE)
        self.environment = {key: text for key, text in os.environ.items() if key not in ours}
        self.patch(os, "environ", self.environment)


class FakeRedisTests(FakeRedisCase):
    """The old Vumi's double, with all its arguments."""

    def test_commands_have_no_prefix(self) -> None:
        fake = FakeRedis()
        fake.set("key", "x")
        self.assertEqual(fake.get("key"), "x")
        self.assertEqual(fake.keys(), ["key"])
        self.assertEqual(fake.scan(None), [None, ["key"]])
        fake.flushdb()
        self.assertEqual(fake.keys(), [])
        fake.teardown()

    def test_each_has_data_of_its_own(self) -> None:
        one, other = FakeRedis(), FakeRedis()
        one.set("key", "x")
        self.assertEqual(other.get("key"), None)

    def test_the_clock_lets_keys_expire(self) -> None:
        fake = FakeRedis()
        fake.setex("key", 60, "x")
        fake.hset("h", "f", "x")
        fake.expire("h", 120)
        fake.clock.advance(59)
        self.assertEqual(fake.get("key"), "x")
        self.assertIn(fake.ttl("key"), (0, 1))
        fake.clock.advance(1.1)
        self.assertEqual(fake.get("key"), None)
        self.assertEqual(fake.keys(), ["h"])
        fake.clock.advance(60)
        self.assertEqual(fake.hgetall("h"), {})

    def test_asynchronous_ones_give_deferreds_under_both_names(self) -> None:
        old_name: dict[str, Any] = {"async": True}
        for fake in (FakeRedis(async_=True), FakeRedis(**old_name)):
            self.assertEqual(self.successResultOf(fake.set("key", "x")), True)
            self.assertEqual(self.successResultOf(fake.get("key")), "x")
            self.failureResultOf(fake.incr("key"), ResponseError)

    def test_arguments_that_there_never_were_are_refused(self) -> None:
        with self.assertRaises(TypeError):
            FakeRedis(color="red")
        with self.assertRaises(ValueError):
            FakeRedis(charset="latin-1")
        FakeRedis(charset="UTF8", errors="strict")
        FakeRedis("utf-8", "strict", False)

    def test_names(self) -> None:
        self.assertIs(ResponseError, interface.ResponseError)
        self.assertIs(ResponseError, redis_base.Manager.RESPONSE_ERROR)

    def test_a_copy_of_a_configuration_shares_it(self) -> None:
        fake = FakeRedis()
        for given in (fake, RedisManager.from_config({"FAKE_REDIS": fake})):
            config = {"redis_manager": {"FAKE_REDIS": given}}
            for copied in (copy.deepcopy(config), copy_tree(config)):
                self.assertIs(copied["redis_manager"]["FAKE_REDIS"], given)


class ZsetTests(FakeRedisCase):
    """One sorted set."""

    def test_commands_without_a_key(self) -> None:
        zset = Zset()
        self.assertEqual(zset.zadd(a=2, b=1), 2)
        self.assertEqual(zset.zrange(0, -1), ["b", "a"])
        self.assertEqual(zset.zcard(), 2)
        self.assertEqual(zset.zscore("a"), 2.0)
        self.assertEqual(zset.zrem("a"), 1)
        self.assertFalse(hasattr(zset, "get"))

    def test_in_a_store_that_is_there(self) -> None:
        fake = FakeRedis()
        Zset(fake, "key").zadd(a=1)
        self.assertEqual(fake.zcard("key"), 1)


class LaterStoreTests(FakeRedisCase):
    """Replies that take their time, if the environment says so."""

    def store(self) -> tuple[LaterStore, Clock]:
        self.environment[WAIT_VARIABLE] = "0.25"
        clock = Clock()
        return LaterStore(FakeRedis(), clock), clock

    def test_replies_come_later(self) -> None:
        store, clock = self.store()
        good = store.execute([b"SET", b"key", b"x"])
        bad = store.execute([b"INCR", b"key"])
        self.assertNoResult(good)
        self.assertNoResult(bad)
        clock.advance(0.25)
        self.assertEqual(self.successResultOf(good), b"OK")
        self.failureResultOf(bad, ResponseError)

    def test_closing_gives_what_is_to_come(self) -> None:
        store, clock = self.store()
        result = store.execute([b"SET", b"key", b"x"])
        self.successResultOf(store.close())
        self.assertEqual(self.successResultOf(result), b"OK")
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_forgetting_leaves_nothing_behind(self) -> None:
        store, clock = self.store()
        result = store.execute([b"INCR", b"key"])
        store.forget()
        self.assertNoResult(result)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_what_was_cancelled_is_not_given(self) -> None:
        store, clock = self.store()
        result = store.execute([b"GET", b"key"])
        result.cancel()
        self.failureResultOf(result)
        clock.advance(1)

    def test_without_the_variable_they_are_there(self) -> None:
        store = LaterStore(FakeRedis(), Clock())
        self.assertEqual(self.successResultOf(store.execute([b"GET", b"key"])), None)


class SharingTests(FakeRedisCase):
    """Which store a configuration means."""

    def manager(self, **config: Any) -> Any:
        result = TxRedisManager.from_config(config)
        assert isinstance(result, Deferred)
        return self.successResultOf(result)

    def test_yes_is_a_new_store_each_time(self) -> None:
        one, other = self.manager(FAKE_REDIS="yes"), self.manager(FAKE_REDIS="yes")
        self.successResultOf(one.set("key", "x"))
        self.assertEqual(self.successResultOf(other.get("key")), None)

    def test_so_is_the_url(self) -> None:
        one, other = self.manager(url="memory:"), self.manager(url="memory:")
        self.successResultOf(one.set("key", "x"))
        self.assertEqual(self.successResultOf(other.get("key")), None)

    def test_an_object_is_shared_with_each_users_own_prefix(self) -> None:
        fake = FakeRedis()
        first = self.manager(FAKE_REDIS=fake, key_prefix="a")
        self.successResultOf(first.set("key", "x"))
        self.assertEqual(fake.get("a:key"), "x")
        for shared in (first, first.sub_manager("sub")):
            second = self.manager(FAKE_REDIS=shared, key_prefix="a")
            self.assertEqual(self.successResultOf(second.get("key")), "x")
            self.successResultOf(second.close_manager())
            self.assertEqual(self.successResultOf(first.get("key")), "x")
            blocking = RedisManager.from_config({"FAKE_REDIS": shared, "key_prefix": "a"})
            self.assertEqual(blocking.get("key"), "x")
            again = self.manager(FAKE_REDIS=blocking, key_prefix="a")
            self.assertEqual(self.successResultOf(again.get("key")), "x")

    def test_what_a_closed_manager_had_can_still_be_shared(self) -> None:
        first = self.manager(FAKE_REDIS="yes")
        self.successResultOf(first.set("key", "x"))
        self.successResultOf(first.close_manager())
        self.failureResultOf(first.get("key"), StoreError)
        second = self.manager(FAKE_REDIS=first)
        self.assertEqual(self.successResultOf(second.get("key")), "x")

    def test_a_manager_of_a_real_redis_is_no_fake(self) -> None:
        real = RedisManager.from_config({"port": 1})
        with self.assertRaises(ConfigError):
            shared_fake(real)
        self.failureResultOf(TxRedisManager.from_config({"FAKE_REDIS": real}), ConfigError)
