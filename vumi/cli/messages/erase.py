"""``vumi messages delete-before`` and ``forget``: messages erased for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vumi.cli.messages.options import progress
from vumi.cli.messages.stores import StoreChoice, store_options
from vumi.errors import ConfigError
from vumi.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["delete_before", "forget"]

yes_option = click.option("--yes", is_flag=True, help="Don't ask.")
dry_option = click.option("--dry-run", is_flag=True, help="Only count what would be erased.")


@click.command("delete-before", epilog="Example: vumi messages delete-before 2026-01-01 --dry-run")
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


@click.command(epilog="Example: vumi messages forget +27831234567")
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
            f"from or to {printable(address)}",
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
    if not yes and not click.confirm(f"Erase {_items(total)} {which} for good?", err=True):
        return None
    with progress("Erasing", total) as advance:
        total = await erase(progress=advance)
    return total


def _tell_erased(count: int | None, dry_run: bool) -> None:
    if count is None:
        raise click.Abort
    words = "would be erased" if dry_run else "erased"
    click.echo(f"{_items(count)} {words}")


def _items(number: int) -> str:
    return "1 message or event" if number == 1 else f"{number} messages and events"
