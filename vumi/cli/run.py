"""``vumi run``: several workers in this process, in the foreground.

Knows the reactor: it runs it, and ends with a status that says whether the workers could start.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from vumi.printable import printable_lines

if TYPE_CHECKING:
    from twisted.logger import LogEvent
    from twisted.python.failure import Failure

    from vumi.service import Worker

__all__ = ["run", "run_worker"]


@click.command(epilog="Example: vumi run config/demo.yaml")
@click.argument("file", type=click.Path())
@click.option(
    "--broker",
    metavar="URL",
    default="memory:",
    show_default=True,
    help="The message broker: memory: is in this process and ends with it; "
    "amqp://user:password@host:port/vhost is RabbitMQ.",
)
def run(file: str, broker: str) -> None:
    """Run the workers of FILE in this process.

    FILE lists them under "workers" and has a section for each, or is for the one worker that its
    key "worker_class" names. They share one connection to the broker. Ctrl-C lets them finish what
    is in hand and ends; a second one ends at once.
    """
    from twisted.logger import FileLogObserver, globalLogBeginner

    from vumi.checking import class_path_of, load_worker_class
    from vumi.errors import ConfigError
    from vumi.process_reactor import process_reactor
    from vumi.service import WorkerCreator
    from vumi.yamlconfig import read_yaml_config

    config = read_yaml_config(file)
    if not (config.get("workers") or config.get("worker_class")):
        raise ConfigError(
            f"{file} does not list workers: it needs a key 'workers' with names and class paths, "
            "or the key 'worker_class'."
        )
    worker_class = load_worker_class(class_path_of(config, file))
    worker = WorkerCreator({"broker": broker}).create_worker_by_class(worker_class, config)
    globalLogBeginner.beginLoggingTo(
        [FileLogObserver(sys.stdout, readable_line)], redirectStandardIO=False
    )
    sys.exit(run_worker(worker, process_reactor()))


def run_worker(worker: Worker, reactor: Any) -> int:
    """Start a worker, run the reactor until the worker is to stop, and let it finish.

    :param worker: Not started yet.
    :param reactor: Twisted's reactor, not running yet.
    :returns: The exit status: 1 if the worker couldn't start or was not given the time to finish.
    """
    from twisted.internet.error import ReactorNotRunning

    from vumi.hangup import stop_at_hangup

    problems: list[object] = []

    def stop() -> None:
        # It may be stopping already.
        with suppress(ReactorNotRunning):
            reactor.stop()

    def say_and_stop() -> None:
        click.echo("Stopping. Again to stop at once.")
        stop()

    def failed(failure: Failure) -> None:
        problems.append(failure)
        reactor.callWhenRunning(stop)

    def interrupted(signal_number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, interrupted_again)
        signal.signal(signal.SIGTERM, interrupted_again)
        # Not here: what the worker has shown before is still on its way to the terminal.
        reactor.callFromThread(say_and_stop)

    def interrupted_again(signal_number: int, frame: object) -> None:
        problems.append(signal_number)
        reactor.callFromThread(reactor.crash)

    def start() -> None:
        signal.signal(signal.SIGINT, interrupted)
        signal.signal(signal.SIGTERM, interrupted)
        worker.startService()

    worker.on_failure(failed)
    stop_at_hangup(reactor)
    reactor.addSystemEventTrigger("before", "shutdown", worker.stopService)
    # The reactor sets its own signal handlers before it calls this.
    reactor.callWhenRunning(start)
    reactor.run()
    return 1 if problems else 0


def readable_line(event: LogEvent) -> str | None:
    """A log event as a line for people: the time of day, whose it is, the text.

    :returns: ``None`` if the event is of interest only when looking for mistakes in the code.
    """
    from twisted.logger import LogLevel, formatEventAsClassicLogText, formatTime

    level = event.get("log_level")
    if level is LogLevel.debug:
        return None
    if "log_system" not in event and "log_namespace" in event:
        event = {**event, "log_system": event["log_namespace"]}
    line = formatEventAsClassicLogText(event, lambda when: formatTime(when, "%H:%M:%S"))
    if line is None:
        return None
    line = printable_lines(line)
    if level is None or level is LogLevel.info:
        return line
    time, _, rest = line.partition(" ")
    return f"{time} {level.name.upper()} {rest}"
