"""Queues of which only so many items may be under way at a time: windows.

Knows how a window is kept in the key-value store, and when an item counts as lost. Knows nothing
of what an item is.

An item waits, is *in flight* from :meth:`WindowManager.get_next_key` to
:meth:`WindowManager.remove_key`, and is gone. One that is in flight for longer than the flight
lifetime has expired: it is removed with all that belongs to it, and who asked for it
(`expired_callback`) is told. Keys, all after ``windows``:

====================================  ======  ==============================================
(nothing)                             zset    window -> when it was made
``:<window>``                         list    items that wait, the next one last
``:<window>:<item>``                  string  the item's data, JSON
``:inflight:<window>``                list    items in flight
``:flightstats:<window>``             zset    item in flight -> since when
``:keymap:<window>:external:<item>``  string  the item's external id
``:keymap:<window>:internal:<id>``    string  the item of an external id
====================================  ======  ==============================================

Every change is one Lua script, so that any number of workers can share a window.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from vumi.components import window_scripts as scripts
from vumi.errors import VumiError
from vumi.process_reactor import process_reactor
from vumi.steady_clock import wall_seconds
from vumi.tasks import as_deferred, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from twisted.internet.interfaces import IReactorTime

    Steps = Generator[Any, Any, Any]

__all__ = ["WindowException", "WindowManager"]


class WindowException(VumiError):
    """A window can't be used so."""


class WindowManager:
    """Keeps windows. Looks for expired items from the moment it is made until :meth:`stop`.

    :param redis: The manager of the key-value store.
    :param window_size: How many items of a window may be in flight at a time.
    :param flight_lifetime: Seconds after which an item in flight has expired;
        `gc_interval` * `window_size` if left out.
    :param gc_interval: Seconds from one look for expired items to the next.
    :param expired_callback: Called with window, item and its data for each item that has expired.
        Of several workers on a window, only the one that has removed the item is told. May return
        a Deferred or be ``async``.
    """

    WINDOW_KEY = "windows"
    FLIGHT_KEY = "inflight"
    FLIGHT_STATS_KEY = "flightstats"
    MAP_KEY = "keymap"

    log = Logger()

    def __init__(
        self,
        redis: Any,
        window_size: int = 100,
        flight_lifetime: float | None = None,
        gc_interval: float = 10,
        expired_callback: Callable[[str, str, Any], Any] | None = None,
    ) -> None:
        self.redis = redis
        self.window_size = window_size
        self.flight_lifetime = flight_lifetime or gc_interval * window_size
        self.gc_interval = gc_interval
        self._expired_callback = expired_callback
        self._create = redis.script(scripts.CREATE)
        self._add = redis.script(scripts.ADD)
        self._next = redis.script(scripts.NEXT)
        self._remove = redis.script(scripts.REMOVE, repeatable=True)
        self._expire = redis.script(scripts.EXPIRE)
        self._remove_window = redis.script(scripts.REMOVE_WINDOW, repeatable=True)
        self._set_id = redis.script(scripts.SET_ID, repeatable=True)
        self._clear_id = redis.script(scripts.CLEAR_ID, repeatable=True)
        self._monitor: LoopingCall | None = None
        self._running: set[Deferred[Any]] = set()
        self._gc = self._loop(self._clear_expired, "Looking for expired items")
        _ = self._gc.start(gc_interval, now=False)

    def get_clock(self) -> IReactorTime:
        """What tells the time and has timers: the reactor. Tests override it."""
        clock: IReactorTime = process_reactor()
        return clock

    # Keys

    def window_key(self, *args: str) -> str:
        """The key that parts make, after ``windows``."""
        return ":".join([self.WINDOW_KEY, *args])

    def flight_key(self, window_id: str) -> str:
        """The key of the list of items in flight."""
        return self.window_key(self.FLIGHT_KEY, window_id)

    def stats_key(self, window_id: str) -> str:
        """The key of the times at which flights began."""
        return self.window_key(self.FLIGHT_STATS_KEY, window_id)

    def map_key(self, window_id: str, *args: str) -> str:
        """A key of the map between items and external ids."""
        return self.window_key(self.MAP_KEY, window_id, *args)

    def _keys(self, window_id: str) -> list[str]:
        return [
            self.window_key(),
            self.window_key(window_id),
            self.flight_key(window_id),
            self.stats_key(window_id),
            self.map_key(window_id),
        ]

    # Windows

    def get_windows(self) -> Deferred[list[str]]:
        """The windows, the oldest first."""
        windows: Deferred[list[str]] = self.redis.zrange(self.window_key(), 0, -1)
        return windows

    @inlineCallbacks
    def window_exists(self, window_id: str) -> Steps:
        """Whether there is such a window."""
        created = yield self.redis.zscore(self.window_key(), window_id)
        return created is not None

    @inlineCallbacks
    def create_window(self, window_id: str, strict: bool = False) -> Steps:
        """Make a window, unless it is there.

        :param strict: Whether its being there is an error.
        :returns: The time now.
        :raises WindowException: It is there already.
        """
        now = wall_seconds(self.get_clock())
        is_new = yield self._create(self._keys(window_id), [window_id, now])
        if strict and not is_new:
            raise WindowException(f"Window {window_id!r} already exists")
        return now

    @inlineCallbacks
    def remove_window(self, window_id: str) -> Steps:
        """Remove a window. Items in flight are forgotten.

        :raises WindowException: Items are waiting in it.
        """
        waiting = yield self._remove_window(self._keys(window_id), [window_id, 1])
        if waiting:
            raise WindowException("Window not empty")

    # Items

    @inlineCallbacks
    def add(self, window_id: str, data: Any, key: str | None = None) -> Steps:
        """Put an item into a window.

        :param data: What JSON can say.
        :param key: What it is known by; made up if left out.
        :returns: The key.
        """
        if key is None:
            key = uuid4().hex
        yield self._add(self._keys(window_id), [key, json.dumps(data)])
        return key

    def get_next_key(self, window_id: str) -> Deferred[str | None]:
        """Take the next item of a window; it is in flight from now on.

        :returns: Fires with its key; with ``None`` if nothing waits, or the window is full.
        """
        now = wall_seconds(self.get_clock())
        taken: Deferred[str | None] = self._next(self._keys(window_id), [self.window_size, now])
        return taken

    @inlineCallbacks
    def get_data(self, window_id: str, key: str) -> Steps:
        """An item's data.

        :raises WindowException: There is no such item, or no longer.
        """
        data = yield self.redis.get(self.window_key(window_id, key))
        if data is None:
            raise WindowException(f"Window {window_id!r} has no item {key!r}")
        return json.loads(data)

    def remove_key(self, window_id: str, key: str) -> Deferred[Any]:
        """Remove an item, with all that belongs to it: it has landed."""
        removed: Deferred[Any] = self._remove(self._keys(window_id), [key])
        return removed

    def count_waiting(self, window_id: str) -> Deferred[int]:
        """How many items wait."""
        count: Deferred[int] = self.redis.llen(self.window_key(window_id))
        return count

    def count_in_flight(self, window_id: str) -> Deferred[int]:
        """How many items are in flight."""
        count: Deferred[int] = self.redis.llen(self.flight_key(window_id))
        return count

    # What others call an item

    @inlineCallbacks
    def set_external_id(self, window_id: str, flight_key: str, external_id: str) -> Steps:
        """Note what others call an item.

        :returns: Whether there is such an item; if there isn't, nothing is noted.
        """
        noted = yield self._set_id(self._keys(window_id), [flight_key, external_id])
        return bool(noted)

    def get_external_id(self, window_id: str, flight_key: str) -> Deferred[str | None]:
        """What others call an item."""
        key = self.map_key(window_id, "external", flight_key)
        external_id: Deferred[str | None] = self.redis.get(key)
        return external_id

    def get_internal_id(self, window_id: str, external_id: str) -> Deferred[str | None]:
        """The item that others call so."""
        key = self.map_key(window_id, "internal", external_id)
        internal_id: Deferred[str | None] = self.redis.get(key)
        return internal_id

    def clear_external_id(self, window_id: str, flight_key: str) -> Deferred[Any]:
        """Forget what others call an item."""
        cleared: Deferred[Any] = self._clear_id(self._keys(window_id), [flight_key])
        return cleared

    # Expired items

    def _latest_expired(self) -> float:
        return wall_seconds(self.get_clock()) - self.flight_lifetime

    def get_expired_flight_keys(self, window_id: str) -> Deferred[list[str]]:
        """The items that have been in flight for too long."""
        expired: Deferred[list[str]] = self.redis.zrangebyscore(
            self.stats_key(window_id), "-inf", self._latest_expired()
        )
        return expired

    def clear_expired_flight_keys(self) -> Deferred[None]:
        """Remove the items of all windows that have been in flight for too long."""
        return Deferred.fromCoroutine(self._clear_expired())

    async def _clear_expired(self) -> None:
        for window_id in await self.get_windows():
            for key in await self.get_expired_flight_keys(window_id):
                arguments = [key, self._latest_expired()]
                removed = await self._expire(self._keys(window_id), arguments)
                if removed:
                    await self._tell_expired(window_id, key, removed[0])

    async def _tell_expired(self, window_id: str, key: str, data: str) -> None:
        self.log.info(
            "Item {key} of window {window} has expired: it was in flight for over {lifetime} s",
            event="window-item-expired",
            window=window_id,
            key=key,
            lifetime=self.flight_lifetime,
        )
        if self._expired_callback is not None:
            value = json.loads(data) if data else None
            await self._call("expired_callback", self._expired_callback, window_id, key, value)

    # Watching windows

    def monitor(
        self,
        key_callback: Callable[[str, str], Any],
        interval: float = 10,
        cleanup: bool = True,
        cleanup_callback: Callable[[str], Any] | None = None,
    ) -> None:
        """Take items out of all windows as there is room, from now on.

        Callbacks may return Deferreds or be ``async``; the next item is taken when they are done.
        One that fails is logged, and its item stays in flight until it expires.

        :param key_callback: Called with window and item for each item that was taken.
        :param interval: Seconds from one look to the next; the first is after that time.
        :param cleanup: Whether to remove windows in which nothing waits and nothing is in flight.
        :param cleanup_callback: Called with each window before it is removed.
        :raises WindowException: This was called before.
        """
        if self._monitor is not None:
            raise WindowException("Windows are monitored already")
        self._monitor = self._loop(
            lambda: self._look(key_callback, cleanup, cleanup_callback), "Monitoring windows"
        )
        _ = self._monitor.start(interval, now=False)

    async def _look(
        self,
        key_callback: Callable[[str, str], Any],
        cleanup: bool,
        cleanup_callback: Callable[[str], Any] | None,
    ) -> None:
        for window_id in await self.get_windows():
            while (key := await self.get_next_key(window_id)) is not None:
                await self._call("key_callback", key_callback, window_id, key)
            if not cleanup or await self._is_in_use(window_id):
                continue
            if cleanup_callback is not None:
                await self._call("cleanup_callback", cleanup_callback, window_id)
            # Unless somebody has put something into it meanwhile.
            await self._remove_window(self._keys(window_id), [window_id, 0])

    async def _is_in_use(self, window_id: str) -> bool:
        waiting = await self.count_waiting(window_id)
        return bool(waiting or await self.count_in_flight(window_id))

    async def _call(self, what: str, callback: Callable[..., Any], *args: Any) -> None:
        try:
            await settle(callback(*args))
        except Exception:  # noqa: BLE001 (not ours; it must not stop the work on other items)
            self.log.failure(
                "{what} failed for {args}", event="window-callback-failed", what=what, args=args
            )

    # Loops

    def _loop(self, step: Callable[[], Any], what: str) -> LoopingCall:
        """A loop that goes on whatever happens; a failure is logged."""

        def run() -> Deferred[Any]:
            running = as_deferred(step)
            self._running.add(running)
            _ = running.addErrback(
                lambda failure: self.log.failure(
                    "{what} failed; it will be tried again",
                    event="window-loop-failed",
                    failure=failure,
                    what=what,
                )
            )
            return running.addBoth(lambda _: self._running.discard(running))

        loop = LoopingCall(run)
        loop.clock = self.get_clock()
        return loop

    def stop(self) -> Deferred[Any]:
        """Look for nothing any more.

        :returns: Fires when what is under way has ended.
        """
        for loop in (self._gc, self._monitor):
            if loop is not None and loop.running:
                loop.stop()
        return DeferredList(list(self._running))
