"""What every key-value manager must do: one suite, run against each kind on each store.

A subclass says how a manager is made (:meth:`ManagerContract.connect`). What a command gives is
awaited if it is a Deferred, and taken as it is if not.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from vumi.errors import StoreError
from vumi.persist.interface import IKeyValueStore, ResponseError
from vumi.persist.redis_base import Manager
from vumi.tasks import settle


class Counter:
    """Something that was written for whatever manager there is."""

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self.other = manager.sub_manager("other")

    @Manager.calls_manager
    def count(self, key: str, by: int = 1) -> Any:
        yield self.manager.incr(key, by)
        value = yield self.manager.get(key)
        return f"{key}={value}"

    @Manager.calls_manager("other")
    def fail(self) -> Any:
        try:
            yield self.other.set("text", "x")
            yield self.other.incr("text")
        except ResponseError as error:
            return error
        return None


class ManagerContract:
    """The suite. Mixed into a :class:`TestCase`."""

    timeout = 30

    def connect(self, **options: Any) -> Any:
        """A manager, or a Deferred of it, with these options."""
        raise NotImplementedError

    async def pass_seconds(self, manager: Any, seconds: int) -> None:
        """Let time pass for the store."""
        await deferLater(reactor, seconds + 0.1)

    async def manager(self, **options: Any) -> Any:
        options = {"key_prefix": f"contract-{uuid4().hex}"} | options
        manager = await settle(self.connect(**options))
        assert isinstance(self, TestCase)
        self.addCleanup(self._clean_up, manager)
        return manager

    async def _clean_up(self, manager: Any) -> None:
        # One that the test has closed has nothing in it.
        with suppress(StoreError):
            await settle(manager._purge_all())
        await settle(manager.close_manager())

    async def given(self, value: Any, expected: object) -> None:
        """Check what a command gives."""
        assert isinstance(self, TestCase)
        self.assertEqual(await settle(value), expected)

    async def refused(self, function: Any, *args: Any, **kw: Any) -> Any:
        """Check that a command is refused; gives the error."""
        try:
            result = await settle(function(*args, **kw))
        except ResponseError as error:
            return error
        raise AssertionError(f"not refused, but {result!r}")

    async def test_provides_the_interface(self) -> None:
        manager = await self.manager()
        verifyObject(IKeyValueStore, manager._store)
        assert manager.RESPONSE_ERROR is ResponseError
        assert str(manager._store.address) in repr(manager)

    # Values

    async def test_values_come_back_as_texts(self) -> None:
        manager = await self.manager()
        for value, text in (
            ("", ""),
            ("x y\r\n\0", "x y\r\n\0"),
            ("\N{SNOWMAN} é", "\N{SNOWMAN} é"),
            (b"bytes", "bytes"),
            (7, "7"),
            (-1.5, "-1.5"),
            (1e100, "1e+100"),
            ("12", "12"),
            ("0012", "0012"),
            ("1.0", "1.0"),
            ("OK", "OK"),
            ("QUEUED", "QUEUED"),
            ("x" * 300_000, "x" * 300_000),
        ):
            await self.given(manager.set("key", value), True)
            await self.given(manager.get("key"), text)

    async def test_bytes_that_are_no_text_go_through_unchanged(self) -> None:
        manager = await self.manager()
        await settle(manager.set("key", b"\xff\x00\xfe"))
        text = await settle(manager.get("key"))
        await settle(manager.set("copy", text))
        assert text.encode("utf-8", "surrogateescape") == b"\xff\x00\xfe"
        await self.given(manager.get("copy"), text)

    async def test_what_is_no_value_is_refused_loudly(self) -> None:
        manager = await self.manager()
        for value in (None, True, [], {}, object()):
            with_error = None
            try:
                await settle(manager.set("key", value))
            except TypeError as error:
                with_error = error
            assert "can't be stored" in str(with_error), value
        await self.given(manager.exists("key"), False)

    # Keys

    async def test_type_and_exists(self) -> None:
        manager = await self.manager()
        await self.given(manager.type("key"), "none")
        await self.given(manager.exists("key"), False)
        await settle(manager.lpush("key", "x"))
        await self.given(manager.type("key"), "list")
        await self.given(manager.exists("key"), True)
        await settle(manager.zadd("sorted", x=1))
        await self.given(manager.type("sorted"), "zset")

    async def test_keys_are_those_under_the_prefix_without_it(self) -> None:
        manager = await self.manager()
        other = await self.manager()
        await settle(other.set("theirs", "x"))
        for key in ("one", "two", "three"):
            await settle(manager.set(key, "x"))
        assert sorted(await settle(manager.keys())) == ["one", "three", "two"]
        assert sorted(await settle(manager.keys("t*"))) == ["three", "two"]
        await self.given(manager.keys("four"), [])
        await self.given(manager.delete("one"), 1)
        await self.given(manager.delete("one"), 0)
        await self.given(manager.exists("one"), False)

    async def test_a_prefix_with_wildcards_in_it_fits_itself_only(self) -> None:
        token = uuid4().hex
        wild = await self.manager(key_prefix=f"{token}[a-c]*?\\^")
        tame = await self.manager(key_prefix=f"{token}bxxy^")
        await settle(wild.set("mine", "x"))
        await settle(tame.set("theirs", "x"))
        await self.given(wild.keys(), ["mine"])
        await self.given(self.scan_all(wild), ["mine"])
        await settle(wild._purge_all())
        await self.given(wild.keys(), [])
        await self.given(tame.keys(), ["theirs"])

    async def scan_all(
        self, manager: Any, match: str = "*", count: int | None = None
    ) -> list[str]:
        found: set[str] = set()
        cursor = None
        while True:
            cursor, keys = await settle(manager.scan(cursor, match, count))
            found.update(keys)
            if cursor is None:
                return sorted(found)

    async def test_scanning_finds_all_that_fit(self) -> None:
        manager = await self.manager()
        assert await self.scan_all(manager) == []
        for number in range(50):
            await settle(manager.set(f"key{number:02}", number))
        expected = [f"key{number:02}" for number in range(50)]
        assert await self.scan_all(manager) == expected
        assert await self.scan_all(manager, count=7) == expected
        assert await self.scan_all(manager, "key1*") == expected[10:20]

    async def test_renaming(self) -> None:
        manager = await self.manager()
        await settle(manager.set("old", "x"))
        await settle(manager.set("new", "y"))
        await self.given(manager.rename("old", "new"), True)
        await self.given(manager.get("old"), None)
        await self.given(manager.get("new"), "x")
        error = await self.refused(manager.rename, "old", "new")
        assert str(error) == "no such key"
        assert error.code == "ERR"

    # Time to live

    async def test_a_key_that_is_to_go_goes(self) -> None:
        manager = await self.manager()
        await self.given(manager.setex("short", 1, "x"), True)
        await settle(manager.set("long", "x"))
        await self.given(manager.expire("long", 1000), True)
        await self.given(manager.get("short"), "x")
        await self.pass_seconds(manager, 1)
        await self.given(manager.get("short"), None)
        await self.given(manager.keys(), ["long"])

    async def test_times_to_live(self) -> None:
        manager = await self.manager()
        await self.given(manager.expire("key", 10), False)
        await self.given(manager.ttl("key"), None)
        await settle(manager.set("key", "x"))
        await self.given(manager.ttl("key"), None)
        await self.given(manager.expire("key", 100), True)
        assert 90 <= await settle(manager.ttl("key")) <= 100
        await self.given(manager.persist("key"), True)
        await self.given(manager.persist("key"), False)
        await self.given(manager.ttl("key"), None)

    async def test_setting_or_deleting_a_key_forgets_that_it_was_to_go(self) -> None:
        manager = await self.manager()
        await settle(manager.setex("set", 100, "x"))
        await settle(manager.set("set", "y"))
        await self.given(manager.ttl("set"), None)
        await settle(manager.setex("deleted", 100, "x"))
        await settle(manager.delete("deleted"))
        await settle(manager.incr("deleted"))
        await self.given(manager.ttl("deleted"), None)

    # Strings

    async def test_strings(self) -> None:
        manager = await self.manager()
        await self.given(manager.get("key"), None)
        await self.given(manager.setnx("key", "x"), True)
        await self.given(manager.setnx("key", "y"), False)
        await self.given(manager.get("key"), "x")

    async def test_counting(self) -> None:
        manager = await self.manager()
        await self.given(manager.incr("n"), 1)
        await self.given(manager.incr("n", 5), 6)
        await self.given(manager.incrby("n", 4), 10)
        await self.given(manager.decr("n"), 9)
        await self.given(manager.decr("n", 3), 6)
        await self.given(manager.decrby("n", 10), -4)
        await self.given(manager.get("n"), "-4")
        await settle(manager.set("n", "many"))
        error = await self.refused(manager.incr, "n")
        assert str(error) == "value is not an integer or out of range"

    # Hashes

    async def test_hashes(self) -> None:
        manager = await self.manager()
        await self.given(manager.hgetall("h"), {})
        await self.given(manager.hget("h", "f"), None)
        await self.given(manager.hset("h", "f", "x"), 1)
        await self.given(manager.hset("h", "f", "y"), 0)
        await self.given(manager.hsetnx("h", "f", "z"), False)
        await self.given(manager.hsetnx("h", "g", 1), True)
        await self.given(manager.hmset("h", {"i": 2, "\N{SNOWMAN}": "\N{SNOWMAN}"}), True)
        await self.given(
            manager.hgetall("h"), {"f": "y", "g": "1", "i": "2", "\N{SNOWMAN}": "\N{SNOWMAN}"}
        )
        await self.given(manager.hget("h", "f"), "y")
        await self.given(manager.hexists("h", "f"), True)
        await self.given(manager.hexists("h", "q"), False)
        await self.given(manager.hlen("h"), 4)
        assert sorted(await settle(manager.hvals("h"))) == ["1", "2", "y", "\N{SNOWMAN}"]
        await self.given(manager.hincrby("h", "i"), 3)
        await self.given(manager.hincrby("h", "new", -4), -4)
        await self.given(manager.hdel("h", "f", "g", "q"), 2)
        await self.given(manager.hdel("nothing", "f"), 0)
        await self.refused(manager.hincrby, "h", "\N{SNOWMAN}")
        await self.refused(manager.hmset, "h", {})

    # Sets

    async def test_sets(self) -> None:
        manager = await self.manager()
        await self.given(manager.smembers("s"), set())
        await self.given(manager.sadd("s", "a", "b", 3), 3)
        await self.given(manager.sadd("s", "a", "c"), 1)
        await self.given(manager.smembers("s"), {"a", "b", "c", "3"})
        await self.given(manager.scard("s"), 4)
        await self.given(manager.sismember("s", 3), True)
        await self.given(manager.sismember("s", "q"), False)
        await self.given(manager.srem("s", "3"), 1)
        await self.given(manager.srem("s", "3"), 0)
        await self.given(manager.smove("s", "t", "c"), True)
        await self.given(manager.smove("s", "t", "c"), False)
        await self.given(manager.smembers("t"), {"c"})
        await self.given(manager.sunion("s", "t", "nothing"), {"a", "b", "c"})
        await self.given(manager.spop("t"), "c")
        await self.given(manager.spop("t"), None)
        await self.given(manager.exists("t"), False)

    async def test_members_that_were_given_are_the_callers_own(self) -> None:
        manager = await self.manager()
        await settle(manager.sadd("s", "a"))
        (await settle(manager.smembers("s"))).add("b")
        await self.given(manager.smembers("s"), {"a"})

    # Sorted sets

    async def test_sorted_sets(self) -> None:
        manager = await self.manager()
        await self.given(manager.zadd("z", one=1, half=0.5, key="2.25"), 3)
        await self.given(manager.zadd("z", {"other one": 7, "one": 1.5}), 1)
        await self.given(manager.zcard("z"), 4)
        await self.given(manager.zrange("z", 0, -1), ["half", "one", "key", "other one"])
        await self.given(manager.zrange("z", 0, 1, desc=True), ["other one", "key"])
        await self.given(manager.zrange("z", 0, 1, withscores=True), [("half", 0.5), ("one", 1.5)])
        await self.given(manager.zscore("z", "key"), 2.25)
        await self.given(manager.zscore("z", "q"), None)
        await self.given(manager.zcount("z", 1, 3), 2)
        await self.given(manager.zcount("z", "-inf", "+inf"), 4)
        await self.given(manager.zrangebyscore("z"), ["half", "one", "key", "other one"])
        await self.given(manager.zrangebyscore("z", 1.5, "(7"), ["one", "key"])
        await self.given(manager.zrangebyscore("z", start=1, num=2), ["one", "key"])
        await self.given(
            manager.zrangebyscore("z", "1", "2", 0, 1, withscores=True), [("one", 1.5)]
        )
        await self.given(manager.zrem("z", "key"), 1)
        await self.given(manager.zrem("z", "key"), 0)
        await self.given(manager.zremrangebyrank("z", 0, 1), 2)
        await self.given(manager.zrange("z", 0, -1), ["other one"])
        await self.given(manager.zrange("nothing", 0, -1), [])

    async def test_half_a_limit_is_refused(self) -> None:
        manager = await self.manager()
        for half in ({"start": 1}, {"num": 1}):
            with pytest.raises(ValueError, match="both start and num"):
                await settle(manager.zrangebyscore("z", **half))

    async def test_scores_lose_no_digit(self) -> None:
        manager = await self.manager()
        for score in (1732147200.123457, 1e-7, 123456789012345.0, -0.1):
            await settle(manager.zadd("z", x=score))
            await self.given(manager.zscore("z", "x"), score)
            await self.given(manager.zrange("z", 0, -1, withscores=True), [("x", score)])

    async def test_a_score_that_is_no_number_is_refused(self) -> None:
        manager = await self.manager()
        error = await self.refused(manager.zadd, "z", x="high")
        assert str(error) == "value is not a valid float"

    # Lists

    async def test_lists(self) -> None:
        manager = await self.manager()
        await self.given(manager.llen("l"), 0)
        await self.given(manager.lpop("l"), None)
        await self.given(manager.rpop("l"), None)
        await self.given(manager.rpush("l", "a"), 1)
        await self.given(manager.rpush("l", "b"), 2)
        await self.given(manager.lpush("l", 0), 3)
        await self.given(manager.lrange("l", 0, -1), ["0", "a", "b"])
        await self.given(manager.lrange("l", 1, 1), ["a"])
        await self.given(manager.rpoplpush("l", "m"), "b")
        await self.given(manager.rpoplpush("nothing", "m"), None)
        await self.given(manager.lrange("m", 0, -1), ["b"])
        await self.given(manager.lpop("l"), "0")
        await self.given(manager.rpop("l"), "a")
        await self.given(manager.exists("l"), False)

    async def test_removing_from_lists(self) -> None:
        manager = await self.manager()
        for value in "xaxbxcx":
            await settle(manager.rpush("l", value))
        await self.given(manager.lrem("l", "x", 1), 1)
        await self.given(manager.lrem("l", "x", -1), 1)
        await self.given(manager.lrange("l", 0, -1), list("axbxc"))
        await self.given(manager.lrem("l", "x"), 2)
        await self.given(manager.ltrim("l", 1, -1), True)
        await self.given(manager.lrange("l", 0, -1), ["b", "c"])

    # HyperLogLogs

    async def test_estimates(self) -> None:
        manager = await self.manager()
        await self.given(manager.pfcount("p"), 0)
        await self.given(manager.pfadd("p", "a", "b"), 1)
        await self.given(manager.pfadd("p", "a"), 0)
        await self.given(manager.pfcount("p"), 2)

    # Errors

    async def test_a_key_of_another_type_is_an_error_that_says_so(self) -> None:
        manager = await self.manager()
        await settle(manager.set("key", "x"))
        error = await self.refused(manager.lpush, "key", "y")
        assert error.code == "WRONGTYPE"
        assert str(error).startswith("WRONGTYPE ")
        assert isinstance(error, manager.RESPONSE_ERROR)
        await self.given(manager.get("key"), "x")

    # Scripts

    async def test_scripts_get_prefixed_keys_and_arguments(self) -> None:
        manager = await self.manager()
        script = manager.script(
            """
            redis.call('SET', KEYS[1], ARGV[1])
            return {redis.call('GET', KEYS[1]), KEYS[2], tonumber(ARGV[2]) + 1, false, {'x'}}
            """
        )
        prefix = manager.get_key_prefix()
        for value in ("\N{SNOWMAN}", "again"):
            await self.given(
                script(keys=["key", "k2"], args=[value, 41]),
                [value, f"{prefix}:k2", 42, None, ["x"]],
            )
            await self.given(manager.get("key"), value)
        await self.given(manager.register_script("return 7")(), 7)

    async def test_a_script_is_executed_as_a_whole_and_remembered(self) -> None:
        manager = await self.manager()
        script = manager.script("return redis.call('INCR', KEYS[1])")
        for expected in (1, 2, 3):
            await self.given(script(["n"]), expected)
        same = manager.sub_manager("sub").script(script.source)
        assert same.sha == script.sha
        await self.given(same(["n"]), 1)

    async def test_an_error_in_a_script_is_an_error(self) -> None:
        manager = await self.manager()
        script = manager.script("return redis.call('LPUSH', KEYS[1], 'x')")
        await settle(manager.set("key", "x"))
        error = await self.refused(script, ["key"])
        assert "WRONGTYPE" in str(error)
        await self.refused(manager.script("this is no Lua"))
        error = await self.refused(manager.script("return redis.error_reply('MYCODE own words')"))
        assert error.code == "MYCODE"

    # Sub-managers, closing

    async def test_a_sub_manager_has_its_own_keys_on_the_same_store(self) -> None:
        manager = await self.manager(key_separator="#")
        sub = manager.sub_manager("sub")
        deeper = sub.sub_manager("deeper")
        prefix = manager.get_key_prefix()
        assert sub.get_key_prefix() == f"{prefix}#sub"
        assert deeper.get_key_prefix() == f"{prefix}#sub#deeper"
        await settle(deeper.set("key", "x"))
        await self.given(manager.get("sub#deeper#key"), "x")
        await self.given(sub.keys(), ["deeper#key"])
        await settle(sub._purge_all())
        await self.given(manager.keys(), [])

    async def test_a_manager_without_a_prefix_leaves_keys_alone(self) -> None:
        manager = await settle(self.connect())
        assert isinstance(self, TestCase)
        self.addCleanup(manager.close_manager)
        assert manager.get_key_prefix() is None
        assert manager._key("None:key") == "None:key"
        assert manager._unkey("None:key") == "None:key"
        sub = manager.sub_manager(f"contract-{uuid4().hex}")
        await settle(sub.set("key", "x"))
        key = f"{sub.get_key_prefix()}:key"
        await self.given(manager.keys(key), [key])
        await self.given(manager.delete(key), 1)
        try:
            await settle(manager._purge_all())
        except StoreError as error:
            assert "no key_prefix" in str(error)
        else:
            raise AssertionError("everybody's keys were deleted")

    async def assert_closed(self, manager: Any) -> None:
        try:
            await settle(manager.get("key"))
        except StoreError as error:
            assert "closed" in str(error)
        else:
            raise AssertionError("it is still open")

    async def test_closing_a_sub_manager_leaves_its_owner_and_the_others_open(self) -> None:
        manager = await self.manager()
        sub, other = manager.sub_manager("sub"), manager.sub_manager("other")
        await settle(sub.close_manager())
        await settle(sub.close_manager())
        await self.assert_closed(sub)
        await self.given(manager.set("key", "x"), True)
        await self.given(other.set("key", "x"), True)

    async def test_closing_the_owner_closes_all(self) -> None:
        manager = await self.manager()
        sub = manager.sub_manager("sub")
        store = manager._store
        await settle(manager.close_manager())
        await settle(manager._close())
        await self.assert_closed(manager)
        if not self.shares(store):
            await self.assert_closed(sub)
        await settle(sub.close_manager())

    def shares(self, store: Any) -> bool:
        """Whether closing this store leaves others that use it alone: nothing is connected."""
        return bool(store.address == "memory:")

    async def test_without_an_owner_the_last_sub_manager_closes_the_connection(self) -> None:
        manager = await settle(self.connect(key_prefix="contract"))
        first, last = manager.sub_manager("a"), manager.sub_manager("b")
        store = manager._store
        del manager
        await settle(first.close_manager())
        await self.given(last.get("key"), None)
        await settle(last.close_manager())
        if not self.shares(store):
            try:
                await settle(store.execute([b"PING"]))
            except StoreError:
                return
            raise AssertionError("the connection is still open")

    # For whatever manager there is

    async def test_methods_can_be_written_for_every_manager(self) -> None:
        counter = Counter(await self.manager())
        await self.given(counter.count("n"), "n=1")
        await self.given(counter.count("n", by=4), "n=5")
        assert isinstance(await settle(counter.fail()), ResponseError)
