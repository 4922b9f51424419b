"""The message store: all messages sent and received, for applications and tools.

Knows its parts, each of which has some of the operations, and how it is opened as a configuration
says. Knows no database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.components.message_store.cache import MessageStoreCache
from vumi.components.message_store.config import MessageStoreConfig
from vumi.components.message_store.counts import Counts
from vumi.components.message_store.erasing import Erasing
from vumi.components.message_store.messages import Batches, Messages
from vumi.components.message_store.pages import Listings
from vumi.components.message_store.regex_search import RegexSearch
from vumi.tasks import deferred

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MessageStore"]


class MessageStore(Batches, Messages, Listings, Counts, RegexSearch, Erasing):
    """All messages sent and received, their events, and the batches that they belong to.

    Each operation gives a Deferred. Operations that fail do so by
    :class:`~vumi.errors.StoreUnavailable` if the archive can't be reached, and by
    :class:`~vumi.errors.StoreError` if it can't do what it was asked.

    :param manager: The archive, opened: provides
        :class:`~vumi.components.message_store.interface.IMessageArchive`.
    :param redis: A manager of the key-value store in which figures are kept; ``None``: each figure
        is counted in the archive when it is asked for.
    """

    def __init__(self, manager: Any, redis: Any = None) -> None:
        super().__init__(manager, None if redis is None else MessageStoreCache(redis))
        self._redis = redis
        self._closes_redis: Any = None

    @property
    def manager(self) -> Any:
        """The archive, under the old name of what stands between a store and its database."""
        return self.archive

    @classmethod
    @deferred
    async def from_config(
        cls, config: Mapping[str, Any] | str, reactor: Any = None, *, create: bool = True
    ) -> Any:
        """Open a message store.

        :param config: The options of ``message_store``, see
            :class:`~vumi.components.message_store.config.MessageStoreConfig`; or only its URL.
        :param reactor: Twisted's, or what the archive is to use in its place.
        :param create: Whether an archive is made if there is none. If not, that is refused.
        :returns: Fires with the store.
        :raises ConfigError: An option can't be used.
        :raises StoreUnavailable: The archive or Redis can't be reached.
        """
        settings = MessageStoreConfig({"url": config} if isinstance(config, str) else config)
        archive = settings.archive(reactor, create)
        await archive.open()
        redis: Any = None
        try:
            if settings.redis_manager is not None:
                redis = await settings.redis()
            store = cls(archive, redis)
        except BaseException:
            await archive.close()
            raise
        store._closes_redis = redis
        return store

    @deferred
    async def close(self) -> None:
        """Finish what is being written, and let go of the archive.

        Redis is let go of too, if :meth:`from_config` has opened it.
        """
        await self.archive.close()
        redis, self._closes_redis = self._closes_redis, None
        if redis is not None:
            await redis.close_manager()
