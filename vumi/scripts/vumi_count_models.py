"""``vumi_count_models``: how many batches, messages or events a store has, in all or by an index.

Knows the old indexes of messages and events, and what of the archive answers for each.
"""

from __future__ import annotations

from typing import Any

import click

from vumi.components.message_store.interface import Kind
from vumi.errors import ConfigError
from vumi.linear_regex import LinearRegex, PatternError
from vumi.payload import format_vumi_date, parse_vumi_date
from vumi.scripts.old_style import OldStyleCommand, old_store_options, run_with_store

__all__ = ["main"]

#: The last part of a model's dotted path -> what it is in an archive.
KINDS = {
    "InboundMessage": Kind.INBOUND,
    "OutboundMessage": Kind.OUTBOUND,
    "Event": Kind.EVENT,
}
#: Indexes by batch alone, and those by batch, time and address or status.
BATCH_INDEX = "batches"
COMPOUND_INDEXES = ("batches_with_addresses", "batches_with_statuses")


@click.command(
    "vumi_count_models",
    cls=OldStyleCommand,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: vumi_count_models -m vumi.components.message_store.InboundMessage -b vumi.",
)
@click.option(
    "-m", "--model", required=True, help="Dotted path of Batch, InboundMessage, ... or its end."
)
@click.option("--index-field", help=f"{BATCH_INDEX}, or one of {', '.join(COMPOUND_INDEXES)}.")
@click.option("--index-value", help="Its value: BATCH, or the first BATCH$TIMESTAMP of a range.")
@click.option("--index-value-end", help="The last BATCH$TIMESTAMP of a range.")
@click.option(
    "--index-value-regex",
    help="Only of BATCH$TIMESTAMP$ADDRESS that this fits from their start.",
)
@click.option("--index-page-size", type=click.IntRange(min=1), default=1000, show_default=True)
@old_store_options
def main(
    model: str,
    index_field: str | None,
    index_value: str | None,
    index_value_end: str | None,
    index_value_regex: str | None,
    index_page_size: int,
    **where: Any,
) -> None:
    """Count the objects of a MODEL, in all or those that an index has."""
    for dependent, needed, words in (
        (index_field, index_value, "--index-field needs --index-value."),
        (index_value, index_field, "--index-value needs --index-field."),
        (index_value_end, index_value, "--index-value-end needs --index-value."),
        (index_value_regex, index_value_end, "--index-value-regex needs --index-value-end."),
    ):
        if dependent is not None and needed is None:
            raise click.UsageError(words)
    name = model.rpartition(".")[2]
    if name != "Batch" and name not in KINDS:
        raise ConfigError(f"There are the models Batch, {', '.join(KINDS)}, but no {model!r}.")
    if name == "Batch" and index_field is not None:
        raise ConfigError("A Batch has no index.")
    pattern = None if index_value_regex is None else _compiled(index_value_regex)

    async def work(store: Any) -> int:
        archive = store.archive
        if name == "Batch":
            return await _batches(archive, index_page_size)
        if index_field is None:
            count: int = await archive.count(KINDS[name])
            return count
        if index_field == BATCH_INDEX and index_value_end is None:
            count = await archive.count(KINDS[name], index_value)
            return count
        return await _in_range(
            archive, KINDS[name], _range(index_field, index_value, index_value_end), pattern
        )

    count = run_with_store(work, **where)
    click.echo(f"Done, {count} objects found.")


async def _batches(archive: Any, page_size: int) -> int:
    total, continuation = 0, None
    while True:
        page = await archive.list_batches(page_size, continuation)
        total += len(page.entries)
        continuation = page.continuation
        if continuation is None:
            return total


def _range(field: str, value: str | None, end: str | None) -> tuple[str, Any, Any]:
    """A batch, and two times, of which each may be missing."""
    if field not in COMPOUND_INDEXES:
        raise ConfigError(
            f"There are the indexes {BATCH_INDEX}, {', '.join(COMPOUND_INDEXES)}, but not "
            f"{field!r} with these values."
        )
    batch, _, first = (value or "").partition("$")
    other, _, last = ((value if end is None else end) or "").partition("$")
    if batch != other:
        raise ConfigError("A range lies within one batch.")
    return batch, _time(first), _time(last)


def _time(text: str) -> Any:
    time = text.partition("$")[0]
    if not time:
        return None
    try:
        return parse_vumi_date(time)
    except ValueError:
        raise ConfigError(f"{time!r} is not a date like '2015-01-02 23:14:11.000000'.") from None


async def _in_range(archive: Any, kind: Kind, where: tuple[str, Any, Any], pattern: Any) -> int:
    batch, start, end = where
    total, continuation = 0, None
    while True:
        page = await archive.page(kind, batch, continuation=continuation, start=start, end=end)
        for entry in page.entries:
            value = f"{batch}${format_vumi_date(entry.timestamp)}${entry.term}"
            if pattern is None or pattern.match(value):
                total += 1
        continuation = page.continuation
        if continuation is None:
            return total


def _compiled(regex: str) -> LinearRegex:
    try:
        return LinearRegex(regex)
    except PatternError as error:
        raise ConfigError(f"--index-value-regex is not a regular expression: {error}.") from None


if __name__ == "__main__":
    main()
