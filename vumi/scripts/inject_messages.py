"""``inject_messages``: messages, one as JSON on each line, put into a transport's queue.

Knows what a line may leave out. ``python -m vumi.scripts.inject_messages --help`` tells how it is
used; ``vumi messages export`` and ``parse_log_messages`` give such lines.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from vumi.broker.interface import Exchange, Queue
from vumi.errors import BrokerError, InvalidMessage
from vumi.message import TransportUserMessage
from vumi.scripts.old_style import OldStyleCommand

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["main", "read_message"]

#: A file, or the standard input.
TEXT = click.File("r", encoding="utf-8")
CONNECT_TIMEOUT = 10.0
#: Publishes that may be unconfirmed.
AT_ONCE = 100


def read_message(line: str, transport_name: str) -> TransportUserMessage:
    """Make a message of a line.

    :param line: A JSON object with a message's fields; or one that has it in ``message``, as
        exports have. Ids, dates and what else has a default may be missing.
    :param transport_name: The transport's name, if the message has none.
    :raises InvalidMessage: It can't be one.
    """
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise InvalidMessage(f"no JSON: {error}") from None
    if isinstance(fields, dict) and isinstance(fields.get("message"), dict):
        fields = fields["message"]
    if not isinstance(fields, dict):
        raise InvalidMessage("no object of fields")
    fields.setdefault("transport_name", transport_name)
    fields.setdefault("transport_metadata", {})
    fields.setdefault("transport_type", None)
    for name in ("to_addr", "from_addr"):
        fields.setdefault(name, None)
    return TransportUserMessage(**fields)


@click.command(
    "inject_messages",
    cls=OldStyleCommand,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: python -m vumi.scripts.inject_messages --transport-name sms < messages.json",
)
@click.option("--transport-name", required=True, help="The transport's name.")
@click.option(
    "--direction",
    type=click.Choice(["inbound", "outbound"]),
    default="inbound",
    show_default=True,
    help="From users, or to them.",
)
@click.option(
    "--broker", metavar="URL", help="Where RabbitMQ is: amqp://user:password@host/vhost."
)
@click.option("--hostname", help="The broker's host.")
@click.option("--port", type=int, help="The broker's TCP port.")
@click.option("--username", help="The broker's user.")
@click.option("--password", help="The user's password.")
@click.option("--vhost", help="The broker's virtual host.")
@click.option("-v", "--verbose", is_flag=True, help="Show each message.")
@click.argument("lines", metavar="[FILE]", type=TEXT, default="-")
def main(
    transport_name: str, direction: str, verbose: bool, lines: Iterable[str], **options: Any
) -> None:
    """Read messages from FILE, or from the standard input, and publish them as the transport's.

    What can't be read is told, and does not stop the others.
    """
    from vumi.cli.in_reactor import run_in_reactor, write_no_log

    given = {name: value for name, value in options.items() if value is not None}

    async def work(reactor: Any) -> tuple[int, int]:
        return await _inject(reactor, given, f"{transport_name}.{direction}", lines, verbose)

    write_no_log()
    published, refused = run_in_reactor(work)
    click.echo(f"{published} messages published", err=True)
    if refused:
        click.echo(f"{refused} lines can't be read", err=True)
        sys.exit(1)


async def _inject(
    reactor: Any, options: dict[str, Any], queue: str, lines: Iterable[str], verbose: bool
) -> tuple[int, int]:
    from twisted.internet.defer import TimeoutError as DeferredTimeout

    from vumi.broker import broker_from_options

    broker = broker_from_options(options, reactor, "inject_messages")
    try:
        try:
            await broker.start().addTimeout(CONNECT_TIMEOUT, reactor)
        except DeferredTimeout:
            raise BrokerError(
                f"The broker can't be reached within {CONNECT_TIMEOUT:g} s."
            ) from None
        await broker.declare_exchange(Exchange("vumi"))
        await broker.declare_queue(Queue(queue, "vumi"))
        return await _publish(broker, queue, lines, verbose)
    finally:
        await broker.stop(timeout=CONNECT_TIMEOUT)


async def _publish(
    broker: Any, queue: str, lines: Iterable[str], verbose: bool
) -> tuple[int, int]:
    published = refused = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            message = read_message(line, queue.rpartition(".")[0])
        except (InvalidMessage, TypeError) as error:
            click.echo(f"Line {number}: {error}", err=True)
            refused += 1
            continue
        publication = broker.publish("vumi", queue, message.to_bytes())
        published += 1
        if verbose:
            click.echo(message.to_json())
        if published % AT_ONCE == 0:
            # Confirmed in order: what was published before is safe then too.
            await publication
    return published, refused


if __name__ == "__main__":
    main()
