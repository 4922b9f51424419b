"""Tag pools: each tag has one user at a time, whatever crashes and whoever else wants it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.defer import gatherResults

from vumi.components.tagpool import TagpoolError, TagpoolManager
from vumi.components.tests.stores import CrashingStore, InProcess, OnRedis
from vumi.errors import StoreError
from vumi.persist.fake_redis import WAIT_VARIABLE
from vumi.persist.redis_manager import RedisManager
from vumi.tasks import settle

if TYPE_CHECKING:
    from collections.abc import Callable

TAG1, TAG2, TAG3 = ("pool", "tag1"), ("pool", "tag2"), ("pool", "täg3")


class TagpoolContract:
    """What tag pools do, with a manager of either kind on either store."""

    async def pools(self: Any, *tags: tuple[str, str]) -> TagpoolManager:
        self.redis = await self.manager()
        pools = TagpoolManager(self.redis)
        await settle(pools.declare_tags(tags))
        return pools

    async def test_a_number_and_its_text_are_one_tag(self: Any) -> None:
        mixed: Any = [("pool", 1), ("pool", "1"), (7, 8), ("7", "8")]
        pools = await self.pools(*mixed)
        await self.gives(pools.free_tags("pool"), [("pool", "1")])
        await self.gives(pools.free_tags("7"), [("7", "8")])
        number: Any = ("pool", 1)
        await self.gives(pools.acquire_specific_tag(number, "me"), ("pool", "1"))
        await self.gives(pools.acquire_specific_tag(("pool", "1"), "me"), None)
        await settle(self.redis.sadd("tagpools:owners:me:tags", '["pool", 1]'))
        await self.gives(pools.owned_tags("me"), [["pool", "1"]])
        await settle(pools.release_tag(number))
        await self.gives(pools.inuse_tags("pool"), [])

    async def gives(self: Any, outcome: Any, expected: Any) -> None:
        self.assertEqual(await settle(outcome), expected)

    async def has(self: Any, pools: TagpoolManager, free: Any, in_use: Any) -> None:
        self.assertEqual(sorted(await settle(pools.free_tags("pool"))), sorted(free))
        self.assertEqual(sorted(await settle(pools.inuse_tags("pool"))), sorted(in_use))

    async def test_tags_are_acquired_in_order_until_none_is_free(self: Any) -> None:
        pools = await self.pools(TAG2, TAG1)
        await self.has(pools, [TAG1, TAG2], [])
        await self.gives(pools.acquire_tag("pool"), TAG1)
        await self.has(pools, [TAG2], [TAG1])
        await self.gives(pools.acquire_tag("pool"), TAG2)
        await self.gives(pools.acquire_tag("pool"), None)
        await self.gives(pools.acquire_tag("no such pool"), None)

    async def test_a_tag_can_be_asked_for_by_name(self: Any) -> None:
        pools = await self.pools(TAG1, TAG2, TAG3)
        await self.gives(pools.acquire_specific_tag(list(TAG3)), TAG3)
        await self.has(pools, [TAG1, TAG2], [TAG3])
        await self.gives(pools.acquire_specific_tag(TAG3), None)
        await self.gives(pools.acquire_specific_tag(("pool", "unknown")), None)

    async def test_a_released_tag_is_the_last_of_its_pool(self: Any) -> None:
        pools = await self.pools(TAG1, TAG2)
        await settle(pools.acquire_tag("pool"))
        await settle(pools.release_tag(TAG1))
        await self.has(pools, [TAG1, TAG2], [])
        await self.gives(pools.acquire_tag("pool"), TAG2)
        await self.gives(pools.acquire_tag("pool"), TAG1)

    async def test_releasing_what_is_not_in_use_changes_nothing(self: Any) -> None:
        pools = await self.pools(TAG1)
        await settle(pools.release_tag(TAG1))
        await settle(pools.release_tag(("pool", "unknown")))
        await self.has(pools, [TAG1], [])
        await self.gives(self.redis.lrange("tagpools:pool:free:list", 0, -1), ["tag1"])

    async def test_declaring_leaves_those_that_are_there_as_they_are(self: Any) -> None:
        pools = await self.pools(TAG1, TAG2)
        await settle(pools.acquire_tag("pool"))
        await settle(pools.declare_tags([TAG3, TAG2, TAG1, TAG3]))
        await self.has(pools, [TAG2, TAG3], [TAG1])
        await self.gives(self.redis.lrange("tagpools:pool:free:list", 0, -1), ["tag2", "täg3"])

    async def test_declaring_very_many(self: Any) -> None:
        pools = await self.pools(*[("pool", f"{number:04}") for number in range(2500)])
        await self.gives(self.redis.llen("tagpools:pool:free:list"), 2500)
        await self.gives(pools.acquire_tag("pool"), ("pool", "0000"))

    async def test_owners_and_reasons(self: Any) -> None:
        pools = await self.pools(TAG1, TAG2, TAG3)
        reason = {"for": "quiz"}
        before = time.time()
        await settle(pools.acquire_tag("pool", "me", reason))
        await settle(pools.acquire_specific_tag(TAG3, "me"))
        await settle(pools.acquire_tag("pool"))
        # It is the caller's.
        self.assertEqual(reason, {"for": "quiz"})
        owner, stored = await settle(pools.acquired_by(TAG1))
        self.assertEqual((owner, stored["owner"], stored["for"]), ("me", "me", "quiz"))
        self.assertTrue(before <= stored["timestamp"] <= time.time())
        owned = await settle(pools.owned_tags("me"))
        self.assertEqual(sorted(owned), [list(TAG1), list(TAG3)])
        await self.gives(pools.owned_tags(None), [list(TAG2)])
        await self.gives(pools.owned_tags("nobody"), [])
        owner, stored = await settle(pools.acquired_by(TAG2))
        self.assertEqual((owner, stored["owner"]), (None, None))

    async def test_a_free_tag_has_no_owner_and_no_reason(self: Any) -> None:
        pools = await self.pools(TAG1)
        await self.gives(pools.acquired_by(TAG1), (None, None))
        await settle(pools.acquire_tag("pool", "me", {"for": "quiz"}))
        await settle(pools.release_tag(TAG1))
        await self.gives(pools.acquired_by(TAG1), (None, None))
        await self.gives(pools.owned_tags("me"), [])
        await self.gives(self.redis.exists("tagpools:pool:reason:hash"), False)
        await settle(pools.acquire_tag("pool", "other"))
        owner, reason = await settle(pools.acquired_by(TAG1))
        self.assertEqual(owner, "other")
        self.assertNotIn("for", reason)

    async def test_reasons_that_the_old_vumi_left_behind_count_for_nothing(self: Any) -> None:
        pools = await self.pools(TAG1)
        await settle(self.redis.hset("tagpools:pool:reason:hash", "tag1", '{"owner": "old"}'))
        await self.gives(pools.acquired_by(TAG1), (None, None))

    async def test_tags_in_use_without_a_reason_can_be_released(self: Any) -> None:
        pools = await self.pools()
        await settle(self.redis.sadd("tagpools:pool:inuse:set", "tag1"))
        await settle(self.redis.sadd("tagpools:unowned:tags", json.dumps(TAG1)))
        await settle(pools.release_tag(TAG1))
        await self.has(pools, [TAG1], [])
        await self.gives(pools.owned_tags(None), [])

    async def test_metadata(self: Any) -> None:
        pools = await self.pools()
        await self.gives(pools.get_metadata("pool"), {})
        for metadata in ({"a": 1, "b": {"c": ["ä", None]}}, {"d": "e"}, {}):
            await settle(pools.set_metadata("pool", metadata))
            await self.gives(pools.get_metadata("pool"), metadata)
            await self.gives(pools.list_pools(), {"pool"})

    async def test_purging_leaves_nothing_behind(self: Any) -> None:
        pools = await self.pools(TAG1, ("other", "tag"))
        await settle(pools.set_metadata("pool", {"a": 1}))
        await settle(pools.acquire_tag("pool", "me"))
        with self.assertRaises(TagpoolError) as caught:
            await settle(pools.purge_pool("pool"))
        self.assertEqual(str(caught.exception), "1 tags of pool pool still in use.")
        await self.has(pools, [], [TAG1])
        await settle(pools.release_tag(TAG1))
        await settle(self.redis.hset("tagpools:pool:reason:hash", "tag1", "{}"))
        await settle(pools.purge_pool("pool"))
        await self.gives(pools.list_pools(), {"other"})
        self.assertEqual([key for key in await self.keys() if ":pool" in key], [])

    async def test_keys_are_those_of_all_versions(self: Any) -> None:
        pools = await self.pools(TAG1, TAG3)
        await settle(pools.set_metadata("pool", {"a": "b"}))
        await settle(pools.acquire_specific_tag(TAG3, "me"))
        stored = {
            "tagpools:list": ("set", {"pool"}),
            "tagpools:pool:free:list": ("list", ["tag1"]),
            "tagpools:pool:free:set": ("set", {"tag1"}),
            "tagpools:pool:inuse:set": ("set", {"täg3"}),
            "tagpools:pool:metadata": ("hash", {"a": '"b"'}),
            # As json.dumps() writes it: old workers look for just this.
            "tagpools:owners:me:tags": ("set", {'["pool", "t\\u00e4g3"]'}),
        }
        keys = await self.keys()
        self.assertEqual(keys, sorted([*stored, "tagpools:pool:reason:hash"]))
        read = {"set": self.redis.smembers, "hash": self.redis.hgetall}
        for key, (kind, value) in stored.items():
            await self.gives(self.redis.type(key), kind)
            if kind == "list":
                await self.gives(self.redis.lrange(key, 0, -1), value)
            else:
                await self.gives(read[kind](key), value)


class TagpoolTests(TagpoolContract, InProcess):
    async def test_workers_that_acquire_at_the_same_time_get_different_tags(self) -> None:
        # Replies take a while, so each step of one comes between those of the others.
        self.patch(os, "environ", {**os.environ, WAIT_VARIABLE: "0.001"})
        tags = [("pool", f"tag{number}") for number in range(8)]
        pools = await self.pools(*tags)
        acquired = await gatherResults(pools.acquire_tag("pool") for _ in range(10))
        self.assertEqual(sorted(acquired, key=str), sorted([*tags, None, None], key=str))

    async def test_releasing_while_others_do_frees_a_tag_once(self) -> None:
        self.patch(os, "environ", {**os.environ, WAIT_VARIABLE: "0.001"})
        pools = await self.pools(TAG1)
        await pools.acquire_tag("pool", "me")
        await gatherResults(pools.release_tag(TAG1) for _ in range(5))
        free = await self.redis.lrange("tagpools:pool:free:list", 0, -1)
        self.assertEqual(free, ["tag1"])

    async def test_a_tag_that_gets_a_new_owner_while_it_is_released(self) -> None:
        pools = await self.pools(TAG1)
        await pools.acquire_tag("pool", "me")
        hget = self.redis.hget

        def slow_hget(*args: Any) -> Any:
            # Somebody else releases the tag, and a third one acquires it.
            self.redis.hget = hget
            reply = hget(*args)
            other = TagpoolManager(self.redis)
            reply.addCallback(lambda value: other.release_tag(TAG1).addCallback(lambda _: value))
            reply.addCallback(
                lambda value: other.acquire_tag("pool", "third").addCallback(lambda _: value)
            )
            return reply

        self.redis.hget = slow_hget
        await pools.release_tag(TAG1)
        # Whoever it was, the tag and its owner's list agree.
        self.assertEqual(await pools.free_tags("pool"), [TAG1])
        self.assertEqual(await pools.owned_tags("third"), [])
        self.assertEqual(await pools.owned_tags("me"), [])


class BlockingTagpoolTests(TagpoolContract, InProcess):
    manager_class = RedisManager

    async def test_no_crash_leaves_a_tag_in_no_list_or_in_two(self) -> None:
        redis = await self.manager()
        acts: dict[str, Callable[[TagpoolManager], Any]] = {
            "acquire": lambda pools: pools.acquire_tag("pool", "me", {"for": "quiz"}),
            "acquire specific": lambda pools: pools.acquire_specific_tag(TAG1, "me"),
            "release": lambda pools: pools.release_tag(TAG2),
            "declare": lambda pools: pools.declare_tags([TAG1, TAG2, TAG3]),
            "purge": lambda pools: pools.purge_pool("pool"),
            "metadata": lambda pools: pools.set_metadata("pool", {"a": 1, "b": 2}),
        }
        for name, act in acts.items():
            for commands in range(10):
                with self.subTest(act=name, commands=commands):
                    redis._purge_all()
                    sound = TagpoolManager(redis)
                    sound.declare_tags([TAG1, TAG2])
                    sound.acquire_specific_tag(TAG2, "other")
                    crashing = CrashingStore.manager(self.fake, commands, self.prefix)
                    with contextlib.suppress(StoreError, TagpoolError):
                        act(TagpoolManager(crashing))
                    self.check_sound(redis, sound)

    def check_sound(self, redis: RedisManager, pools: TagpoolManager) -> None:
        """Each tag is free or in use, and everything says so."""
        free, in_use = pools.free_tags("pool"), pools.inuse_tags("pool")
        in_list = redis.lrange("tagpools:pool:free:list", 0, -1)
        self.assertEqual(sorted(in_list), sorted(tag for _, tag in free))
        self.assertEqual(set(free) & set(in_use), set())
        self.assertLessEqual({TAG1, TAG2}, {*free, *in_use})
        reasons = redis.hgetall("tagpools:pool:reason:hash")
        self.assertEqual(reasons.keys(), {tag for _, tag in in_use})
        for tag in in_use:
            owner, _ = pools.acquired_by(tag)
            self.assertIn(list(tag), pools.owned_tags(owner))
        owned = pools.owned_tags("me") + pools.owned_tags("other")
        self.assertEqual(sorted(owned), sorted(map(list, in_use)))
        self.assertIn(len(pools.get_metadata("pool")), {0, 2})


@pytest.mark.integration
class TagpoolOnRedisTests(TagpoolContract, OnRedis):
    async def test_workers_that_acquire_at_the_same_time_get_different_tags(self) -> None:
        tags = [("pool", f"tag{number}") for number in range(40)]
        pools = await self.pools(*tags)
        others = TagpoolManager(await self.manager())
        acquired = await gatherResults(
            manager.acquire_tag("pool") for _ in range(25) for manager in (pools, others)
        )
        self.assertEqual(sorted(filter(None, acquired)), sorted(tags))
        self.assertEqual(acquired.count(None), 10)


@pytest.mark.integration
class BlockingTagpoolOnRedisTests(TagpoolContract, OnRedis):
    manager_class = RedisManager
