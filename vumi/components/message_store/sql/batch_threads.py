"""Threads that do blocking work for the reactor, a few of them, several pieces at a time.

Knows threads, Deferreds and patience. The caller says what the work is, and which errors are worth
another try. Knows no SQL.

Theory of operation. Work is queued by the reactor's thread. A worker thread takes all that
has come together, up to a bound, and attempts it in one go: while it is busy the next pieces
gather, so the more there is to do, the more is done at once, and a single piece never waits for
others to come. The outcomes go back to the reactor in one call.

An attempt that fails because something is away is made again, with growing pauses, until the
pieces in it have waited for as long as they may. One that fails for another reason is halved until
the piece that was refused stands alone.
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from vumi.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from twisted.internet.interfaces import IReactorFromThreads

__all__ = ["BatchThreads", "ErrorRules"]

W = TypeVar("W")

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class ErrorRules(Generic[W]):
    """Which errors pass, and what the others become. To be subclassed."""

    def is_passing(self, error: Exception) -> bool:
        """Whether trying again may help."""
        raise NotImplementedError

    def given_up(self, error: Exception, seconds: float) -> StoreUnavailable:
        """The error to end with when trying again did not help."""
        raise NotImplementedError

    def refused(self, error: Exception, work: W) -> Exception:
        """The error to end with for what does not pass."""
        raise NotImplementedError


class _Job(Generic[W]):
    """A piece of work, and who waits for it."""

    __slots__ = ("cancelled", "deadline", "deferred", "queued", "weight", "work")

    def __init__(self, work: W, weight: int, queued: float, deadline: float) -> None:
        self.work = work
        self.weight = weight
        self.queued = queued
        self.deadline = deadline
        self.cancelled = False
        self.deferred: Deferred[Any] = Deferred(self._cancel)

    def _cancel(self, deferred: Deferred[Any]) -> None:
        # If it has begun it is finished all the same, and its outcome dropped.
        self.cancelled = True


class BatchThreads(Generic[W]):
    """Some threads and their queue. They start with the first piece of work.

    All but the work itself is called in the reactor's thread.

    :param name: For the threads' names.
    :param attempt: Does pieces of work and gives their results, in their order. Called in a
        worker thread. Must be repeatable, as a whole and by halves.
    :param threads: How many at most.
    :param at_once: How many pieces one attempt has at most.
    :param weight_at_once: How much they may weigh together; a single piece may weigh more.
    :param patience: Seconds that a piece may have waited before it isn't attempted again.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        name: str,
        attempt: Callable[[Sequence[W]], Iterable[Any]],
        trouble: ErrorRules[W],
        *,
        threads: int = 1,
        at_once: int = 1,
        weight_at_once: int = 4_000_000,
        patience: float = 15.0,
    ) -> None:
        self._reactor = reactor
        self._name = name
        self._attempt = attempt
        self._trouble = trouble
        self._size = threads
        self._at_once = at_once
        self._weight_at_once = weight_at_once
        self._patience = patience
        self._jobs: deque[_Job[W]] = deque()
        self._there_is_work = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._idle = 0
        self._ending = False
        self._finished: list[Deferred[None]] = []

    def do(self, work: W, weight: int = 1, patience: float | None = None) -> Deferred[Any]:
        """Have something done. Cancelling drops it if it has not begun.

        :param patience: Other than the threads', in seconds.
        :returns: Fires with its result.
        """
        now = monotonic()
        job = _Job(work, weight, now, now + (self._patience if patience is None else patience))
        with self._there_is_work:
            if self._ending:
                job.deferred.errback(StoreError("The message archive is closed."))
                return job.deferred
            self._jobs.append(job)
            if self._idle:
                self._there_is_work.notify()
            elif self._running < self._size:
                self._running += 1
                name = f"{self._name}-{self._running}"
                # A daemon: a program that ends without closing must not hang here. Work that
                # is lost by this was never reported as done.
                thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
        return job.deferred

    def finish(self) -> Deferred[None]:
        """Take no more work.

        :returns: Fires when all work is done and the threads have ended.
        """
        finished: Deferred[None] = Deferred()
        with self._there_is_work:
            self._ending = True
            self._there_is_work.notify_all()
            if self._threads:
                self._finished.append(finished)
                return finished
        finished.callback(None)
        return finished

    # In the threads

    def _run(self) -> None:
        while jobs := self._take():
            try:
                self._perform(jobs)
            except Exception:  # noqa: BLE001 (a fault of ours must not leave anybody waiting)
                failure = Failure()
                self._tell([(job, failure) for job in jobs])
        with self._there_is_work:
            self._running -= 1
            if self._running:
                return
        self._reactor.callFromThread(self._all_ended)

    def _take(self) -> list[_Job[W]]:
        """The next pieces; none: it is over."""
        with self._there_is_work:
            while not self._jobs:
                if self._ending:
                    return []
                self._idle += 1
                self._there_is_work.wait()
                self._idle -= 1
            taken: list[_Job[W]] = []
            weight = 0
            while self._jobs and len(taken) < self._at_once:
                weight += self._jobs[0].weight
                if taken and weight > self._weight_at_once:
                    break
                taken.append(self._jobs.popleft())
            return taken

    def _perform(self, jobs: list[_Job[W]]) -> None:
        pause = _FIRST_PAUSE
        while True:
            jobs = [job for job in jobs if not job.cancelled]
            if not jobs:
                return
            try:
                results = list(self._attempt([job.work for job in jobs]))
            except Exception as error:  # noqa: BLE001 (every piece's Deferred must fire)
                if not self._trouble.is_passing(error):
                    self._divide(jobs, error)
                    return
                jobs = self._give_up_late(jobs, error)
            else:
                self._tell(list(zip(jobs, results, strict=True)))
                return
            if jobs:
                threading.Event().wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _divide(self, jobs: list[_Job[W]], error: Exception) -> None:
        if len(jobs) == 1:
            self._tell([(jobs[0], Failure(self._trouble.refused(error, jobs[0].work)))])
            return
        middle = len(jobs) // 2
        self._perform(jobs[:middle])
        self._perform(jobs[middle:])

    def _give_up_late(self, jobs: list[_Job[W]], error: Exception) -> list[_Job[W]]:
        """End those that have waited long enough; gives the others."""
        now = monotonic()
        late = [job for job in jobs if job.deadline <= now]
        self._tell(
            [(job, Failure(self._trouble.given_up(error, now - job.queued))) for job in late]
        )
        return [job for job in jobs if job.deadline > now]

    def _tell(self, outcomes: list[tuple[_Job[W], Any]]) -> None:
        if outcomes:
            self._reactor.callFromThread(_fire, outcomes)

    # In the reactor again

    def _all_ended(self) -> None:
        # Every thread has left its loop: this waits only for the few instructions until it exits.
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        finished, self._finished = self._finished, []
        for deferred in finished:
            deferred.callback(None)


def _fire(outcomes: list[tuple[_Job[Any], Any]]) -> None:
    for job, outcome in outcomes:
        if not job.deferred.called:
            # A Failure makes it fail.
            job.deferred.callback(outcome)
