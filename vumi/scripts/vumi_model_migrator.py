"""``vumi_model_migrator``: every message or event of a store is read and written again.

So what an old worker has written is there in the newest form, with all its indexes. Writing is
idempotent: it may be stopped at any time, and done again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from twisted.internet.defer import Deferred, gatherResults

from vumi.components.message_store.interface import Kind, Order, Query
from vumi.errors import ConfigError, StoreError, StoreUnavailable
from vumi.scripts.old_style import OldStyleCommand, old_store_options, run_with_store
from vumi.scripts.vumi_count_models import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


@click.command(
    "vumi_model_migrator",
    cls=OldStyleCommand,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: vumi_model_migrator -m vumi.components.message_store.Event -b vumi. "
    "--keys 0b5c...",
)
@click.option("-m", "--model", required=True, help="Path of InboundMessage, ... or its end.")
@click.option("--keys", help="Only these, with commas between. Events need it.")
@click.option("--concurrent-migrations", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--index-page-size", type=click.IntRange(min=1), default=1000, show_default=True)
@click.option("--continuation-token", help="Where another run has ended.")
@click.option("--dry-run", is_flag=True, help="Only read.")
@old_store_options
def main(
    model: str,
    keys: str | None,
    concurrent_migrations: int,
    index_page_size: int,
    continuation_token: str | None,
    dry_run: bool,
    **where: Any,
) -> None:
    """Read and write again all objects of a MODEL, or those with these keys.

    After each page it says by which token it can go on there. What can't be written is told, and
    does not stop the others.
    """
    kind = KINDS.get(model.rpartition(".")[2])
    if kind is None:
        raise ConfigError(f"There are the models {', '.join(KINDS)}, but no {model!r}.")
    if kind is Kind.EVENT and keys is None:
        raise ConfigError("Events can't be listed without a batch: give --keys.")

    async def work(store: Any) -> int:
        rewriting = _Rewriting(store.archive, kind, concurrent_migrations, dry_run)
        if keys is not None:
            await rewriting.by_keys([key for key in keys.split(",") if key])
        else:
            await rewriting.all_of_them(index_page_size, continuation_token)
        return rewriting.done

    count = run_with_store(work, **where)
    words = "would be migrated" if dry_run else "migrated"
    click.echo(f"Done, {count} objects {words}.")


class _Rewriting:
    """Messages or events that are read and written again.

    :param at_once: How many are being written at a time.
    """

    def __init__(self, archive: Any, kind: Kind, at_once: int, dry_run: bool) -> None:
        self._archive = archive
        self._kind = kind
        self._at_once = at_once
        self._dry_run = dry_run
        self.done = 0

    async def by_keys(self, keys: Sequence[str]) -> None:
        """Those with these ids."""
        if self._kind is Kind.EVENT:
            found = await self._archive.get_events(keys)
        else:
            found = await self._archive.get_messages(self._kind, keys)
        await self._rewrite(found)

    async def all_of_them(self, page_size: int, continuation: str | None) -> None:
        """All, or all after a continuation."""
        while True:
            page = await self._archive.search(
                Query(kinds=frozenset({self._kind})), Order.OLDEST_FIRST, page_size, continuation
            )
            await self._rewrite(page.entries)
            continuation = page.continuation
            if continuation is None:
                return
            click.echo(f"Continuation token: {continuation}")

    async def _rewrite(self, found: Sequence[Any]) -> None:
        for start in range(0, len(found), self._at_once):
            some = found[start : start + self._at_once]
            await gatherResults(
                [Deferred.fromCoroutine(self._rewrite_one(each)) for each in some],
                consumeErrors=True,
            )

    async def _rewrite_one(self, stored: Any) -> None:
        key = stored.event_id if self._kind is Kind.EVENT else stored.message_id
        try:
            if self._dry_run:
                pass
            elif self._kind is Kind.EVENT:
                # Batches that it does not have yet come from its message.
                await self._archive.store_event(stored.event, stored.batch_ids or None)
            else:
                await self._archive.store_message(self._kind, stored.message, stored.batch_ids)
        except StoreUnavailable:
            raise
        except StoreError as error:
            click.echo(f"{key} can't be migrated: {error}", err=True)
        else:
            self.done += 1


if __name__ == "__main__":
    main()
