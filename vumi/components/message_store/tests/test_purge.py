"""Retention."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vumi.components.message_store.erasing import Purge
from vumi.errors import StoreUnavailable

NOW = datetime(2026, 1, 31)


class OldArchive:
    """An archive of which only the age matters.

    :param old: How many messages are too old.
    """

    def __init__(self, old: int = 0) -> None:
        self.old = old
        self.owner: str | None = None
        self.asked: list[tuple[datetime, int]] = []
        self.problem: Exception | None = None
        self.waiting: Deferred[int] | None = None

    def delete_before(self, time: datetime, limit: int) -> Deferred[int]:
        assert self.owner is not None
        self.asked.append((time, limit))
        if self.problem is not None:
            return fail(self.problem)
        if self.waiting is not None:
            return self.waiting
        erased = min(limit, self.old)
        self.old -= erased
        return succeed(erased)

    def acquire_lock(self, name: str, owner: str, seconds: float) -> Deferred[bool]:
        assert seconds > 1
        self.owner = self.owner or owner
        return succeed(self.owner == owner)

    def release_lock(self, name: str, owner: str) -> Deferred[None]:
        if self.owner == owner:
            self.owner = None
        return succeed(None)


class PurgeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def purge(self, archive: OldArchive, **options: Any) -> Purge:
        now = lambda: NOW + timedelta(seconds=self.clock.seconds())  # noqa: E731 (short)
        options = {"every": 100, "at_once": 10, "pause": 1, "now": now} | options
        return Purge(archive, 3600 * 24, self.clock, **options)  # type: ignore[arg-type]  # a part

    def stopped(self, purge: Purge) -> None:
        self.successResultOf(Deferred.fromCoroutine(purge.stop()))

    def test_erases_in_small_steps_with_pauses_until_nothing_is_left(self) -> None:
        archive = OldArchive(25)
        purge = self.purge(archive)
        purge.start()
        self.assertEqual(archive.old, 15)
        self.clock.advance(0.9)
        self.assertEqual(archive.old, 15)
        self.clock.pump([0.1, 1, 1])
        self.assertEqual(archive.old, 0)
        limit = NOW - timedelta(days=1)
        self.assertEqual(archive.asked, [(limit, 10)] * 4)
        self.assertEqual(archive.owner, None)
        self.stopped(purge)

    def test_begins_again_after_a_while(self) -> None:
        archive = OldArchive()
        purge = self.purge(archive)
        purge.start()
        self.clock.advance(99)
        self.assertEqual(len(archive.asked), 1)
        archive.old = 5
        self.clock.advance(1)
        self.assertEqual(archive.old, 0)
        self.assertEqual(archive.asked[-1], (NOW - timedelta(days=1) + timedelta(seconds=100), 10))
        self.stopped(purge)

    def test_of_several_workers_one_does_it(self) -> None:
        archive = OldArchive(25)
        purges = [self.purge(archive) for _ in range(3)]
        for purge in purges:
            purge.start()
        self.assertEqual(len(archive.asked), 1)
        self.clock.pump([1] * 5)
        self.assertEqual(len(archive.asked), 4)
        for purge in purges:
            self.stopped(purge)

    def test_an_archive_that_is_away_does_not_end_it_for_ever(self) -> None:
        archive = OldArchive(5)
        archive.problem = StoreUnavailable("away")
        purge = self.purge(archive)
        purge.start()
        self.clock.advance(50)
        archive.problem = None
        self.clock.advance(50)
        self.assertEqual(archive.old, 0)
        self.stopped(purge)

    def test_stopping_in_a_pause_gives_the_lock_back_at_once(self) -> None:
        archive = OldArchive(25)
        purge = self.purge(archive)
        purge.start()
        self.assertEqual(archive.owner, purge.owner)
        self.stopped(purge)
        self.assertEqual(archive.owner, None)
        self.assertEqual(archive.old, 15)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_waits_for_the_step_that_is_under_way(self) -> None:
        archive = OldArchive(25)
        archive.waiting = Deferred()
        purge = self.purge(archive)
        purge.start()
        stopped = Deferred.fromCoroutine(purge.stop())
        self.assertNoResult(stopped)
        archive.waiting.callback(10)
        self.successResultOf(stopped)
        self.assertEqual(archive.owner, None)
        self.assertEqual(len(archive.asked), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_was_never_started_can_be_stopped(self) -> None:
        self.stopped(self.purge(OldArchive()))
