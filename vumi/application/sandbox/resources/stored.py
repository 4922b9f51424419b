"""Resources that keep something in the key-value store.

Knows when the store is opened and closed, and how what one sandbox keeps is told from what all
others do. Knows no key by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.application.sandbox.resources.declared import DeclaredResource
from vumi.config import Config
from vumi.errors import StoreError
from vumi.persist.config import ConfigRedis

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["StoredConfig", "StoredResource", "safe_id"]


class StoredConfig(Config):
    """Where a resource keeps what it keeps."""

    redis_manager = ConfigRedis(
        "Where it is kept (see ``vumi.persist.config.RedisConfig``). Give each application a "
        "``key_prefix`` of its own.",
        default={},
        static=True,
    )


def safe_id(sandbox_id: str) -> str:
    """A sandbox's id as a part of a key: with no ``#`` in it, which ends it there.

    Otherwise the sandbox ``a`` could reach, by a key that begins with ``b#``, what the sandbox
    ``a#b`` has.
    """
    return sandbox_id.replace("%", "%25").replace("#", "%23")


class StoredResource(DeclaredResource):
    """A resource with a manager of the key-value store."""

    CONFIG_CLASS: ClassVar[type[Config]] = StoredConfig

    def __init__(self, name: str, app_worker: Any, config: Mapping[str, Any]) -> None:
        super().__init__(name, app_worker, config)
        self._redis: Any = None

    async def setup(self) -> None:
        """Connect.

        :raises StoreUnavailable: There is no connection.
        """
        # The store's libraries are extras.
        from vumi.persist.txredis_manager import TxRedisManager

        self._redis = await TxRedisManager.from_config(self.options.redis_manager)
        self.use(self._redis)

    async def teardown(self) -> None:
        """Close the connection."""
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.close_manager()

    @property
    def redis(self) -> Any:
        """The manager.

        :raises StoreError: The resource is not set up.
        """
        if self._redis is None:
            raise StoreError(f"The resource {self.name!r} is not set up.")
        return self._redis

    def use(self, redis: Any) -> None:
        """Called when the manager is there, to make scripts. To be overridden."""
