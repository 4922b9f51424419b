"""Pages of a batch's messages and events, as the old Vumi gave them.

Knows how an entry of the archive becomes what an operation promises: a key, or a key with its date
and address. The archive knows how pages are found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from vumi.components.message_store.base import StorePart, as_datetime
from vumi.components.message_store.interface import Kind, Order
from vumi.message import format_vumi_date
from vumi.tasks import deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from vumi.components.message_store.interface import Entry, Page

    Shape = Callable[[Entry], Any]
    Fetch = Callable[[str | None], Deferred[Page]]
    Time = datetime | str | None

__all__ = ["IndexPage", "Listings"]


class IndexPage:
    """Some results, and the way to those after them.

    Iterating gives this page's; ``len()`` is how many these are.

    :param page: The archive's.
    :param fetch: Gets the archive's page for a continuation.
    :param shape: Makes a result of an entry.
    """

    def __init__(self, page: Page, fetch: Fetch, shape: Shape) -> None:
        self._results = [shape(entry) for entry in page.entries]
        self._fetch = fetch
        self._shape = shape
        #: What to ask for to go on here later; ``None`` on the last page.
        self.continuation = page.continuation

    @classmethod
    def first(cls, fetch: Fetch, shape: Shape, continuation: str | None) -> Deferred[IndexPage]:
        """Get a page."""
        return fetch(continuation).addCallback(lambda page: cls(page, fetch, shape))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, IndexPage):
            return self._results == other._results and self.continuation == other.continuation
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # pages compare by what they hold

    def has_next_page(self) -> bool:
        """Whether there is one more."""
        return self.continuation is not None

    def next_page(self) -> Deferred[IndexPage | None]:
        """Fires with the next page, or with ``None`` after the last."""
        if self.continuation is None:
            return succeed(None)
        # A Deferred of a page is one of a page or None too.
        return IndexPage.first(self._fetch, self._shape, self.continuation).addCallback(
            lambda page: page
        )


# What becomes of an entry


def _key(entry: Entry) -> str:
    return entry.key


def _with_timestamp(entry: Entry) -> tuple[str, str]:
    return entry.key, format_vumi_date(entry.timestamp)


def _with_term(entry: Entry) -> tuple[str, str, str]:
    return entry.key, format_vumi_date(entry.timestamp), entry.term


def _with_term_in_seconds(entry: Entry) -> tuple[str, str, str]:
    # The old index knew whole seconds only.
    timestamp = format_vumi_date(entry.timestamp.replace(microsecond=0))
    return entry.key, timestamp, entry.term


class Listings(StorePart):
    """The operations that list a batch's messages and events by their ids.

    All take `max_results`, which is how many a page has at most. `start` and `end` are Vumi dates
    in UTC or datetimes, and what is of that very time belongs to it.
    """

    @deferred
    async def batch_inbound_keys(self, batch_id: str) -> list[str]:
        """The ids of all messages from users. Of a large batch better take pages."""
        return await self._all_keys(Kind.INBOUND, batch_id)

    @deferred
    async def batch_outbound_keys(self, batch_id: str) -> list[str]:
        """The ids of all messages to users. Of a large batch better take pages."""
        return await self._all_keys(Kind.OUTBOUND, batch_id)

    def batch_inbound_keys_page(
        self, batch_id: str, max_results: int | None = None, continuation: str | None = None
    ) -> Deferred[IndexPage]:
        """Ids of messages from users, oldest first."""
        return self._page(Kind.INBOUND, batch_id, _key, max_results, continuation)

    def batch_outbound_keys_page(
        self, batch_id: str, max_results: int | None = None, continuation: str | None = None
    ) -> Deferred[IndexPage]:
        """Ids of messages to users, oldest first."""
        return self._page(Kind.OUTBOUND, batch_id, _key, max_results, continuation)

    def batch_event_keys_page(
        self, batch_id: str, max_results: int | None = None, continuation: str | None = None
    ) -> Deferred[IndexPage]:
        """Ids of events, oldest first."""
        return self._page(Kind.EVENT, batch_id, _key, max_results, continuation)

    def batch_inbound_keys_with_timestamps(
        self,
        batch_id: str,
        max_results: int | None = None,
        start: Time = None,
        end: Time = None,
        with_timestamps: bool = True,
    ) -> Deferred[IndexPage]:
        """``(id, Vumi date)`` of messages from users, or only ids, oldest first."""
        shape = _with_timestamp if with_timestamps else _key
        return self._page(Kind.INBOUND, batch_id, shape, max_results, None, start, end)

    def batch_outbound_keys_with_timestamps(
        self,
        batch_id: str,
        max_results: int | None = None,
        start: Time = None,
        end: Time = None,
        with_timestamps: bool = True,
    ) -> Deferred[IndexPage]:
        """``(id, Vumi date)`` of messages to users, or only ids, oldest first."""
        shape = _with_timestamp if with_timestamps else _key
        return self._page(Kind.OUTBOUND, batch_id, shape, max_results, None, start, end)

    def batch_inbound_keys_with_addresses(
        self,
        batch_id: str,
        max_results: int | None = None,
        start: Time = None,
        end: Time = None,
    ) -> Deferred[IndexPage]:
        """``(id, Vumi date, from_addr)``, oldest first."""
        return self._page(Kind.INBOUND, batch_id, _with_term, max_results, None, start, end)

    def batch_outbound_keys_with_addresses(
        self,
        batch_id: str,
        max_results: int | None = None,
        start: Time = None,
        end: Time = None,
    ) -> Deferred[IndexPage]:
        """``(id, Vumi date, to_addr)``, oldest first."""
        return self._page(Kind.OUTBOUND, batch_id, _with_term, max_results, None, start, end)

    def batch_inbound_keys_with_addresses_reverse(
        self,
        batch_id: str,
        max_results: int | None = None,
        start: Time = None,
        end: Time = None,
    ) -> Deferred[IndexPage]:
        """``(id, Vumi date in whole seconds, from_addr)``, newest first."""
        return self._newest(Kind.INBOUND, batch_id, max_results, start, end)

    def batch_outbound_keys_with_addresses_reverse(
        self,
        batch_id: str,
        max_results: int | None = None,
        start: Time = None,
        end: Time = None,
    ) -> Deferred[IndexPage]:
        """``(id, Vumi date in whole seconds, to_addr)``, newest first."""
        return self._newest(Kind.OUTBOUND, batch_id, max_results, start, end)

    def batch_event_keys_with_statuses_reverse(
        self,
        batch_id: str,
        max_results: int | None = None,
        start: Time = None,
        end: Time = None,
    ) -> Deferred[IndexPage]:
        """``(id, Vumi date in whole seconds, status)`` of events, newest first.

        The status is ``ack``, ``nack`` or ``delivery_report.<status>``.
        """
        return self._newest(Kind.EVENT, batch_id, max_results, start, end)

    @deferred
    async def message_event_keys(self, msg_id: str) -> list[str]:
        """The ids of all events about one outbound message."""
        page: IndexPage | None = await self._message_events(msg_id, _key, None)
        return await _rest_of(page)

    def message_event_keys_with_statuses(
        self, msg_id: str, max_results: int | None = None
    ) -> Deferred[IndexPage]:
        """``(id, Vumi date, status)`` of events about one outbound message, oldest first."""
        return self._message_events(msg_id, _with_term, max_results)

    # How pages are made

    async def _all_keys(self, kind: Kind, batch_id: str) -> list[str]:
        return await _rest_of(await self._page(kind, batch_id, _key, None, None))

    def _newest(
        self, kind: Kind, batch_id: str, max_results: int | None, start: Time, end: Time
    ) -> Deferred[IndexPage]:
        # In whole seconds too, so that what such a page says can be asked for.
        first, last = as_datetime(start), as_datetime(end)
        return self._page(
            kind,
            batch_id,
            _with_term_in_seconds,
            max_results,
            None,
            first and first.replace(microsecond=0),
            last and last.replace(microsecond=999_999),
            Order.NEWEST_FIRST,
        )

    def _page(
        self,
        kind: Kind,
        batch_id: str,
        shape: Shape,
        max_results: int | None,
        continuation: str | None,
        start: Time = None,
        end: Time = None,
        order: Order = Order.OLDEST_FIRST,
    ) -> Deferred[IndexPage]:
        limit = max_results or self.DEFAULT_MAX_RESULTS
        first, last = as_datetime(start), as_datetime(end)

        def fetch(where: str | None) -> Deferred[Page]:
            page: Deferred[Page] = self.archive.page(
                kind, batch_id, order, limit, where, first, last
            )
            return page

        return IndexPage.first(fetch, shape, continuation)

    def _message_events(
        self, msg_id: str, shape: Shape, max_results: int | None
    ) -> Deferred[IndexPage]:
        limit = max_results or self.DEFAULT_MAX_RESULTS

        def fetch(where: str | None) -> Deferred[Page]:
            page: Deferred[Page] = self.archive.message_events(msg_id, limit, where)
            return page

        return IndexPage.first(fetch, shape, None)


async def _rest_of(page: IndexPage | None) -> list[Any]:
    """All results from a page on."""
    results: list[Any] = []
    while page is not None:
        results.extend(page)
        page = await page.next_page()
    return results
