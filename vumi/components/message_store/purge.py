"""Retention: messages and events that are too old are erased.

Knows time and an archive; which archive, and which worker does it, it does not know: each worker
that is to keep messages for so long only may have a :class:`Purge`, and the one that holds the
archive's lock does the work, in small steps with pauses, so that nobody else has to wait.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from vumi.errors import StoreError
from vumi.payload import utc_now
from vumi.tasks import in_background

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from vumi.components.message_store.interface import IMessageArchive

__all__ = ["Purge"]

LOCK_NAME = "purge"


class Purge:
    """Erases what is older than a store keeps it.

    :param archive: An open archive.
    :param keep_for: Seconds that messages and events are kept.
    :param clock: Twisted's reactor, or a clock.
    :param every: Seconds between two purges.
    :param at_once: How many messages and events one step erases at most.
    :param pause: Seconds between two steps.
    :param lock_for: Seconds that the lock outlives a worker that has died.
    :param now: The time, UTC without a zone.
    """

    log = Logger()

    def __init__(
        self,
        archive: IMessageArchive,
        keep_for: float,
        clock: Any,
        *,
        every: float = 3600.0,
        at_once: int = 500,
        pause: float = 0.1,
        lock_for: float = 300.0,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._archive = archive
        self._keep_for = timedelta(seconds=keep_for)
        self._clock = clock
        self._every = every
        self._at_once = at_once
        self._pause = pause
        self._lock_for = lock_for
        self._now = now
        #: Whose the lock is.
        self.owner = uuid4().hex
        self._calls = LoopingCall(self._run)
        self._calls.clock = clock
        self._stopping = False
        self._pausing: Deferred[None] | None = None
        self._running: Deferred[Any] | None = None

    def start(self) -> None:
        """Purge now, and from now on every so many seconds."""
        in_background(self._calls.start(self._every), self.log, "Purging old messages")

    async def stop(self) -> None:
        """Stop, after the step that is under way."""
        self._stopping = True
        if self._calls.running:
            self._calls.stop()
        if self._pausing is not None:
            self._pausing.cancel()
        if self._running is not None:
            # Not itself: whoever waits must not take its result from it.
            done: Deferred[None] = Deferred()
            _ = self._running.addBoth(lambda _: done.callback(None))
            await done

    def _run(self) -> Deferred[Any]:
        self._running = Deferred.fromCoroutine(self._purge_and_tell())
        return self._running

    async def _purge_and_tell(self) -> None:
        try:
            erased = await self.purge()
        except StoreError as error:
            # The next time may be better; that it is tried again must not end with one failure.
            self.log.warn(
                "Old messages could not be erased: {error} It is tried again in {seconds} s.",
                event="purge-failed",
                error=error,
                seconds=self._every,
            )
        else:
            if erased:
                self.log.info(
                    "{erased} messages and events older than {keep_for} were erased.",
                    event="purged",
                    erased=erased,
                    keep_for=self._keep_for,
                )
        finally:
            self._running = None

    async def purge(self) -> int:
        """Purge once, if the lock is to be had.

        :returns: How many messages and events were erased.
        :raises StoreError: The archive failed.
        """
        # Of what becomes too old while we are at it, the next purge takes care.
        time = self._now() - self._keep_for
        total = 0
        try:
            while not self._stopping and await self._archive.acquire_lock(
                LOCK_NAME, self.owner, self._lock_for
            ):
                erased = await self._archive.delete_before(time, self._at_once)
                total += erased
                if not erased:
                    break
                await self._take_breath()
        finally:
            await self._archive.release_lock(LOCK_NAME, self.owner)
        return total

    async def _take_breath(self) -> None:
        if self._stopping:
            return
        self._pausing = deferLater(self._clock, self._pause)
        try:
            await self._pausing
        except CancelledError:
            # Only stop() does that.
            if not self._stopping:
                raise
        finally:
            self._pausing = None
