"""Threads that work for the reactor."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, DeferredList, gatherResults
from twisted.trial.unittest import TestCase

from vumi.components.message_store.sql.batch_threads import BatchThreads, ErrorRules
from vumi.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.defer import Deferred


class Away(Exception):
    """What passes."""


class Bad(Exception):
    """What does not."""


class TestTrouble(ErrorRules[Any]):
    __test__ = False

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, Away)

    def given_up(self, error: Exception, seconds: float) -> StoreUnavailable:
        return StoreUnavailable(f"given up: {error}")

    def refused(self, error: Exception, work: Any) -> Exception:
        return StoreError(f"refused {work}: {error}")


class CrewTests(TestCase):
    timeout = 30

    def setUp(self) -> None:
        self.attempts: list[list[Any]] = []
        self.go = threading.Event()
        self.began = threading.Event()
        self.go.set()

    def crew(
        self, check: Callable[[Any], None] = lambda work: None, **options: Any
    ) -> BatchThreads[Any]:
        def attempt(works: Sequence[Any]) -> list[Any]:
            self.attempts.append(list(works))
            self.began.set()
            self.go.wait(10)
            for work in works:
                check(work)
            return [f"did {work}" for work in works]

        crew: BatchThreads[Any] = BatchThreads(reactor, "test", attempt, TestTrouble(), **options)  # type: ignore[arg-type]  # the reactor's interfaces
        self.addCleanup(crew.finish)
        self.addCleanup(self.go.set)
        return crew

    async def fails(self, deferred: Deferred[Any]) -> Exception:
        try:
            result = await deferred
        except (StoreError, CancelledError) as error:
            return error
        raise AssertionError(f"did not fail, but gave {result!r}")

    async def test_each_piece_gets_its_own_result(self) -> None:
        crew = self.crew(at_once=7)
        results = await gatherResults([crew.do(n) for n in range(50)])
        self.assertEqual(results, [f"did {n}" for n in range(50)])

    async def test_what_gathers_while_it_is_busy_is_done_in_one_go(self) -> None:
        crew = self.crew(at_once=5)
        self.go.clear()
        pieces = [crew.do(0)]
        self.began.wait(10)
        pieces += [crew.do(n) for n in range(1, 8)]
        self.go.set()
        await gatherResults(pieces)
        self.assertEqual(self.attempts, [[0], [1, 2, 3, 4, 5], [6, 7]])

    async def test_heavy_pieces_are_not_taken_together(self) -> None:
        crew = self.crew(at_once=5, weight_at_once=10)
        self.go.clear()
        pieces = [crew.do("a")]
        self.began.wait(10)
        pieces += [crew.do("b", 6), crew.do("c", 5), crew.do("d", 100), crew.do("e", 1)]
        self.go.set()
        await gatherResults(pieces)
        self.assertEqual(self.attempts, [["a"], ["b"], ["c"], ["d"], ["e"]])

    async def test_a_piece_that_is_refused_fails_alone(self) -> None:
        def check(work: Any) -> None:
            if work in (3, 6):
                raise Bad("no")

        crew = self.crew(check, at_once=100)
        self.go.clear()
        pieces = [crew.do("first")]
        self.began.wait(10)
        pieces += [crew.do(n) for n in range(10)]
        self.go.set()
        outcomes = await DeferredList(pieces, consumeErrors=True)
        self.assertEqual(
            [str(outcome[1].value) for outcome in outcomes if not outcome[0]],
            ["refused 3: no", "refused 6: no"],
        )

    async def test_what_passes_is_tried_again(self) -> None:
        problems = [Away(), Away()]

        def check(work: Any) -> None:
            if problems:
                raise problems.pop()

        self.assertEqual(await self.crew(check).do(1), "did 1")
        self.assertEqual(len(self.attempts), 3)

    async def test_trying_again_has_an_end(self) -> None:
        def check(work: Any) -> None:
            raise Away("gone")

        crew = self.crew(check, patience=0.1)
        error = await self.fails(crew.do(1))
        self.assertIsInstance(error, StoreUnavailable)
        self.assertEqual(str(error), "given up: gone")
        assert len(self.attempts) > 1
        # Each has its own time, however long those before it had to wait.
        self.assertIsInstance(await self.fails(crew.do(2, patience=0)), StoreUnavailable)

    async def test_a_fault_in_the_attempt_leaves_nobody_waiting(self) -> None:
        crew: BatchThreads[Any] = BatchThreads(reactor, "test", lambda works: [], TestTrouble())  # type: ignore[arg-type]  # the reactor's interfaces
        self.addCleanup(crew.finish)
        for _ in range(2):
            try:
                await crew.do(1)
            except ValueError:
                continue
            raise AssertionError("a result that is not there was given")

    async def test_several_threads_work_at_the_same_time(self) -> None:
        together = threading.Barrier(3)

        def check(work: Any) -> None:
            together.wait(10)

        crew = self.crew(check, threads=3)
        await gatherResults([crew.do(n) for n in range(3)])

    async def test_what_is_cancelled_before_it_began_is_not_done(self) -> None:
        crew = self.crew(at_once=5)
        self.go.clear()
        pieces = [crew.do("a")]
        self.began.wait(10)
        pieces += [crew.do(work) for work in "bcd"]
        pieces[0].cancel()
        pieces[2].cancel()
        self.go.set()
        self.assertIsInstance(await self.fails(pieces[0]), CancelledError)
        self.assertIsInstance(await self.fails(pieces[2]), CancelledError)
        self.assertEqual(await pieces[1], "did b")
        self.assertEqual(await pieces[3], "did d")
        self.assertEqual(self.attempts, [["a"], ["b", "d"]])

    async def test_finishing_does_what_there_is_and_takes_no_more(self) -> None:
        crew = self.crew()
        self.go.clear()
        pieces = [crew.do(n) for n in range(5)]
        finished = crew.finish()
        late = crew.do("late")
        self.go.set()
        self.assertEqual(await gatherResults(pieces), [f"did {n}" for n in range(5)])
        await finished
        await crew.finish()
        self.assertIsInstance(await self.fails(late), StoreError)
        left = [thread.name for thread in threading.enumerate()]
        assert not any(name.startswith("test-") for name in left), left

    async def test_one_that_never_worked_can_finish(self) -> None:
        await self.crew().finish()
