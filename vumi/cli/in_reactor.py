"""Running the reactor for one piece of work, from a command that itself waits.

Knows the reactor; knows no command. Can be used once in a process, as the reactor can.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["run_in_reactor", "write_no_log"]


def write_no_log() -> None:
    """Drop all log events: a command reports by itself."""
    from twisted.logger import globalLogBeginner

    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)


def run_in_reactor(
    work: Callable[[Any], Coroutine[Any, Any, Any]],
    interrupt: Callable[[], None] | None = None,
) -> Any:
    """Run the reactor until some work is done.

    :param work: Called with the reactor.
    :param interrupt: What Ctrl-C does: it makes the work come to its end. Without it the work is
        cancelled. The process ends when the work has ended.
    :returns: What the work returned.
    :raises click.Abort: The work was cancelled (Ctrl-C).
    :raises Exception: What the work has raised.
    """
    from twisted.internet.defer import CancelledError, Deferred
    from twisted.internet.task import react

    from vumi.process_reactor import process_reactor

    outcome: list[Any] = []
    errors: list[BaseException] = []

    async def main(reactor: Any) -> None:
        working = Deferred.fromCoroutine(work(reactor))
        done: Deferred[None] = Deferred()

        def stopping() -> Deferred[None]:
            if not working.called:
                (interrupt or working.cancel)()
            return done

        reactor.addSystemEventTrigger("before", "shutdown", stopping)
        try:
            outcome.append(await working)
        except CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 (raised again below, outside of the reactor)
            errors.append(error)
        done.callback(None)

    # It ends the process when the reactor stops; here the command goes on.
    with suppress(SystemExit):
        react(main, (), process_reactor())
    if errors:
        raise errors[0]
    if not outcome:
        raise click.Abort
    return outcome[0]
