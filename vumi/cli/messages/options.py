"""What the commands on stored messages have in common: which messages, in which order, how far.

Knows the options of the command line; opens no store.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from vumi.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vumi.components.message_store.interface import Query

__all__ = ["Output", "filters", "order_of", "progress", "query_of"]

DIRECTIONS = ("inbound", "outbound")
STATUSES = ("ack", "nack", "delivered", "failed", "pending", "none")


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options by which messages are chosen."""
    options = (
        click.option("--address", help="Only a user's: exactly as in the messages."),
        click.option("--batch", help="Only of this batch."),
        click.option("--tag", metavar="POOL:TAG", help="Only of batches started with this tag."),
        click.option("--direction", type=click.Choice(DIRECTIONS), help="Only from, or to users."),
        click.option(
            "--status",
            type=click.Choice(STATUSES),
            help="Only messages to users of which this is what was heard last.",
        ),
        click.option("--start", metavar="TIME", help="Only from this time on: 2026-03-01."),
        click.option("--end", metavar="TIME", help="Only up to this time: 2026-03-01T12:00Z."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def query_of(parts: dict[str, str | None], text: Sequence[str] = ()) -> Query:
    from vumi.components.message_store.queries import QueryError, parse_query

    try:
        return parse_query({**parts, "text": " ".join(text) or None})
    except QueryError as error:
        raise ConfigError(f"--{error.part}: {error.problem}") from None


def order_of(oldest_first: bool) -> Any:
    from vumi.components.message_store.interface import Order

    return Order.OLDEST_FIRST if oldest_first else Order.NEWEST_FIRST


class Output:
    """Where lines are written."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> None:
        self._file.write(data)


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """A bar on the terminal, or a count where the total is not known."""
    if total is not None:
        with click.progressbar(
            length=total, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as bar:
            yield bar.update
        return
    done = 0

    def count(number: int) -> None:
        nonlocal done
        done += number
        if sys.stderr.isatty():
            click.echo(f"\r{label}: {done}", nl=False, err=True)

    yield count
    if sys.stderr.isatty():
        click.echo(err=True)
