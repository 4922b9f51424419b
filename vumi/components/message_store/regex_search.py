"""Finding a batch's messages by regular expressions on their fields, as the old Vumi did.

Knows what such a query is, and the search that runs in the background while its results are asked
for. Every message of the batch is looked at, in a thread, so that no expression holds up the
reactor; the archive finds words and addresses faster
(:meth:`~vumi.components.message_store.interface.IMessageArchive.search`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from vumi.components.message_store.base import DIRECTIONS, StorePart
from vumi.components.message_store.interface import Kind
from vumi.errors import StoreError
from vumi.linear_regex import LinearRegex, PatternError
from vumi.message import format_vumi_date
from vumi.tasks import deferred, in_background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from datetime import datetime

    from twisted.internet.defer import Deferred

    from vumi.components.message_store.interface import StoredMessage
    from vumi.message import TransportUserMessage

    Query = Sequence[Mapping[str, str]]
    Matcher = Callable[[TransportUserMessage], bool]

__all__ = ["RegexSearch", "query_matcher"]

#: Messages that are read at a time.
PAGE = 200
#: The letters of a query's flags that mean something.
FLAGS = "ims"


def query_matcher(query: Any) -> Matcher:
    """What says whether a message is one that is looked for.

    :param query: A list of parts, of which one must match. A part has ``key`` (``msg.content``: a
        field's name), ``pattern`` (a regular expression that is found anywhere in the field's
        text; RE2's syntax) and ``flags`` (some of ``i``, ``m``, ``s``, as in JavaScript).
    :raises StoreError: The query is none.
    """
    if not isinstance(query, list | tuple) or not query:
        raise StoreError("A query is a list of parts, and has at least one.")
    parts = [_query_part(part) for part in query]

    def matches(message: TransportUserMessage) -> bool:
        return any(
            text is not None and pattern.search(text)
            for path, pattern in parts
            for text in [_field_text(message.payload, path)]
        )

    return matches


def _query_part(part: Any) -> tuple[list[str], LinearRegex]:
    if not isinstance(part, dict) or not all(isinstance(part.get(k), str) for k in _REQUIRED):
        raise StoreError("A part of a query has the texts 'key' and 'pattern'.")
    key, letters = part["key"], part.get("flags") or ""
    if not key.startswith("msg.") or not isinstance(letters, str):
        raise StoreError("A query's key begins with 'msg.', and its flags are letters.")
    flags = "".join(flag for flag in FLAGS if flag in letters)
    try:
        return key.split(".")[1:], LinearRegex(part["pattern"], flags)
    except PatternError as error:
        raise StoreError(f"A query's pattern is not a regular expression: {error}.") from None


_REQUIRED = ("key", "pattern")


def _field_text(payload: Mapping[str, Any], path: list[str]) -> str | None:
    value: Any = payload
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    if value is None or isinstance(value, str):
        return value
    return format_vumi_date(value) if hasattr(value, "strftime") else str(value)


def _matching(matches: Matcher, stored: Sequence[StoredMessage]) -> list[tuple[str, datetime]]:
    return [
        (each.message_id, each.message["timestamp"]) for each in stored if matches(each.message)
    ]


class RegexSearch(StorePart):
    """The operations that find messages by regular expressions."""

    log = Logger()

    @deferred
    async def batch_inbound_keys_matching(self, batch_id: str, query: Query) -> list[str]:
        """The ids of messages from users that a query finds: see :func:`query_matcher`."""
        return await self._all_matching(Kind.INBOUND, batch_id, query)

    @deferred
    async def batch_outbound_keys_matching(self, batch_id: str, query: Query) -> list[str]:
        """The ids of messages to users that a query finds."""
        return await self._all_matching(Kind.OUTBOUND, batch_id, query)

    async def _all_matching(self, kind: Kind, batch_id: str, query: Query) -> list[str]:
        found = self._found(kind, batch_id, query_matcher(query))
        return [key async for page in found for key, _ in page]

    async def _found(
        self, kind: Kind, batch_id: str, matches: Matcher
    ) -> AsyncIterator[list[tuple[str, datetime]]]:
        """For each page of the batch those that match."""
        continuation: str | None = None
        while True:
            page = await self.archive.page(kind, batch_id, limit=PAGE, continuation=continuation)
            keys = [entry.key for entry in page.entries]
            stored = await self.archive.get_messages(kind, keys)
            yield await deferToThread(_matching, matches, stored)
            continuation = page.continuation
            if continuation is None:
                return

    # Searches in the background

    @deferred
    async def find_inbound_keys_matching(
        self, batch_id: str, query: Query, ttl: int | None = None, wait: bool = False
    ) -> str:
        """Begin to look for messages from users.

        :param query: See :func:`query_matcher`.
        :param ttl: Seconds that the results stay; a day by default.
        :param wait: Whether the Deferred fires only when all are found.
        :returns: Fires with a token to ask for the results with.
        :raises StoreError: The query is none, or the store has no Redis to keep results in.
        """
        return await self._find("inbound", batch_id, query, ttl, wait)

    @deferred
    async def find_outbound_keys_matching(
        self, batch_id: str, query: Query, ttl: int | None = None, wait: bool = False
    ) -> str:
        """Begin to look for messages to users. See :meth:`find_inbound_keys_matching`."""
        return await self._find("outbound", batch_id, query, ttl, wait)

    async def _find(
        self, direction: str, batch_id: str, query: Query, ttl: int | None, wait: bool
    ) -> str:
        matches = query_matcher(query)
        cache = self._results()
        token: str = cache.get_query_token(direction, query)
        if await cache.is_query_in_progress(batch_id, token):
            return token
        await cache.start_query(batch_id, direction, query)
        searching = self._search(direction, batch_id, token, matches, ttl)
        if wait:
            await searching
        else:
            in_background(searching, self.log, f"The search {token}")
        return token

    async def _search(
        self, direction: str, batch_id: str, token: str, matches: Matcher, ttl: int | None
    ) -> None:
        cache = self._results()
        try:
            async for page in self._found(DIRECTIONS[direction], batch_id, matches):
                await cache.add_query_results(batch_id, token, page, direction, ttl)
                await cache.prolong_query(batch_id, token)
        finally:
            await cache.end_query(batch_id, token)

    def get_keys_for_token(
        self, batch_id: str, token: str, start: int = 0, stop: int = -1, asc: bool = False
    ) -> Deferred[list[str]]:
        """Some of what a search has found so far, newest first.

        :param start: The first one's place, counted from 0.
        :param stop: The last one's place; -1 is the end.
        :param asc: Oldest first.
        """
        return self._ask(
            lambda: self._results().get_query_results(batch_id, token, start, stop, asc)
        )

    def count_keys_for_token(self, batch_id: str, token: str) -> Deferred[int]:
        """How many a search has found so far."""
        return self._ask(lambda: self._results().count_query_results(batch_id, token))

    def is_query_in_progress(self, batch_id: str, token: str) -> Deferred[bool]:
        """Whether a search still goes on."""
        return self._ask(lambda: self._results().is_query_in_progress(batch_id, token))

    @deferred
    async def _ask(self, question: Callable[[], Deferred[Any]]) -> Any:
        return await question()

    def _results(self) -> Any:
        if self.cache is None:
            raise StoreError("Results of searches are kept in Redis, and this store has none.")
        return self.cache
