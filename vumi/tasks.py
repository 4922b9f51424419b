"""Between Deferreds, coroutines and plain values.

Inside vumi code is ``async def``; at its public edge are Deferreds; and what users override may
return either, or a plain value. Knows Twisted's Deferred only: no reactor, no messages.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import wraps
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from vumi.errors import HandleLater, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from twisted.logger import Logger

__all__ = [
    "TrackedDeferred",
    "Waiters",
    "as_deferred",
    "before_all_else",
    "deferred",
    "hook_result",
    "in_background",
    "is_pending",
    "message_in_hand",
    "on_outcome",
    "settle",
    "take_unheard_failure",
    "to_wait_for",
    "when_ended",
]

P = ParamSpec("P")
T = TypeVar("T")


class InHand(Protocol):
    """A message that is being handled, to those who publish meanwhile."""

    def note_failed(self, publishing: Deferred[Any]) -> None:
        """A publish has failed. If nobody listens to it, handling the message has failed."""

    def publish_failure(self) -> Failure | None:
        """The failure of such a publish."""


#: The message whose handler runs. Coroutines that it starts keep it.
message_in_hand: ContextVar[InHand | None] = ContextVar("message_in_hand", default=None)


class Waiters(list["Deferred[None]"]):
    """Those who wait for one event, each by a Deferred. One that is cancelled waits no more."""

    # A list, as a busy worker asks after each message whether anybody waits.

    def wait(self) -> Deferred[None]:
        """Fires at the next event."""
        waiter: Deferred[None] = Deferred(self.remove)
        self.append(waiter)
        return waiter

    def fire(self) -> None:
        """The event has happened."""
        waiting = self[:]
        self.clear()
        for waiter in waiting:
            waiter.callback(None)


class TrackedDeferred(Deferred[Any]):
    """A Deferred that is tracked elsewhere: a hook that returns it is done.

    It is waited for like any other once somebody has added a callback.
    """

    is_tracked: ClassVar = True

    def has_listeners(self) -> bool:
        """Somebody waits for this Deferred's outcome."""
        return has_listeners(self)


def has_listeners(deferred: Deferred[Any]) -> bool:
    """Somebody waits for a Deferred's outcome."""
    # The public name of this list warns since Twisted 25.5, and nothing else tells.
    return bool(deferred._callbacks)


def take_unheard_failure(deferred: Deferred[Any]) -> Failure | None:
    """The failure of a Deferred that nobody listens to. Once taken it is not logged as well."""
    if has_listeners(deferred):
        return None
    # Twisted tells by this whether a failure is unhandled. It notes it after the last callback.
    noted = None if deferred._debugInfo is None else deferred._debugInfo.failResult
    failure = deferred.result if deferred._runningCallbacks else noted
    if not isinstance(failure, Failure):
        return None
    _ = deferred.addErrback(lambda _: None)
    return failure


def to_wait_for(value: Any) -> Deferred[Any] | None:
    """What has to be waited for before a hook is done.

    :param value: What the hook has returned: a plain value, a Deferred or a coroutine.
    :returns: A Deferred of the hook's result. ``None``: the hook is done, and `value` is its
        result. That is so too for a :class:`TrackedDeferred` without listeners: the hook's last
        act was a publish.
    """
    if value is None:
        return None
    # Checked so because isinstance() of a Deferred, an abstract class, is slow unless it is exact.
    if getattr(type(value), "is_tracked", False) and not value._callbacks:
        return None
    if isinstance(value, Deferred):
        return value
    return Deferred.fromCoroutine(value) if iscoroutine(value) else None


async def hook_result(value: Any) -> Any:
    """The result of a hook, once it is there.

    :param value: What the hook has returned; see :func:`to_wait_for`.
    :returns: The result; ``None`` if the hook's last act was a publish.
    """
    waiting = to_wait_for(value)
    if waiting is not None:
        return await waiting
    return None if isinstance(value, Deferred) else value


def deferred(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Deferred[T]]:
    """Have a function that is written ``async def`` return a Deferred, for the public edge."""

    @wraps(method)
    def call(*args: P.args, **kw: P.kwargs) -> Deferred[T]:
        return Deferred.fromCoroutine(method(*args, **kw))

    return call


def is_pending(value: Any) -> bool:
    """Whether a hook returned something to wait for."""
    return isinstance(value, Deferred) or iscoroutine(value)


async def settle(value: Any) -> Any:
    """What a hook returned, waited for if it is a Deferred or a coroutine."""
    if isinstance(value, Deferred) or iscoroutine(value):
        return await value
    return value


async def before_all_else(value: Any) -> Any:
    """What a store gives for the first step of handling a message.

    :param value: As for :func:`settle`.
    :raises HandleLater: The store is away. As nothing was done yet, the message can wait for it.
    """
    try:
        return await settle(value)
    except StoreUnavailable as error:
        raise HandleLater(str(error)) from error


def as_deferred(function: Callable[..., Any], *args: Any, **kw: Any) -> Deferred[Any]:
    """Call a hook, whatever kind it is, and give a Deferred of its outcome."""
    try:
        result = function(*args, **kw)
    except Exception:  # noqa: BLE001 (it becomes the Deferred's failure)
        return fail()
    if isinstance(result, Deferred):
        return result
    if iscoroutine(result):
        return Deferred.fromCoroutine(result)
    return succeed(result)


def on_outcome(
    deferred: Deferred[Any],
    callback: Callable[[Any], object],
    errback: Callable[[Failure], object],
) -> None:
    """Have one of two callables called with a Deferred's outcome; nobody else waits for it."""
    _ = deferred.addCallbacks(callback, errback)


def when_ended(deferred: Deferred[Any]) -> Deferred[None]:
    """A Deferred of its own for each caller that waits for another one to end.

    :returns: Fires with ``None`` when the other one has its result or failure, which it keeps.
        Cancelling it does not cancel the other one.
    """
    ended: Deferred[None] = Deferred(lambda _: None)

    def tell(result: Any) -> Any:
        if not ended.called:
            ended.callback(None)
        return result

    _ = deferred.addBoth(tell)
    return ended


def in_background(work: Awaitable[Any] | Coroutine[Any, Any, Any], log: Logger, what: str) -> None:
    """Let work go on by itself. If it fails that is logged, with words of what it was.

    :param work: A coroutine or a Deferred.
    :param log: Where a failure is told.
    :param what: What was to be done, for the log: ``"Draining the queue"``.
    """
    deferred = Deferred.fromCoroutine(work) if iscoroutine(work) else work
    assert isinstance(deferred, Deferred)  # noqa: S101 (tells the type checker)
    _ = deferred.addErrback(
        lambda failure: log.failure("{what} failed", failure=failure, what=what)
    )
