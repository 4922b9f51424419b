"""The databases of a test: nothing of them is left afterwards."""

from __future__ import annotations

import os
from typing import Any
from uuid import uuid4

import pytest
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from vumi.components.message_store import MessageStore
from vumi.components.message_store.config import MessageStoreOptions
from vumi.errors import StoreError
from vumi.persist.config import TEST_DB_VARIABLE
from vumi.persist.redis_base import Manager
from vumi.persist.redis_manager import RedisManager
from vumi.persist.txredis_manager import TxRedisManager
from vumi.tasks import settle
from vumi.tests.helpers import MessageHelper
from vumi.tests.persistence_helper import PersistenceHelper, PersistenceHelperError
from vumi.tests.servers import shared_redis


class PersistenceHelperTests(TestCase):
    """Key-value stores in the process."""

    def setUp(self) -> None:
        without = {key: text for key, text in os.environ.items() if key != TEST_DB_VARIABLE}
        self.patch(os, "environ", without)

    def helper(self, **kw: Any) -> PersistenceHelper:
        helper = PersistenceHelper(**kw)
        helper.setup()
        self.addCleanup(helper.cleanup)
        return helper

    async def test_a_message_store_is_in_memory_and_shared_with_nobody(self) -> None:
        helper = self.helper()
        one, other = await helper.get_message_store(), await helper.get_message_store()
        batch_id = await one.batch_start([("pool", "tag")])
        self.assertEqual(await one.cache.get_batch_ids(), {batch_id})
        self.assertIsNone(await other.get_batch(batch_id))

    async def test_what_an_old_test_makes_a_message_store_of(self) -> None:
        helper = self.helper(use_riak=True)
        manager = await helper.get_riak_manager()
        loads: list[str] = []
        stores: list[str] = []
        helper.record_load_and_store(manager, loads, stores)
        store = MessageStore(manager, await helper.get_redis_manager())
        message = MessageHelper().make_inbound("hi")
        await store.add_inbound_message(message)
        self.assertEqual(await store.get_inbound_message(message["message_id"]), message)
        self.assertEqual((loads, stores), ([message["message_id"]], [message["message_id"]]))

    async def test_a_worker_with_the_old_options_stores_in_memory(self) -> None:
        config = self.helper(use_riak=True).mk_config({})
        options = MessageStoreOptions(config, static=True).store_options()
        self.assertEqual(options["url"], "sqlite://")
        config = self.helper().mk_config({"message_store": "sqlite://"})
        self.assertNotIn("riak_manager", config)

    async def test_an_archive_that_is_left_open_is_an_error_if_wanted(self) -> None:
        helper = PersistenceHelper(assert_closed=True)
        helper.setup()
        await (await helper.get_riak_manager()).close()
        await settle(helper.cleanup())
        helper.setup()
        await helper.get_riak_manager()
        with self.assertRaises(PersistenceHelperError):
            await settle(helper.cleanup())

    async def test_managers_of_both_kinds(self) -> None:
        manager = self.helper(is_sync=True).get_redis_manager()
        assert isinstance(manager, RedisManager)
        self.assertEqual(manager.get_key_prefix(), "vumitest")
        result = self.helper().get_redis_manager()
        assert isinstance(result, Deferred)
        assert isinstance(await result, TxRedisManager)

    async def test_each_manager_has_a_store_of_its_own_unless_it_is_to_share_one(self) -> None:
        helper = self.helper()
        one, other = await helper.get_redis_manager(), await helper.get_redis_manager()
        await one.set("key", "x")
        self.assertEqual(await other.get("key"), None)
        sharing = await helper.get_redis_manager({"FAKE_REDIS": one, "key_prefix": "vumitest"})
        self.assertEqual(await sharing.get("key"), "x")

    async def test_what_others_have_made_is_watched_too_by_every_helper(self) -> None:
        original = Manager.__init__
        one, other = self.helper(), self.helper(is_sync=True)
        config = one.mk_config({})["redis_manager"]
        manager = await TxRedisManager.from_config(config)
        for helper in (one, other):
            assert any(store is manager._store for store in helper._stores)
            await settle(helper.cleanup())
        self.assertIs(Manager.__init__, original)

    async def test_a_helper_that_is_not_set_up_any_more_watches_nothing(self) -> None:
        helper = self.helper()
        await settle(helper.cleanup())
        await TxRedisManager.from_config({"FAKE_REDIS": "yes"})
        self.assertEqual(helper._stores, [])


@pytest.mark.integration
class RealRedisTests(TestCase):
    """A real Redis, if the environment says so."""

    timeout = 20

    def setUp(self) -> None:
        self.url = shared_redis().url()
        self.patch(os, "environ", {**os.environ, TEST_DB_VARIABLE: "3"})

    async def test_managers_are_closed_and_their_keys_deleted(self) -> None:
        for is_sync in (True, False):
            helper = PersistenceHelper(is_sync=is_sync)
            helper.setup()
            prefix = f"vumitest-{uuid4().hex}"
            config = {"FAKE_REDIS": "yes", "url": self.url, "key_prefix": prefix}
            manager = await settle(helper.get_redis_manager(config))
            await settle(manager.sub_manager("sub").set("key", "x"))
            looking = RedisManager.from_config({"url": self.url})
            self.assertEqual(looking.get(f"{prefix}:sub:key"), "x")
            await settle(helper.cleanup())
            with self.assertRaises(StoreError):
                await settle(manager._store.execute([b"PING"]))
            after = RedisManager.from_config({"url": self.url})
            self.assertEqual(after.keys(f"{prefix}*"), [])
            after.close_manager()

    async def test_what_a_worker_has_closed_is_cleaned_up_too(self) -> None:
        helper = PersistenceHelper()
        helper.setup()
        config = {"url": self.url, "key_prefix": f"vumitest-{uuid4().hex}"}
        manager = await helper.get_redis_manager(config)
        await manager.set("key", "x")
        await manager.close_manager()
        await settle(helper.cleanup())
        after = RedisManager.from_config(config)
        self.addCleanup(after.close_manager)
        self.assertEqual(after.keys(), [])
