"""A process that writes messages into an archive: ``python -m ... URL PREFIX NUMBER``.

Each id is printed once its message is safe. Tests kill it, or start several at once.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from vumi.components.message_store.config import open_archive
from vumi.components.message_store.interface import Kind
from vumi.components.message_store.tests.contract import ack, outbound

WRITERS = 50


async def write(reactor: Any, url: str, prefix: str, number: int) -> None:
    archive: Any = open_archive(url, reactor)
    await archive.open()
    numbers = iter(range(number))

    async def write_some() -> None:
        for n in numbers:
            message_id = f"{prefix}{n}"
            message = outbound(f"some words and word{n}", n, message_id=message_id)
            await archive.store_message(Kind.OUTBOUND, message, ["b"])
            await archive.store_event(ack(message_id, n, event_id=message_id))
            print(message_id, flush=True)

    await gatherResults([Deferred.fromCoroutine(write_some()) for _ in range(WRITERS)])
    await archive.close()


if __name__ == "__main__":
    _, its_url, its_prefix, its_number = sys.argv
    react(
        lambda reactor: Deferred.fromCoroutine(
            write(reactor, its_url, its_prefix, int(its_number))
        )
    )
