"""The old name of the session manager, which was the blocking one.

:class:`vumi.components.session.SessionManager` works with both kinds of managers.
"""

from __future__ import annotations

import warnings
from typing import Any

from vumi.components import session

__all__ = ["SessionManager"]


class SessionManager(session.SessionManager):
    """Keeps sessions under ``<prefix>:session:<user id>``.

    :param r_server: A manager of the key-value store:
        :class:`~vumi.persist.redis_manager.RedisManager` for methods that block,
        :class:`~vumi.persist.txredis_manager.TxRedisManager` for Deferreds.
    :param prefix: What keys begin with.
    :param max_session_length: Seconds after which a session ends; ``None``: never.
    :param gc_period: No longer used: Redis itself ends sessions.
    """

    def __init__(
        self,
        r_server: Any,
        prefix: str,
        max_session_length: float | None = None,
        gc_period: float = 1.0,
    ) -> None:
        warnings.warn(
            "vumi.application.SessionManager is deprecated. Use "
            "vumi.components.session.SessionManager with a manager's sub_manager().",
            DeprecationWarning,
            stacklevel=2,
        )
        super().__init__(r_server.sub_manager(prefix), max_session_length)
        self.r_server = r_server
        self.r_prefix = prefix

    def r_key(self, *args: str) -> str:
        """The key that parts make, with this manager's prefix."""
        return ":".join([self.r_prefix, *args])

    def stop(self, stop_redis: bool = False) -> Any:
        """Nothing to stop; the store is closed by whoever opened it."""
        return super().stop(stop_redis)
