"""Brings an archive that the old Vumi began up to date: ``python -m`` this package, with a URL."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from vumi.components.message_store.riak.archive import RiakArchive

if TYPE_CHECKING:
    from collections.abc import Callable


async def upgrade(reactor: Any, url: str, write: Callable[[str], object] = print) -> None:
    """Write everything again that is not in the indexes of our own, and say how far it is."""
    archive = RiakArchive.from_url(url, reactor)
    await archive.open()
    try:
        changed = await archive.upgrade(
            lambda seen, changed: write(f"{seen} objects seen, {changed} changed")
        )
    finally:
        await archive.close()
    write(f"Done, {changed} objects changed.")


def main(arguments: list[str]) -> None:
    """Upgrade the archive of a URL."""
    if len(arguments) != 1:
        raise SystemExit("usage: python -m vumi.components.message_store.riak URL")
    react(lambda reactor: Deferred.fromCoroutine(upgrade(reactor, arguments[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
