"""``vumi messages list``, ``search``, ``show``, ``batches`` and ``stats``: messages to look at."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from vumi.cli.messages.options import Output, filters, order_of, query_of
from vumi.cli.messages.stores import StoreChoice, store_options
from vumi.cli.tables import cell, columns
from vumi.errors import StoreError
from vumi.printable import counted, printable, printable_lines

if TYPE_CHECKING:
    from vumi.components.message_store.interface import Query, StoredMessage

__all__ = ["batches", "list_messages", "search", "show", "stats"]

limit_option = click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many at most."
)
oldest_option = click.option("--oldest-first", is_flag=True, help="Begin with the oldest.")
json_option = click.option("--json", "as_json", is_flag=True, help="JSON lines, whole messages.")


@click.command("list", epilog="Example: vumi messages list --address +27831234567")
@filters
@limit_option
@oldest_option
@json_option
@store_options
def list_messages(
    store: StoreChoice, limit: int, oldest_first: bool, as_json: bool, **parts: str | None
) -> None:
    """List messages, the newest first."""
    _show_found(store, query_of(parts), limit, oldest_first, as_json)


@click.command(epilog="Example: vumi messages search lost card --start 2026-03-01")
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
    _show_found(store, query_of(parts, words), limit, oldest_first, as_json)


def _show_found(
    store: StoreChoice, query: Query, limit: int, oldest_first: bool, as_json: bool
) -> None:
    from vumi.components.message_store.export import (
        FoundJsonFormatter,
        found_pages,
        write_pages,
    )

    async def work(opened: Any) -> list[StoredMessage]:
        pages = found_pages(opened.archive, query, order_of(oldest_first), limit)
        if as_json:
            await write_pages(pages, FoundJsonFormatter(), Output(sys.stdout.buffer))
            return []
        return [each async for page in pages for each in page]

    found = store.run(work)
    if as_json:
        return
    rows = [_row(stored) for stored in found]
    for line in columns([("time", "", "user", "message id", "content"), *rows]):
        click.echo(line)
    more = f" (at most {limit} are shown: --limit)" if len(found) == limit else ""
    click.echo(f"{counted(len(found), 'message')}{more}")


def _row(stored: StoredMessage) -> tuple[str, ...]:
    message, inbound = stored.message, stored.kind.value == "inbound"
    content = message["content"]
    return (
        message["timestamp"].isoformat(" ", timespec="seconds"),
        "<-" if inbound else "->",
        printable(message["from_addr" if inbound else "to_addr"]),
        printable(stored.message_id),
        "" if content is None else cell(printable(content)),
    )


@click.command(epilog="Example: vumi messages show 0b5cfb8e5d8f4f6a8a1f8b1a2c3d4e5f")
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
        click.echo(f"batches:    {printable(', '.join(stored.batch_ids)) or '-'}")
        click.echo(_readable(stored.message))
    for event in events:
        click.echo(f"\nevent:      {event.status()}")
        click.echo(_readable(event))


def _readable(message: Any) -> str:
    # Control characters are escaped in JSON; others that a terminal heeds are not.
    return printable_lines(
        json.dumps(json.loads(message.to_bytes()), indent=2, ensure_ascii=False)
    )


@click.command(epilog="Example: vumi messages batches")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True)
@store_options
def batches(store: StoreChoice, limit: int) -> None:
    """List the batches, with the tags and texts that they were started with."""

    async def work(opened: Any) -> Any:
        return await opened.archive.list_batches(limit)

    page = store.run(work)
    rows = [
        (
            printable(batch.batch_id),
            printable(", ".join(":".join(tag) for tag in batch.tags)),
            printable(", ".join(f"{key}={value}" for key, value in batch.metadata.items())),
        )
        for batch in page.entries
    ]
    for line in columns([("batch", "tags", "metadata"), *rows]):
        click.echo(line)
    more = " (there are more: --limit)" if page.continuation is not None else ""
    click.echo(f"{len(rows)} {'batch' if len(rows) == 1 else 'batches'}{more}")


@click.command(epilog="Example: vumi messages stats 0b5cfb8e5d8f4f6a8a1f8b1a2c3d4e5f")
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
