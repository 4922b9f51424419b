"""What middlewares have in common that keep something in the key-value store.

Knows when the store is opened and closed. Knows nothing of what is kept there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from vumi.middleware.base import BaseMiddleware, BaseMiddlewareConfig
from vumi.persist.config import ConfigRedis
from vumi.persist.txredis_manager import TxRedisManager
from vumi.steady_clock import wall_seconds
from vumi.tasks import deferred

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["StoreMiddleware", "StoreMiddlewareConfig"]


class StoreMiddlewareConfig(BaseMiddlewareConfig):
    """Configuration of a middleware that keeps something in Redis."""

    redis_manager = ConfigRedis(
        "Where Redis is, and the ``key_prefix`` that all keys of this middleware begin with.",
        default={},
        static=True,
    )


class StoreMiddleware(BaseMiddleware):
    """A middleware with a connection to the key-value store, :attr:`redis`.

    Subclasses that have something to set up override :meth:`setup_store`.

    :ivar redis: The store, once the middleware is set up.
    :ivar clock: For tests: a :class:`twisted.internet.task.Clock` to go by. By default the time is
        the computer's, and timers are the worker's.
    """

    CONFIG_CLASS = StoreMiddlewareConfig

    #: What this middleware's keys have after the config's prefix; ``None`` is nothing.
    SUB_PREFIX: ClassVar[str | None] = None

    log = Logger()

    def __init__(self, name: str, config: Mapping[str, Any], worker: Any) -> None:
        super().__init__(name, config, worker)
        self.redis: Any = None
        self.clock: Any = None
        self._manager: Any = None

    @deferred
    async def setup_middleware(self) -> None:
        self._manager = await TxRedisManager.from_config(self.config.redis_manager)
        prefix = self.SUB_PREFIX
        self.redis = self._manager if prefix is None else self._manager.sub_manager(prefix)
        self.setup_store()

    def setup_store(self) -> None:
        """Called once :attr:`redis` is there."""

    def teardown_middleware(self) -> Deferred[Any]:
        manager, self._manager = self._manager, None
        if manager is None:
            return succeed(None)
        closed: Deferred[Any] = manager.close_manager()
        return closed

    def unix_time(self) -> float:
        """The time now, in seconds since 1970."""
        return time.time() if self.clock is None else wall_seconds(self.clock)

    def timers(self) -> Any:
        """What has ``callLater``."""
        return self.worker.clock if self.clock is None else self.clock
