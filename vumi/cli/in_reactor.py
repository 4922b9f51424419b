"""Running the reactor for one thing to be done, from a command that itself waits.

Knows the reactor; knows no command. Can be used once in a process, as the reactor can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["run_in_reactor"]


def run_in_reactor(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    """Run the reactor until something is done.

    :param work: Called with the reactor once that runs.
    :returns: What the work returned.
    :raises click.Abort: It was interrupted (Ctrl-C) before it was done.
    :raises Exception: What the work has raised.
    """
    from twisted.internet.defer import Deferred
    from twisted.logger import globalLogBeginner

    from vumi.process_reactor import process_reactor

    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)
    running = process_reactor()
    outcome: list[Any] = []
    errors: list[BaseException] = []

    async def done() -> None:
        try:
            outcome.append(await work(running))
        except BaseException as error:  # noqa: BLE001 (raised again below, outside of the reactor)
            errors.append(error)
        if running.running:
            running.stop()

    def start() -> None:
        _ = Deferred.fromCoroutine(done())

    running.callWhenRunning(start)
    running.run()
    if errors:
        raise errors[0]
    if not outcome:
        raise click.Abort
    return outcome[0]
