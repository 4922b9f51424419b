"""The manager that gives Deferreds: the one that workers use.

Knows which store a configuration asks for. Connecting is :mod:`vumi.persist.txredis_client`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, inlineCallbacks, maybeDeferred

from vumi.persist.config import RedisConfig, check_installed, warn_of_unknown
from vumi.persist.interface import encode_word
from vumi.persist.redis_base import Manager
from vumi.persist.txredis_client import TxRedisClient
from vumi.process_reactor import process_reactor
from vumi.tasks import deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vumi.persist.interface import Reply, Word

__all__ = ["TxRedisManager"]


class TxRedisManager(Manager["Deferred[Any]"]):
    """The key-value store for code that runs in the reactor: every command gives a Deferred."""

    call_decorator = staticmethod(inlineCallbacks)

    @classmethod
    @deferred
    async def from_config(cls, config: Mapping[str, Any]) -> TxRedisManager:
        """Connect as a worker's ``redis_manager`` option says.

        :param config: The options, see :class:`vumi.persist.config.RedisConfig`. Not changed.
        :returns: Fires with the manager when the connection is there.
        :raises ConfigError: An option can't be used; all that is wrong is told.
        :raises StoreUnavailable: There was no connection within ``connect_timeout`` seconds.
        :raises StoreError: Redis is there but refuses the login or the database.
        """
        settings = RedisConfig(config)
        warn_of_unknown(config)
        check_installed("fakeredis" if settings.address.in_process else "txredisapi")
        store: Any
        if settings.address.in_process:
            from vumi.persist.fake_redis import LaterStore, shared_fake

            store = LaterStore(shared_fake(settings.FAKE_REDIS))
        else:
            store = TxRedisClient(settings.address, process_reactor(), settings.timeout)
            await store.start(settings.connect_timeout)
        return cls(store, settings.key_prefix, settings.key_separator)

    def _call(
        self, convert: Callable[[Reply], Any], repeatable: bool, *words: Word
    ) -> Deferred[Any]:
        try:
            reply: Deferred[Reply] = self._store.execute(
                [encode_word(word) for word in words], repeatable
            )
        except Exception:  # noqa: BLE001 (it becomes the Deferred's failure)
            return fail()
        return reply.addCallback(convert)

    def _close_store(self, store: Any) -> Deferred[Any]:
        return maybeDeferred(store.close)
