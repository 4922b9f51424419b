"""``parse_log_messages``: the messages in a log, one as JSON on each line.

Knows how workers write messages into logs: those of this version and those of the old Vumi, which
wrote some as Python's dicts. These are read as literals; nothing in a log is executed.
"""

from __future__ import annotations

import ast
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import orjson

from vumi.payload import encode_payload
from vumi.scripts.old_style import OldStyleCommand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["main", "read_log"]

DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
_DATE = r"(?P<date>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)"


def _processed(kind: str) -> str:
    return rf"{_DATE}.*?Processed {kind} message for [^:]*: (?P<message>\{{.*\}})"


#: Format -> what a line with a message is.
FORMATS = {
    "vumi": rf"{_DATE}.*?(?:Processed \w+ message for [^:]*: |message: ?|: )(?P<message>\{{.*\}})",
    "smpp_inbound": rf"{_DATE}.*?PUBLISHING INBOUND: (?P<message>\{{.*\}})",
    "smpp_outbound": rf"{_DATE}.*?(?:Consumed outgoing message|PUBLISHING OUTBOUND)\D*?"
    r"(?P<message>\{.*\})",
    "dispatcher_inbound_message": _processed("inbound"),
    "dispatcher_outbound_message": _processed("outbound"),
    "dispatcher_event": _processed("event"),
}
#: A file, or the standard input.
TEXT = click.File("r", encoding="utf-8", errors="replace")

#: Names that are used still.
ALIASES = {"smpp": "smpp_inbound"}


def read_log(
    lines: Iterable[str],
    format_name: str = "vumi",
    first: datetime | None = None,
    last: datetime | None = None,
) -> Iterator[dict[str, Any]]:
    """The messages in a log.

    :param format_name: One of :data:`FORMATS`.
    :param first: Only from this time on, as the log has it.
    :param last: Only up to this time.
    """
    pattern = re.compile(FORMATS[ALIASES.get(format_name, format_name)])
    for line in lines:
        match = pattern.search(line)
        if match is None:
            continue
        date = datetime.fromisoformat(match["date"])
        if (first is not None and date < first) or (last is not None and date > last):
            continue
        message = _literal(match["message"])
        if message is not None:
            yield message


def _literal(text: str) -> dict[str, Any] | None:
    try:
        found = orjson.loads(text)
    except ValueError:
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return found if isinstance(found, dict) else None


@click.command(
    "parse_log_messages",
    cls=OldStyleCommand,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: python -m vumi.scripts.parse_log_messages < worker.log > messages.json",
)
@click.option(
    "-f", "--from", "first", type=click.DateTime([DATE_FORMAT]), help="Only from this time on."
)
@click.option(
    "-u", "--until", "last", type=click.DateTime([DATE_FORMAT]), help="Only up to this time."
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice([*FORMATS, *ALIASES]),
    default="vumi",
    show_default=True,
    help="Who has written the log.",
)
@click.argument("lines", metavar="[LOG]", type=TEXT, default="-")
def main(
    first: datetime | None, last: datetime | None, format_name: str, lines: Iterable[str]
) -> None:
    """Write the messages in LOG, or in the standard input, to the standard output."""
    for message in read_log(lines, format_name, first, last):
        try:
            click.echo(encode_payload(message).decode("utf-8"))
        except TypeError as error:
            click.echo(f"A message is left out: {error}", err=True)


if __name__ == "__main__":
    main()
