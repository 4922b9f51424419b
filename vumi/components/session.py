"""What an application remembers of its users from message to message, in the key-value store.

Knows how a session is kept, and when it ends. Knows no messages.

A session is a hash under ``session:<user id>``. It is written as a whole, together with its time
to live, so no crash leaves one that is half written or that never ends.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from vumi.persist.redis_base import Manager
from vumi.persist.txredis_manager import TxRedisManager

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SessionManager"]

PREFIX = "session:"

#: About how many keys to look at in one step while looking for sessions.
SCAN_COUNT = 500

#: Seconds, three thousand years: more than this, infinity included, is the same to Redis.
FOR_EVER = 1e11

#: Arguments: milliseconds to live (0: as before), whether to forget all fields that are not given,
#: then fields and values.
SAVE = """
if ARGV[2] == '1' then redis.call('DEL', KEYS[1]) end
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
if ARGV[1] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
"""


class SessionManager:
    """Keeps sessions: for each user a dict of texts.

    Methods give Deferreds. With a manager that blocks
    (:class:`~vumi.persist.redis_manager.RedisManager`) they block, and give what the Deferreds
    would.

    :param redis: The manager of the key-value store.
    :param max_session_length: Seconds after which a session ends, counted from when it was last
        saved; ``None``: never.
    :param gc_period: No longer used: Redis itself ends sessions.
    """

    log = Logger()

    def __init__(
        self, redis: Any, max_session_length: float | None = None, gc_period: float | None = None
    ) -> None:
        if gc_period is not None:
            self.log.warn(
                "SessionManager: 'gc_period' is no longer used: Redis ends sessions.",
                event="session-gc-period-unused",
            )
        self.redis = self.manager = redis
        self.max_session_length = max_session_length
        self._save = redis.script(SAVE, repeatable=True)

    @classmethod
    def from_redis_config(
        cls,
        config: Mapping[str, Any],
        key_prefix: str | None = None,
        max_session_length: float | None = None,
        gc_period: float | None = None,
    ) -> Deferred[Any]:
        """Make one with a connection of its own.

        :param config: The options of the key-value store, a worker's ``redis_manager``.
        :param key_prefix: What keys have besides the prefix in `config`.
        :returns: Fires with it once it is connected.
        """

        async def connect() -> SessionManager:
            redis = await TxRedisManager.from_config(config)
            if key_prefix is not None:
                redis = redis.sub_manager(key_prefix)
            return cls(redis, max_session_length, gc_period)

        return Deferred.fromCoroutine(connect())

    def stop(self, stop_redis: bool = True) -> Any:
        """Let go of the store.

        :param stop_redis: Whether to close the manager that was given.
        """
        return self.redis.close_manager() if stop_redis else None

    @Manager.calls_manager
    def active_sessions(self) -> Any:
        """All sessions, as a list of pairs of user id and session.

        Looks at all keys of the store, in small steps. What begins or ends meanwhile may be
        missing.
        """
        sessions: dict[str, dict[str, str]] = {}
        cursor = None
        while True:
            cursor, keys = yield self.redis.scan(cursor, match=f"{PREFIX}*", count=SCAN_COUNT)
            for key in keys:
                user_id = key.removeprefix(PREFIX)
                if user_id not in sessions:
                    session = yield self.load_session(user_id)
                    # It may have ended since its key was found.
                    if session:
                        sessions[user_id] = session
            if cursor is None:
                return list(sessions.items())

    def load_session(self, user_id: str) -> Any:
        """A user's session; an empty dict if there is none. All values are texts."""
        return self.redis.hgetall(PREFIX + user_id)

    def schedule_session_expiry(self, user_id: str, timeout: float) -> Any:
        """Have a session end earlier or later than others, unless it is saved before that.

        :param timeout: In how many seconds.
        """
        return self.redis.pexpire(PREFIX + user_id, _milliseconds(timeout))

    @Manager.calls_manager
    def create_session(self, user_id: str, **kw: Any) -> Any:
        """Begin a session. One that the user has already is forgotten.

        :param kw: What it begins with, besides ``created_at``, the time in seconds since 1970.
        :returns: The session, as :meth:`load_session` gives it.
        """
        session = {"created_at": repr(time.time()), **kw}
        yield self._store(user_id, session, replace=True)
        session = yield self.load_session(user_id)
        return session

    def clear_session(self, user_id: str) -> Any:
        """End a session."""
        return self.redis.delete(PREFIX + user_id)

    @Manager.calls_manager
    def save_session(self, user_id: str, session: Mapping[str, Any], replace: bool = False) -> Any:
        """Save a session's fields; it then lives for another `max_session_length`.

        :param session: The fields. Texts, numbers and booleans; they are loaded as texts.
        :param replace: Whether fields that are not given are forgotten, rather than kept.
        :returns: What was given.
        :raises TypeError: A value is something else.
        """
        yield self._store(user_id, session, replace)
        return session

    def _store(self, user_id: str, session: Mapping[str, Any], replace: bool) -> Any:
        length = self.max_session_length
        words: list[Any] = [_milliseconds(length) if length else 0, int(replace)]
        for field, value in session.items():
            words += (field, str(value) if isinstance(value, bool) else value)
        return self._save([PREFIX + user_id], words)


def _milliseconds(seconds: float) -> int:
    """Seconds as Redis takes them, and never as nothing: that would be no bound, or the end."""
    return math.ceil(min(seconds, FOR_EVER) * 1000) if seconds > 0 else 0
