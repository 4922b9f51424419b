"""Calls of one reactor turn, made as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vumi.transports.smpp.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.python.failure import Failure


class TestBatch(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.calls: list[tuple[list[int], Deferred[Sequence[int]]]] = []
        self.results: list[int] = []
        self.failures: list[Failure] = []

    def deal_with(self, items: Sequence[int]) -> Deferred[Sequence[int]]:
        later: Deferred[Sequence[int]] = Deferred()
        self.calls.append((list(items), later))
        return later

    def add(self, batch: Batch[int, int], *items: int) -> None:
        for item in items:
            batch.add(item, self.results.append, self.failures.append)

    def test_what_comes_in_one_turn_is_one_call(self) -> None:
        batch = Batch(self.clock, self.deal_with)
        self.add(batch, 1, 2, 3)
        self.assertEqual(self.calls, [])
        self.clock.advance(0)
        self.assertEqual([items for items, _ in self.calls], [[1, 2, 3]])
        self.add(batch, 4)
        self.clock.advance(0)
        self.assertEqual([items for items, _ in self.calls], [[1, 2, 3], [4]])

    def test_each_gets_its_own_result(self) -> None:
        self.add(Batch(self.clock, self.deal_with), 1, 2)
        self.clock.advance(0)
        self.calls[0][1].callback([10, 20])
        self.assertEqual(self.results, [10, 20])

    def test_a_failure_is_everybodys(self) -> None:
        self.add(Batch(self.clock, self.deal_with), 1, 2)
        self.clock.advance(0)
        self.calls[0][1].errback(ValueError("no"))
        self.assertEqual([failure.type for failure in self.failures], [ValueError] * 2)

    def test_a_full_one_does_not_wait_for_the_end_of_the_turn(self) -> None:
        self.add(Batch(self.clock, self.deal_with, max_items=2), 1, 2, 3)
        self.assertEqual([items for items, _ in self.calls], [[1, 2]])
        self.clock.advance(0)
        self.assertEqual([items for items, _ in self.calls], [[1, 2], [3]])
