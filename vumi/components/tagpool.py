"""Pools of tags, to be acquired and released: addresses of which each has one user at a time.

Knows how tags are kept in the key-value store, as all versions of Vumi keep them. Knows nothing of
what a tag stands for.

A tag is a pair of texts: the pool, and the name in the pool. Keys, all after ``tagpools:``:

==========================  ====  =========================================================
``list``                    set   the pools
``<pool>:free:list``        list  free tags, the next one first
``<pool>:free:set``         set   the same
``<pool>:inuse:set``        set   acquired tags
``<pool>:reason:hash``      hash  acquired tag -> JSON: who has it, since when, and why
``<pool>:metadata``         hash  key -> JSON
``owners:<owner>:tags``     set   JSON ``[pool, tag]`` of what the owner has
``unowned:tags``            set   the same, of what was acquired without an owner
==========================  ====  =========================================================

Whatever changes several of them is one Lua script, so that no crash and no other worker can leave
a tag in none, or in two. Where what a script does depends on a value that only Python can read
(the first free tag, a tag's owner), the value is read first, and the script does nothing unless it
still holds; then it is read again. Each time that happens somebody else has got on, so it ends.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from vumi.errors import VumiError
from vumi.persist.redis_base import Manager

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Tag = tuple[str, str]

__all__ = ["TagpoolError", "TagpoolManager"]

#: How many tags one script adds at most, so that Redis is not held up.
CHUNK = 1000

# Keys: free list, free set, in-use set, reasons, the owner's tags.
# Arguments: tag, its reason, its JSON. Gives whether it was free.
ACQUIRE = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('HSET', KEYS[4], ARGV[1], ARGV[2])
redis.call('SADD', KEYS[5], ARGV[3])
return 1
"""

# Keys as before; arguments: tag, the reason that it is thought to have, its JSON.
# Gives 1 if it was released, 0 if it is not in use, -1 if its reason is another one.
RELEASE = """
if redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 0 then return 0 end
if (redis.call('HGET', KEYS[4], ARGV[1]) or '') ~= ARGV[2] then return -1 end
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('SREM', KEYS[5], ARGV[3])
if redis.call('SADD', KEYS[2], ARGV[1]) == 1 then redis.call('RPUSH', KEYS[1], ARGV[1]) end
return 1
"""

# Keys: free list, free set, in-use set, pools. Arguments: pool, tags.
DECLARE = """
redis.call('SADD', KEYS[4], ARGV[1])
for i = 2, #ARGV do
    if redis.call('SISMEMBER', KEYS[3], ARGV[i]) == 0
            and redis.call('SADD', KEYS[2], ARGV[i]) == 1 then
        redis.call('RPUSH', KEYS[1], ARGV[i])
    end
end
"""

# Keys: metadata, pools. Arguments: pool, keys and values.
SET_METADATA = """
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[1])
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
"""

# Keys: free list, free set, in-use set, reasons, metadata, pools. Argument: pool.
# Gives how many tags are in use; if there are any, nothing is purged.
PURGE = """
local in_use = redis.call('SCARD', KEYS[3])
if in_use > 0 then return in_use end
for i = 1, 5 do redis.call('DEL', KEYS[i]) end
redis.call('SREM', KEYS[6], ARGV[1])
return 0
"""


class TagpoolError(VumiError):
    """A tag pool can't do what it was asked."""


class TagpoolManager:
    """Keeps pools of tags.

    Methods give Deferreds. With a manager that blocks
    (:class:`~vumi.persist.redis_manager.RedisManager`) they block, and give what the Deferreds
    would.

    :param redis: The manager of the key-value store.
    """

    def __init__(self, redis: Any) -> None:
        self.redis = self.manager = redis
        self._acquire = redis.script(ACQUIRE)
        self._release = redis.script(RELEASE)
        self._declare = redis.script(DECLARE, repeatable=True)
        self._set_metadata = redis.script(SET_METADATA, repeatable=True)
        self._purge = redis.script(PURGE, repeatable=True)

    # Acquiring and releasing

    @Manager.calls_manager
    def acquire_tag(
        self, pool: str, owner: str | None = None, reason: Mapping[str, Any] | None = None
    ) -> Any:
        """Acquire the next free tag of a pool.

        :param owner: Who gets it.
        :param reason: What for; anything that JSON can say.
        :returns: The tag; ``None`` if none is free.
        """
        while True:
            first = yield self.redis.lrange(_free_list(pool), 0, 0)
            if not first:
                return None
            tag = yield self.acquire_specific_tag((pool, first[0]), owner, reason)
            if tag is not None:
                return tag

    @Manager.calls_manager
    def acquire_specific_tag(
        self,
        tag: Sequence[str],
        owner: str | None = None,
        reason: Mapping[str, Any] | None = None,
    ) -> Any:
        """Acquire a tag.

        :param tag: Pool and name.
        :returns: The tag; ``None`` if it isn't free. The rest is as in :meth:`acquire_tag`.
        """
        pool, local_tag = _texts(tag)
        stored = json.dumps({**(reason or {}), "owner": owner, "timestamp": time.time()})
        keys = [*_keys(pool), _owner_key(owner)]
        acquired = yield self._acquire(keys, [local_tag, stored, _tag_json(pool, local_tag)])
        return (pool, local_tag) if acquired else None

    @Manager.calls_manager
    def release_tag(self, tag: Sequence[str]) -> Any:
        """Give a tag back; it is then the last in its pool. One that isn't in use stays as it is.

        :param tag: Pool and name.
        """
        pool, local_tag = _texts(tag)
        while True:
            stored = yield self.redis.hget(_reason_key(pool), local_tag)
            owner = _read_reason(stored).get("owner")
            keys = [*_keys(pool), _owner_key(owner)]
            released = yield self._release(
                keys, [local_tag, stored or "", _tag_json(pool, local_tag)]
            )
            if released != -1:
                return

    # Pools

    @Manager.calls_manager
    def declare_tags(self, tags: Iterable[Sequence[str]]) -> Any:
        """Add tags to their pools, sorted; those that are there already stay as they are."""
        pools: dict[str, set[str]] = {}
        for pool, local_tag in map(_texts, tags):
            pools.setdefault(pool, set()).add(local_tag)
        for pool, local_tags in pools.items():
            keys = [*_keys(pool)[:3], POOLS]
            for chunk in _chunks(sorted(local_tags)):
                yield self._declare(keys, [pool, *chunk])

    @Manager.calls_manager
    def get_metadata(self, pool: str) -> Any:
        """What is known of a pool, as a dict; an empty one if nothing is."""
        stored = yield self.redis.hgetall(_metadata_key(pool))
        return {key: json.loads(value) for key, value in stored.items()}

    @Manager.calls_manager
    def set_metadata(self, pool: str, metadata: Mapping[str, Any]) -> Any:
        """Set what is known of a pool; what was known before is forgotten."""
        words = [word for key, value in metadata.items() for word in (key, json.dumps(value))]
        yield self._set_metadata([_metadata_key(pool), POOLS], [pool, *words])

    @Manager.calls_manager
    def purge_pool(self, pool: str) -> Any:
        """Delete a pool with all its tags.

        :raises TagpoolError: Some are in use.
        """
        in_use = yield self._purge([*_keys(pool), _metadata_key(pool), POOLS], [pool])
        if in_use:
            raise TagpoolError(f"{in_use} tags of pool {pool} still in use.")

    def list_pools(self) -> Any:
        """The pools, as a set."""
        return self.redis.smembers(POOLS)

    @Manager.calls_manager
    def free_tags(self, pool: str) -> Any:
        """The tags that can be acquired, as a list in no order."""
        local_tags = yield self.redis.smembers(_keys(pool)[1])
        return [(pool, local_tag) for local_tag in local_tags]

    @Manager.calls_manager
    def inuse_tags(self, pool: str) -> Any:
        """The tags that are acquired, as a list in no order."""
        local_tags = yield self.redis.smembers(_keys(pool)[2])
        return [(pool, local_tag) for local_tag in local_tags]

    # Owners

    @Manager.calls_manager
    def acquired_by(self, tag: Sequence[str]) -> Any:
        """Who has a tag, and why.

        :param tag: Pool and name.
        :returns: Owner and reason (with ``owner``, and ``timestamp`` in seconds since 1970);
            ``(None, None)`` if it isn't in use.
        """
        pool, local_tag = _texts(tag)
        # The old Vumi left the reasons of free tags where they were.
        in_use = yield self.redis.sismember(_keys(pool)[2], local_tag)
        stored = yield self.redis.hget(_reason_key(pool), local_tag)
        if not in_use or stored is None:
            return (None, None)
        reason = _read_reason(stored)
        return (reason.get("owner"), reason)

    @Manager.calls_manager
    def owned_tags(self, owner: str | None) -> Any:
        """What an owner has, as a list of ``[pool, name]``.

        :param owner: ``None`` for what was acquired without an owner.
        """
        stored = yield self.redis.smembers(_owner_key(owner))
        # A number and its text are one tag; old workers kept numbers as they were given.
        return [list(tag) for tag in dict.fromkeys(_texts(json.loads(tag)) for tag in stored)]


def _texts(tag: Sequence[Any]) -> Tag:
    """A tag as two texts: a name that is a number in YAML or JSON is the same as its digits."""
    pool, local_tag = tag
    return (str(pool), str(local_tag))


# Keys

POOLS = "tagpools:list"


def _free_list(pool: str) -> str:
    return f"tagpools:{pool}:free:list"


def _reason_key(pool: str) -> str:
    return f"tagpools:{pool}:reason:hash"


def _metadata_key(pool: str) -> str:
    return f"tagpools:{pool}:metadata"


def _keys(pool: str) -> list[str]:
    """Free list, free set, in-use set and reasons, the order of the scripts' keys."""
    return [
        _free_list(pool),
        f"tagpools:{pool}:free:set",
        f"tagpools:{pool}:inuse:set",
        _reason_key(pool),
    ]


def _owner_key(owner: str | None) -> str:
    return "tagpools:unowned:tags" if owner is None else f"tagpools:owners:{owner}:tags"


def _tag_json(pool: str, local_tag: str) -> str:
    # A member of a set that old workers look for too: json.dumps() and no other encoder.
    return json.dumps([pool, local_tag])


def _read_reason(stored: str | None) -> dict[str, Any]:
    reason: dict[str, Any] = json.loads(stored) if stored else {}
    return reason


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    # At least one, so that a pool without new tags is registered too.
    for start in range(0, max(len(items), 1), CHUNK):
        yield items[start : start + CHUNK]
