"""The commands of the key-value store: their words, and what is made of the replies.

Each command is here once, for Deferreds and for blocking use, for Redis and for the store in this
process; a subclass says how a command is sent (:meth:`Commands._call`) and how a key is prefixed.
What each does in detail: https://redis.io/docs/latest/commands/.

Values are ``str``. Bytes that are not UTF-8 come as surrogate escapes
(:pep:`383`) and go back as they were. A text with half a surrogate pair, which a phone or JSON may
give, comes back as it was.

Repeatable are commands that leave the same, and reply the same, if they are executed twice: all
that only read, and of those that write ``set``, ``setex``, ``hset``, ``hmset``, ``expire`` and
``pexpire``.
(The reply to ``hset`` may then say that the field was there.) Not repeatable are, for instance,
``incr``, ``lpush`` and ``spop``, nor ``setnx``, ``sadd``, ``srem`` and ``delete``: who takes a
lock or a task by one of these goes by the reply.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vumi.persist.interface import decode_word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vumi.persist.interface import Reply, Word

__all__ = ["Commands", "decoded", "glob_escaped"]

#: What a command gives: ``Any``, or ``Deferred[Any]``.
R = TypeVar("R")

_GLOB_CHARACTERS = re.compile(r"[][*?^\\-]")


def glob_escaped(text: str) -> str:
    """A pattern for ``keys`` and ``scan`` that only this text fits."""
    return _GLOB_CHARACTERS.sub(r"\\\g<0>", text)


# What is made of replies


def _text(reply: Reply) -> str | None:
    return decode_word(reply) if isinstance(reply, bytes) else reply


def _number(reply: Reply) -> int:
    return int(reply)


def _truth(reply: Reply) -> bool:
    return bool(reply)


def _done(reply: Reply) -> bool:
    return True


def _texts(reply: Reply) -> list[str | None]:
    return [_text(item) for item in reply or ()]


def _text_set(reply: Reply) -> set[str | None]:
    return set(_texts(reply))


def _mapping(reply: Reply) -> dict[str | None, str | None]:
    texts = iter(_texts(reply))
    return dict(zip(texts, texts, strict=True))


def _score(reply: Reply) -> float | None:
    return None if reply is None else float(reply)


def _scored(reply: Reply) -> list[tuple[str | None, float]]:
    items = iter(reply)
    return [(_text(member), float(score)) for member, score in zip(items, items, strict=True)]


def _seconds_left(reply: Reply) -> int | None:
    return None if reply < 0 else int(reply)


def decoded(reply: Reply) -> Any:
    """A reply with all bytes in it as texts: what a script gives."""
    if isinstance(reply, list):
        return [decoded(item) for item in reply]
    return _text(reply)


class Commands(Generic[R]):
    """All commands. Keys are prefixed on the way in and un-prefixed on the way out."""

    def _call(self, convert: Callable[[Reply], Any], repeatable: bool, *words: Word) -> R:
        """Send a command.

        :param convert: Makes the result of the reply.
        :param repeatable: Whether it may be executed twice (see the top of this module).
        """
        raise NotImplementedError

    def _key(self, key: str) -> str:
        """The key as the store has it."""
        return key

    def _unkey(self, key: str) -> str:
        """The key as the program has it."""
        return key

    def _pattern(self, pattern: str) -> str:
        """The pattern for keys as the store has them."""
        return pattern

    def _own_keys(self, reply: Reply) -> list[str]:
        return [self._unkey(key) for key in _texts(reply) if key is not None]

    # Any key

    def type(self, key: str) -> R:
        """The type of a key's value: ``string``, ``hash``, …; ``none`` if there is no such key."""
        return self._call(_text, True, b"TYPE", self._key(key))

    def exists(self, key: str) -> R:
        """Whether there is such a key."""
        return self._call(_truth, True, b"EXISTS", self._key(key))

    def keys(self, pattern: str = "*") -> R:
        """The keys that fit a pattern, as a list. Blocks Redis: see :meth:`scan`."""
        return self._call(self._own_keys, True, b"KEYS", self._pattern(pattern))

    def scan(self, cursor: str | int | None, match: str = "*", count: int | None = None) -> R:
        """Some of the keys that fit a pattern. A key may come more than once.

        :param cursor: ``None`` to begin with, then what the last call gave.
        :param match: The pattern.
        :param count: About how many keys to look at.
        :returns: ``[next cursor, keys]``; the cursor is ``None`` at the end.
        """

        def page(reply: Reply) -> list[Any]:
            following, keys = reply
            next_cursor = _text(following)
            return [None if next_cursor == "0" else next_cursor, self._own_keys(keys)]

        words: list[Word] = [b"SCAN", 0 if cursor is None else cursor]
        words += [b"MATCH", self._pattern(match)]
        if count is not None:
            words += [b"COUNT", count]
        return self._call(page, True, *words)

    def rename(self, key: str, newkey: str) -> R:
        """Rename a key, over another one if need be.

        :raises ResponseError: There is no such key.
        """
        return self._call(_done, False, b"RENAME", self._key(key), self._key(newkey))

    def delete(self, key: str) -> R:
        """Delete a key; gives how many there were."""
        return self._call(_number, False, b"DEL", self._key(key))

    # Time to live

    def expire(self, key: str, seconds: int) -> R:
        """Let a key go after some seconds; gives whether there is such a key."""
        return self._call(_truth, True, b"EXPIRE", self._key(key), seconds)

    def pexpire(self, key: str, milliseconds: int) -> R:
        """Let a key go after some milliseconds; gives whether there is such a key."""
        return self._call(_truth, True, b"PEXPIRE", self._key(key), milliseconds)

    def persist(self, key: str) -> R:
        """Let a key stay; gives whether it was to go."""
        return self._call(_truth, False, b"PERSIST", self._key(key))

    def ttl(self, key: str) -> R:
        """In how many seconds a key goes; ``None`` if it stays or there is none."""
        return self._call(_seconds_left, True, b"TTL", self._key(key))

    # Strings

    def get(self, key: str) -> R:
        """A value; ``None`` if there is none."""
        return self._call(_text, True, b"GET", self._key(key))

    def set(self, key: str, value: Word) -> R:
        """Set a value, for ever."""
        return self._call(_done, True, b"SET", self._key(key), value)

    def setnx(self, key: str, value: Word) -> R:
        """Set a value if there is no such key; gives whether it was set."""
        return self._call(_truth, False, b"SETNX", self._key(key), value)

    def setex(self, key: str, seconds: int, value: Word) -> R:
        """Set a value for some seconds."""
        return self._call(_done, True, b"SETEX", self._key(key), seconds, value)

    def incr(self, key: str, amount: int = 1) -> R:
        """Add to a number; gives the sum."""
        return self._call(_number, False, b"INCRBY", self._key(key), amount)

    def incrby(self, key: str, amount: int) -> R:
        """Add to a number; gives the sum."""
        return self.incr(key, amount)

    def decr(self, key: str, amount: int = 1) -> R:
        """Take from a number; gives the difference."""
        return self._call(_number, False, b"DECRBY", self._key(key), amount)

    def decrby(self, key: str, amount: int) -> R:
        """Take from a number; gives the difference."""
        return self.decr(key, amount)

    # Hashes

    def hset(self, key: str, field: Word, value: Word) -> R:
        """Set a field; gives 1 if it is new, 0 if not."""
        return self._call(_number, True, b"HSET", self._key(key), field, value)

    def hsetnx(self, key: str, field: Word, value: Word) -> R:
        """Set a field if there is no such field; gives whether it was set."""
        return self._call(_truth, False, b"HSETNX", self._key(key), field, value)

    def hget(self, key: str, field: Word) -> R:
        """A field's value; ``None`` if there is none."""
        return self._call(_text, True, b"HGET", self._key(key), field)

    def hdel(self, key: str, *fields: Word) -> R:
        """Delete fields; gives how many there were."""
        return self._call(_number, False, b"HDEL", self._key(key), *fields)

    def hmset(self, key: str, mapping: Mapping[Any, Word]) -> R:
        """Set fields.

        :raises ResponseError: The mapping is empty.
        """
        words = [word for pair in mapping.items() for word in pair]
        return self._call(_done, True, b"HMSET", self._key(key), *words)

    def hgetall(self, key: str) -> R:
        """All fields and their values, as a dict; an empty one if there is no such key."""
        return self._call(_mapping, True, b"HGETALL", self._key(key))

    def hlen(self, key: str) -> R:
        """How many fields there are."""
        return self._call(_number, True, b"HLEN", self._key(key))

    def hvals(self, key: str) -> R:
        """All fields' values, as a list."""
        return self._call(_texts, True, b"HVALS", self._key(key))

    def hincrby(self, key: str, field: Word, amount: int = 1) -> R:
        """Add to a field's number; gives the sum."""
        return self._call(_number, False, b"HINCRBY", self._key(key), field, amount)

    def hexists(self, key: str, field: Word) -> R:
        """Whether there is such a field."""
        return self._call(_truth, True, b"HEXISTS", self._key(key), field)

    # Sets

    def sadd(self, key: str, *values: Word) -> R:
        """Add to a set; gives how many are new."""
        return self._call(_number, False, b"SADD", self._key(key), *values)

    def smembers(self, key: str) -> R:
        """A set's values, as a set; an empty one if there is no such key."""
        return self._call(_text_set, True, b"SMEMBERS", self._key(key))

    def spop(self, key: str) -> R:
        """Take any value out of a set; ``None`` if there is none."""
        return self._call(_text, False, b"SPOP", self._key(key))

    def srem(self, key: str, value: Word) -> R:
        """Take a value out of a set; gives how many there were."""
        return self._call(_number, False, b"SREM", self._key(key), value)

    def scard(self, key: str) -> R:
        """How many values a set has."""
        return self._call(_number, True, b"SCARD", self._key(key))

    def smove(self, src: str, dst: str, value: Word) -> R:
        """Move a value from one set to another; gives whether it was there."""
        return self._call(_truth, False, b"SMOVE", self._key(src), self._key(dst), value)

    def sunion(self, key: str, *keys: str) -> R:
        """The values of several sets, as a set."""
        return self._call(_text_set, True, b"SUNION", *map(self._key, (key, *keys)))

    def sismember(self, key: str, value: Word) -> R:
        """Whether a set has a value."""
        return self._call(_truth, True, b"SISMEMBER", self._key(key), value)

    # Sorted sets

    def zadd(self, key: str, mapping: Mapping[Any, Word] | None = None, /, **scores: Word) -> R:
        """Add to a sorted set, or give new scores; gives how many are new.

        :param mapping: Scores by member.
        :param scores: The same, where members are names.
        :raises ResponseError: A score is no number, or there are none.
        """
        words = [
            w for member, score in (dict(mapping or {}) | scores).items() for w in (score, member)
        ]
        return self._call(_number, False, b"ZADD", self._key(key), *words)

    def zrem(self, key: str, value: Word) -> R:
        """Take a member out of a sorted set; gives how many there were."""
        return self._call(_number, False, b"ZREM", self._key(key), value)

    def zcard(self, key: str) -> R:
        """How many members a sorted set has."""
        return self._call(_number, True, b"ZCARD", self._key(key))

    def zrange(
        self, key: str, start: int, stop: int, desc: bool = False, withscores: bool = False
    ) -> R:
        """The members from one position to another, that one included, by score.

        :param desc: The highest score first.
        :param withscores: Give pairs of member and score.
        """
        return self._ranked(
            withscores, b"ZREVRANGE" if desc else b"ZRANGE", self._key(key), start, stop
        )

    def zrangebyscore(
        self,
        key: str,
        min: Word = "-inf",
        max: Word = "+inf",
        start: int | None = None,
        num: int | None = None,
        withscores: bool = False,
    ) -> R:
        """The members with scores from one to another, that one included.

        :param min: The lowest score; ``(5`` is more than five.
        :param max: The highest score.
        :param start: How many to leave out; given together with `num`.
        :param num: How many to give.
        :param withscores: Give pairs of member and score.
        :raises ValueError: Only one of `start` and `num` is given.
        """
        if (start is None) != (num is None):
            raise ValueError("zrangebyscore: give both start and num, or none of them")
        limit: list[Word] = []
        if start is not None and num is not None:
            limit = [b"LIMIT", start, num]
        return self._ranked(withscores, b"ZRANGEBYSCORE", self._key(key), min, max, rest=limit)

    def _ranked(self, withscores: bool, *words: Word, rest: list[Word] | None = None) -> R:
        if withscores:
            words = (*words, b"WITHSCORES")
        return self._call(_scored if withscores else _texts, True, *words, *(rest or ()))

    def zscore(self, key: str, value: Word) -> R:
        """A member's score, as a float; ``None`` if there is none."""
        return self._call(_score, True, b"ZSCORE", self._key(key), value)

    def zcount(self, key: str, min: Word, max: Word) -> R:
        """How many members have scores from one to another, that one included."""
        return self._call(_number, True, b"ZCOUNT", self._key(key), min, max)

    def zremrangebyrank(self, key: str, start: int, stop: int) -> R:
        """Take out the members from one position to another; gives how many there were."""
        return self._call(_number, False, b"ZREMRANGEBYRANK", self._key(key), start, stop)

    # Lists

    def llen(self, key: str) -> R:
        """How many values a list has."""
        return self._call(_number, True, b"LLEN", self._key(key))

    def lpop(self, key: str) -> R:
        """Take the first value; ``None`` if there is none."""
        return self._call(_text, False, b"LPOP", self._key(key))

    def rpop(self, key: str) -> R:
        """Take the last value; ``None`` if there is none."""
        return self._call(_text, False, b"RPOP", self._key(key))

    def lpush(self, key: str, obj: Word) -> R:
        """Put a value first; gives how many there are now."""
        return self._call(_number, False, b"LPUSH", self._key(key), obj)

    def rpush(self, key: str, obj: Word) -> R:
        """Put a value last; gives how many there are now."""
        return self._call(_number, False, b"RPUSH", self._key(key), obj)

    def lrange(self, key: str, start: int, end: int) -> R:
        """The values from one position to another, that one included."""
        return self._call(_texts, True, b"LRANGE", self._key(key), start, end)

    def lrem(self, key: str, value: Word, num: int = 0) -> R:
        """Take a value out of a list; gives how often it was there.

        :param num: How many at most: from the start, if negative from the end; 0: all.
        """
        return self._call(_number, False, b"LREM", self._key(key), num, value)

    def rpoplpush(self, source: str, destination: str) -> R:
        """Move a list's last value to the start of another list, and give it."""
        return self._call(_text, False, b"RPOPLPUSH", self._key(source), self._key(destination))

    def ltrim(self, key: str, start: int, stop: int) -> R:
        """Keep the values from one position to another, that one included."""
        return self._call(_done, False, b"LTRIM", self._key(key), start, stop)

    # HyperLogLogs

    def pfadd(self, key: str, *values: Word) -> R:
        """Count values; gives 1 if the estimate has changed, 0 if not."""
        return self._call(_number, False, b"PFADD", self._key(key), *values)

    def pfcount(self, key: str) -> R:
        """About how many different values were counted."""
        return self._call(_number, True, b"PFCOUNT", self._key(key))
