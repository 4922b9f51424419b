"""Locks in Riak, as good as can be had where nothing is atomic.

Knows how owners find out about each other. Whoever wants a lock writes a claim, on condition that
nobody else has written since it looked, and then looks again. Claims that were written at the same
moment are siblings: whoever sees another claim beside its own has lost, and takes its own back. Of
two, one writes first; so the other one sees it, provided that reads and writes overlap, which
``pr`` and ``pw`` see to. It is possible that both lose; the claims then stay until their time is
up. It is not possible that both win, unless clocks differ by more than a lock is taken for.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from vumi.components.message_store.riak_layout import ArchiveRecord
from vumi.components.message_store.riak_terms import escape_key
from vumi.components.message_store.riak_turns import Turns

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from vumi.components.message_store.riak_answers import Fetched
    from vumi.components.message_store.riak_client import RiakClient

__all__ = ["LOCK_BUCKET", "RiakLocks"]

LOCK_BUCKET = "lock"

#: Of the process: its archives need not find out about each other through Riak.
_TURNS = Turns()


class _Claim(NamedTuple):
    """Who wants a lock, and until when (Unix time)."""

    owner: str
    until: float


class RiakLocks:
    """Locks by name.

    :param client: Asks Riak.
    :param place: What tells this archive from others of the process.
    :param clock: Says what time it is.
    """

    def __init__(self, client: RiakClient, place: str, clock: IReactorTime) -> None:
        self._client = client
        self._place = place
        self._clock = clock

    async def acquire(self, name: str, owner: str, seconds: float) -> bool:
        """Take a lock, or prolong one's own.

        :returns: Whether it is the owner's now.
        """
        async with _TURNS.turn((self._place, name)):
            found = await self._fetch(name)
            if any(claim.owner != owner for claim in self._alive(found)):
                return False
            mine = _Claim(owner, self._clock.seconds() + seconds)
            if not await self._write(name, [mine], found):
                return False
            found = await self._fetch(name)
            others = [claim for claim in self._claims(found) if claim.owner != owner]
            if any(claim.until > self._clock.seconds() for claim in others):
                await self._write(name, others, found)
                return False
            return any(claim.owner == owner for claim in self._claims(found))

    async def release(self, name: str, owner: str) -> None:
        """Let go of a lock, if it is the owner's."""
        async with _TURNS.turn((self._place, name)):
            found = await self._fetch(name)
            others = [claim for claim in self._claims(found) if claim.owner != owner]
            if len(others) < len(self._claims(found)):
                # Written, not deleted: the condition of the next one needs something.
                await self._write(name, others, found)

    def _alive(self, found: Fetched) -> list[_Claim]:
        now = self._clock.seconds()
        return [claim for claim in self._claims(found) if claim.until > now]

    def _claims(self, found: Fetched) -> list[_Claim]:
        claims: dict[str, float] = {}
        for sibling in found.siblings:
            for owner, until in _read(sibling.body):
                claims[owner] = max(until, claims.get(owner, until))
        return [_Claim(owner, until) for owner, until in sorted(claims.items())]

    async def _fetch(self, name: str) -> Fetched:
        return await self._client.get(LOCK_BUCKET, escape_key(name))

    async def _write(self, name: str, claims: list[_Claim], found: Fetched) -> bool:
        condition = None
        if not found.siblings and not found.tombstone:
            condition = ("If-None-Match", "*")
        elif len(found.siblings) == 1 and not found.tombstone and found.siblings[0].etag:
            condition = ("If-Match", found.siblings[0].etag)
        record = ArchiveRecord(json.dumps({"claims": claims}).encode("ascii"))
        return await self._client.put(
            LOCK_BUCKET, escape_key(name), record, found.vclock, condition
        )


def _read(body: bytes) -> list[tuple[str, float]]:
    try:
        data: Any = json.loads(body)
        return [(str(owner), float(until)) for owner, until in data["claims"]]
    except (ValueError, TypeError, KeyError):
        # What nobody can read nobody holds.
        return []
