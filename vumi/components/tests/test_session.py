"""Sessions: what is kept, for how long, and that no crash leaves half of one."""

from __future__ import annotations

import contextlib
import os
import time
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater

from vumi.application.session import SessionManager as OldSessionManager
from vumi.components.session import SessionManager
from vumi.components.tests.stores import CrashingStore, InProcess, OnRedis
from vumi.errors import StoreError
from vumi.persist.redis_manager import RedisManager
from vumi.tasks import settle
from vumi.tests.utils import LogCatcher

if TYPE_CHECKING:
    from collections.abc import Callable


class SessionContract:
    """What sessions do, with a manager of either kind on either store."""

    async def sessions(self: Any, max_session_length: float | None = 20) -> SessionManager:
        self.redis = await self.manager()
        return SessionManager(self.redis, max_session_length)

    async def test_a_session_is_created_saved_loaded_and_cleared(self: Any) -> None:
        sessions = await self.sessions()
        self.assertEqual(await settle(sessions.load_session("+27")), {})
        before = time.time()
        created = await settle(sessions.create_session("+27", step="menu", tries=3))
        self.assertEqual(created.keys(), {"created_at", "step", "tries"})
        self.assertTrue(before <= float(created["created_at"]) <= time.time())
        saved = await settle(sessions.save_session("+27", {"step": "näme", "known": True}))
        self.assertEqual(saved, {"step": "näme", "known": True})
        loaded = await settle(sessions.load_session("+27"))
        expected = {**created, "step": "näme", "known": "True"}
        self.assertEqual(loaded, expected)
        self.assertEqual(loaded["tries"], "3")
        await settle(sessions.clear_session("+27"))
        self.assertEqual(await settle(sessions.load_session("+27")), {})

    async def test_parts_of_a_second_are_a_bound_too(self: Any) -> None:
        sessions = await self.sessions(0.5)
        await settle(sessions.create_session("+27"))
        assert await settle(self.redis.ttl("session:+27")) in (0, 1)
        while await settle(sessions.load_session("+27")):
            await deferLater(reactor, 0.02)
        sessions.max_session_length = None
        await settle(sessions.create_session("+27"))
        self.assertIsNone(await settle(self.redis.ttl("session:+27")))
        await settle(sessions.schedule_session_expiry("+27", 0.7))
        assert await settle(self.redis.ttl("session:+27")) in (0, 1)
        assert await settle(sessions.load_session("+27"))

    async def test_half_a_surrogate_pair_is_kept(self: Any) -> None:
        sessions = await self.sessions()
        await settle(sessions.save_session("+27", {"text": "ok \ud83d"}))
        self.assertEqual(await settle(sessions.load_session("+27")), {"text": "ok \ud83d"})

    async def test_keys_are_those_of_all_versions(self: Any) -> None:
        sessions = await self.sessions()
        await settle(sessions.create_session("+27"))
        self.assertEqual(await self.keys(), ["session:+27"])
        self.assertEqual(await settle(self.redis.type("session:+27")), "hash")

    async def test_created_at_can_be_given(self: Any) -> None:
        sessions = await self.sessions()
        session = await settle(sessions.create_session("+27", created_at=17))
        self.assertEqual(session, {"created_at": "17"})

    async def test_creating_a_session_forgets_the_one_before(self: Any) -> None:
        sessions = await self.sessions()
        await settle(sessions.create_session("+27", step="menu"))
        session = await settle(sessions.create_session("+27"))
        self.assertEqual(session.keys(), {"created_at"})

    async def test_fields_that_are_not_saved_stay_unless_they_are_to_be_replaced(
        self: Any,
    ) -> None:
        sessions = await self.sessions()
        await settle(sessions.create_session("+27", a="1", b="2"))
        await settle(sessions.save_session("+27", {"b": "3"}))
        session = await settle(sessions.load_session("+27"))
        self.assertEqual((session["a"], session["b"]), ("1", "3"))
        await settle(sessions.save_session("+27", {"b": "4"}, replace=True))
        self.assertEqual(await settle(sessions.load_session("+27")), {"b": "4"})

    async def test_what_is_no_text_and_no_number_is_refused(self: Any) -> None:
        sessions = await self.sessions()
        with self.assertRaises(TypeError):
            await settle(sessions.save_session("+27", {"step": None}))

    async def test_a_session_ends(self: Any) -> None:
        sessions = await self.sessions(max_session_length=1)
        await settle(sessions.create_session("+27"))
        await self.pass_seconds(1)
        self.assertEqual(await settle(sessions.load_session("+27")), {})

    async def test_saving_lets_a_session_live_on(self: Any) -> None:
        sessions = await self.sessions(max_session_length=20)
        await settle(sessions.create_session("+27"))
        await settle(sessions.schedule_session_expiry("+27", 5))
        self.assertLessEqual(await settle(self.redis.ttl("session:+27")), 5)
        await settle(sessions.save_session("+27", {"step": "menu"}))
        self.assertGreater(await settle(self.redis.ttl("session:+27")), 15)

    async def test_saving_what_has_ended_makes_no_session_that_never_ends(self: Any) -> None:
        sessions = await self.sessions(max_session_length=20)
        await settle(sessions.save_session("+27", {"step": "menu"}))
        self.assertGreater(await settle(self.redis.ttl("session:+27")), 15)

    async def test_without_a_length_sessions_stay(self: Any) -> None:
        sessions = await self.sessions(max_session_length=None)
        await settle(sessions.create_session("+27"))
        self.assertIsNone(await settle(self.redis.ttl("session:+27")))
        await settle(sessions.schedule_session_expiry("+27", 100))
        await settle(sessions.save_session("+27", {"step": "menu"}))
        self.assertGreater(await settle(self.redis.ttl("session:+27")), 90)

    async def test_active_sessions_are_found_among_many_other_keys(self: Any) -> None:
        sessions = await self.sessions()
        expected = {}
        for number in range(30):
            expected[f"+{number}"] = await settle(sessions.create_session(f"+{number}"))
            await settle(self.redis.set(f"other:{number}", "x"))
        active = await settle(sessions.active_sessions())
        self.assertEqual(len(active), 30)
        self.assertEqual(dict(active), expected)


class SessionTests(SessionContract, InProcess):
    async def test_looking_for_active_sessions_never_asks_for_all_keys_at_once(self) -> None:
        # KEYS holds up Redis for as long as it takes, and everybody with it.
        sessions = await self.sessions()
        self.patch(sessions.redis, "keys", None)
        await sessions.create_session("+27")
        self.assertEqual(len(await sessions.active_sessions()), 1)

    async def test_a_session_that_ends_while_it_is_looked_at_is_left_out(self) -> None:
        sessions = await self.sessions()
        await sessions.create_session("+27")
        await sessions.create_session("+28")

        async def scan(*args: Any, **kw: Any) -> Any:
            return [None, ["session:+27", "session:gone", "session:+28", "session:+27"]]

        from twisted.internet.defer import Deferred

        self.patch(sessions.redis, "scan", lambda *a, **kw: Deferred.fromCoroutine(scan()))
        active = await sessions.active_sessions()
        self.assertEqual([user_id for user_id, _ in active], ["+27", "+28"])

    async def test_from_a_config_with_a_connection_of_its_own(self) -> None:
        sessions = await SessionManager.from_redis_config(
            self.redis_config(), key_prefix="app", max_session_length=20
        )
        await sessions.create_session("+27")
        self.assertEqual(await self.keys(), ["app:session:+27"])
        await sessions.stop()
        with self.assertRaises(StoreError):
            await sessions.load_session("+27")

    async def test_a_gc_period_is_no_longer_used_which_is_logged(self) -> None:
        with LogCatcher() as catcher:
            SessionManager(await self.manager(), gc_period=1)
        self.assertIn("'gc_period' is no longer used", catcher.messages()[0])


class BlockingSessionTests(SessionContract, InProcess):
    manager_class = RedisManager

    async def test_a_crash_leaves_no_half_of_a_session_and_none_that_never_ends(self) -> None:
        # However many commands are executed before the crash.
        fields = {f"field{number}": "x" for number in range(5)}
        acts: list[Callable[[SessionManager], Any]] = [
            lambda sessions: sessions.create_session("+27", **fields),
            lambda sessions: sessions.save_session("+27", fields),
        ]
        redis = await self.manager()
        for commands, act in product(range(8), acts):
            redis.delete("session:+27")
            crashing = CrashingStore.manager(self.fake, commands, self.prefix)
            with contextlib.suppress(StoreError):
                act(SessionManager(crashing, max_session_length=20))
            session = redis.hgetall("session:+27")
            self.assertIn(len(session), {0, 5, 6})
            if session:
                self.assertIsNotNone(redis.ttl("session:+27"))


@pytest.mark.integration
class SessionOnRedisTests(SessionContract, OnRedis):
    async def test_two_workers_that_save_at_the_same_time_lose_no_field(self) -> None:
        one, other = await self.sessions(), await self.sessions()
        await gatherResults(
            manager.save_session("+27", {f"{name}{number}": "x"})
            for number in range(20)
            for name, manager in (("one", one), ("other", other))
        )
        self.assertEqual(len(await one.load_session("+27")), 40)


@pytest.mark.integration
class BlockingSessionOnRedisTests(SessionContract, OnRedis):
    manager_class = RedisManager


class OldNameTests(InProcess):
    manager_class = RedisManager

    async def test_it_warns_and_keeps_sessions_under_its_prefix(self) -> None:
        redis = await self.manager()
        sessions = OldSessionManager(redis, "app", max_session_length=20)
        [warning] = self.flushWarnings()
        self.assertEqual(warning["category"], DeprecationWarning)
        self.assertIn("vumi.components.session", warning["message"])
        self.assertEqual(os.path.basename(warning["filename"]), os.path.basename(__file__))
        session = sessions.create_session("+27", step="menu")
        self.assertEqual(sessions.load_session("+27"), session)
        self.assertEqual(list(sessions.active_sessions()), [("+27", session)])
        self.assertEqual(redis.keys(), ["app:session:+27"])
        self.assertEqual(sessions.r_key("session", "+27"), "app:session:+27")
        sessions.stop()
        # The store belongs to whoever made it.
        self.assertEqual(redis.keys(), ["app:session:+27"])
