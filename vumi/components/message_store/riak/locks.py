"""Locks in Riak, as good as can be had where nothing is atomic.

Theory of operation. An owner writes a claim, on condition that nobody has written since it looked,
and looks again. Claims that were written at the same moment are siblings: an owner that sees a
claim beside its own has lost, and withdraws. Of two owners one writes first, so the other one sees
it, provided that reads and writes overlap (``pr`` and ``pw`` see to that). Both may lose; both
can't win, unless clocks differ by more than a lock is taken for.

What is withdrawn or released is noted beside the claims, until its time is up: versions are merged
by uniting claims and withdrawals, so the order of writes makes no difference. Without that a late
loser, which writes back what it saw, revived the claim of an owner that had released meanwhile,
and nobody had the lock until that claim expired. For the same reason a claim that comes late does
not take the lock from the owner that has been told it is its own: that one remembers so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vumi.components.message_store.riak.client import Put
from vumi.components.message_store.riak.layout import ArchiveRecord
from vumi.components.message_store.riak.terms import object_key
from vumi.steady_clock import wall_seconds

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from vumi.components.message_store.riak.answers import Fetched
    from vumi.components.message_store.riak.client import RiakClient
    from vumi.named_locks import NamedLocks

__all__ = ["LOCK_BUCKET", "RiakLocks"]

LOCK_BUCKET = "lock"

#: Seconds that a withdrawal is kept longer than the claim lasts: clocks differ.
_KEPT = 3600.0
#: Seconds that a claim that is over is kept.
_OVER = 60.0
#: How often a release is tried while others write; after that the claim runs out.
_TRIES = 10
#: The least time between two claims of one owner.
_TICK = 0.001


@dataclass(slots=True)
class _Claims:
    """What all versions say together: for each owner the Unix time of a claim's end.

    :param withdrawn: Claims of an owner that end at this time or before are void.
    """

    wanted: dict[str, float] = field(default_factory=dict)
    withdrawn: dict[str, float] = field(default_factory=dict)

    def alive(self, now: float) -> dict[str, float]:
        """The claims that count."""
        return {
            owner: until
            for owner, until in self.wanted.items()
            if until > now and until > self.withdrawn.get(owner, 0.0)
        }

    def claim(self, owner: str, until: float) -> None:
        """Add a claim."""
        self.wanted[owner] = max(until, self.withdrawn.get(owner, 0.0) + _TICK)

    def withdraw(self, owner: str) -> None:
        """Make an owner's claims void."""
        self.withdrawn[owner] = max(self.wanted[owner], self.withdrawn.get(owner, 0.0))

    def encoded(self, now: float) -> bytes:
        """As JSON, without what is long over."""
        data = {
            "claims": sorted(self.alive(now - _OVER).items()),
            "withdrawn": sorted(
                (owner, until) for owner, until in self.withdrawn.items() if until + _KEPT > now
            ),
        }
        return json.dumps(data).encode("ascii")


class RiakLocks:
    """Locks by name.

    :param client: Asks Riak.
    :param turns: Lets the owners of this archive take turns.
    :param clock: Says what time it is.
    """

    def __init__(self, client: RiakClient, turns: NamedLocks, clock: IReactorTime) -> None:
        self._client = client
        self._turns = turns
        self._clock = clock
        #: Name and owner -> until when the lock is its own.
        self._held: dict[tuple[str, str], float] = {}

    async def acquire(self, name: str, owner: str, seconds: float) -> bool:
        """Take a lock, or prolong one's own.

        :returns: Whether it is the owner's now.
        """
        async with self._turns.hold((LOCK_BUCKET, name)):
            now = wall_seconds(self._clock)
            until = self._held.pop((name, owner), 0.0)
            found = await self._fetch(name)
            claims = _merged(found)
            alive = claims.alive(now)
            is_held = until > now and owner in alive
            if not is_held and alive.keys() - {owner}:
                return False
            claims.claim(owner, now + seconds)
            written = await self._write(name, claims, found)
            if is_held and written is not Put.DONE:
                # Somebody wrote since we looked. What is held stays so; it is not prolonged.
                return self._hold(name, owner, until)
            if written is Put.REFUSED:
                return False
            if not is_held:
                found = await self._fetch(name)
                claims = _merged(found)
                alive = claims.alive(wall_seconds(self._clock))
                if alive.keys() - {owner}:
                    claims.withdraw(owner)
                    await self._write(name, claims, found)
                    return False
                if owner not in claims.wanted:
                    return False
            return self._hold(name, owner, now + seconds)

    def _hold(self, name: str, owner: str, until: float) -> bool:
        self._held[name, owner] = until
        return True

    async def release(self, name: str, owner: str) -> None:
        """Let go of a lock, if it is the owner's."""
        async with self._turns.hold((LOCK_BUCKET, name)):
            self._held.pop((name, owner), None)
            for _ in range(_TRIES):
                found = await self._fetch(name)
                claims = _merged(found)
                if owner not in claims.alive(0.0):
                    return
                # Written, not deleted: the condition of the next one needs something.
                claims.withdraw(owner)
                if await self._write(name, claims, found) is not Put.REFUSED:
                    return

    async def _fetch(self, name: str) -> Fetched:
        return await self._client.get(LOCK_BUCKET, object_key(name))

    async def _write(self, name: str, claims: _Claims, found: Fetched) -> Put:
        condition = None
        if not found.siblings and not found.tombstone:
            condition = ("If-None-Match", "*")
        elif len(found.siblings) == 1 and not found.tombstone and found.siblings[0].etag:
            condition = ("If-Match", found.siblings[0].etag)
        record = ArchiveRecord(claims.encoded(wall_seconds(self._clock)))
        return await self._client.put(
            LOCK_BUCKET, object_key(name), record, found.vclock, condition
        )


def _merged(found: Fetched) -> _Claims:
    claims = _Claims()
    for sibling in found.siblings:
        for mine, theirs in zip(
            (claims.wanted, claims.withdrawn), _read(sibling.body), strict=True
        ):
            for owner, until in theirs:
                mine[owner] = max(until, mine.get(owner, until))
    return claims


def _read(body: bytes) -> list[list[tuple[str, float]]]:
    try:
        data: Any = json.loads(body)
        return [
            [(str(owner), float(until)) for owner, until in pairs]
            for pairs in (data["claims"], data.get("withdrawn", ()))
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        # A claim that can't be read is void.
        return [[], []]
