"""Messages that come in several parts: which part a PDU is, and waiting for the others.

Knows user data headers (3GPP TS 23.040, section 9.2.3.24) and how parts are kept in the key-value
store until all are there. Knows no PDU and no text: a part is bytes.

Parts are kept in a hash until all are there *and* the message is safe with the broker: only then
the SMSC is told that the last part has arrived. Had we crashed before, it would send that one
again, and the others would still be here. One script does each step, so it doesn't matter to which
process a part comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred

__all__ = [
    "IncompleteMessage",
    "MultipartMessages",
    "Part",
    "find_legacy_part",
    "find_udh_part",
    "split_udh",
]

#: Information elements that say which part of a message this is.
CONCATENATED_8_BIT, CONCATENATED_16_BIT = 0x00, 0x08


@dataclass(frozen=True)
class Part:
    """One part of a message.

    :ivar reference: What the parts of one message have in common.
    :ivar total: How many there are, from 2 to 255.
    :ivar number: Which one this is, from 1.
    :ivar payload: Its bytes, without headers.
    :ivar data_coding: How they are encoded.
    :ivar kind: Whence the reference: references of different kinds are never the same.
    """

    reference: int
    total: int
    number: int
    payload: bytes
    data_coding: int = 0
    kind: str = "udh"

    @property
    def sensible(self) -> bool:
        """Whether the numbers can be; else they are to be ignored (9.2.3.24.1)."""
        return 1 <= self.number <= self.total <= 255


class IncompleteMessage(ValueError):
    """A user data header is longer than what it is in."""


# Headers


def split_udh(data: bytes) -> tuple[dict[int, bytes], bytes]:
    """Split what begins with a user data header.

    :param data: What a PDU with the UDHI bit has as its message.
    :returns: The information elements by their number (of several alike the last), and the rest.
    :raises IncompleteMessage: The header says that it is longer.
    """
    if not data:
        raise IncompleteMessage("There is no user data header.")
    end = data[0] + 1
    if end > len(data):
        raise IncompleteMessage("The user data header is cut off.")
    elements: dict[int, bytes] = {}
    position = 1
    while position < end:
        if position + 2 > end or position + 2 + data[position + 1] > end:
            raise IncompleteMessage("An information element is cut off.")
        start, length = position + 2, data[position + 1]
        elements[data[position]] = data[start : start + length]
        position = start + length
    return elements, data[end:]


def find_udh_part(data: bytes, data_coding: int) -> tuple[Part | None, bytes]:
    """Find out which part something with a user data header is.

    :returns: The part, or ``None`` if it is not one of several; and the message without header.
    :raises IncompleteMessage: The header is cut off.
    """
    elements, payload = split_udh(data)
    long, short = elements.get(CONCATENATED_16_BIT, b""), elements.get(CONCATENATED_8_BIT, b"")
    if len(long) == 4:
        reference, total, number = int.from_bytes(long[:2], "big"), long[2], long[3]
        part = Part(reference, total, number, payload, data_coding, "udh16")
    elif len(short) == 3:
        part = Part(short[0], short[1], short[2], payload, data_coding, "udh8")
    else:
        return None, payload
    return (part if part.sensible else None), payload


def find_legacy_part(data: bytes, data_coding: int) -> Part | None:
    """Find one of the headers that the old Vumi took for one, whatever the PDU said.

    Besides the 8-bit header these are two that no standard has: one without its own length, and a
    16-bit one with the number of the 8-bit one. A text that begins so is taken for a part.
    """
    if data.startswith(b"\x05\x00\x03") and len(data) >= 6:
        part = Part(data[3], data[4], data[5], data[6:], data_coding, "udh8")
    elif data.startswith(b"\x00\x03") and len(data) >= 5:
        part = Part(data[2], data[3], data[4], data[5:], data_coding, "legacy5")
    elif data.startswith(b"\x06\x00\x04") and len(data) >= 7:
        reference = int.from_bytes(data[3:5], "big")
        part = Part(reference, data[5], data[6], data[7:], data_coding, "legacy6")
    else:
        return None
    return part if part.sensible else None


# Waiting for all parts

#: KEYS: the message's hash. ARGV: the part's number, its value, how many there are, seconds.
#: Gives nothing (parts are missing), an empty list (the message is done with) or all parts.
#: A part that is there with another value is of a new message that has the same reference.
ADD = """
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before and before ~= ARGV[2] then
    redis.call('DEL', KEYS[1])
elseif redis.call('HEXISTS', KEYS[1], 'done') == 1 then
    if before then return {} end
    redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
local total = tonumber(ARGV[3])
if redis.call('HLEN', KEYS[1]) < total then return false end
local parts = {}
for number = 1, total do
    parts[number] = redis.call('HGET', KEYS[1], tostring(number))
    if not parts[number] then return false end
end
return parts
"""

#: KEYS: the message's hash. ARGV: seconds.
FINISH = """
if redis.call('EXISTS', KEYS[1]) == 1 then
    redis.call('HSET', KEYS[1], 'done', '1')
    redis.call('EXPIRE', KEYS[1], ARGV[1])
end
"""


class MultipartMessages:
    """Keeps parts until the others come.

    The keys are ``multipart:<from>:<to>:<kind>:<reference>:<total>``.

    :param redis: The manager, with the prefix that transports share to which parts of one message
        may come.
    :param expiry: How many seconds after its last part an incomplete message is forgotten.
    :param done_expiry: How many seconds a complete one is remembered, to recognise parts that the
        SMSC sends again as it has missed our answer.
    """

    def __init__(self, redis: Any, expiry: int, done_expiry: int = 300) -> None:
        self._expiry = expiry
        self._done_expiry = min(done_expiry, expiry)
        # Executed twice, they leave and give the same.
        self._add = redis.script(ADD, repeatable=True)
        self._finish = redis.script(FINISH, repeatable=True)

    def add(self, from_addr: str, to_addr: str, part: Part) -> Deferred[list[Part] | None]:
        """Keep a part.

        :returns: Fires with all parts in order if this was the last one; ``None`` if others are
            missing; an empty list if it belongs to a message that was done with before.
        """
        return Deferred.fromCoroutine(self._add_part(from_addr, to_addr, part))

    async def _add_part(self, from_addr: str, to_addr: str, part: Part) -> list[Part] | None:
        found = await self._add(
            [_key(from_addr, to_addr, part)],
            [part.number, _to_text(part), part.total, self._expiry],
        )
        if found is None:
            return None
        return [_from_text(part, number, text) for number, text in enumerate(found, 1)]

    def finish(self, from_addr: str, to_addr: str, part: Part) -> Deferred[Any]:
        """Say that a message is safe.

        :param part: Any of its parts.
        """
        done: Deferred[Any] = self._finish([_key(from_addr, to_addr, part)], [self._done_expiry])
        return done


def _key(from_addr: str, to_addr: str, part: Part) -> str:
    return f"multipart:{from_addr}:{to_addr}:{part.kind}:{part.reference}:{part.total}"


def _to_text(part: Part) -> str:
    return f"{part.data_coding}:{part.payload.hex()}"


def _from_text(like: Part, number: int, text: str) -> Part:
    data_coding, _, payload = text.partition(":")
    return Part(
        like.reference,
        like.total,
        number,
        bytes.fromhex(payload),
        int(data_coding),
        like.kind,
    )
