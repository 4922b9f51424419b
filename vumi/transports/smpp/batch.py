"""Collects the calls of one reactor turn, and makes one of them.

Knows the reactor's clock. Knows nothing of what is called: a store's command that takes many keys
costs little more than one that takes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from vumi.tasks import on_outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

__all__ = ["Batch"]

Item = TypeVar("Item")
Result = TypeVar("Result")

#: A script of Redis's can't be given any number of keys.
MAX_ITEMS = 500


class Batch(Generic[Item, Result]):
    """Has items dealt with together that come in the same turn of the reactor.

    :param clock: Calls when the turn is over.
    :param deal_with: Takes a list of items; gives a Deferred of as many results.
    :param max_items: With so many, the turn's end is not waited for.
    """

    def __init__(
        self,
        clock: IReactorTime,
        deal_with: Callable[[Sequence[Item]], Deferred[Sequence[Result]]],
        max_items: int = MAX_ITEMS,
    ) -> None:
        self._clock = clock
        self._deal_with = deal_with
        self._max_items = max_items
        self._items: list[Item] = []
        self._callbacks: list[tuple[Callable[[Result], object], Callable[[Failure], object]]] = []
        self._scheduled = False

    def add(
        self,
        item: Item,
        callback: Callable[[Result], object],
        errback: Callable[[Failure], object],
    ) -> None:
        """Have an item dealt with.

        :param callback: Called with its result. Must not raise.
        :param errback: Called instead with the failure of all. Must not raise.
        """
        self._items.append(item)
        self._callbacks.append((callback, errback))
        if len(self._items) >= self._max_items:
            self._flush()
        elif not self._scheduled:
            self._scheduled = True
            self._clock.callLater(0, self._turn_over)

    def _turn_over(self) -> None:
        self._scheduled = False
        if self._items:
            self._flush()

    def _flush(self) -> None:
        items, self._items = self._items, []
        callbacks, self._callbacks = self._callbacks, []

        def done(results: Sequence[Result]) -> None:
            for (callback, _), result in zip(callbacks, results, strict=True):
                callback(result)

        def failed(failure: Failure) -> None:
            for _, errback in callbacks:
                errback(failure)

        on_outcome(self._deal_with(items), done, failed)
