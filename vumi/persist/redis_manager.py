"""The manager that blocks: for scripts and other programs without a reactor.

In a worker it would hold up everything else. Knows which store a configuration asks for;
connecting is :mod:`vumi.persist.blocking`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.persist.config import RedisConfig, check_installed, warn_of_unknown
from vumi.persist.interface import encode_word
from vumi.persist.redis_base import Manager
from vumi.utils import flatten_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vumi.persist.interface import Reply, Word

__all__ = ["RedisManager"]


class RedisManager(Manager[Any]):
    """The key-value store for code that may wait: every command gives its result."""

    call_decorator = staticmethod(flatten_generator)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> RedisManager:
        """Make a manager as a ``redis_manager`` option says. The first command connects.

        :param config: The options, see :class:`vumi.persist.config.RedisConfig`. Not changed.
        :raises ConfigError: An option can't be used; all that is wrong is told.
        """
        settings = RedisConfig(config)
        warn_of_unknown(config)
        check_installed("fakeredis" if settings.address.in_process else "redis")
        store: Any
        if settings.address.in_process:
            from vumi.persist.fake_redis import shared_fake

            store = shared_fake(settings.FAKE_REDIS)
        else:
            from vumi.persist.blocking import BlockingRedis

            store = BlockingRedis(settings.address, settings.timeout)
        return cls(store, settings.key_prefix, settings.key_separator)

    def _call(self, convert: Callable[[Reply], Any], repeatable: bool, *words: Word) -> Any:
        encoded = [encode_word(word) for word in words]
        return convert(self._store.execute(encoded, repeatable))
