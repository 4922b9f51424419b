"""Records that sandboxed programs keep: objects by key, found by what is in them.

Knows how records and their indexes are in the key-value store. Knows nothing of what a record is:
contacts and groups are.

For each kind of records (``contacts``) and each account that has some:

================================  ====  ====================================================
``<kind>#<account>``              hash  key -> the record, as JSON
``<kind>-order#<account>``        zset  keys, by when their records were made (ms since 1970)
``<kind>-index#<account>#<name>`` set   keys of the records that have this in them
================================  ====  ====================================================

A change is one Lua script that does nothing if the record is no longer what it was when it was
read; it is then read again. So no two programs can undo each other's changes, and no index can say
what no record says.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vumi.application.sandbox.errors import CommandRefused
from vumi.application.sandbox.resources.stored import safe_id
from vumi.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    Record = dict[str, Any]

__all__ = ["Records", "TooManyRecords"]

#: Records per call of the script that reads many.
PAGE = 200
CHANGED, TOO_MANY, TAKEN, DONE = -3, -2, -1, 1

# Keys: records, order, what indexes' keys begin with. Arguments: key, the record as it was or '',
# the new record, when it was made, how many there may be, an index that must be empty or '', how
# many indexes it was in, these, and those that it is in now.
SAVE = f"""
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return {CHANGED} end
if ARGV[6] ~= '' and redis.call('EXISTS', KEYS[3] .. ARGV[6]) == 1 then return {TAKEN} end
if ARGV[2] == '' and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then return {TOO_MANY} end
local before = 7 + tonumber(ARGV[7])
for i = 8, before do redis.call('SREM', KEYS[3] .. ARGV[i], ARGV[1]) end
for i = before + 1, #ARGV do redis.call('SADD', KEYS[3] .. ARGV[i], ARGV[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], 'NX', ARGV[4], ARGV[1])
return {DONE}
"""

# Keys: records, order. Arguments: the first place and the last one. Gives the records.
READ = """
local keys = redis.call('ZRANGE', KEYS[2], ARGV[1], ARGV[2])
if #keys == 0 then return {} end
return redis.call('HMGET', KEYS[1], unpack(keys))
"""


class TooManyRecords(StoreError, CommandRefused):
    """An account has as many records as it may have."""


class Records:
    """The records of one kind.

    :param redis: The manager of the key-value store.
    :param kind: Their name, in the plural.
    :param indexes: Gives the names of the indexes that a record belongs in.
    :param limit: How many an account may have.
    :param milliseconds: Gives the time, since 1970.
    """

    def __init__(
        self,
        redis: Any,
        kind: str,
        indexes: Callable[[Record], Iterable[str]],
        limit: int,
        milliseconds: Callable[[], int],
    ) -> None:
        self._redis = redis
        self._kind = kind
        self._indexes = indexes
        self._limit = limit
        self._milliseconds = milliseconds
        self._save = redis.script(SAVE)
        self._read = redis.script(READ, repeatable=True)

    def _keys(self, account: str) -> list[str]:
        owner = safe_id(account)
        kind = self._kind
        return [f"{kind}#{owner}", f"{kind}-order#{owner}", f"{kind}-index#{owner}#"]

    # Reading

    async def get(self, account: str, key: str) -> Record | None:
        """A record; ``None`` if there is none under this key."""
        text = await self._redis.hget(self._keys(account)[0], key)
        return None if text is None else json.loads(text)

    async def find(self, account: str, index: str) -> list[Record]:
        """The records that an index has, those made first first."""
        keys = await self._redis.smembers(self._keys(account)[2] + index)
        found = [await self.get(account, key) for key in keys]
        return sorted(
            (record for record in found if record is not None),
            key=lambda record: (record.get("created_at") or "", record["key"]),
        )

    async def count(self, account: str, index: str) -> int:
        """How many records an index has."""
        count: int = await self._redis.scard(self._keys(account)[2] + index)
        return count

    async def number(self, account: str) -> int:
        """How many records there are."""
        number: int = await self._redis.hlen(self._keys(account)[0])
        return number

    async def all(self, account: str) -> AsyncIterator[Record]:
        """All records, those made first first."""
        keys, start = self._keys(account)[:2], 0
        while True:
            texts = await self._read(keys, [start, start + PAGE - 1])
            for text in texts:
                if text is not None:
                    yield json.loads(text)
            if len(texts) < PAGE:
                return
            start += PAGE

    # Writing

    async def create(self, account: str, record: Record, unless: str = "") -> bool:
        """Keep a new record.

        :param unless: An index: if it has a record already, this one is not kept.
        :returns: Whether it was kept.
        :raises TooManyRecords: There are as many as there may be.
        :raises StoreError: There is one under its key.
        """
        outcome = await self._try_to_save(account, None, record, unless)
        if outcome == CHANGED:
            raise StoreError(f"There is a record under the key {record['key']!r} already.")
        return outcome == DONE

    async def change(
        self, account: str, key: str, change: Callable[[Record], Record]
    ) -> Record | None:
        """Change a record.

        :param change: Makes the new record of a copy of the old one; may be called again, with
            one that somebody else has changed meanwhile.
        :returns: The new record; ``None`` if there is none under this key.
        """
        while True:
            text = await self._redis.hget(self._keys(account)[0], key)
            if text is None:
                return None
            record = change(json.loads(text))
            if await self._try_to_save(account, text, record) == DONE:
                return record

    async def _try_to_save(
        self, account: str, before: str | None, record: Record, unless: str = ""
    ) -> int:
        old = [] if before is None else sorted(set(self._indexes(json.loads(before))))
        arguments: list[Any] = [record["key"], before or "", json.dumps(record)]
        arguments += [self._milliseconds(), self._limit, unless, len(old)]
        arguments += [*old, *sorted(set(self._indexes(record)))]
        outcome: int = await self._save(self._keys(account), arguments)
        if outcome == TOO_MANY:
            raise TooManyRecords(f"Too many {self._kind}")
        return outcome
