"""Erasing: what is older than a date, all of one person, and what is kept for too long.

Knows that figures in the cache must follow, and when a purge runs. Knows no worker: each worker
that keeps messages for a limited time has a :class:`Purge`, and the one that holds the archive's
lock does the work. Everything is erased in small steps with pauses, so that nobody waits.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from vumi.components.message_store.base import StorePart, as_datetime
from vumi.components.message_store.interface import Kind, Order, Query
from vumi.errors import StoreError
from vumi.payload import utc_now
from vumi.tasks import deferred, in_background, when_ended

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from vumi.components.message_store.interface import IMessageArchive, StoredMessage

    Progress = Callable[[int], object]

__all__ = ["Erasing", "Purge"]

#: How many are erased in one step.
STEP = 500


class Erasing(StorePart):
    """The operations that erase."""

    log = Logger()

    @deferred
    async def forget(
        self, address: str, dry_run: bool = False, progress: Progress | None = None
    ) -> int:
        """Erase all messages from and to an address, and the events about them.

        :param address: A user's address, exactly as it is in the messages.
        :param dry_run: Only count them.
        :param progress: Called with how many were erased in each step.
        :returns: Fires with how many messages and events were erased.
        """
        if dry_run:
            count: int = await self.archive.forget(address, dry_run=True)
            return count
        if self.cache is not None:
            await self._uncount(address)
        return await self._all_steps(lambda: self.archive.forget(address, STEP), progress)

    @deferred
    async def delete_before(
        self, time: datetime | str, dry_run: bool = False, progress: Progress | None = None
    ) -> int:
        """Erase all messages and events that are older.

        Counts in the cache stay: they say what was sent and received, not what is kept.

        :param time: A Vumi date in UTC or a datetime.
        :param dry_run: Only count them.
        :param progress: Called with how many were erased in each step.
        :returns: Fires with how many messages and events were erased.
        """
        before = as_datetime(time)
        if dry_run:
            count: int = await self.archive.delete_before(before, dry_run=True)
            return count
        return await self._all_steps(lambda: self.archive.delete_before(before, STEP), progress)

    async def _all_steps(self, step: Callable[[], Any], progress: Progress | None) -> int:
        total = 0
        while True:
            erased: int = await step()
            if not erased:
                return total
            total += erased
            if progress is not None:
                progress(erased)

    async def _uncount(self, address: str) -> None:
        """Take a person's messages out of the cache, while it is known which they are."""
        continuation: str | None = None
        while True:
            try:
                # In Riak the other order takes many more questions.
                page = await self.archive.search(
                    Query(address=address), Order.OLDEST_FIRST, STEP, continuation
                )
            except StoreError as error:
                self.log.warn(
                    "The cache still counts messages that are being erased, until it is "
                    "reconciled: {error}",
                    event="message-store-forget-uncounted",
                    error=str(error),
                )
                return
            for stored in page.entries:
                await self._uncount_message(stored)
            continuation = page.continuation
            if continuation is None:
                return

    async def _uncount_message(self, stored: StoredMessage) -> None:
        key = stored.message_id
        events = []
        if stored.kind is Kind.OUTBOUND and stored.batch_ids:
            page = await self.archive.message_events(key)
            events = [(entry.key, entry.term) for entry in page.entries]
        for batch_id in stored.batch_ids:
            await self.cache.remove_entries(stored.kind.value, batch_id, [(key, "")])
            if events:
                await self.cache.remove_entries(Kind.EVENT.value, batch_id, events)


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
            await when_ended(self._running)

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
