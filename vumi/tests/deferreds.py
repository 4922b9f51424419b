"""Small tools for tests of code that returns Deferreds, or that does only sometimes."""

from __future__ import annotations

import traceback
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, overload

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.python.failure import Failure
from twisted.trial.unittest import FailTest

from vumi.utils import flatten_generator

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["get_stack_trace", "maybe_async", "maybe_async_return", "success_result_of"]

T = TypeVar("T")
Method = TypeVar("Method", bound="Callable[..., Any]")


def success_result_of(d: Deferred[T]) -> T:
    """The result of a Deferred that has fired.

    :raises FailTest: It has not, or it failed.
    """
    results: list[T | Failure] = []
    _ = d.addBoth(results.append)
    if not results:
        raise FailTest(f"No result available for deferred: {d!r}")
    [result] = results
    if isinstance(result, Failure):
        raise FailTest(f"Expected success from deferred {d!r}, got failure: {result!r}")
    return result


def get_stack_trace(exclude_last: int = 0) -> list[str]:
    """The stack at this moment, as texts: to be kept, and shown if something goes wrong later.

    :param exclude_last: How many calls to leave out, counted from the caller.
    """
    return traceback.format_stack()[: -(1 + exclude_last)]


@overload
def maybe_async(sync_attr: Method) -> Method: ...
@overload
def maybe_async(sync_attr: str) -> Callable[[Method], Method]: ...
def maybe_async(sync_attr: Any) -> Any:
    """Make a method that is a generator work both ways, as its object is synchronous or not.

    If the object's attribute is true what is yielded comes back as it is, and the result is
    returned. Otherwise it is a method under ``inlineCallbacks``.

    :param sync_attr: The attribute's name. Without arguments (``@maybe_async``) it is ``is_sync``.
    """
    if callable(sync_attr):
        return _maybe_async("is_sync", sync_attr)
    return lambda method: _maybe_async(sync_attr, method)


def _maybe_async(sync_attr: str, method: Callable[..., Any]) -> Callable[..., Any]:
    flat = flatten_generator(method)
    deferring: Callable[..., Any] = inlineCallbacks(method)

    @wraps(method)
    def wrapper(self: Any, *args: Any, **kw: Any) -> Any:
        return (flat if getattr(self, sync_attr) else deferring)(self, *args, **kw)

    return wrapper


def maybe_async_return(value: T, maybe_deferred: object) -> T | Deferred[T]:
    """Give a value: at once, or after what may be a Deferred."""
    if isinstance(maybe_deferred, Deferred):
        return maybe_deferred.addCallback(lambda _: value)
    return value
