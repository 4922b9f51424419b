"""Searches of which the cache keeps the results.

Knows keys and how long results stay. What is searched for and how is
:mod:`~vumi.components.message_store.regex_search`'s.
"""

from __future__ import annotations

import hashlib
import json
from calendar import timegm
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vumi.components.message_store.cache.scripts import RESULTS
from vumi.errors import VumiError
from vumi.message import parse_vumi_date
from vumi.persist.redis_base import Manager

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CachedSearches", "MessageStoreCacheException", "encodable"]

#: Results per call of a script.
CHUNK = 500
#: Seconds after which a search of which nothing is heard is taken for dead.
SEARCH_LEASE = 300


class MessageStoreCacheException(VumiError):
    """The cache was asked for what it can't do."""


class CachedSearches:
    """The part of the cache that keeps what searches have found.

    :param redis: A manager of the key-value store; with one that blocks, all methods block.
    """

    BATCH_KEY = "batches"

    #: Seconds that the results of a search stay.
    DEFAULT_SEARCH_RESULT_TTL = 24 * 60 * 60

    def __init__(self, redis: Any) -> None:
        self.redis = redis
        self._results = redis.script(RESULTS, repeatable=True)

    def batch_key(self, *parts: str) -> str:
        """A key of the cache: ``batches:...``."""
        return ":".join((self.BATCH_KEY, *parts))

    def search_token_key(self, batch_id: str) -> str:
        """Where the searches are that run."""
        return self.batch_key("search_token", batch_id)

    def search_result_key(self, batch_id: str, token: str) -> str:
        """Where a search's results are."""
        return self.batch_key("search_result", batch_id, token)

    def _lease_key(self, batch_id: str, token: str) -> str:
        return self.batch_key("search_lease", batch_id, token)

    def get_query_token(self, direction: str, query: Any) -> str:
        """The name of a search: the same for the same query.

        :param direction: ``inbound`` or ``outbound``.
        :param query: Anything of JSON.
        """
        words = json.dumps(query, sort_keys=True).encode("utf-8")
        return f"{direction}-{hashlib.md5(words, usedforsecurity=False).hexdigest()}"

    @Manager.calls_manager("redis")
    def start_query(self, batch_id: str, direction: str, query: Any) -> Any:
        """Note that a search runs; gives its token."""
        token = self.get_query_token(direction, query)
        yield self.redis.delete(self.search_result_key(batch_id, token))
        yield self.prolong_query(batch_id, token)
        yield self.redis.sadd(self.search_token_key(batch_id), token)
        return token

    def prolong_query(self, batch_id: str, token: str) -> Any:
        """Say that a search still runs; else it is soon taken for dead."""
        return self.redis.setex(self._lease_key(batch_id, token), SEARCH_LEASE, "1")

    @Manager.calls_manager("redis")
    def add_query_results(
        self,
        batch_id: str,
        token: str,
        results: Iterable[str | tuple[str, Any]],
        direction: str,
        ttl: int | None = None,
    ) -> Any:
        """Add what a search has found so far.

        :param results: Ids, or pairs of id and date. Without a date it is the one that is kept
            here, if it is.
        :param direction: ``inbound`` or ``outbound``.
        :param ttl: Seconds that the results stay.
        """
        keys = [
            self.search_result_key(batch_id, token),
            self.batch_key(_checked(direction), batch_id),
        ]
        seconds = self.DEFAULT_SEARCH_RESULT_TTL if ttl is None else ttl
        words = list(self._result_words(results))
        for start in range(0, len(words), 2 * CHUNK):
            yield self._results(keys, [seconds, *words[start : start + 2 * CHUNK]])

    def _result_words(self, results: Iterable[str | tuple[str, Any]]) -> Iterator[bytes | str]:
        for result in results:
            if isinstance(result, str):
                yield from (encodable(result), "")
            else:
                yield from (encodable(result[0]), repr(self.get_timestamp(result[1])))

    @Manager.calls_manager("redis")
    def store_query_results(
        self,
        batch_id: str,
        token: str,
        keys: Iterable[str | tuple[str, Any]],
        direction: str,
        ttl: int | None = None,
    ) -> Any:
        """Keep what a search has found, and note that it is done: :meth:`add_query_results`."""
        yield self.add_query_results(batch_id, token, keys, direction, ttl)
        yield self.end_query(batch_id, token)

    @Manager.calls_manager("redis")
    def end_query(self, batch_id: str, token: str) -> Any:
        """Note that a search is done, or has failed."""
        yield self.redis.srem(self.search_token_key(batch_id), token)
        yield self.redis.delete(self._lease_key(batch_id, token))

    @Manager.calls_manager("redis")
    def is_query_in_progress(self, batch_id: str, token: str) -> Any:
        """Whether a search runs. One whose worker has crashed ends after a while."""
        if not (yield self.redis.sismember(self.search_token_key(batch_id), token)):
            return False
        return bool((yield self.redis.exists(self._lease_key(batch_id, token))))

    def get_query_results(
        self, batch_id: str, token: str, start: int = 0, stop: int = -1, asc: bool = False
    ) -> Any:
        """Some of the ids that a search has found."""
        key = self.search_result_key(batch_id, token)
        return self.redis.zrange(key, start, stop, desc=not asc)

    def count_query_results(self, batch_id: str, token: str) -> Any:
        """How many a search has found."""
        return self.redis.zcard(self.search_result_key(batch_id, token))

    @staticmethod
    def get_timestamp(timestamp: datetime | str | float) -> float:
        """Seconds since 1970 of a date.

        :param timestamp: A Vumi date or a datetime, both UTC; a number is taken as it is.
        """
        if isinstance(timestamp, str):
            timestamp = parse_vumi_date(timestamp)
        if isinstance(timestamp, datetime):
            return timegm(timestamp.utctimetuple()) + timestamp.microsecond / 1_000_000
        return timestamp


def encodable(term: str | None) -> bytes:
    # What comes from networks may be texts that have no UTF-8.
    return b"" if term is None else term.encode("utf-8", "surrogatepass")


def _checked(direction: str) -> str:
    if direction not in ("inbound", "outbound"):
        raise MessageStoreCacheException(f"There are inbound and outbound, but no {direction!r}.")
    return direction
