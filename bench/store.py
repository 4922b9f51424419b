"""What message archives can do: ``python bench/store.py --help``.

Fills an archive to each size in turn through its API, with many writers at the same time, and
measures at each: messages written per second, the first and the last page of the one batch that
all messages are in, searches, and an export's speed and memory. See bench/README.rst.
"""

from __future__ import annotations

import argparse
import math
import platform
import random
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from vumi.components.message_store.config import open_archive
from vumi.components.message_store.interface import Kind, Order, Query
from vumi.config.redact import mask_text
from vumi.errors import StoreError
from vumi.message import TransportEvent, TransportUserMessage
from vumi.tests.servers import PostgresServer, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH = "bench"
#: The time of the first message; each is a second later.
START = datetime(2026, 1, 1)
#: Of so many messages one gets an event.
EVENT_EVERY = 10
#: So many words are in use, the first ones much more often than the last.
VOCABULARY = 5_000
EXPORT_PAGE = 1_000
WARM_UP = 5


@dataclass
class Row:
    """A line of the table."""

    backend: str
    size: int
    values: dict[str, str]


class Texts:
    """Made-up texts of about 80 characters; the same in every run."""

    def __init__(self) -> None:
        self._random = random.Random(1)  # noqa: S311 (made-up texts, no secrets)
        self.words = [f"word{n}" for n in range(VOCABULARY)]
        self._weights = [1 / (n + 1) for n in range(VOCABULARY)]

    def some(self, number: int) -> list[str]:
        """Some texts."""
        words = self._random.choices(self.words, self._weights, k=12 * number)
        return [" ".join(words[start : start + 12]) for start in range(0, len(words), 12)]


def message(number: int, text: str, users: int) -> TransportUserMessage:
    """The message of a number; about 600 bytes as JSON."""
    return TransportUserMessage(
        message_id=f"m{number * 2654435761 % 2**32:08x}{number:024x}",
        content=text,
        from_addr="*120*12345#",
        to_addr=f"+2783{number % users:07}",
        timestamp=START + timedelta(seconds=number),
        transport_name="bench",
        transport_type="sms",
        transport_metadata={"bench": {"network": "none", "number": number}},
        helper_metadata={"session": {"created": "2026-01-01 00:00:00.000000"}},
    )


def event(number: int, message_id: str) -> TransportEvent:
    """The event about a message: one of a hundred is a failure."""
    status = "failed" if number % (100 * EVENT_EVERY) == 0 else "delivered"
    return TransportEvent(
        event_id=f"e{message_id}",
        event_type="delivery_report",
        user_message_id=message_id,
        delivery_status=status,
        timestamp=START + timedelta(seconds=number + 5),
    )


class Bench:
    """One archive, growing.

    :param writers: How many write at the same time.
    :param samples: How often each question is asked.
    """

    def __init__(self, archive: Any, name: str, options: argparse.Namespace) -> None:
        self._archive = archive
        self._name = name
        self._writers = options.writers
        self._samples = options.samples
        self._page = options.page
        self._show = not options.quiet
        self._texts = Texts()
        self._stored = 0
        self._first = 0
        self._users = max(100, max(options.sizes) // 20)

    async def grow(self, size: int) -> Row:
        """Fill up to a size, and measure there."""
        values: dict[str, str] = {}
        values["writes/s"] = f"{await self._fill(size):,.0f}"
        values["events/s"] = f"{await self._add_events(size):,.0f}"
        last = await self._export(values)
        await self._time(values, "first page", self._a_page, None)
        await self._time(values, "last page", self._a_page, last)
        for what, query in {
            "by address": Query(address=f"+2783{7:07}"),
            "rare word": Query(text=f"word{VOCABULARY - 1}"),
            "common word": Query(text="word0"),
            "two words": Query(text="word3 word100"),
            "a day": Query(start=START + timedelta(days=0.05), end=START + timedelta(days=1)),
            "failed": Query(status="failed"),
        }.items():
            await self._time(values, what, self._a_search, query)
        return Row(self._name, size, values)

    async def _fill(self, size: int) -> float:
        """Write messages until there are so many; gives how many in a second."""
        new = size - self._stored
        texts = self._texts.some(new)
        numbers = iter(range(self._stored, size))
        first = self._stored
        spent = 0.0

        with self._bar(f"writing up to {size:,}", new) as tick:

            async def write() -> None:
                for number in numbers:
                    made = message(number, texts[number - first], self._users)
                    await self._archive.store_message(Kind.OUTBOUND, made, [BATCH])
                    tick(1)

            started = time.perf_counter()
            await gatherResults([Deferred.fromCoroutine(write()) for _ in range(self._writers)])
            spent = time.perf_counter() - started
        self._stored = size
        self._first = first
        return new / spent

    async def _add_events(self, size: int) -> float:
        numbers = range(self._first - self._first % -EVENT_EVERY, size, EVENT_EVERY)
        todo = iter(numbers)

        async def write() -> None:
            for number in todo:
                message_id = message(number, "", self._users)["message_id"]
                await self._archive.store_event(event(number, message_id))

        started = time.perf_counter()
        await gatherResults([Deferred.fromCoroutine(write()) for _ in range(self._writers)])
        return len(numbers) / (time.perf_counter() - started)

    async def _export(self, values: dict[str, str]) -> str | None:
        """Read all messages by pages, as an export does; gives what leads to the last page."""
        sizes = []
        continuation = None
        read = 0
        started = time.perf_counter()
        with self._bar("exporting", self._stored) as tick:
            while True:
                page = await self._archive.page(
                    Kind.OUTBOUND, BATCH, limit=EXPORT_PAGE, continuation=continuation
                )
                keys = [entry.key for entry in page.entries]
                found = await self._archive.get_messages(Kind.OUTBOUND, keys)
                read += len(found)
                tick(len(found))
                sizes.append(resident_megabytes())
                if page.continuation is None:
                    break
                continuation = page.continuation
        spent = time.perf_counter() - started
        assert read == self._stored, (read, self._stored)
        values["export/s"] = f"{read / spent:,.0f}"
        # The first pages make the caches.
        settled = sizes[len(sizes) // 10 :]
        values["export MB"] = f"{settled[0]:.0f}+{max(settled) - settled[0]:.1f}"
        return await self._last_continuation()

    async def _last_continuation(self) -> str | None:
        """What leads to the last page."""
        continuation = None
        while True:
            page = await self._archive.page(
                Kind.OUTBOUND, BATCH, limit=self._page, continuation=continuation
            )
            if page.continuation is None:
                return continuation
            continuation = page.continuation

    async def _a_page(self, continuation: str | None) -> None:
        await self._archive.page(Kind.OUTBOUND, BATCH, limit=self._page, continuation=continuation)

    async def _a_search(self, query: Query) -> None:
        await self._archive.search(query, Order.NEWEST_FIRST, limit=20)

    async def _time(
        self, values: dict[str, str], what: str, function: Callable[[Any], Any], argument: Any
    ) -> None:
        """Ask something many times; note p50 and p99 in milliseconds."""
        took = []
        try:
            for number in range(WARM_UP + self._samples):
                started = time.perf_counter()
                await function(argument)
                if number >= WARM_UP:
                    took.append(1000 * (time.perf_counter() - started))
        except StoreError:
            # It says so in its documentation.
            values[what] = "-"
            return
        took.sort()
        p50, p99 = took[len(took) // 2], took[math.ceil(0.99 * len(took)) - 1]
        values[what] = f"{p50:.1f} / {p99:.1f}"

    @contextmanager
    def _bar(self, what: str, length: int) -> Iterator[Callable[[int], None]]:
        if not self._show:
            yield lambda _: None
            return
        with click.progressbar(
            length=length, label=f"{self._name}: {what}", file=sys.stderr, width=30
        ) as bar:
            bar.update_min_steps = max(1, length // 200)
            yield bar.update


def resident_megabytes() -> float:
    """This process' resident memory, in MB."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    return 0.0


@contextmanager
def backend_url(name: str) -> Iterator[str]:
    """The URL of a fresh archive.

    :param name: ``sqlite``, ``postgres``, or a URL, which is used as it is.
    """
    if "://" in name:
        yield name
        return
    directory = tempfile.mkdtemp(prefix="vumi-bench-")
    try:
        if name == "sqlite":
            yield f"sqlite:///{directory}/messages.db"
        elif name == "postgres":
            require(PostgresServer)
            with PostgresServer(directory) as server:
                yield server.url()
        else:
            raise SystemExit(f"no backend {name!r}: sqlite, postgres or a URL")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def as_table(rows: list[Row]) -> str:
    """The rows as a table of reStructuredText: a column for each backend and size."""
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    # An empty first cell would make the line a part of the one above it.
    head = ["measured", *(f"{row.backend} {row.size:,}" for row in rows)]
    lines = [[name, *(row.values.get(name, "-") for row in rows)] for name in names]
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    rule = "  ".join("=" * max(1, width) for width in widths)

    def text(line: list[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join([rule, text(head), rule, *map(text, lines), rule])


async def run(reactor: Any, options: argparse.Namespace) -> None:
    """Measure all backends at all sizes, and print the table."""
    rows = []
    for name in options.backend or ["sqlite", "postgres"]:
        with backend_url(name) as url:
            archive: Any = open_archive(url, reactor)
            await archive.open()
            try:
                shown = mask_text(name).partition("?")[0]
                bench = Bench(archive, shown, options)
                rows += [await bench.grow(size) for size in sorted(options.sizes)]
            finally:
                await archive.close()
    print(f"{platform.machine()}, Python {platform.python_version()}; {options.writers} writers")
    print(f"pages of {options.page}; searches of 20; times are p50 / p99 in ms")
    print()
    print(as_table(rows))


def main() -> None:
    """Read the options and go."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--backend",
        action="append",
        help="sqlite, postgres (a server of our own), or a URL; may be given again",
    )
    parser.add_argument(
        "--sizes",
        type=lambda text: [int(number.replace("_", "")) for number in text.split(",")],
        default=[10_000, 100_000, 1_000_000],
        help="stored messages, with commas between (10000,100000,1000000)",
    )
    parser.add_argument("--writers", type=int, default=200, help="at the same time (200)")
    parser.add_argument("--samples", type=int, default=200, help="of each question (200)")
    parser.add_argument("--page", type=int, default=1000, help="entries on a page (1000)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args()
    react(lambda reactor: Deferred.fromCoroutine(run(reactor, options)))


if __name__ == "__main__":
    main()
