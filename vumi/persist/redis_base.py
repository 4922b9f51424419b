"""What all managers of the key-value store have in common.

A manager is the commands (:class:`~vumi.persist.commands.Commands`) with a key prefix, on a
connection that it may share with others. Knows no Redis: what is connected to is behind
:class:`~vumi.persist.interface.IKeyValueStore`.

There are no transactions (MULTI/EXEC): on a connection that others use they need care at every
call. What must happen as a whole is a Lua script (:meth:`Manager.script`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, overload
from weakref import WeakSet, ref

from vumi.errors import StoreError
from vumi.persist.commands import Commands, R, decoded, glob_escaped
from vumi.persist.interface import ResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vumi.persist.interface import Reply, Word

__all__ = ["Manager", "Script"]

DEFAULT_SEPARATOR = ":"

Method = TypeVar("Method", bound=Callable[..., Any])


class Manager(Commands[R]):
    """Access to the keys under one prefix.

    :param store: Provides :class:`~vumi.persist.interface.IKeyValueStore`.
    :param key_prefix: Put before every key, with the separator; ``None``: keys are left alone.
    :param key_separator: What stands between prefix and key.
    :param sharing: The manager whose connection this one shares; ``None``: this is the owner.

    **Closing.** The manager that :meth:`from_config` gave owns the connection: closing it closes
    the connection, for its sub-managers too. Closing a sub-manager ends this sub-manager only, so
    a component that closes what it was given does no harm to others. But if the owner is not kept
    by anybody (``(await TxRedisManager.from_config(config)).sub_manager("sessions")``), then
    closing the last one of its sub-managers closes the connection.
    """

    #: What commands fail with that Redis refuses.
    RESPONSE_ERROR: ClassVar[type[Exception]] = ResponseError

    #: Makes a method of a generator function: one that returns a Deferred, or one that blocks.
    call_decorator: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        store: Any,
        key_prefix: str | None = None,
        key_separator: str = DEFAULT_SEPARATOR,
        *,
        sharing: Manager[R] | None = None,
    ) -> None:
        self._store = store
        self._key_prefix = key_prefix
        self._key_separator = key_separator
        self._head = "" if key_prefix is None else f"{key_prefix}{key_separator}"
        self._sharers: _Sharers = _Sharers(self) if sharing is None else sharing._sharers
        if sharing is not None:
            self._sharers.join(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._head}* at {self._store.address}>"

    def __deepcopy__(self, memo: object) -> Self:
        # A configuration that holds it (FAKE_REDIS) is copied to share it.
        return self

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Connect as a worker's ``redis_manager`` option says.

        :param config: The options, see :class:`vumi.persist.config.RedisConfig`. Not changed.
        :returns: The manager, or a Deferred of it.
        :raises ConfigError: An option can't be used; all that is wrong is told.
        """
        raise NotImplementedError

    def sub_manager(self, prefix: str) -> Self:
        """A manager on the same connection, with one more prefix after this one's.

        It has the same separator. See the class for what closing it does.
        """
        return type(self)(self._store, self._key(prefix), self._key_separator, sharing=self)

    def get_key_prefix(self) -> str | None:
        """The prefix, without the last separator."""
        return self._key_prefix

    def close_manager(self) -> R:
        """Close this manager; whether that closes the connection, the class tells.

        Commands under way are finished first, within a bound. Later ones fail with
        :class:`~vumi.errors.StoreError`. Closing again does nothing.
        """
        last = self._sharers.leave(self)
        if not isinstance(self._store, _ClosedStore):
            self._store = _ClosedStore(self._store, last)
        return self._close_store(self._store)

    def _close(self) -> R:
        """The old name of :meth:`close_manager`."""
        return self.close_manager()

    def _close_store(self, store: Any) -> R:
        result: R = store.close()
        return result

    # Keys

    def _key(self, key: str) -> str:
        return self._head + key

    def _unkey(self, key: str) -> str:
        return key.removeprefix(self._head)

    def _pattern(self, pattern: str) -> str:
        return glob_escaped(self._head) + pattern

    def _purge_all(self) -> R:
        """Delete every key under the prefix. For tests.

        :raises StoreError: There is no prefix: all that anybody has would be lost.
        """
        if self._key_prefix is None:
            raise StoreError("Not purged: this manager has no key_prefix, so all keys would go.")
        result: R = self.call_decorator(_purge)(self)
        return result

    # Scripts

    def script(self, source: str, repeatable: bool = False) -> Script[R]:
        """A Lua script. Redis executes it as a whole: nobody sees or changes anything meanwhile.

        :param source: The script. Keys are in ``KEYS``, prefixed; arguments in ``ARGV``.
        :param repeatable: Executing it twice leaves the same and replies the same, so it may be
            sent again if a connection is lost meanwhile.
        :returns: Called with keys and arguments, it gives the script's reply.
        """
        return Script(self, source, repeatable)

    #: redis-py's name for it.
    register_script = script

    # Methods that work with every kind of manager

    @overload
    @staticmethod
    def calls_manager(manager_attr: Method) -> Method: ...
    @overload
    @staticmethod
    def calls_manager(manager_attr: str) -> Callable[[Method], Method]: ...
    @staticmethod
    def calls_manager(manager_attr: Any) -> Any:
        """Make a generator a method that uses its object's manager, of whatever kind that is.

        What the generator yields it gets back when it is there. With a manager that gives
        Deferreds, the method gives a Deferred; with one that blocks, it blocks.

        :param manager_attr: The name of the attribute with the manager. Without arguments
            (``@Manager.calls_manager``) it is ``manager``.
        """
        if callable(manager_attr):
            return _calls_manager("manager", manager_attr)
        return lambda method: _calls_manager(manager_attr, method)


class Script(Generic[R]):
    """A Lua script on a manager's keys. Made by :meth:`Manager.script`.

    :ivar sha: What Redis knows it by.
    """

    def __init__(self, manager: Manager[R], source: str, repeatable: bool = False) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode("utf-8"), usedforsecurity=False).hexdigest()
        self._manager = manager
        self._repeatable = repeatable
        self._run = manager.call_decorator(self._try_by_sha)

    def __call__(self, keys: Sequence[str] = (), args: Sequence[Word] = ()) -> R:
        """Execute the script.

        :param keys: The keys that it uses, without the manager's prefix.
        :param args: Its arguments.
        :returns: Its reply: texts, whole numbers, ``None`` or lists of these.
        :raises ResponseError: It has failed.
        """
        result: R = self._run(keys, args)
        return result

    def _try_by_sha(self, keys: Sequence[str], args: Sequence[Word]) -> Generator[Any, Any, Any]:
        rest = (len(keys), *map(self._manager._key, keys), *args)
        call = self._manager._call
        try:
            reply = yield call(decoded, self._repeatable, b"EVALSHA", self.sha, *rest)
        except ResponseError as error:
            # Redis forgets scripts when it is started. Then it has not executed anything.
            if error.code != "NOSCRIPT":
                raise
            reply = yield call(decoded, self._repeatable, b"EVAL", self.source, *rest)
        return reply


def _calls_manager(manager_attr: str, method: Callable[..., Any]) -> Callable[..., Any]:
    decorated: dict[Any, Callable[..., Any]] = {}

    @wraps(method)
    def wrapper(self: Any, *args: Any, **kw: Any) -> Any:
        decorator = getattr(self, manager_attr).call_decorator
        if decorator not in decorated:
            decorated[decorator] = decorator(method)
        return decorated[decorator](self, *args, **kw)

    return wrapper


def _purge(manager: Manager[Any]) -> Generator[Any, Any, None]:
    cursor = None
    while True:
        cursor, keys = yield manager.scan(cursor, count=1000)
        for key in keys:
            yield manager.delete(key)
        if cursor is None:
            return


class _Sharers:
    """Who uses one connection: its owner, and the sub-managers that are still open."""

    def __init__(self, owner: Manager[Any]) -> None:
        # Weak, as a connection whose owner was thrown away must be closed by somebody else.
        self._owner = ref(owner)
        self._subs: WeakSet[Manager[Any]] = WeakSet()

    def join(self, sub: Manager[Any]) -> None:
        self._subs.add(sub)

    def leave(self, manager: Manager[Any]) -> bool:
        """Count a manager out; gives whether the connection is to be closed."""
        self._subs.discard(manager)
        owner = self._owner()
        return owner is manager or (owner is None and not self._subs)


class _ClosedStore:
    """Stands in for the store in a manager that was closed.

    :param last: Whether the store itself is to be closed with it.
    """

    def __init__(self, store: Any, last: bool) -> None:
        self.store = store
        self.address: str = store.address
        self._last = last

    def execute(self, words: Sequence[bytes], repeatable: bool = False) -> Reply:
        raise StoreError(
            f"{words[0].decode()}: this manager (of the store at {self.address}) was closed."
        )

    def close(self) -> Any:
        return self.store.close() if self._last else None
