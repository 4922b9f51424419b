"""``vumi messages``: the messages that were stored, to find, export, count and erase.

Knows the words for a terminal. What is done with a store
:mod:`vumi.components.message_store` knows.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from vumi.cli.stores import StoreChoice, store_options
from vumi.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vumi.components.message_store.interface import Query, StoredMessage

__all__ = ["messages"]

DIRECTIONS = ("inbound", "outbound")
STATUSES = ("ack", "nack", "delivered", "failed", "pending", "none")
#: Characters of a message's content in a list.
CONTENT_WIDTH = 60


@click.group(epilog="Example: vumi messages list --store sqlite:///messages.db")
def messages() -> None:
    """Messages that were sent and received, as StoringMiddleware keeps them.

    Say where they are by --store URL, by --config FILE (the worker's that stores them), or once
    for all by the environment variable VUMI_MESSAGE_STORE. Times are UTC if they name no zone.
    """


# Which messages


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


limit_option = click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many at most."
)
oldest_option = click.option("--oldest-first", is_flag=True, help="Begin with the oldest.")
json_option = click.option("--json", "as_json", is_flag=True, help="JSON lines, whole messages.")
yes_option = click.option("--yes", is_flag=True, help="Don't ask.")
dry_option = click.option("--dry-run", is_flag=True, help="Only count what would be erased.")


def _query(parts: dict[str, str | None], text: Sequence[str] = ()) -> Query:
    from vumi.components.message_store.queries import QueryError, parse_query

    try:
        return parse_query({**parts, "text": " ".join(text) or None})
    except QueryError as error:
        raise ConfigError(f"--{error.part}: {error.problem}") from None


@messages.command("list", epilog="Example: vumi messages list --address +27831234567")
@filters
@limit_option
@oldest_option
@json_option
@store_options
def list_messages(
    store: StoreChoice, limit: int, oldest_first: bool, as_json: bool, **parts: str | None
) -> None:
    """List messages, the newest first."""
    _show_found(store, _query(parts), limit, oldest_first, as_json)


@messages.command(epilog="Example: vumi messages search lost card --start 2026-03-01")
@click.argument("words", nargs=-1, required=True)
@filters
@limit_option
@oldest_option
@json_option
@store_options
def search(
    store: StoreChoice,
    words: tuple[str, ...],
    limit: int,
    oldest_first: bool,
    as_json: bool,
    **parts: str | None,
) -> None:
    """Search messages whose text has all of WORDS, in any order; case does not matter.

    Words are found whole. Riak can't search texts; SQLite and PostgreSQL can.
    """
    _show_found(store, _query(parts, words), limit, oldest_first, as_json)


def _show_found(
    store: StoreChoice, query: Query, limit: int, oldest_first: bool, as_json: bool
) -> None:
    from vumi.components.message_store.export import (
        FoundJsonFormatter,
        found_pages,
        write_pages,
    )

    async def work(opened: Any) -> list[StoredMessage]:
        pages = found_pages(opened.archive, query, _order(oldest_first), limit)
        if as_json:
            await write_pages(pages, FoundJsonFormatter(), _Output(sys.stdout.buffer))
            return []
        return [each async for page in pages for each in page]

    found = store.run(work)
    if as_json:
        return
    rows = [_row(stored) for stored in found]
    _table(("time", "", "user", "message id", "content"), rows)
    more = f" (at most {limit} are shown: --limit)" if len(found) == limit else ""
    click.echo(f"{len(found)} messages{more}")


def _order(oldest_first: bool) -> Any:
    from vumi.components.message_store.interface import Order

    return Order.OLDEST_FIRST if oldest_first else Order.NEWEST_FIRST


def _row(stored: StoredMessage) -> tuple[str, ...]:
    message, inbound = stored.message, stored.kind.value == "inbound"
    content = message["content"]
    text = "" if content is None else _printable(str(content))
    if len(text) > CONTENT_WIDTH:
        text = f"{text[: CONTENT_WIDTH - 1]}\N{HORIZONTAL ELLIPSIS}"
    return (
        message["timestamp"].isoformat(" ", timespec="seconds"),
        "<-" if inbound else "->",
        _printable(str(message["from_addr" if inbound else "to_addr"])),
        _printable(stored.message_id),
        text,
    )


def _printable(text: str) -> str:
    """A text that does nothing to a terminal: users can send its control characters too."""
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


@messages.command(epilog="Example: vumi messages show 0b5cfb8e5d8f4f6a8a1f8b1a2c3d4e5f")
@click.argument("message_id")
@store_options
def show(store: StoreChoice, message_id: str) -> None:
    """Show one message whole, with its batches, and what became of it."""
    from vumi.components.message_store.interface import Kind

    async def work(opened: Any) -> Any:
        found = []
        for kind in (Kind.INBOUND, Kind.OUTBOUND):
            stored = await opened.archive.get_message(kind, message_id)
            if stored is not None:
                found.append(stored)
        return found, await opened.get_events_for_message(message_id)

    found, events = store.run(work)
    if not found:
        raise StoreError(f"There is no message {message_id!r}.")
    for stored in found:
        click.echo(f"direction:  {stored.kind.value}")
        click.echo(f"batches:    {_printable(', '.join(stored.batch_ids)) or '-'}")
        click.echo(_readable(stored.message))
    for event in events:
        click.echo(f"\nevent:      {event.status()}")
        click.echo(_readable(event))


def _readable(message: Any) -> str:
    # Control characters are escaped in JSON; others that a terminal heeds are not.
    text = json.dumps(json.loads(message.to_bytes()), indent=2, ensure_ascii=False)
    return "\n".join(_printable(line) for line in text.split("\n"))


@messages.command(epilog="Example: vumi messages batches")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True)
@store_options
def batches(store: StoreChoice, limit: int) -> None:
    """List the batches, with the tags and texts that they were started with."""

    async def work(opened: Any) -> Any:
        return await opened.archive.list_batches(limit)

    page = store.run(work)
    rows = [
        (
            _printable(batch.batch_id),
            _printable(", ".join(":".join(tag) for tag in batch.tags)),
            _printable(", ".join(f"{key}={value}" for key, value in batch.metadata.items())),
        )
        for batch in page.entries
    ]
    _table(("batch", "tags", "metadata"), rows)
    more = " (there are more: --limit)" if page.continuation is not None else ""
    click.echo(f"{len(rows)} batches{more}")


@messages.command(epilog="Example: vumi messages stats 0b5cfb8e5d8f4f6a8a1f8b1a2c3d4e5f")
@click.argument("batch", required=False)
@store_options
def stats(store: StoreChoice, batch: str | None) -> None:
    """Show how many messages and events there are, in all or in BATCH.

    Of a batch also from and to how many users, and what became of what was sent. All figures are
    counted in the archive.
    """
    from vumi.components.message_store.interface import Kind

    async def work(opened: Any) -> dict[str, int]:
        archive = opened.archive
        figures = {f"{kind.value}": await archive.count(kind, batch) for kind in Kind}
        if batch is not None:
            for kind in (Kind.INBOUND, Kind.OUTBOUND):
                counted = await archive.stats(kind, batch)
                figures[f"{kind.value} users"] = counted.unique_addresses
            figures.update(await archive.status_counts(batch))
        return figures

    figures = store.run(work)
    width = max(map(len, figures))
    for name, number in figures.items():
        click.echo(f"{name.ljust(width)}  {number}")


# Export


class _Output:
    """Where lines are written."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> None:
        self._file.write(data)


@contextmanager
def _progress(label: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """A bar on the terminal, or a count where the total is not known."""
    if total is not None:
        with click.progressbar(length=total, label=label, file=sys.stderr) as bar:
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


@messages.command(
    epilog="Example: vumi messages export --batch 0b5c... --format csv --output batch.csv"
)
@click.argument("words", nargs=-1)
@filters
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["json", "csv"]),
    default="json",
    show_default=True,
    help="JSON lines, or CSV that no spreadsheet executes.",
)
@click.option(
    "--output",
    type=click.File("wb", lazy=True),
    default="-",
    help="A file instead of the standard output.",
)
@click.option(
    "--raw",
    is_flag=True,
    help="CSV for programs: nothing put before what looks like a formula.",
)
@click.option("--newest-first", is_flag=True, help="Begin with the newest. In Riak that is slow.")
@click.option("--oldest-first", is_flag=True, hidden=True, help="The default.")
@store_options
def export(
    store: StoreChoice,
    words: tuple[str, ...],
    format_name: str,
    output: Any,
    raw: bool,
    newest_first: bool,
    oldest_first: bool,
    **parts: str | None,
) -> None:
    """Write messages to a file: all, or those chosen by options and by WORDS of their text.

    The oldest come first. A line of JSON has the message's direction, its batches, and the whole
    message. It takes little memory, however many there are.
    """
    from vumi.components.message_store.export import (
        FoundCsvFormatter,
        FoundJsonFormatter,
        found_pages,
        write_pages,
    )

    if newest_first and oldest_first:
        raise ConfigError("Give --newest-first or --oldest-first, not both.")
    query = _query(parts, words)
    formatter: Any = FoundJsonFormatter()
    if format_name == "csv":
        formatter = FoundCsvFormatter(escape_formulas=not raw)
    sink = _Output(output)

    async def work(opened: Any) -> int:
        total = await _expected(opened.archive, query, parts, words)
        formatter.write_row_header(sink)
        pages = found_pages(opened.archive, query, _order(not newest_first))
        with _progress("Exporting", total) as advance:
            return await write_pages(pages, formatter, sink, progress=advance)

    count = store.run(work)
    click.echo(f"{count} messages exported", err=True)


async def _expected(
    archive: Any, query: Query, parts: dict[str, str | None], words: Sequence[str]
) -> int | None:
    """How many are expected, where an archive knows that without looking at each."""
    chosen = {name for name, value in parts.items() if value is not None}
    if words or chosen - {"batch", "direction"}:
        return None
    total = 0
    for kind in query.kinds:
        total += await archive.count(kind, query.batch_id)
    return total


# Erasing


@messages.command(
    "delete-before", epilog="Example: vumi messages delete-before 2026-01-01 --dry-run"
)
@click.argument("time")
@dry_option
@yes_option
@store_options
def delete_before(store: StoreChoice, time: str, dry_run: bool, yes: bool) -> None:
    """Erase all messages and events that are older than TIME, for good."""
    from vumi.components.message_store.queries import parse_time

    try:
        when = parse_time(time)
    except ValueError as error:
        raise ConfigError(str(error)) from None

    async def work(opened: Any) -> int | None:
        return await _erase(
            f"older than {when.isoformat(' ')} UTC",
            lambda **kw: opened.delete_before(when, **kw),
            dry_run,
            yes,
        )

    _tell_erased(store.run(work), dry_run)


@messages.command(epilog="Example: vumi messages forget +27831234567")
@click.argument("address")
@dry_option
@yes_option
@store_options
def forget(store: StoreChoice, address: str, dry_run: bool, yes: bool) -> None:
    """Erase all messages from and to ADDRESS and the events about them, for good.

    ADDRESS is to be written exactly as in the messages. With --config also the figures in Redis
    follow. Not erased: sessions and other state in Redis (see vumi_redis_tools), dead letters
    (see vumi dead), what is in queues, logs and backups.
    """

    async def work(opened: Any) -> int | None:
        return await _erase(
            f"from or to {_printable(address)}",
            lambda **kw: opened.forget(address, **kw),
            dry_run,
            yes,
        )

    _tell_erased(store.run(work), dry_run)


async def _erase(which: str, erase: Callable[..., Any], dry_run: bool, yes: bool) -> int | None:
    total: int = await erase(dry_run=True)
    if dry_run:
        return total
    if not total:
        return 0
    if not yes and not click.confirm(
        f"Erase {total} messages and events {which} for good?", err=True
    ):
        return None
    with _progress("Erasing", total) as advance:
        total = await erase(progress=advance)
    return total


def _tell_erased(count: int | None, dry_run: bool) -> None:
    if count is None:
        raise click.Abort
    words = "would be erased" if dry_run else "erased"
    click.echo(f"{count} messages and events {words}")
