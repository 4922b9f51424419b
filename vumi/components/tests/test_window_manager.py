"""Windows: never more in flight than fit, in order, and nothing left behind."""

from __future__ import annotations

import os
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock

from vumi.components.tests.stores import InProcess, OnRedis
from vumi.components.window_manager import WindowException, WindowManager
from vumi.persist.fake_redis import WAIT_VARIABLE
from vumi.tests.utils import LogCatcher


class ClockedWindowManager(WindowManager):
    def __init__(self, clock: Clock, *args: Any, **kw: Any) -> None:
        self.clock = clock
        super().__init__(*args, **kw)

    def get_clock(self) -> Any:
        return self.clock


class WithWindows:
    """Makes windows."""

    async def windows(self: Any, **kw: Any) -> ClockedWindowManager:
        """A window manager, with the window ``w`` of size 3."""
        self.clock = getattr(self, "clock", None) or Clock()
        options = {"window_size": 3, "flight_lifetime": 10, "gc_interval": 1000, **kw}
        windows = ClockedWindowManager(self.clock, await self.manager(), **options)
        self.add_cleanup(windows.stop)
        self.redis = windows.redis
        await windows.create_window("w")
        return windows

    async def add(self: Any, windows: WindowManager, *keys: str) -> None:
        for key in keys:
            await windows.add("w", {"name": key}, key=key)

    async def take(self: Any, windows: WindowManager, number: int) -> list[str | None]:
        return [await windows.get_next_key("w") for _ in range(number)]

    async def counts(self: Any, windows: WindowManager) -> tuple[int, int]:
        return await windows.count_waiting("w"), await windows.count_in_flight("w")


class WindowContract(WithWindows):
    """What windows do, on either store."""

    async def test_windows_are_made_found_and_removed(self: Any) -> None:
        windows = await self.windows()
        self.clock.advance(5)
        self.assertEqual(await windows.create_window("v"), 5)
        self.assertEqual(await windows.get_windows(), ["w", "v"])
        self.assertTrue(await windows.window_exists("v"))
        self.assertFalse(await windows.window_exists("u"))
        self.clock.advance(5)
        # One that is there stays as it is.
        self.assertEqual(await windows.create_window("w"), 10)
        self.assertEqual(await windows.get_windows(), ["w", "v"])
        with self.assertRaises(WindowException):
            await windows.create_window("w", strict=True)
        self.assertEqual(await windows.create_window("u", strict=True), 10)
        for window_id in "wvu":
            await windows.remove_window(window_id)
        self.assertEqual(await windows.get_windows(), [])

    async def test_items_are_taken_in_order_as_far_as_the_window_goes(self: Any) -> None:
        windows = await self.windows()
        await self.add(windows, "a", "b", "c", "d")
        self.assertEqual(await self.take(windows, 5), ["a", "b", "c", None, None])
        self.assertEqual(await self.counts(windows), (1, 3))
        await windows.remove_key("w", "b")
        self.assertEqual(await self.take(windows, 2), ["d", None])
        self.assertEqual(await self.counts(windows), (0, 3))

    async def test_an_items_data_is_there_until_it_is_removed(self: Any) -> None:
        windows = await self.windows()
        key = await windows.add("w", {"content": ["ä", 1, None]})
        self.assertEqual(len(key), 32)
        self.assertEqual(await windows.get_next_key("w"), key)
        self.assertEqual(await windows.get_data("w", key), {"content": ["ä", 1, None]})
        await windows.remove_key("w", key)
        with self.assertRaises(WindowException):
            await windows.get_data("w", key)

    async def test_external_ids(self: Any) -> None:
        windows = await self.windows()
        await self.add(windows, "a")
        self.assertTrue(await windows.set_external_id("w", "a", "x1"))
        self.assertEqual(await windows.get_external_id("w", "a"), "x1")
        self.assertEqual(await windows.get_internal_id("w", "x1"), "a")
        self.assertTrue(await windows.set_external_id("w", "a", "x2"))
        self.assertIsNone(await windows.get_internal_id("w", "x1"))
        self.assertEqual(await windows.get_internal_id("w", "x2"), "a")
        await windows.clear_external_id("w", "a")
        self.assertIsNone(await windows.get_external_id("w", "a"))
        self.assertIsNone(await windows.get_internal_id("w", "x2"))

    async def test_keys_are_those_of_all_versions(self: Any) -> None:
        windows = await self.windows()
        await self.add(windows, "a", "b")
        await windows.get_next_key("w")
        await windows.set_external_id("w", "a", "x")
        stored = {
            "windows": "zset",
            "windows:w": "list",
            "windows:w:a": "string",
            "windows:w:b": "string",
            "windows:inflight:w": "list",
            "windows:flightstats:w": "zset",
            "windows:keymap:w:external:a": "string",
            "windows:keymap:w:internal:x": "string",
        }
        self.assertEqual(await self.keys(), sorted(stored))
        self.assertEqual({key: await self.redis.type(key) for key in stored}, stored)

    async def test_a_removed_item_leaves_nothing_behind(self: Any) -> None:
        windows = await self.windows()
        await self.add(windows, "a")
        await windows.get_next_key("w")
        await windows.set_external_id("w", "a", "x")
        await windows.remove_key("w", "a")
        self.assertEqual(await self.keys(), ["windows"])
        # An answer that comes late.
        self.assertFalse(await windows.set_external_id("w", "a", "x"))
        self.assertEqual(await self.keys(), ["windows"])

    async def test_an_expired_item_leaves_nothing_behind_and_is_told_of(self: Any) -> None:
        told: list[Any] = []
        windows = await self.windows(
            expired_callback=lambda *args: told.append(args), window_size=1
        )
        await self.add(windows, "a", "b")
        await windows.get_next_key("w")
        await windows.set_external_id("w", "a", "x")
        self.clock.advance(9)
        await windows.clear_expired_flight_keys()
        self.assertEqual(await windows.get_expired_flight_keys("w"), [])
        self.assertIsNone(await windows.get_next_key("w"))
        self.clock.advance(1)
        self.assertEqual(await windows.get_expired_flight_keys("w"), ["a"])
        await windows.clear_expired_flight_keys()
        self.assertEqual(told, [("w", "a", {"name": "a"})])
        self.assertEqual(await self.keys(), ["windows", "windows:w", "windows:w:b"])
        # Its place is free, and it doesn't expire again.
        self.assertEqual(await windows.get_next_key("w"), "b")
        await windows.clear_expired_flight_keys()
        self.assertEqual(len(told), 1)

    async def test_only_one_of_several_workers_is_told_that_an_item_expired(self: Any) -> None:
        told: list[Any] = []
        one = await self.windows(expired_callback=lambda *args: told.append(args))
        other = await self.windows(expired_callback=lambda *args: told.append(args))
        await self.add(one, "a", "b")
        await self.take(one, 2)
        self.clock.advance(10)
        await gatherResults([w.clear_expired_flight_keys() for w in (one, other, one)])
        self.assertEqual(sorted(key for _, key, _ in told), ["a", "b"])

    async def test_a_window_in_which_items_wait_is_not_removed(self: Any) -> None:
        windows = await self.windows()
        await self.add(windows, "a")
        with self.assertRaises(WindowException):
            await windows.remove_window("w")
        self.assertEqual(await windows.get_windows(), ["w"])
        self.assertEqual(await windows.get_next_key("w"), "a")

    async def test_a_removed_window_takes_with_it_what_is_in_flight(self: Any) -> None:
        windows = await self.windows()
        await self.add(windows, "a")
        await windows.get_next_key("w")
        await windows.set_external_id("w", "a", "x")
        await windows.remove_window("w")
        self.assertEqual(await self.keys(), [])

    async def test_workers_that_take_at_the_same_time_never_exceed_the_window(self: Any) -> None:
        one, other = await self.windows(), await self.windows()
        await self.add(one, *"abcdefgh")
        taken = await gatherResults(
            [windows.get_next_key("w") for _ in range(4) for windows in (one, other)]
        )
        self.assertEqual(sorted(filter(None, taken)), ["a", "b", "c"])
        self.assertEqual(await self.counts(one), (5, 3))


class WindowTests(WindowContract, InProcess):
    def setUp(self) -> Any:
        if "same_time" in self._testMethodName:
            # Replies take a while, so each step of one comes between those of the others.
            self.patch(os, "environ", {**os.environ, WAIT_VARIABLE: "0.001"})
        return super().setUp()

    async def test_without_a_flight_lifetime_it_follows_from_the_window(self) -> None:
        windows = await self.windows(flight_lifetime=None, window_size=7, gc_interval=3)
        self.assertEqual(windows.flight_lifetime, 21)

    async def test_expired_items_are_looked_for_until_it_is_stopped(self) -> None:
        windows = await self.windows(gc_interval=4)
        await self.add(windows, "a", "b")
        await windows.get_next_key("w")
        self.clock.advance(8)
        self.assertEqual(await self.counts(windows), (1, 1))
        self.clock.advance(4)
        self.assertEqual(await self.counts(windows), (1, 0))
        await windows.get_next_key("w")
        await windows.stop()
        self.clock.advance(100)
        self.assertEqual(await self.counts(windows), (0, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_a_look_that_fails_is_logged_and_the_next_one_comes(self) -> None:
        windows = await self.windows(gc_interval=10)
        await self.add(windows, "a")
        await windows.get_next_key("w")
        zrange = windows.redis.zrange
        windows.redis.zrange = None
        self.clock.advance(10)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        windows.redis.zrange = zrange
        self.clock.advance(10)
        self.assertEqual(await self.counts(windows), (0, 0))

    async def test_an_expired_callback_that_fails_disturbs_no_other_item(self) -> None:
        def failing(*args: Any) -> None:
            raise ValueError("broken")

        windows = await self.windows(expired_callback=failing)
        await self.add(windows, "a", "b")
        await self.take(windows, 2)
        self.clock.advance(10)
        with LogCatcher(message="expired_callback failed") as catcher:
            await windows.clear_expired_flight_keys()
        self.assertEqual(len(catcher.logs), 2)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)
        self.assertEqual(await self.counts(windows), (0, 0))

    async def test_stopping_waits_for_what_is_under_way(self) -> None:
        done: Deferred[None] = Deferred()
        windows = await self.windows(gc_interval=10, expired_callback=lambda *args: done)
        await self.add(windows, "a")
        await windows.get_next_key("w")
        self.clock.advance(10)
        stopping = windows.stop()
        self.assertNoResult(stopping)
        done.callback(None)
        await stopping


class MonitorTests(WithWindows, InProcess):
    async def test_monitoring_takes_items_as_there_is_room(self) -> None:
        windows = await self.windows(window_size=2)
        taken: list[tuple[str, str]] = []
        await self.add(windows, "a", "b", "c")
        windows.monitor(lambda *args: taken.append(args), interval=10)
        self.assertEqual(taken, [])
        self.clock.advance(10)
        self.assertEqual(taken, [("w", "a"), ("w", "b")])
        await windows.remove_key("w", "a")
        self.clock.advance(10)
        self.assertEqual(taken[2:], [("w", "c")])

    async def test_items_are_taken_one_after_another(self) -> None:
        windows = await self.windows()
        await self.add(windows, "a", "b")
        taken: list[str] = []
        waiting: list[Deferred[None]] = []

        def callback(window_id: str, key: str) -> Deferred[None]:
            taken.append(key)
            waiting.append(Deferred())
            return waiting[-1]

        windows.monitor(callback)
        self.clock.advance(10)
        self.assertEqual(taken, ["a"])
        waiting[0].callback(None)
        self.assertEqual(taken, ["a", "b"])
        waiting[1].callback(None)

    async def test_empty_windows_are_cleaned_up_after_the_callback(self) -> None:
        windows = await self.windows()
        cleaned: list[str] = []
        taken: list[Any] = []
        await self.add(windows, "a")
        windows.monitor(
            lambda *args: taken.append(args), interval=10, cleanup_callback=cleaned.append
        )
        self.clock.advance(10)
        # What is in flight is still the window's.
        self.assertEqual((taken, cleaned), ([("w", "a")], []))
        await windows.remove_key("w", "a")
        self.clock.advance(10)
        self.assertEqual(cleaned, ["w"])
        self.assertEqual(await self.keys(), [])

    async def test_windows_are_left_if_nobody_wants_them_cleaned_up(self) -> None:
        windows = await self.windows()
        windows.monitor(lambda *args: None, cleanup=False)
        self.clock.advance(10)
        self.assertEqual(await windows.get_windows(), ["w"])

    async def test_what_is_added_while_a_window_is_cleaned_up_is_not_lost(self) -> None:
        windows = await self.windows()

        async def add_and_take(window_id: str) -> None:
            await windows.add(window_id, "late", key="late")
            await windows.get_next_key(window_id)

        windows.monitor(lambda *args: None, cleanup_callback=add_and_take)
        self.clock.advance(10)
        self.assertEqual(await windows.get_windows(), ["w"])
        self.assertEqual(await windows.get_data("w", "late"), "late")

    async def test_a_callback_that_fails_disturbs_no_other_item(self) -> None:
        windows = await self.windows()
        await self.add(windows, "a", "b")
        taken: list[str] = []

        def failing(window_id: str, key: str) -> None:
            taken.append(key)
            raise ValueError("broken")

        windows.monitor(failing)
        self.clock.advance(10)
        self.assertEqual(taken, ["a", "b"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)
        await self.add(windows, "c")
        self.clock.advance(10)
        self.assertEqual(taken, ["a", "b", "c"])
        self.flushLoggedErrors(ValueError)

    async def test_there_is_one_monitor_only(self) -> None:
        windows = await self.windows()
        windows.monitor(lambda *args: None)
        with self.assertRaises(WindowException):
            windows.monitor(lambda *args: None)


@pytest.mark.integration
class WindowOnRedisTests(WindowContract, OnRedis):
    pass
