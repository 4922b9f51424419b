"""Messages that come in several parts: waiting for the others.

Knows how parts are kept in the key-value store until all are there. Knows no PDU and no text.
Which part a PDU is, :mod:`vumi.transports.smpp.udh` tells.

Parts are kept in a hash until all are there *and* the message is safe with the broker: only then
the SMSC is told that the last part has arrived. After a crash before that the SMSC sends the last
part again, and the others are still here. One script does each step, so it doesn't matter to which
process a part comes.

References have 8 or 16 bits and are soon used again. A part that can't belong to the message that
waits under its reference starts a new one: a part that is there with other octets, or the first
one after the message was published. (One of another total is kept apart from the start.)

What never becomes complete is bounded: by time, from the first part on, which no later part
renews; by number and octets under one prefix; and by number for one sender, so that a sender who
sends nothing but first parts displaces only parts of his own. The oldest goes first.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from vumi.codecs.gsm_shifts import Shifts
from vumi.tasks import deferred
from vumi.transports.smpp.udh import Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

__all__ = ["MultipartLimits", "MultipartMessages"]

#: What the scripts have in common. KEYS: the message's hash; those of all that wait, by age; their
#: octets; those of the sender, by age. The field "from" of a message names that key of its own
#: sender.
SHARED = """
local key, waiting, sizes, sender = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local function unlist(old)
    redis.call('ZREM', waiting, old)
    redis.call('ZREM', redis.call('HGET', old, 'from') or sender, old)
    local size = tonumber(redis.call('HGET', sizes, old) or '0')
    redis.call('HDEL', sizes, old)
    if redis.call('EXISTS', waiting) == 0 then
        redis.call('DEL', sizes)
    else
        redis.call('HINCRBY', sizes, 'total', -size)
    end
end
local function forget(old)
    unlist(old)
    redis.call('DEL', old)
end
local function oldest(set)
    return redis.call('ZRANGE', set, 0, 0)[1]
end
"""

#: ARGV: the part's number, its value, how many there are, seconds, the time, and the limits:
#: messages, octets, messages of one sender.
#: Gives how many messages were forgotten for the limits, 'missing', 'done' or 'complete', and then
#: all parts.
ADD = (
    SHARED
    + """
local number, value, total = ARGV[1], ARGV[2], tonumber(ARGV[3])
local expiry, now = tonumber(ARGV[4]), tonumber(ARGV[5])
local before = redis.call('HGET', key, number)
local done = redis.call('HEXISTS', key, 'done') == 1
local kept = {}
if before == value then
    redis.call('HSET', key, 'again:' .. number, '1')
    if done then return {0, 'done'} end
elseif before or done then
    -- Another message. What was taken for sent again before this part was its beginning.
    for earlier = 1, tonumber(number) - 1 do
        if redis.call('HEXISTS', key, 'again:' .. earlier) == 1 then
            kept[tostring(earlier)] = redis.call('HGET', key, tostring(earlier))
        end
    end
    forget(key)
end
local forgotten = 0
if before ~= value then
    local is_new = redis.call('EXISTS', key) == 0
    kept[number] = value
    if is_new then
        redis.call('ZADD', waiting, now, key)
        redis.call('ZADD', sender, now, key)
        redis.call('HSET', key, 'from', sender)
    end
    for field, octets in pairs(kept) do
        redis.call('HSET', key, field, octets)
        redis.call('HINCRBY', sizes, key, #octets)
        redis.call('HINCRBY', sizes, 'total', #octets)
    end
    if is_new then
        for _, set in ipairs(KEYS) do redis.call('EXPIRE', set, expiry) end
        for _, old in ipairs(redis.call('ZRANGEBYSCORE', waiting, '-inf', now - expiry)) do
            forget(old)
        end
        redis.call('ZREMRANGEBYSCORE', sender, '-inf', now - expiry)
        while redis.call('ZCARD', sender) > tonumber(ARGV[8]) do
            forget(oldest(sender))
            forgotten = forgotten + 1
        end
    end
    while redis.call('ZCARD', waiting) > tonumber(ARGV[6])
        or tonumber(redis.call('HGET', sizes, 'total') or '0') > tonumber(ARGV[7]) do
        forget(oldest(waiting))
        forgotten = forgotten + 1
    end
end
if redis.call('HLEN', key) < total then return {forgotten, 'missing'} end
local found = {forgotten, 'complete'}
for part = 1, total do
    found[part + 2] = redis.call('HGET', key, tostring(part))
    if not found[part + 2] then return {forgotten, 'missing'} end
end
return found
"""
)

#: ARGV: seconds.
FINISH = (
    SHARED
    + """
if redis.call('EXISTS', key) == 1 then
    redis.call('HSET', key, 'done', '1')
    redis.call('EXPIRE', key, ARGV[1])
    unlist(key)
end
"""
)

#: Of so many messages that are forgotten for a limit one is told to the log.
LOG_EVERY = 1000


@dataclass(frozen=True)
class MultipartLimits:
    """How much may wait for its other parts.

    :param expiry: How many seconds after its first part an incomplete message is forgotten.
    :param messages: How many messages may be incomplete.
    :param octets: How many octets they may have together, as they are stored.
    :param sender_messages: How many messages of one sender may be incomplete.
    :param done_expiry: How many seconds a complete one is remembered, to recognise parts that the
        SMSC sends again as it has missed our answer.
    """

    expiry: int = 86400
    messages: int = 10_000
    octets: int = 64 * 1024 * 1024
    sender_messages: int = 100
    done_expiry: int = 300


class MultipartMessages:
    """Keeps parts until the others come.

    The keys are ``multipart:<from>:<to>:<kind>:<reference>:<total>``, and for the limits
    ``multipart_waiting``, ``multipart_octets`` and ``multipart_from:<from>``.

    :param redis: The manager, with the prefix that transports share to which parts of one message
        may come.
    :param limits: How much may wait.
    :param now: Tells the time of day, in seconds; it is compared with that of other processes.
    """

    log = Logger()

    def __init__(
        self,
        redis: Any,
        limits: MultipartLimits = MultipartLimits(),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._now = now
        self._forgotten = 0
        # Executed twice, they leave and give the same.
        self._add = redis.script(ADD, repeatable=True)
        self._finish = redis.script(FINISH, repeatable=True)

    @deferred
    async def add(self, from_addr: str, to_addr: str, part: Part) -> list[Part] | None:
        """Keep a part.

        :returns: Fires with all parts in order if this was the last one; ``None`` if others are
            missing; an empty list if it belongs to a message that was done with before.
        """
        limits = self._limits
        forgotten, outcome, *parts = await self._add(
            _keys(from_addr, to_addr, part),
            [
                part.number,
                _to_text(part),
                part.total,
                limits.expiry,
                f"{self._now():.3f}",
                limits.messages,
                limits.octets,
                limits.sender_messages,
            ],
        )
        if forgotten:
            self._note_forgotten(int(forgotten), from_addr)
        if outcome == "missing":
            return None
        return [_from_text(part, number, text) for number, text in enumerate(parts, 1)]

    def _note_forgotten(self, forgotten: int, from_addr: str) -> None:
        if self._forgotten % LOG_EVERY + forgotten >= LOG_EVERY or not self._forgotten:
            self.log.warn(
                "More messages wait for their other parts than may: the oldest are forgotten, "
                "{count} so far; the last part that came is from {from_addr}",
                event="smpp-parts-forgotten",
                count=self._forgotten + forgotten,
                from_addr=from_addr,
            )
        self._forgotten += forgotten

    def finish(self, from_addr: str, to_addr: str, part: Part) -> Deferred[Any]:
        """Say that a message is safe.

        :param part: Any of its parts.
        """
        done_expiry = min(self._limits.done_expiry, self._limits.expiry)
        done: Deferred[Any] = self._finish(_keys(from_addr, to_addr, part), [done_expiry])
        return done


def _keys(from_addr: str, to_addr: str, part: Part) -> list[str]:
    message = f"{from_addr}:{to_addr}:{part.kind}:{part.reference}:{part.total}"
    return [
        f"multipart:{message}",
        "multipart_waiting",
        "multipart_octets",
        f"multipart_from:{from_addr}",
    ]


def _to_text(part: Part) -> str:
    coding = str(part.data_coding)
    if any(part.shifts):
        coding += f"/{part.shifts.locking}/{part.shifts.single}"
    return f"{coding}:{part.payload.hex()}"


def _from_text(like: Part, number: int, text: str) -> Part:
    coding, _, payload = text.partition(":")
    data_coding, *shifts = map(int, coding.split("/"))
    return Part(
        like.reference,
        like.total,
        number,
        bytes.fromhex(payload),
        data_coding,
        like.kind,
        Shifts(*shifts),
    )
