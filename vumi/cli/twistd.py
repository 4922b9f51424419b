"""What ``twistd vumi_worker`` (and ``twist``) run: a worker, its mistakes, its exit status.

Two things differ from :mod:`vumi.servicemaker`, which is for programs. A mistake ends the process
before it becomes a daemon, with one line for each problem; ``twistd`` itself would print all its
options or a traceback. And a worker that can't start ends the process with the exit status 1, so
that a supervisor sees it; with ``twistd`` alone the status would be 0.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ReactorNotRunning
from twisted.python.usage import UsageError

from vumi.cli.error_lines import error_lines
from vumi.errors import VumiError
from vumi.process_reactor import process_reactor
from vumi.servicemaker import StartWorkerOptions, VumiWorkerServiceMaker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vumi.service import Worker

__all__ = ["Options", "makeService"]


class Options(StartWorkerOptions):
    """The options of a worker; parsing ends the process if they can't be used."""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse the command line.

        :raises SystemExit: There is a mistake in it, and it was told.
        """
        with _mistakes_end_the_process():
            super().parseOptions(options)


def makeService(options: StartWorkerOptions) -> Worker:
    """Make the worker.

    :param options: The options, parsed.
    :raises SystemExit: There is a mistake in them, and it was told.
    """
    with _mistakes_end_the_process():
        worker = VumiWorkerServiceMaker().makeService(options)
    # By now somebody has chosen the reactor.
    end_process_on_failure(worker, process_reactor())
    return worker


def end_process_on_failure(worker: Worker, reactor: Any) -> None:
    """If the worker can't start, stop the reactor, and end the process with the status 1 then.

    :param worker: Not started yet. It logs its failure itself.
    :param reactor: Twisted's reactor.
    """
    failures: list[object] = []

    def stop_reactor() -> None:
        # It may be stopping already.
        with suppress(ReactorNotRunning):
            reactor.stop()

    def failed(failure: object) -> None:
        failures.append(failure)
        # A worker may fail before the reactor runs, and can't be stopped then.
        reactor.callWhenRunning(stop_reactor)

    def end_process() -> None:
        if failures:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                # Whatever became of the streams: a daemon's may be gone.
                os._exit(1)

    worker.on_failure(failed)
    # twistd always ends with the status 0 when its reactor was stopped; nothing that it calls can
    # change that. Functions for the exit are called in the opposite order: those that are
    # registered by what the worker uses come before this one.
    atexit.register(end_process)


@contextmanager
def _mistakes_end_the_process() -> Iterator[None]:
    try:
        yield
    except (VumiError, UsageError) as error:
        lines = error_lines(error)
    else:
        return
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.exit(1)
