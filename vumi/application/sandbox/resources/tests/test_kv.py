from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from twisted.internet.defer import gatherResults

from vumi.application.sandbox.resources.kv import RedisResource
from vumi.application.sandbox.resources.tests.stored import StoredResourceTestCase
from vumi.components.tests.stores import OnRedis
from vumi.errors import ConfigError
from vumi.tasks import settle

OK = {"success": True}
FULL = {"success": False, "reason": "Too many keys"}


class TestRedisResource(StoredResourceTestCase):
    resource_cls = RedisResource

    async def raw(self) -> Any:
        return await self.manager()

    async def count(self) -> int:
        """How many keys the sandbox has, for all who ask."""
        redis = await self.raw()
        told = await settle(redis.get(f"count#{self.sandbox_id}"))
        return int(told or 0)

    async def test_values_are_kept_as_they_were_given(self) -> None:
        await self.make()
        values = (0, -1.5, "", "\N{SNOWMAN}\x00", None, True, [1, {"a": [None]}], {"n": 2**53})
        for value in values:
            self.assertEqual(await self.ask("set", key="k", value=value), OK)
            self.assertEqual(await self.ask("get", key="k"), {**OK, "value": value})

    async def test_the_keys_and_values_are_those_of_the_old_vumi(self) -> None:
        await self.make()
        redis = await self.raw()
        await settle(redis.set("sandboxes#test_id#old", json.dumps({"from": "old"})))
        self.assertEqual(await self.ask("get", key="old"), {**OK, "value": {"from": "old"}})
        await self.ask("set", key="new", value=[1])
        self.assertEqual(await settle(redis.get("sandboxes#test_id#new")), "[1]")
        self.assertEqual(await self.count(), 1)

    async def test_what_is_not_there_is_null(self) -> None:
        await self.make()
        self.assertEqual(await self.ask("get", key="k"), {**OK, "value": None})

    async def test_a_value_that_is_undefined_in_javascript_is_null(self) -> None:
        await self.make()
        self.assertEqual(await self.ask("set", key="k"), OK)
        self.assertEqual(await self.ask("get", key="k"), {**OK, "value": None})

    async def test_a_value_goes_after_its_time(self) -> None:
        await self.make()
        for seconds in (1, 0.5, 1.0):
            self.assertEqual(await self.ask("set", key="k", value=1, seconds=seconds), OK)
        self.assertEqual(await self.ask("set", key="stays", value=1, seconds=1), OK)
        self.assertEqual(await self.ask("set", key="stays", value=2, seconds=None), OK)
        await self.pass_seconds(1)
        self.assertEqual((await self.ask("get", key="k"))["value"], None)
        self.assertEqual((await self.ask("get", key="stays"))["value"], 2)

    async def test_bad_arguments_are_refused_in_words(self) -> None:
        await self.make()
        a_number = "seconds must be a number or null"
        cases: list[tuple[str, str, dict[str, Any]]] = [
            (a_number, "set", {"key": "k", "value": 1, "seconds": "1"}),
            (a_number, "set", {"key": "k", "value": 1, "seconds": True}),
            (a_number, "set", {"key": "k", "value": 1, "seconds": [1]}),
            ("'key' must be given.", "set", {"value": 1}),
            ("'key' must be a text.", "set", {"key": 1, "value": 1}),
            ("'key' must be a text.", "get", {"key": None}),
            ("'key' must be a text.", "delete", {"key": ["k"]}),
            ("'amount' must be a whole number.", "incr", {"key": "k", "amount": "1"}),
            ("'amount' must be a whole number.", "incr", {"key": "k", "amount": 1.5}),
            ("'amount' must be a whole number.", "incr", {"key": "k", "amount": False}),
        ]
        for reason, cmd, fields in cases:
            self.assertEqual(await self.ask(cmd, **fields), {"success": False, "reason": reason})
        for seconds in (0, -1, 1e300):
            reply = await self.ask("set", key="k", value=1, seconds=seconds)
            self.assertIn("more than 0", reply["reason"])
        self.assertEqual(await self.keys(), [])

    async def test_deleting_tells_whether_there_was_something(self) -> None:
        await self.make()
        await self.ask("set", key="k", value=1)
        self.assertEqual(await self.ask("delete", key="k"), {**OK, "existed": True})
        self.assertEqual(await self.ask("delete", key="k"), {**OK, "existed": False})
        self.assertEqual(await self.keys(), [])

    async def test_numbers_are_added_to(self) -> None:
        await self.make()
        self.assertEqual(await self.ask("incr", key="k"), {**OK, "value": 1})
        self.assertEqual(await self.ask("incr", key="k", amount=5.0), {**OK, "value": 6})
        self.assertEqual(await self.ask("incr", key="k", amount=-10), {**OK, "value": -4})
        self.assertEqual(await self.ask("get", key="k"), {**OK, "value": -4})

    async def test_adding_keeps_when_a_number_expires(self) -> None:
        await self.make()
        await self.ask("set", key="k", value=1, seconds=1)
        await self.ask("incr", key="k")
        await self.pass_seconds(1)
        self.assertEqual((await self.ask("get", key="k"))["value"], None)

    async def test_what_is_no_number_is_not_added_to(self) -> None:
        await self.make()
        await self.ask("set", key="k", value="text")
        reply = await self.ask("incr", key="k")
        self.assertEqual(reply["success"], False)
        self.assertIn("not an integer", reply["reason"])

    async def test_a_failed_incr_does_not_count_a_key(self) -> None:
        await self.make(keys_per_user_hard=1)
        reply = await self.ask("incr", key="k", amount=2**70)
        self.assertEqual(reply["success"], False)
        self.assertEqual(await self.keys(), [])
        self.assertEqual(await self.ask("set", key="other", value=1), OK)

    async def test_as_many_keys_as_the_limit_says_and_not_one_less(self) -> None:
        await self.make(keys_per_user_hard=3, keys_per_user_soft=2)
        for key in "abc":
            self.assertEqual(await self.ask("set", key=key, value=1), OK)
        self.assertEqual([level for level, _ in self.api.logs], [logging.WARNING])
        self.assertEqual(await self.ask("set", key="d", value=1), FULL)
        self.assertEqual(await self.ask("incr", key="d"), FULL)
        self.assertEqual([level for level, _ in self.api.logs[1:]], [logging.ERROR] * 2)
        # What is there may change.
        self.assertEqual(await self.ask("set", key="a", value=2), OK)
        self.assertEqual(await self.ask("incr", key="b"), {**OK, "value": 2})
        await self.ask("delete", key="a")
        self.assertEqual(await self.ask("incr", key="d"), {**OK, "value": 1})
        self.assertEqual(await self.count(), 3)

    async def test_keys_that_have_expired_are_not_counted(self) -> None:
        await self.make(keys_per_user_hard=2)
        await self.ask("set", key="a", value=1, seconds=1)
        await self.ask("set", key="b", value=1, seconds=1)
        self.assertEqual(await self.ask("set", key="c", value=1), FULL)
        await self.pass_seconds(1)
        self.assertEqual(await self.ask("set", key="c", value=1), OK)
        self.assertEqual(await self.ask("set", key="a", value=1), OK)
        self.assertEqual(await self.count(), 2)

    async def test_a_key_set_again_after_it_expired_is_counted_once(self) -> None:
        await self.make(keys_per_user_hard=2)
        for _ in range(3):
            self.assertEqual(await self.ask("set", key="a", value=1, seconds=0.001), OK)
            await self.pass_seconds(1)
        self.assertEqual(await self.ask("set", key="b", value=1), OK)
        self.assertEqual(await self.ask("set", key="c", value=1), OK)

    async def test_keys_that_somebody_deleted_by_hand_are_not_counted(self) -> None:
        await self.make(keys_per_user_hard=2)
        await self.ask("set", key="a", value=1)
        await self.ask("set", key="b", value=1)
        redis = await self.raw()
        await settle(redis.delete("sandboxes#test_id#a"))
        self.assertEqual(await self.ask("set", key="c", value=1), OK)
        self.assertEqual(await self.ask("set", key="a", value=1), FULL)

    async def test_many_at_once_do_not_pass_the_limit(self) -> None:
        await self.make(keys_per_user_hard=5)
        replies = await gatherResults(
            [self.dispatch_command("set", key=f"k{n}", value=n) for n in range(20)]
        )
        self.assertEqual(sum(reply["success"] for reply in replies), 5)

    async def test_no_sandbox_sees_what_another_has(self) -> None:
        await self.make(keys_per_user_hard=1)
        for owner in ("a", "a#b", "a%23b", "a%"):
            self.api.sandbox_id = owner
            self.assertEqual(await self.ask("set", key="b#k", value=owner), OK)
            self.assertEqual(await self.ask("set", key="k", value=owner), FULL)
        for owner in ("a", "a#b", "a%23b", "a%"):
            self.api.sandbox_id = owner
            self.assertEqual((await self.ask("get", key="b#k"))["value"], owner)
            self.assertEqual((await self.ask("get", key="k"))["value"], None)

    async def test_a_limit_under_its_old_name(self) -> None:
        resource = await self.make(keys_per_user=10)
        self.assertEqual((resource.options.hard_limit, resource.options.soft_limit), (10, 8))
        resource = await self.make(keys_per_user=10, keys_per_user_hard=0)
        self.assertEqual((resource.options.hard_limit, resource.options.soft_limit), (0, 0))
        resource = await self.make()
        self.assertEqual((resource.options.hard_limit, resource.options.soft_limit), (100, 80))

    async def test_bad_options_are_refused(self) -> None:
        for config in (
            {"keys_per_user_hard": -1},
            {"keys_per_user_soft": "many"},
            {"redis_manager": {"port": "x"}},
        ):
            with self.assertRaises(ConfigError):
                self.resource_cls("kv", self.app_worker, config)


@pytest.mark.integration
class TestRedisResourceOnRedis(OnRedis, TestRedisResource):
    async def test_what_has_expired_is_not_even_counted_by_old_workers(self) -> None:
        await self.make()
        await self.ask("set", key="a", value=1, seconds=0.5)
        await self.ask("set", key="b", value=1)
        await self.pass_seconds(1)
        await self.ask("set", key="b", value=2)
        self.assertEqual(await self.count(), 1)
