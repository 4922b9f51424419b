"""Many messages as a stream of lines, for a file, a terminal or an HTTP client.

Knows how messages are read from an archive page by page, and the lines that search results become.
At any time one page is in memory. Knows no HTTP and no terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from vumi.components.message_formatters import CsvFormatter, IMessageFormatter
from vumi.components.message_store.interface import Kind, Order
from vumi.payload import encode_payload

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
    from datetime import datetime

    from vumi.components.message_store.interface import Query, StoredMessage

__all__ = ["FoundCsvFormatter", "FoundJsonFormatter", "batch_pages", "found_pages", "write_pages"]

#: Messages that are read at a time. A message may be large.
PAGE = 100


async def found_pages(
    archive: Any, query: Query, order: Order = Order.NEWEST_FIRST, limit: int | None = None
) -> AsyncIterator[list[StoredMessage]]:
    """What a search finds, in pages.

    :param limit: How many at most; ``None``: all.
    """
    continuation: str | None = None
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = await archive.search(query, order, size, continuation)
        yield list(page.entries)
        continuation = page.continuation
        if continuation is None:
            return
        if left is not None:
            left -= len(page.entries)


async def batch_pages(
    archive: Any,
    kind: Kind,
    batch_id: str,
    order: Order = Order.OLDEST_FIRST,
    start: datetime | None = None,
    end: datetime | None = None,
) -> AsyncIterator[list[Any]]:
    """A batch's messages or events, in pages.

    :param start: Only those not older; UTC.
    :param end: Only those not newer; UTC.
    """
    continuation: str | None = None
    while True:
        page = await archive.page(kind, batch_id, order, PAGE, continuation, start, end)
        keys = [entry.key for entry in page.entries]
        if kind is Kind.EVENT:
            yield [stored.event for stored in await archive.get_events(keys)]
        else:
            yield [stored.message for stored in await archive.get_messages(kind, keys)]
        continuation = page.continuation
        if continuation is None:
            return


async def write_pages(
    pages: AsyncIterable[list[Any]],
    formatter: Any,
    sink: Any,
    ready: Callable[[], Awaitable[None]] | None = None,
    progress: Callable[[int], object] | None = None,
) -> int:
    """Write what is in pages.

    :param formatter: Provides :class:`~vumi.components.message_formatters.IMessageFormatter`.
    :param sink: Has ``write(bytes)``.
    :param ready: Waited for before each page: it comes back when the sink can take more.
    :param progress: Called with how many were written of each page.
    :returns: How many were written.
    """
    total = 0
    async for page in pages:
        if ready is not None:
            await ready()
        for each in page:
            formatter.write_row(sink, each)
        total += len(page)
        if progress is not None:
            progress(len(page))
    return total


# What is found by a search goes both ways, so its lines say which


@implementer(IMessageFormatter)
class FoundJsonFormatter:
    """On each line a JSON object with ``direction``, ``batches`` and the whole ``message``."""

    def add_http_headers(self, request: Any) -> None:
        """See :class:`~vumi.components.message_formatters.IMessageFormatter`."""
        request.responseHeaders.setRawHeaders(
            b"Content-Type", [b"application/json; charset=utf-8"]
        )

    def write_row_header(self, request: Any) -> None:
        """JSON needs none."""

    def write_row(self, request: Any, message: Any) -> None:
        """See :class:`~vumi.components.message_formatters.IMessageFormatter`."""
        payload = {
            "direction": message.kind.value,
            "batches": list(message.batch_ids),
            "message": message.message.payload,
        }
        request.write(encode_payload(payload) + b"\n")


@implementer(IMessageFormatter)
class FoundCsvFormatter(CsvFormatter):
    """CSV with the direction first, then what each message has."""

    FIELDS = ("direction", *CsvFormatter.FIELDS, "transport_name", "transport_type", "batches")

    def _field(self, message: Any, name: str) -> Any:
        if name == "direction":
            return message.kind.value
        if name == "batches":
            return " ".join(message.batch_ids)
        return super()._field(message.message, name)
