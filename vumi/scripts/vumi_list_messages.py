"""``vumi_list_messages``: a batch's messages in one direction, a line for each.

A line is ``timestamp,address,message id``, oldest first. ``vumi messages list`` does more.
"""

from __future__ import annotations

from typing import Any

import click

from vumi.scripts.old_style import OldStyleCommand, old_store_options, run_with_store

__all__ = ["main"]


@click.command(
    "vumi_list_messages",
    cls=OldStyleCommand,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: vumi_list_messages --batch 0b5c... --direction inbound -b vumi.",
)
@click.option("--batch", required=True, help="The batch's id.")
@click.option("--direction", required=True, type=click.Choice(["inbound", "outbound"]))
@click.option("--index-page-size", type=click.IntRange(min=1), default=1000, show_default=True)
@old_store_options
def main(batch: str, direction: str, index_page_size: int, **where: Any) -> None:
    """List the messages of a batch: timestamp, the user's address and the message's id."""

    async def work(store: Any) -> None:
        list_page = getattr(store, f"batch_{direction}_keys_with_addresses")
        page = await list_page(batch, index_page_size)
        while page is not None:
            for key, timestamp, address in page:
                click.echo(f"{timestamp},{address},{key}")
            page = await page.next_page()

    run_with_store(work, **where)


if __name__ == "__main__":
    main()
