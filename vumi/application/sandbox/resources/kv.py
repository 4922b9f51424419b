"""The resource by which a sandboxed program keeps values under keys: ``kv.set`` and its like.

Knows the keys of the key-value store, and how many a sandbox may have. Values are JSON; where they
come from and go to is the program's business.

==========================  ======  =========================================================
``sandboxes#<id>#<key>``    string  a value, as JSON
``keys#<id>``               zset    the sandbox's keys, by when they expire (ms since 1970)
``count#<id>``              string  how many these are, for workers of the old Vumi
==========================  ======  =========================================================

Theory of operation. Each write is one Lua script that first drops what has expired from the set of
keys, so the limit is compared with what is really there, and neither two workers at once nor a
crash can count wrongly. What disappeared in other ways (somebody deleted it by hand, or Redis to
save memory) is found when a sandbox would be refused. What an old worker has kept is there to be
read, and counted from when it is first written again.
"""

from __future__ import annotations

import json
import logging
import math
import random
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.application.sandbox.errors import CommandRefused
from vumi.application.sandbox.resources.declared import (
    ANYTHING,
    NUMBER,
    TEXT,
    WHOLE_NUMBER,
    Argument,
    answers,
)
from vumi.application.sandbox.resources.stored import StoredConfig, StoredResource, safe_id
from vumi.config import Config, ConfigInt
from vumi.persist.interface import ResponseError

if TYPE_CHECKING:
    from vumi.application.sandbox.api import SandboxApi
    from vumi.application.sandbox.command import SandboxCommand

__all__ = ["RedisResource", "RedisResourceConfig"]

DEFAULT_HARD_LIMIT = 100
SOFT_PART = 0.8
#: Longer than that Redis can't count, in seconds.
MOST_SECONDS = 10**12
REFUSED = "Too many keys"

# All scripts have the keys: the set of keys, the count, what value keys begin with.
# Their first argument is the key.
BEGIN = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local name = KEYS[3] .. ARGV[1]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)

local function count()
    local keys = redis.call('ZCARD', KEYS[1])
    if keys == 0 then redis.call('DEL', KEYS[2]) else redis.call('SET', KEYS[2], keys) end
    return keys
end

local function has_room(limit, from)
    local keys = redis.call('ZCARD', KEYS[1])
    if keys < limit then return true end
    from = keys <= 1000 and 0 or from % (keys - 999)
    local gone = false
    for _, key in ipairs(redis.call('ZRANGE', KEYS[1], from, from + 999)) do
        if redis.call('EXISTS', KEYS[3] .. key) == 0 then
            redis.call('ZREM', KEYS[1], key)
            gone = true
        end
    end
    return gone and redis.call('ZCARD', KEYS[1]) < limit
end

local function remember()
    local left = redis.call('PTTL', name)
    redis.call('ZADD', KEYS[1], left < 0 and '+inf' or now + left, ARGV[1])
end
"""

# Further arguments: value, milliseconds or '', limit, where to look for keys that are gone.
# Gives whether it was set, how many keys there are, and whether this one is new.
SET = (
    BEGIN
    + """
local is_new = redis.call('EXISTS', name) == 0
if is_new then
    -- It may have disappeared without expiring.
    redis.call('ZREM', KEYS[1], ARGV[1])
    if not has_room(tonumber(ARGV[4]), tonumber(ARGV[5])) then return {0, count(), 1} end
end
if ARGV[3] == '' then
    redis.call('SET', name, ARGV[2])
else
    redis.call('SET', name, ARGV[2], 'PX', ARGV[3])
end
remember()
return {1, count(), is_new and 1 or 0}
"""
)

# Further arguments: amount, limit, where to look for keys that are gone.
# Gives the same as SET, and the sum.
INCR = (
    BEGIN
    + """
local is_new = redis.call('EXISTS', name) == 0
if is_new then
    redis.call('ZREM', KEYS[1], ARGV[1])
    if not has_room(tonumber(ARGV[3]), tonumber(ARGV[4])) then return {0, count(), 1, 0} end
end
local sum = redis.call('INCRBY', name, ARGV[2])
remember()
return {1, count(), is_new and 1 or 0, sum}
"""
)

# Gives whether there was such a key.
DELETE = (
    BEGIN
    + """
local existed = redis.call('DEL', name)
redis.call('ZREM', KEYS[1], ARGV[1])
count()
return existed
"""
)


class RedisResourceConfig(StoredConfig):
    """Options of the kv resource."""

    keys_per_user_hard = ConfigInt(
        f"How many keys each sandbox may have. Default: {DEFAULT_HARD_LIMIT}.",
        static=True,
        lowest=0,
    )
    keys_per_user_soft = ConfigInt(
        "From how many keys on each further one is told in the log. Default: "
        f"{SOFT_PART:.0%} of what it may have.",
        static=True,
        lowest=0,
    )
    keys_per_user = ConfigInt("The old name of keys_per_user_hard.", static=True, lowest=0)

    def post_validate(self) -> None:
        super().post_validate()

    @property
    def hard_limit(self) -> int:
        """How many keys a sandbox may have."""
        if self.keys_per_user_hard is not None:
            return self.keys_per_user_hard
        return DEFAULT_HARD_LIMIT if self.keys_per_user is None else self.keys_per_user

    @property
    def soft_limit(self) -> int:
        """Above how many keys that is told in the log."""
        soft = self.keys_per_user_soft
        return int(SOFT_PART * self.hard_limit) if soft is None else soft


KEY = Argument("key", TEXT, "Under which key.")


class RedisResource(StoredResource):
    """Keeps values under keys, for each sandbox its own.

    A value is anything that JSON can say. A sandbox's keys are counted: those that have expired or
    were deleted don't count.
    """

    CONFIG_CLASS: ClassVar[type[Config]] = RedisResourceConfig

    def use(self, redis: Any) -> None:
        self._set = redis.script(SET, repeatable=True)
        self._incr = redis.script(INCR)
        self._delete = redis.script(DELETE)

    @staticmethod
    def _keys(sandbox_id: str) -> list[str]:
        owner = safe_id(sandbox_id)
        return [f"keys#{owner}", f"count#{owner}", f"sandboxes#{owner}#"]

    def _limits(self) -> list[int]:
        # Where keys that are gone are looked for is left to chance, so all are looked at in time.
        return [self.options.hard_limit, random.randrange(2**31)]  # noqa: S311 (no secret)

    async def _check(self, api: SandboxApi, done: int, count: int, is_new: int) -> None:
        """Refuse the command if its write was refused; the log tells of the limits."""
        hard, soft = self.options.hard_limit, self.options.soft_limit
        if not done:
            await api.log(
                f"Redis hard limit of {hard} keys reached for sandbox {api.sandbox_id} "
                f"(there are {count}): no more keys.",
                logging.ERROR,
            )
            raise CommandRefused(REFUSED)
        if is_new and count > soft:
            await api.log(
                f"Redis soft limit of {soft} keys reached for sandbox {api.sandbox_id}. Once the "
                f"hard limit of {hard} is reached no more keys can be written.",
                logging.WARNING,
            )

    @answers(
        KEY,
        Argument("value", ANYTHING, "What to keep. Null if it is left out.", optional=True),
        Argument(
            "seconds",
            NUMBER,
            "For how long to keep it, in seconds; for ever if it is null or left out.",
            optional=True,
            wrong="seconds must be a number or null",
        ),
    )
    async def handle_set(
        self, api: SandboxApi, command: SandboxCommand, key: str, value: Any, seconds: float | None
    ) -> dict[str, Any]:
        """Keep a value, instead of what was under the key before."""
        milliseconds: str | int = ""
        if seconds is not None:
            if not 0 < seconds <= MOST_SECONDS:
                raise CommandRefused("seconds must be more than 0, and not too much")
            milliseconds = math.ceil(seconds * 1000)
        text = json.dumps(value)
        written = await self._set(
            self._keys(api.sandbox_id), [key, text, milliseconds, *self._limits()]
        )
        await self._check(api, *written)
        return {}

    @answers(KEY, value="What is there; null if nothing is.")
    async def handle_get(
        self, api: SandboxApi, command: SandboxCommand, key: str
    ) -> dict[str, Any]:
        """Give a value."""
        text = await self.redis.get(f"{self._keys(api.sandbox_id)[2]}{key}")
        value = None if text is None else json.loads(text)
        return {"value": value}

    @answers(KEY, existed="Whether there was one.")
    async def handle_delete(
        self, api: SandboxApi, command: SandboxCommand, key: str
    ) -> dict[str, Any]:
        """Forget a key and its value."""
        existed = await self._delete(self._keys(api.sandbox_id), [key])
        return {"existed": bool(existed)}

    @answers(
        KEY,
        Argument(
            "amount", WHOLE_NUMBER, "How much to add; may be negative.", optional=True, default=1
        ),
        value="The sum.",
    )
    async def handle_incr(
        self, api: SandboxApi, command: SandboxCommand, key: str, amount: int
    ) -> dict[str, Any]:
        """Add to a whole number, 0 if there is none yet. When it expires stays as it was."""
        try:
            written = await self._incr(self._keys(api.sandbox_id), [key, amount, *self._limits()])
        except ResponseError as error:
            raise CommandRefused(str(error)) from error
        *outcome, value = written
        await self._check(api, *outcome)
        return {"value": value}
