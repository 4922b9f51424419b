"""The databases of a test: where its workers keep their state.

Part of the public test kit, which :mod:`vumi.tests.helpers` offers whole. Knows the config options
by which a worker is told of its databases, and the managers by which it reaches them.

Messages are stored in SQLite, in memory. Workers get a key-value store in the process. With
``VUMITEST_REDIS_DB=<number>`` in the environment they get that database of the Redis at
127.0.0.1:6379 instead, or where their config says.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.internet.defer import Deferred
from zope.interface import implementer

from vumi.errors import StoreUnavailable
from vumi.persist.redis_base import Manager
from vumi.tasks import settle
from vumi.tests.case import IHelper
from vumi.tests.proxies import proxyable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vumi.persist.address import RedisAddress

__all__ = ["PersistenceHelper", "PersistenceHelperError", "RiakDisabledForTest"]

PREFIX = "vumitest"
#: An archive of messages that is gone when it is closed.
MEMORY = "sqlite://"
#: How long a command may take when a Redis is cleaned up, in seconds.
PURGE_SECONDS = 5.0


class _Watchers:
    """The helpers that are set up. While there are any, each is told of every manager made."""

    def __init__(self) -> None:
        self._helpers: list[PersistenceHelper] = []
        self._original = Manager.__init__

    def add(self, helper: PersistenceHelper) -> None:
        if not self._helpers:
            self._original = original = Manager.__init__

            def watched(manager: Any, store: Any, *args: Any, **kw: Any) -> None:
                original(manager, store, *args, **kw)
                for watcher in self._helpers:
                    watcher.watch(manager, store)

            Manager.__init__ = watched  # type: ignore[assignment,method-assign]  # until discard()
        self._helpers.append(helper)

    def discard(self, helper: PersistenceHelper) -> None:
        if helper in self._helpers:
            self._helpers.remove(helper)
            if not self._helpers:
                Manager.__init__ = self._original  # type: ignore[method-assign]  # as it was


_watchers = _Watchers()


class PersistenceHelperError(Exception):
    """A :class:`PersistenceHelper` was asked for what it can't do."""


class RiakDisabledForTest:
    """Stands in a config for Riak in tests that don't use it; whoever touches it is told so."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            # What copying, printing and comparing look for.
            raise AttributeError(name)
        raise RuntimeError(
            "This test does not use Riak. If it should, pass use_riak=True to the helper."
        )

    def __deepcopy__(self, memo: object) -> RiakDisabledForTest:
        return self


@implementer(IHelper)
class PersistenceHelper:
    """Gives workers databases of their own, and empties them after the test.

    :param use_riak: Whether the test stores messages as the old Vumi said it (``riak_manager``).
    :param is_sync: Whether the managers given by this helper block, or return Deferreds. Message
        stores give Deferreds always.
    :param assert_closed: Whether leaving an archive of messages open is an error.
    """

    def __init__(
        self, use_riak: bool = False, is_sync: bool = False, assert_closed: bool = False
    ) -> None:
        self.use_riak = use_riak
        self.is_sync = is_sync
        self.assert_closed = assert_closed
        self._is_set_up = False
        self._stores: list[Any] = []
        self._archives: list[Any] = []
        self._prefixes: set[tuple[RedisAddress, str, str]] = set()

    def setup(self) -> None:
        """Get ready: from now on, whatever manager is made is closed at the end."""
        self._is_set_up = True
        _watchers.add(self)

    def cleanup(self) -> Any:
        """Close the managers, and delete what they have left in a Redis.

        :returns: A Deferred, if one of them gives Deferreds.
        """
        self._is_set_up = False
        _watchers.discard(self)
        stores, self._stores = self._stores, []
        archives, self._archives = self._archives, []
        closing = [store.close() for store in [*archives, *stores]]
        if archives and self.assert_closed:
            closing.append(Deferred.fromCoroutine(_fail_for(len(archives))))
        if any(isinstance(closed, Deferred) for closed in closing):
            return Deferred.fromCoroutine(self._purge_after(closing))
        self._purge()
        return None

    async def _purge_after(self, closing: list[Any]) -> None:
        for closed in closing:
            await settle(closed)
        self._purge()

    def watch(self, manager: Any, store: Any) -> None:
        """Note a manager that was made."""
        # Not the manager: who holds it decides about the connection.
        if not any(store is known for known in self._stores):
            self._stores.append(store)
        # A store in the process is gone anyway. Without a prefix it is not known what is ours.
        where, prefix = getattr(store, "where", None), manager.get_key_prefix()
        if where is not None and prefix is not None:
            self._prefixes.add((where, prefix, manager._key_separator))

    def _purge(self) -> None:
        prefixes, self._prefixes = self._prefixes, set()
        for where, prefix, separator in prefixes:
            from vumi.persist.blocking import BlockingRedis
            from vumi.persist.redis_manager import RedisManager

            manager = RedisManager(BlockingRedis(where, PURGE_SECONDS), prefix, separator)
            # If the test has left no Redis there, it has left nothing in it.
            with suppress(StoreUnavailable):
                manager._purge_all()
            manager.close_manager()

    def _check_set_up(self) -> None:
        if not self._is_set_up:
            raise PersistenceHelperError(
                "The PersistenceHelper is not set up: call setup() first, or pass it to "
                "add_helper(), which does."
            )

    @proxyable
    def mk_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of a worker's config, with the options that say where its databases are."""
        self._check_set_up()
        databases: dict[str, Any] = {"redis_manager": {"FAKE_REDIS": "yes", "key_prefix": PREFIX}}
        if self.use_riak:
            databases["riak_manager"] = {"bucket_prefix": PREFIX, "url": MEMORY}
        elif "message_store" not in config:
            databases["riak_manager"] = RiakDisabledForTest()
        return {**databases, **config}

    @proxyable
    def get_redis_manager(self, config: Mapping[str, Any] | None = None) -> Any:
        """A manager of the key-value store.

        :param config: What a worker's ``redis_manager`` option may have. By default a store of its
            own, in the process; to share a worker's, give its manager as ``FAKE_REDIS``.
        :returns: A :class:`~vumi.persist.redis_manager.RedisManager` if this helper is
            synchronous, else a Deferred of a
            :class:`~vumi.persist.txredis_manager.TxRedisManager`.
        """
        self._check_set_up()
        if config is None:
            config = self.mk_config({})["redis_manager"]
        if self.is_sync:
            from vumi.persist.redis_manager import RedisManager

            return RedisManager.from_config(config)
        from vumi.persist.txredis_manager import TxRedisManager

        return TxRedisManager.from_config(config)

    @proxyable
    def get_riak_manager(self, config: Mapping[str, Any] | None = None) -> Deferred[Any]:
        """An archive of messages, open and empty, in memory: what a MessageStore is made of.

        :param config: What ``riak_manager`` may have; not looked at.
        :returns: Fires with what provides
            :class:`~vumi.components.message_store.interface.IMessageArchive`.
        """
        self._check_set_up()
        return Deferred.fromCoroutine(self._archive())

    async def _archive(self) -> Any:
        from twisted.internet import reactor

        from vumi.components.message_store.config import open_archive

        archive = open_archive(MEMORY, reactor)
        await archive.open()
        self._archives.append(archive)
        opened: Any = archive
        opened.close = _noting(archive.close, lambda: self._forget(archive))
        return archive

    def _forget(self, archive: Any) -> None:
        if archive in self._archives:
            self._archives.remove(archive)

    @proxyable
    def get_message_store(self, config: Mapping[str, Any] | None = None) -> Deferred[Any]:
        """A message store in memory, with figures in a key-value store.

        :param config: What ``redis_manager`` may have; see :meth:`get_redis_manager`.
        :returns: Fires with a :class:`~vumi.components.message_store.MessageStore`.
        """
        self._check_set_up()
        return Deferred.fromCoroutine(self._message_store(config))

    async def _message_store(self, config: Mapping[str, Any] | None) -> Any:
        from vumi.components.message_store import MessageStore
        from vumi.persist.txredis_manager import TxRedisManager

        if config is None:
            config = self.mk_config({})["redis_manager"]
        return MessageStore(await self._archive(), await TxRedisManager.from_config(config))

    @proxyable
    def record_load_and_store(
        self, riak_manager: Any, loads: list[str], stores: list[str]
    ) -> None:
        """Note the ids of what is loaded from an archive and stored in it.

        :param riak_manager: The archive.
        :param loads: Where ids of messages and events are put that are asked for.
        :param stores: Where ids are put that are stored.
        """
        self._check_set_up()
        for name, note in (
            ("get_message", lambda kind, message_id: loads.append(message_id)),
            ("get_messages", lambda kind, message_ids: loads.extend(message_ids)),
            ("get_event", lambda event_id: loads.append(event_id)),
            ("get_events", lambda event_ids: loads.extend(event_ids)),
            ("store_message", lambda kind, message, *_: stores.append(message["message_id"])),
            ("store_event", lambda event, *_: stores.append(event["event_id"])),
        ):
            setattr(riak_manager, name, _noting(getattr(riak_manager, name), note))


#: Whether a call was noted that this one is a part of.
_noted: ContextVar[bool] = ContextVar("noted", default=False)


def _noting(method: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
    def noting(*args: Any, **kw: Any) -> Any:
        if not _noted.get():
            note(*args, **kw)
        outer = _noted.set(True)
        try:
            return method(*args, **kw)
        finally:
            _noted.reset(outer)

    return noting


async def _fail_for(number: int) -> None:
    raise PersistenceHelperError(f"The test has left {number} archives of messages open.")
