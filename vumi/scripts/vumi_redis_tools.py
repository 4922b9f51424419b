"""``vumi_redis_tools``: look at keys of the key-value store, and let them expire or stay.

Knows the tasks, and the words for a terminal. Keys are those under the ``key_prefix`` of the
configuration file's ``redis_manager``, without it; patterns are Redis's.

A task is written ``name`` or ``name:parameter=value,...``:

* ``count``: count the keys.
* ``expire:seconds=20``: let each key go after so many seconds.
* ``persist``: let each key stay.
* ``list``: show each key.
* ``skip:pattern=regex``: leave a key that fits the regular expression to none of the tasks after
  this one.
"""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Any, ClassVar

import click

from vumi.cli.error_lines import error_lines
from vumi.config import Config
from vumi.errors import VumiError
from vumi.linear_regex import LinearRegex, PatternError
from vumi.persist.config import ConfigRedis
from vumi.persist.redis_manager import RedisManager
from vumi.yamlconfig import read_yaml_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["RedisToolsConfig", "Task", "TaskError", "main"]

PROGRAM = "vumi_redis_tools"
#: About how many keys Redis looks at in one go.
SCAN_COUNT = 1000
#: Seconds between two words of progress.
PROGRESS_SECONDS = 1.0
#: Between two parameters; a comma in a value (a regular expression) is none.
_BETWEEN_PARAMETERS = re.compile(r",(?=\w+=)")


class TaskError(VumiError):
    """A task that there is not, or not so."""


class RedisToolsConfig(Config):
    """The configuration file of ``vumi_redis_tools``."""

    redis_manager = ConfigRedis("Where the keys are.", required=True, static=True)


# Tasks


class SkipKey(Exception):
    """The tasks that come next are to leave this key alone."""


class Task:
    """Something that is done with each key.

    :param redis: The store.
    :param emit: Shows a line.
    """

    #: What it is called, and the names of its parameters.
    name: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]] = ()

    def __init__(self, redis: RedisManager, emit: Callable[[str], None]) -> None:
        self.redis = redis
        self.emit = emit

    def configure(self, **parameters: str) -> None:
        """Take the parameters.

        :raises TaskError: A value is none.
        """

    def process_key(self, key: str) -> None:
        """Do it with one key.

        :raises SkipKey: The tasks after this one are to leave it alone.
        """

    def finish(self) -> None:
        """Called when all keys were seen."""


class Count(Task):
    """Count the keys."""

    name = "count"
    number = 0

    def process_key(self, key: str) -> None:
        """Count it."""
        self.number += 1

    def finish(self) -> None:
        """Tell the number."""
        self.emit(f"Found {self.number} matching keys.")


class Expire(Task):
    """Let each key go after a time."""

    name = "expire"
    parameters = ("seconds",)

    def configure(self, **parameters: str) -> None:
        """Take the time."""
        seconds = parameters["seconds"]
        if not re.fullmatch("[0-9]+", seconds) or int(seconds) == 0:
            raise TaskError(f"expire: seconds must be a whole number from 1, not {seconds!r}.")
        self.seconds = int(seconds)

    def process_key(self, key: str) -> None:
        """Let it go."""
        self.redis.expire(key, self.seconds)


class Persist(Task):
    """Let each key stay."""

    name = "persist"

    def process_key(self, key: str) -> None:
        """Let it stay."""
        self.redis.persist(key)


class ListKeys(Task):
    """Show each key."""

    name = "list"

    def process_key(self, key: str) -> None:
        """Show it."""
        self.emit(key)


class Skip(Task):
    """Leave keys to none of the tasks after this one."""

    name = "skip"
    parameters = ("pattern",)

    def configure(self, **parameters: str) -> None:
        """Take the pattern, which a key must fit from its start."""
        try:
            self.regex = LinearRegex(parameters["pattern"])
        except PatternError as error:
            raise TaskError(f"skip: pattern is not a regular expression: {error}.") from None

    def process_key(self, key: str) -> None:
        """Leave it alone if it fits."""
        if self.regex.match(key):
            raise SkipKey


TASKS: dict[str, type[Task]] = {
    task.name: task for task in (Count, Expire, Persist, ListKeys, Skip)
}


def read_task(text: str, redis: RedisManager, emit: Callable[[str], None]) -> Task:
    """Make a task of what was typed.

    :raises TaskError: There is no such task, or it has other parameters.
    """
    name, _, rest = text.partition(":")
    task_class = TASKS.get(name)
    if task_class is None:
        raise TaskError(f"Unknown task {name!r}. There are {', '.join(sorted(TASKS))}.")
    pairs = [part.partition("=") for part in _BETWEEN_PARAMETERS.split(rest)] if rest else []
    parameters = {key: value for key, _, value in pairs}
    if set(parameters) != set(task_class.parameters):
        usage = ",".join(f"{parameter}=..." for parameter in task_class.parameters)
        raise TaskError(f"Write it so: {name}{':' + usage if usage else ''}. Not: {text}.")
    task = task_class(redis, emit)
    task.configure(**parameters)
    return task


# Doing them


class Progress:
    """Says on a terminal how far we are, once in a while.

    :param stream: Where; if it is not a terminal, nothing is written.
    :param clock: Tells the time, in seconds.
    """

    def __init__(self, stream: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._is_shown = stream.isatty()
        self._next = clock() + PROGRESS_SECONDS
        self._said = ""

    def reached(self, number: int) -> None:
        """Say that so many keys were seen, if it is time to."""
        if self._is_shown and self._clock() >= self._next:
            self._next = self._clock() + PROGRESS_SECONDS
            self._said = f"{number} keys seen"
            self._stream.write(f"\r{self._said}")
            self._stream.flush()

    def clear(self) -> None:
        """Take back what was said, so that something else can be shown."""
        if self._said:
            self._stream.write("\r" + " " * len(self._said) + "\r")
            self._stream.flush()
            self._said = ""


def matching_keys(redis: RedisManager, pattern: str) -> Iterator[str]:
    """The keys that fit a pattern. Redis goes on serving others meanwhile.

    One that was added or deleted meanwhile may be missing; while Redis makes its table larger, one
    may come twice.
    """
    cursor = None
    while True:
        cursor, keys = redis.scan(cursor, pattern, SCAN_COUNT)
        yield from keys
        if cursor is None:
            return


def run_tasks(
    redis: RedisManager, pattern: str, tasks: Sequence[Task], progress: Progress
) -> None:
    """Do all tasks with each key that fits, one key after the other."""
    for number, key in enumerate(matching_keys(redis, pattern), 1):
        try:
            for task in tasks:
                task.process_key(key)
        except SkipKey:
            pass
        progress.reached(number)
    progress.clear()
    for task in tasks:
        task.finish()


# The command


class _Command(click.Command):
    """A command whose mistakes end as they always have: a line, a hint, and the status 1."""

    def main(self, *args: Any, **kw: Any) -> Any:
        try:
            super().main(*args, **{**kw, "standalone_mode": False, "prog_name": PROGRAM})
        except click.ClickException as error:
            self._end(error.format_message(), f"{PROGRAM}: Try --help for usage details.")
        except click.Abort:
            self._end("Interrupted.")
        except VumiError as error:
            self._end(*(line.removeprefix("Error: ") for line in error_lines(error)))

    def _end(self, *lines: str) -> None:
        first, *rest = lines
        for line in (f"{PROGRAM}: {first}", *rest):
            click.echo(line, err=True)
        sys.exit(1)


@click.command(
    cls=_Command,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: vumi_redis_tools redis.yaml 'session:*' -t skip:pattern=session:27 -t count",
)
@click.argument("config_file")
@click.argument("match_pattern")
@click.option(
    "-t",
    "--task",
    "task_texts",
    metavar="TASK",
    multiple=True,
    required=True,
    help="What to do with each key. May be given several times; they are done in this order.",
)
def main(config_file: str, match_pattern: str, task_texts: tuple[str, ...]) -> None:
    """Do TASKs with each key that fits MATCH_PATTERN, of the Redis that CONFIG_FILE names.

    The file has an option redis_manager, as a worker's has. Keys and pattern are without its
    key_prefix. MATCH_PATTERN is one of Redis: * stands for anything, ? for one character.

    \b
    count                 count the keys
    expire:seconds=N      let each key go after N seconds
    persist               let each key stay
    list                  show each key
    skip:pattern=REGEX    do none of the tasks after this one with
                          keys that fit from their start
    """
    config = RedisToolsConfig(read_yaml_config(config_file, optional=False), static=True)
    progress = Progress(sys.stderr)

    def emit(line: str) -> None:
        progress.clear()
        click.echo(line)

    redis = RedisManager.from_config(config.redis_manager)
    try:
        tasks = [read_task(text, redis, emit) for text in task_texts]
        run_tasks(redis, match_pattern, tasks, progress)
    finally:
        redis.close_manager()


if __name__ == "__main__":
    main()
