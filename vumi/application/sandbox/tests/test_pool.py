from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from vumi.application.sandbox import pool as pool_module
from vumi.application.sandbox.children import Launch
from vumi.application.sandbox.errors import SandboxError
from vumi.application.sandbox.pool import ChildPool, PoolOptions
from vumi.application.sandbox.tests.helpers import FakeReactor

ONCE = Launch(("/bin/program",))
OFTEN = Launch(("/bin/program",), messages=3)
COLD = Launch(("/bin/program",), warm=False, prepares=False)


class PoolCase(SynchronousTestCase):
    launch = ONCE
    options = PoolOptions(size=2, most=4, parallel=2)

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.pool = ChildPool(self.launch, self.options, self.reactor)

    def started(self) -> int:
        return len(self.reactor.children)

    def ready(self, *numbers: int) -> None:
        for number in numbers:
            self.reactor.says(number, b"starting\n")

    def take(self) -> list[Any]:
        got: list[Any] = []
        _ = self.pool.take().addCallbacks(got.append, lambda failure: got.append(failure.value))
        return got

    def refill(self) -> None:
        self.reactor.advance(pool_module.REFILL_DELAY)


class TestPoolForOneMessageEach(PoolCase):
    def test_some_are_ready_before_the_first_message(self) -> None:
        self.pool.fill()
        self.assertEqual(self.started(), 2)
        self.ready(0, 1)
        self.assertEqual(self.take(), [self.reactor.children[0]])
        self.assertEqual(self.pool.counters.cold, 0)

    def test_the_next_one_is_started_when_the_message_had_its_moment(self) -> None:
        self.pool.fill()
        self.ready(0, 1)
        self.take()
        self.assertEqual(self.started(), 2)
        self.refill()
        self.assertEqual(self.started(), 3)

    def test_messages_wait_in_line_and_few_start_at_a_time(self) -> None:
        waiting = [self.take() for _ in range(5)]
        self.assertEqual(self.started(), 2)
        self.ready(0)
        self.assertEqual(self.started(), 3)
        self.ready(1, 2, 3, 4)
        self.assertEqual([got[0] for got in waiting], self.reactor.children[:5])
        self.assertEqual(self.pool.counters.cold, 5)

    def test_a_child_is_never_used_twice(self) -> None:
        got = self.take()
        self.ready(0)
        self.pool.give_back(got[0])
        self.assertTrue(self.reactor.is_killed(0))

    def test_one_that_can_not_be_started_fails_one_message_each(self) -> None:
        first, second = self.take(), self.take()
        self.reactor.children[0].errReceived(b"no such module")
        self.reactor.ends(0, 1)
        self.assertIsInstance(first[0], SandboxError)
        self.assertIn("no such module", str(first[0]))
        self.assertEqual(second, [])
        self.flushLoggedErrors()

    def test_one_that_can_not_even_be_spawned_too(self) -> None:
        self.reactor.refuses = True
        got = self.take()
        self.assertIn("no more processes", str(got[0]))

    def test_what_keeps_breaking_is_tried_less_and_less(self) -> None:
        self.pool.fill()
        starts = []
        for _ in range(200):
            for number in range(self.started()):
                if self.reactor.children[number].ended is None:
                    self.reactor.ends(number, 1)
            starts.append(self.started())
            self.reactor.advance(0.5)
        # Without that it were two hundred pairs.
        self.assertLess(self.started(), 20)
        self.flushLoggedErrors()

    def test_a_message_is_reason_enough_to_try_again_at_once(self) -> None:
        self.pool.fill()
        self.reactor.ends(0, 1)
        self.reactor.ends(1, 1)
        before = self.started()
        got = self.take()
        self.assertGreater(self.started(), before)
        self.ready(before)
        self.assertEqual(got, [self.reactor.children[before]])

    def test_one_that_ends_while_it_waits_is_replaced(self) -> None:
        self.pool.fill()
        self.ready(0, 1)
        self.reactor.ends(0)
        self.reactor.advance(pool_module.FIRST_BACKOFF)
        self.assertEqual(self.started(), 3)

    def test_those_that_wait_are_told_what_to_prepare(self) -> None:
        self.pool.fill()
        self.ready(0)
        self.pool.prepare(b"prepare\n")
        self.ready(1)
        self.pool.prepare(b"prepare\n")
        written = [child.transport.written for child in self.reactor.children]
        self.assertEqual(written, [b"prepare\n", b"prepare\n"])

    def test_closing_ends_all_and_waits_for_them(self) -> None:
        self.pool.fill()
        self.ready(0)
        got = self.take()
        waiting = [self.take() for _ in range(2)]
        closed: list[Any] = []
        _ = self.pool.close().addCallback(closed.append)
        self.assertEqual(closed, [])
        for number in range(self.started()):
            self.reactor.ends(number, 1)
        self.assertEqual(closed, [None])
        self.assertEqual(len(got), 1)
        self.assertIsInstance(waiting[1][0], SandboxError)
        self.assertIsInstance(self.take()[0], SandboxError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_message_that_was_given_up_takes_no_child(self) -> None:
        waiter = self.pool.take()
        waiter.cancel()
        self.failureResultOf(waiter)
        got = self.take()
        self.ready(0)
        self.assertEqual(got, [self.reactor.children[0]])


class TestPoolOfColdPrograms(PoolCase):
    launch = COLD
    options = PoolOptions(size=0, most=4)

    def test_a_program_is_started_for_its_message_and_need_not_say_anything(self) -> None:
        self.pool.fill()
        self.assertEqual(self.started(), 0)
        got = self.take()
        self.assertEqual(got, self.reactor.children)
        self.refill()
        self.assertEqual(self.started(), 1)


class TestPoolForManyMessages(PoolCase):
    launch = OFTEN

    def test_a_child_is_used_again_up_to_its_number(self) -> None:
        self.pool.fill()
        self.ready(0)
        for _ in range(3):
            [child] = self.take()
            self.assertIs(child, self.reactor.children[0])
            self.pool.give_back(child)
        self.assertTrue(self.reactor.is_killed(0))
        self.reactor.ends(0, 1)
        self.refill()
        self.assertEqual(self.started(), 3)

    def test_one_that_misbehaved_is_not_used_again(self) -> None:
        self.pool.fill()
        self.ready(0)
        [child] = self.take()
        self.pool.give_back(child, recycle=True)
        self.assertTrue(self.reactor.is_killed(0))

    def test_no_more_are_started_for_those_that_wait_a_moment(self) -> None:
        self.pool.fill()
        self.ready(0, 1)
        taken = [self.take() for _ in range(10)]
        self.assertEqual(self.started(), 2)
        for number in range(4):
            self.assertEqual(taken[number + 2], [])
            self.pool.give_back(taken[number][0])
            self.assertEqual(taken[number + 2], [self.reactor.children[number % 2]])
        self.assertEqual(self.started(), 2)

    def test_hanging_children_held_all_others_up(self) -> None:
        self.pool.fill()
        self.ready(0, 1)
        self.take()
        self.take()
        waiting = self.take()
        self.reactor.advance(pool_module.HANG_PATIENCE)
        self.assertEqual(self.started(), 3)
        self.ready(2)
        self.assertEqual(waiting, [self.reactor.children[2]])

    def test_there_is_a_bound_to_that(self) -> None:
        for _ in range(10):
            self.take()
        for _ in range(50):
            for child in self.reactor.children:
                if not child.served:
                    child.outReceived(b"starting\n")
            self.reactor.advance(pool_module.HANG_PATIENCE)
        self.assertEqual(self.started(), 4)

    def test_those_too_many_go_when_they_are_no_longer_needed(self) -> None:
        self.pool.fill()
        self.ready(0, 1)
        taken = [self.take() for _ in range(3)]
        self.reactor.advance(pool_module.HANG_PATIENCE)
        self.ready(2)
        for got in taken:
            self.pool.give_back(got[0])
        killed = [self.reactor.is_killed(number) for number in range(3)]
        self.assertEqual(sum(killed), 1)
