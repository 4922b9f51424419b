"""The pool of children, some of them ready before there is a message for them.

Knows how many children there are and who gets one; one of them is
:mod:`vumi.application.sandbox.children`'s.

Theory of operation. A child is *starting* until it first says something, then *idle*
until it is taken, then *busy*; those that may be used again are given back and idle once more.
Whoever takes one waits in line. A few children start at a time: more would not be ready sooner.
With children for one message each, there are always some that wait for a message, so that
starting one takes no message's time; with children for many messages there are a fixed number,
and more only while a message has waited too long for those that are there, as they may hang.
"""

from __future__ import annotations

import os
import resource
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ProcessDone
from twisted.logger import Logger

from vumi.application.sandbox.children import ChildProcess
from vumi.application.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from vumi.application.sandbox.children import Launch

__all__ = ["ChildPool", "ChildPools", "PoolCounters", "PoolOptions"]

#: How many launches have a pool at the same time.
MAX_POOLS = 8
#: Seconds that a message may wait for children that hang, before there is one more.
HANG_PATIENCE = 0.25
#: Seconds that the message that took a child has to itself, before the next child is started.
REFILL_DELAY = 0.02
#: Seconds before a child is started again that did not come up; doubled each time.
FIRST_BACKOFF, LAST_BACKOFF = 1.0, 60.0
#: By how much the priority of a child is lowered while it starts, where it can be raised again.
STARTING_NICE = 10


@dataclass(frozen=True)
class PoolOptions:
    """How many children there are.

    :param size: How many wait for a message (children for one message), or how many there are
        (children for many).
    :param most: How many there are at most, for many messages each, when some hang.
    :param parallel: How many start at a time.
    """

    size: int = 2
    most: int = 20
    parallel: int = 2


@dataclass
class PoolCounters:
    """What a pool has counted.

    :ivar started: Children that were started.
    :ivar broken: Children that ended before they had a message.
    :ivar cold: Messages that had to wait for a child to start.
    :ivar recycled: Children that were given back and are not used again.
    """

    started: int = 0
    broken: int = 0
    cold: int = 0
    recycled: int = 0


class ChildPool:
    """Children of one kind, some of them ready.

    :param launch: How they are started.
    :param options: How many there are.
    :param reactor: Twisted's reactor: processes and time.
    """

    log = Logger()

    def __init__(self, launch: Launch, options: PoolOptions, reactor: Any) -> None:
        self.launch = launch
        self.counters = PoolCounters()
        self._options = options
        self._reactor = reactor
        self._starting: list[ChildProcess] = []
        self._idle: deque[ChildProcess] = deque()
        self._busy: set[ChildProcess] = set()
        self._leaving: set[ChildProcess] = set()
        self._waiters: deque[Deferred[ChildProcess]] = deque()
        self._prepare: bytes | None = None
        self._failures = 0
        self._not_before = 0.0
        self._refill: IDelayedCall | None = None
        self._hanging: IDelayedCall | None = None
        self._closed = False
        self._empty_waiters: list[Deferred[None]] = []
        self._nice = STARTING_NICE if launch.warm and _can_raise_priority() else 0

    @property
    def in_use(self) -> bool:
        """Whether a message has one of its children, or waits for one."""
        return bool(self._busy or self._waiters)

    # Taking and giving back

    def fill(self) -> None:
        """Start children, so that some are there when the first message comes."""
        if not self._closed and self.launch.warm:
            self._start_missing()

    def prepare(self, line: bytes) -> None:
        """Say what children can do before they have a message.

        :param line: The command ``prepare``; children that don't know it ignore it.
        """
        if not self.launch.prepares or line == self._prepare:
            return
        self._prepare = line
        for child in self._idle:
            child.write(line)

    def take(self) -> Deferred[ChildProcess]:
        """Take a child for a message.

        :returns: Fires with it, or fails with :class:`SandboxError` if none can be started.
        """
        if self._closed:
            return fail(SandboxError("The worker stops."))
        waiter: Deferred[ChildProcess] = Deferred(self._cancelled)
        self._waiters.append(waiter)
        if not self._idle:
            self.counters.cold += 1
        self._match()
        return waiter

    def _cancelled(self, waiter: Deferred[ChildProcess]) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def give_back(self, child: ChildProcess, recycle: bool = False) -> None:
        """Give a child back whose message is done.

        :param recycle: It is good for no more, whatever it was meant for.
        """
        if child not in self._busy:
            return
        self._busy.discard(child)
        child.detach()
        # What it says when its message is done would be taken for the next one's.
        worn = recycle or not child.quiet or child.served >= self.launch.messages
        if worn or self._closed or len(self._idle) >= self._options.size:
            self.counters.recycled += 1
            self._retire(child)
        else:
            self._idle.append(child)
        self._match()

    def _retire(self, child: ChildProcess) -> None:
        self._leaving.add(child)
        child.kill()

    def close(self) -> Deferred[None]:
        """End all children.

        :returns: Fires when they are no more.
        """
        self._closed = True
        for call in (self._refill, self._hanging):
            if call is not None and call.active():
                call.cancel()
        while self._waiters:
            self._waiters.popleft().errback(SandboxError("The worker stops."))
        while self._idle:
            self._retire(self._idle.popleft())
        for child in (*self._starting, *self._busy):
            child.kill()
        closed: Deferred[None] = Deferred()
        self._empty_waiters.append(closed)
        self._check_empty()
        return closed

    def _check_empty(self) -> None:
        if not (self._closed and self._empty_waiters):
            return
        if self._starting or self._idle or self._busy or self._leaving:
            return
        waiters, self._empty_waiters = self._empty_waiters, []
        for waiter in waiters:
            waiter.callback(None)

    # Matching messages and children

    def _match(self) -> None:
        while self._waiters and self._idle:
            self._hand_over(self._idle.popleft())
        if self._closed:
            return
        if self._waiters:
            self._start_missing()
            self._watch_for_hanging()
        elif self._missing() > 0 and (self._refill is None or not self._refill.active()):
            self._refill = self._reactor.callLater(REFILL_DELAY, self._start_missing)

    def _hand_over(self, child: ChildProcess) -> None:
        waiter = self._waiters.popleft()
        self._busy.add(child)
        child.served += 1
        if self._nice and child.served == 1 and child.pid is not None:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, child.pid, 0)
        waiter.callback(child)

    def _watch_for_hanging(self) -> None:
        # Children for one message each are started for whoever waits, without that.
        if self.launch.messages > 1 and (self._hanging is None or not self._hanging.active()):
            self._hanging = self._reactor.callLater(
                HANG_PATIENCE, self._one_more, self._waiters[0]
            )

    def _one_more(self, waiter: Deferred[ChildProcess]) -> None:
        if not self._waiters:
            return
        there = len(self._idle) + len(self._busy) + len(self._starting)
        still_waits = waiter is self._waiters[0]
        if still_waits and not self._starting and there < self._options.most:
            self._start()
        self._watch_for_hanging()

    def _missing(self) -> int:
        starting, idle = len(self._starting), len(self._idle)
        if self.launch.messages > 1:
            return self._options.size - starting - idle - len(self._busy)
        return (
            len(self._waiters)
            + (self._options.size if self._keeps_some() else 0)
            - (starting + idle)
        )

    def _keeps_some(self) -> bool:
        return self.launch.warm and self._reactor.seconds() >= self._not_before

    def _start_missing(self) -> None:
        if self._closed:
            return
        resting = self._reactor.seconds() < self._not_before and not self._waiters
        parallel = self._options.parallel if self.launch.warm else self._options.most
        while not resting and len(self._starting) < parallel and self._missing() > 0:
            if not self._start():
                return

    # Starting

    def _start(self) -> bool:
        child = ChildProcess(self._reactor, self._child_ready, self._child_ended)
        command = self.launch.command
        self.counters.started += 1
        self._starting.append(child)
        try:
            self._reactor.spawnProcess(child, command[0], list(command), env=dict(self.launch.env))
        except OSError as error:
            self._starting.remove(child)
            self._start_failed(f"Process failed to start: {error}")
            return False
        if self._nice and child.pid is not None:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, child.pid, self._nice)
        if not self.launch.warm and child in self._starting:
            # Nothing says when it is ready, and it may say nothing before it has its message.
            child._ready()
        return True

    def _child_ready(self, child: ChildProcess) -> None:
        if child not in self._starting:
            return
        self._starting.remove(child)
        if self._closed:
            self._retire(child)
            return
        self._idle.append(child)
        if self._prepare is not None and not self._waiters:
            child.write(self._prepare)
        self._match()

    def _child_ended(self, child: ChildProcess, reason: Failure) -> None:
        if child in self._busy:
            self._busy.discard(child)
            self._failures = 0
        elif child in self._leaving:
            self._leaving.discard(child)
        elif child in self._starting:
            self._starting.remove(child)
            self._broke(child, reason)
        elif child in self._idle:
            self._idle.remove(child)
            self._broke(child, reason)
        self._check_empty()
        self._match()

    def _broke(self, child: ChildProcess, reason: Failure) -> None:
        if self._closed:
            return
        how = "ended" if reason.check(ProcessDone) else reason.getErrorMessage()
        said = child.take_stderr()
        self._start_failed(f"Process failed to start: {how} {said}".strip())

    def _start_failed(self, problem: str) -> None:
        self.counters.broken += 1
        backoff = min(FIRST_BACKOFF * 2**self._failures, LAST_BACKOFF)
        self._failures = min(self._failures + 1, 10)
        self._not_before = self._reactor.seconds() + backoff
        self.log.error(
            "A sandbox can't be kept ready: {problem}", event="sandbox-broken", problem=problem
        )
        if self._waiters:
            self._waiters.popleft().errback(SandboxError(problem))
        elif self.launch.warm and not self._closed:
            if self._refill is not None and self._refill.active():
                self._refill.cancel()
            self._refill = self._reactor.callLater(backoff, self._start_missing)


class ChildPools(dict["Launch", ChildPool]):
    """The pools of a worker, by how their children are started; the one used last is the last."""

    def pool(self, launch: Launch, options: PoolOptions, reactor: Any) -> ChildPool:
        """The pool of a launch. With a new one another may be closed that is not in use."""
        found = self.pop(launch) if launch in self else ChildPool(launch, options, reactor)
        self[launch] = found
        if len(self) > MAX_POOLS:
            for other, candidate in self.items():
                if candidate is not found and not candidate.in_use:
                    _ = self.pop(other).close()
                    break
        return found

    async def close(self) -> None:
        """End all children."""
        closing = [pool.close() for pool in self.values()]
        self.clear()
        for closed in closing:
            await closed


def _can_raise_priority() -> bool:
    """Whether the priority of a process that we have lowered can be raised again."""
    if os.geteuid() == 0:
        return True
    nice = getattr(resource, "RLIMIT_NICE", None)
    return nice is not None and resource.getrlimit(nice)[0] >= 20
