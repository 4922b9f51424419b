"""What storing in Riak costs beside a bare PUT: ``python bench/riak_writes.py --help``.

Writes to a double of Riak in this process, so the rates say nothing about Riak: what counts is
their relation, in one run, and the number of requests. See bench/README.rst.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from vumi.components.message_store.interface import Kind
from vumi.components.message_store.riak import RiakArchive
from vumi.components.message_store.riak.client import RiakClient
from vumi.components.message_store.riak.layout import message_draft
from vumi.components.message_store.riak.tests.riak_double import RiakDouble
from vumi.components.message_store.riak.url import parse_riak_url
from vumi.message import TransportUserMessage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WRITERS = 16
BUCKET = "outboundmessage"


def message(key: str) -> TransportUserMessage:
    """A message of about 600 bytes as JSON."""
    return TransportUserMessage(
        message_id=key,
        content="x" * 80,
        from_addr="*120*12345#",
        to_addr="+27831234567",
        transport_name="bench",
        transport_type="sms",
    )


async def rate(number: int, work: Callable[[int], Awaitable[Any]]) -> float:
    """How many pieces of work are done per second, by many writers at the same time."""
    numbers = iter(range(number))

    async def write() -> None:
        for n in numbers:
            await work(n)

    started = time.perf_counter()
    await gatherResults([Deferred.fromCoroutine(write()) for _ in range(WRITERS)])
    return number / (time.perf_counter() - started)


async def run(reactor: Any, options: argparse.Namespace) -> None:
    """Measure, and print a line for each round."""
    cluster = RiakDouble(reactor)
    await cluster.add_node()
    url = cluster.url(bucket_prefix="bench.")
    client, archive = RiakClient(reactor, parse_riak_url(url)), RiakArchive.from_url(url, reactor)
    await archive.open()
    for turn in range(options.rounds):
        keys = [f"{turn}-{n:032}" for n in range(options.messages)]
        messages = [message(f"stored-{key}") for key in keys]
        records = [message_draft(Kind.OUTBOUND, each).record(["b"]) for each in messages]
        bare = await rate(
            len(keys), lambda n, k=keys, r=records: client.put(BUCKET, f"bare-{k[n]}", r[n])
        )
        asked = len(cluster.requests)
        stored = await rate(
            len(keys), lambda n, m=messages: archive.store_message(Kind.OUTBOUND, m[n], ["b"])
        )
        requests = (len(cluster.requests) - asked) / len(keys)
        print(
            f"bare {bare:,.0f}/s, stored {stored:,.0f}/s: {stored / bare:.2f}; "
            f"{requests:.2f} requests a message"
        )
    await archive.close()
    await client.close()
    await cluster.stop()


def main() -> None:
    """Read the options and go."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=1500, help="in each round (1500)")
    parser.add_argument("--rounds", type=int, default=5, help="how often (5)")
    options = parser.parse_args()
    react(lambda reactor: Deferred.fromCoroutine(run(reactor, options)))


if __name__ == "__main__":
    main()
