"""``vumi dead``: messages that could not be handled, to look at, retry and throw away."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from vumi.cli.groups import CommandGroup
from vumi.cli.tables import cell, columns
from vumi.errors import BrokerError, ConfigError
from vumi.printable import counted, printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from vumi.deadletters import DeadLetter, DeadLetters

__all__ = ["dead"]

#: Seconds to reach the broker.
CONNECT_TIMEOUT = 10.0
DEFAULT_URL = "amqp://vumi:vumi@127.0.0.1:5672/%2Fdevelop"

broker_option = click.option(
    "--broker",
    "url",
    metavar="URL",
    default=DEFAULT_URL,
    show_default=True,
    help="Where RabbitMQ is.",
)
chosen_argument = click.argument("messages", nargs=-1, metavar="[MESSAGE...]")
reason_option = click.option("--reason", help="Only those with this reason.")
all_option = click.option("--all", "everything", is_flag=True, help="All of the queue's.")


@click.group(cls=CommandGroup, epilog="Example: vumi dead list app.inbound")
def dead() -> None:
    """Messages that could not be handled.

    A message that is not valid, or whose handler failed, refused it or never ended, is put into
    the queue QUEUE.dead, and the worker goes on with the next. These commands take QUEUE's name,
    such as "myapp.inbound".
    """


def _on_queue(
    url: str, queue: str, work: Callable[[DeadLetters], Coroutine[Any, Any, Any]]
) -> Any:
    """Do something with a queue's dead letters, over a connection of its own."""
    from vumi.cli.in_reactor import run_in_reactor, write_no_log

    async def connected(reactor: Any) -> Any:
        from twisted.internet.defer import TimeoutError as DeferredTimeout

        from vumi.broker import broker_from_options
        from vumi.deadletters import DeadLetters

        broker = broker_from_options({"broker": url}, reactor, "vumi dead")
        try:
            try:
                await broker.start().addTimeout(CONNECT_TIMEOUT, reactor)
            except DeferredTimeout:
                raise BrokerError(
                    f"The broker can't be reached within {CONNECT_TIMEOUT:g} s: is RabbitMQ "
                    f"running, is {url_words(url)} right?"
                ) from None
            try:
                return await work(DeadLetters(broker, queue))
            except DeferredTimeout:
                raise BrokerError(
                    "The broker did not hand out a letter that it has: does another program hold "
                    "it? Try again."
                ) from None
        finally:
            await broker.stop(timeout=CONNECT_TIMEOUT)

    write_no_log()
    return run_in_reactor(connected)


def url_words(url: str) -> str:
    """The URL without its password."""
    from vumi.broker import BrokerAddress

    return str(BrokerAddress.from_url(url))


def _chooser(
    messages: Sequence[str], reason: str | None, everything: bool
) -> Callable[[DeadLetter], bool]:
    if not (messages or reason or everything):
        raise ConfigError(
            "Say which: message ids or numbers (as 'vumi dead list' shows them), --reason, or "
            "--all."
        )

    def chosen(letter: DeadLetter) -> bool:
        if messages and not any(letter.is_called(name) for name in messages):
            return False
        return reason is None or letter.reason == reason

    return chosen


@dead.command("list", epilog="Example: vumi dead list app.inbound --limit 20")
@click.argument("queue")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="How many at most.",
)
@broker_option
def list_letters(queue: str, limit: int, url: str) -> None:
    """List the dead letters of QUEUE, the oldest first.

    They stay where they are. Shown are number, message id, reason, when it died first and last,
    how often, and what went wrong.
    """

    async def work(letters: DeadLetters) -> tuple[int, list[DeadLetter]]:
        return await letters.count(), await letters.read(limit)

    count, shown = _on_queue(url, queue, work)
    rows = [
        [
            cell(value)
            for value in (
                letter.number,
                letter.message_id or "-",
                letter.reason,
                letter.first_seen,
                letter.last_seen,
                letter.count,
                letter.error,
            )
        ]
        for letter in shown
    ]
    headings = ("no", "message id", "reason", "first seen", "last seen", "times", "error")
    for line in columns([headings, *rows]):
        click.echo(line)
    more = f", {len(shown)} shown" if len(shown) < count else ""
    click.echo(f"{counted(count, 'dead letter')}{more}")


@dead.command(epilog="Example: vumi dead show app.inbound 3")
@click.argument("queue")
@click.argument("message")
@broker_option
def show(queue: str, message: str, url: str) -> None:
    """Show one dead letter of QUEUE whole: MESSAGE is its number or message id."""

    async def work(letters: DeadLetters) -> DeadLetter:
        for letter in await letters.read(await letters.count()):
            if letter.is_called(message):
                return letter
        raise BrokerError(f"{letters.name} has no letter {message!r}.")

    letter: DeadLetter = _on_queue(url, queue, work)
    for title, value in (
        ("message id", letter.message_id or "-"),
        ("reason", letter.reason),
        ("error", letter.error),
        ("queue", letter.queue),
        ("first seen", letter.first_seen),
        ("last seen", letter.last_seen),
        ("times", str(letter.count)),
    ):
        click.echo(f"{title + ':':<12} {printable(value)}")
    if letter.traceback:
        click.echo(f"\n{printable_lines(letter.traceback.rstrip())}")
    click.echo(f"\n{_readable(letter.body)}")


def _readable(body: bytes) -> str:
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return repr(body)
    return printable_lines(text)


def _change(
    what: str,
    done_words: str,
    queue: str,
    url: str,
    chosen: Callable[[DeadLetter], bool],
) -> None:
    stay: list[str] = []

    def refused(letter: DeadLetter, error: BrokerError) -> None:
        stay.append(f"{letter.number} stays: {error}")

    async def work(letters: DeadLetters) -> tuple[int, DeadLetters]:
        count = await letters.count()
        # Not where nobody sees it grow: a file or another program gets the result alone.
        with click.progressbar(
            length=count, label=what, file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as bar:
            if what == "retry":
                return await letters.retry(chosen, bar.update, refused), letters
            return await letters.purge(chosen, bar.update), letters

    changed, letters = _on_queue(url, queue, work)
    target = letters.queue if what == "retry" else letters.name
    click.echo(f"{changed} {done_words} {printable(target)}")
    if stay:
        raise ConfigError(problems=stay)


@dead.command(epilog="Example: vumi dead retry app.inbound --reason handler-timeout")
@click.argument("queue")
@chosen_argument
@reason_option
@all_option
@broker_option
def retry(
    queue: str, messages: Sequence[str], reason: str | None, everything: bool, url: str
) -> None:
    """Put dead letters back on QUEUE, to be handled again.

    Which: by MESSAGE (numbers or message ids), by --reason, or --all. A letter that dies again
    says how often it has.
    """
    chosen = _chooser(messages, reason, everything)
    _change("retry", "put back on", queue, url, chosen)


@dead.command(epilog="Example: vumi dead purge app.inbound --reason invalid-message")
@click.argument("queue")
@chosen_argument
@reason_option
@all_option
@click.option("--yes", is_flag=True, help="Don't ask.")
@broker_option
def purge(
    queue: str,
    messages: Sequence[str],
    reason: str | None,
    everything: bool,
    yes: bool,
    url: str,
) -> None:
    """Throw dead letters of QUEUE away, for good.

    Which: by MESSAGE (numbers or message ids), by --reason, or --all.
    """
    chosen = _chooser(messages, reason, everything)
    if not yes:
        click.confirm("Throw them away for good?", abort=True)
    _change("purge", "thrown away from", queue, url, chosen)
