"""The reactor of the process, for code that gets none from its caller.

Constructors take their reactor. Some cannot: old signatures (a worker's, ``http_request``'s, a
configuration field's) have no place for one. They ask here, when they need it, and nobody else
below the doors imports the global reactor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.steady_clock import steady

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["process_reactor", "run_now"]


def process_reactor() -> Any:
    """Twisted's global reactor; its timers don't mind when the system's clock is set.

    Its first import chooses which reactor the process has. Call this when the reactor is needed,
    never while a module is imported.
    """
    from twisted.internet import reactor

    return steady(reactor)


def run_now(work: Coroutine[Any, Any, Any], timeout: float) -> Any:
    """Have a coroutine done before this returns, for code that runs before the reactor does.

    The reactor is turned only if the coroutine waits for something.

    :param timeout: How long it may take, in seconds.
    :returns: What the coroutine returned.
    :raises TimeoutError: It was not done in time, or the reactor runs already, so that nothing
        can be waited for here. The coroutine is cancelled.
    :raises Exception: What the coroutine has raised.
    """
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    outcome: list[Any] = []
    done = Deferred.fromCoroutine(work)
    _ = done.addBoth(outcome.append)
    if not outcome:
        reactor = process_reactor()
        end = reactor.seconds() + timeout
        while not (outcome or reactor.running or reactor.seconds() > end):
            reactor.iterate(0.05)
        if not outcome:
            done.cancel()
            raise TimeoutError
    [result] = outcome
    if isinstance(result, Failure):
        result.raiseException()
    return result
