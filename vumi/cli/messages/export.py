"""``vumi messages export``: messages written to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vumi.cli.messages.options import Output, filters, order_of, progress, query_of
from vumi.cli.messages.stores import StoreChoice, store_options
from vumi.errors import ConfigError
from vumi.printable import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vumi.components.message_store.interface import Query

__all__ = ["export"]


@click.command(
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
    query = query_of(parts, words)
    formatter: Any = FoundJsonFormatter()
    if format_name == "csv":
        formatter = FoundCsvFormatter(escape_formulas=not raw)
    sink = Output(output)

    async def work(opened: Any) -> int:
        total = await _expected(opened.archive, query, parts, words)
        formatter.write_row_header(sink)
        pages = found_pages(opened.archive, query, order_of(not newest_first))
        with progress("Exporting", total) as advance:
            return await write_pages(pages, formatter, sink, progress=advance)

    count = store.run(work)
    click.echo(f"{counted(count, 'message')} exported", err=True)


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
