"""The key-value store in this process: for demos, an author's own loop, and tests.

fakeredis does the work: Redis's commands, expiry and Lua scripts. This module gives it a clock
that tests can move, and the shape of the old Vumi's ``FakeRedis``. What differs from that:

* It does what Redis 7 does, also where the old one did not: setting or deleting a key forgets its
  expiry, all commands are there, renaming a key to itself is no error.
* Time passes by the real clock, and by ``clock.advance()``. Commands take none: in the old one
  each took 0.1 seconds.
* Deferreds have fired when they are given, unless ``VUMI_FAKE_REDIS_WAIT`` says to wait.
* Values are texts, sets are copies.

Needs the extra ``redis`` (fakeredis with Lua).
"""

from __future__ import annotations

import os
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from vumi.errors import ConfigError
from vumi.extras import needs_extra
from vumi.persist.blocking import response_error
from vumi.persist.commands import Commands
from vumi.persist.interface import IKeyValueStore, ResponseError, encode_word
from vumi.process_reactor import process_reactor

with needs_extra("redis"):
    import fakeredis
    import redis

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from vumi.persist.interface import Reply, Word

__all__ = ["FakeRedis", "LaterStore", "ResponseError", "Zset", "shared_fake"]

#: Seconds until a reply, where replies are Deferreds.
WAIT_VARIABLE = "VUMI_FAKE_REDIS_WAIT"

#: The version of Redis whose behaviour is wanted.
VERSION = (7,)


@implementer(IKeyValueStore)
class FakeRedis(Commands[Any]):
    """A store in this process. Its commands are those of the managers, without a key prefix.

    :param charset: Only UTF-8.
    :param errors: Taken, but without effect: bytes that are no UTF-8 are surrogate escapes.
    :param async_: Whether its commands give Deferreds. The old name ``async`` works too, as
        ``FakeRedis(**{"async": True})``.

    :ivar clock: A :class:`twisted.internet.task.Clock`; advancing it lets keys expire.
    """

    address = "memory:"

    def __init__(
        self, charset: str = "utf-8", errors: str = "strict", async_: bool = False, **kw: Any
    ) -> None:
        if charset.lower().replace("_", "-") not in ("utf-8", "utf8"):
            raise ValueError(f"charset {charset!r}: values are UTF-8")
        self.is_async = bool(kw.pop("async", async_))
        if kw:
            raise TypeError(f"FakeRedis has no argument {min(kw)!r}")
        self.charset = charset
        self.errors = errors
        self.clock = Clock()
        server = fakeredis.FakeServer(version=VERSION)
        _follow(server, self.clock)
        self._client = fakeredis.FakeRedis(server=server, version=VERSION, protocol=2)
        # The client would make something of the replies; that is this package's own business.
        self._client.response_callbacks.clear()
        self._later = LaterStore(self)

    def __deepcopy__(self, memo: object) -> FakeRedis:
        # A configuration that holds it is copied to share it.
        return self

    # The seam

    def execute(self, words: Sequence[bytes], repeatable: bool = False) -> Reply:
        try:
            return self._client.execute_command(*words)
        except redis.ResponseError as error:
            raise response_error(error) from None

    def close(self) -> None:
        """Do nothing: others may use it."""

    # Commands

    def _call(self, convert: Callable[[Reply], Any], repeatable: bool, *words: Word) -> Any:
        encoded = [encode_word(word) for word in words]
        if self.is_async:
            return self._later.execute(encoded).addCallback(convert)
        return convert(self.execute(encoded))

    def flushdb(self) -> Any:
        """Delete all keys."""
        return self._call(bool, False, b"FLUSHDB")

    def teardown(self) -> None:
        """Forget the replies that are still to come."""
        self._later.forget()


@implementer(IKeyValueStore)
class LaterStore:
    """A store that blocks, made to give Deferreds.

    :param store: A store in this process.
    :param reactor: What to wait by; ``None``: Twisted's reactor.

    Deferreds have fired already, as the reply is there. If the environment has
    ``VUMI_FAKE_REDIS_WAIT`` they fire after that many seconds, as if Redis were far.
    """

    def __init__(self, store: FakeRedis, reactor: IReactorTime | None = None) -> None:
        self.store = store
        self.address = store.address
        self._reactor = reactor
        self._seconds = float(os.environ.get(WAIT_VARIABLE) or 0)
        self._to_come: dict[IDelayedCall, Callable[[], None]] = {}

    def execute(self, words: Sequence[bytes], repeatable: bool = False) -> Deferred[Reply]:
        try:
            reply = self.store.execute(words, repeatable)
        except ResponseError as error:
            if self._seconds <= 0:
                return fail()
            return self._after_a_while(Failure(error))
        return self._after_a_while(reply) if self._seconds > 0 else succeed(reply)

    def close(self) -> Deferred[None]:
        """Give the replies that are still to come."""
        while self._to_come:
            timer, arrive = self._to_come.popitem()
            timer.cancel()
            arrive()
        return succeed(None)

    def forget(self) -> None:
        """Forget the replies that are still to come."""
        while self._to_come:
            timer, _ = self._to_come.popitem()
            timer.cancel()

    def _after_a_while(self, reply: Reply) -> Deferred[Reply]:
        if self._reactor is None:
            self._reactor = cast("IReactorTime", process_reactor())
        later: Deferred[Reply] = Deferred()

        def arrive() -> None:
            self._to_come.pop(timer, None)
            if later.called:
                return
            if isinstance(reply, Failure):
                later.errback(reply)
            else:
                later.callback(reply)

        timer = self._reactor.callLater(self._seconds, arrive)
        self._to_come[timer] = arrive
        return later


class Zset:
    """One sorted set in memory: ``zadd``, ``zrange`` and the other commands, without a key.

    :param redis: What to keep it in; ``None``: a :class:`FakeRedis` of its own.
    :param key: Under which key.
    """

    def __init__(self, redis: FakeRedis | None = None, key: str = "zset") -> None:
        self._redis = FakeRedis() if redis is None else redis
        self._zset_key = key

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not name.startswith("z"):
            raise AttributeError(name)
        return partial(getattr(self._redis, name), self._zset_key)


def shared_fake(given: Any) -> FakeRedis:
    """The store in the process that a ``FAKE_REDIS`` option means.

    :param given: A :class:`FakeRedis`, or a manager of one: that one. Anything else: a new one.
    :raises ConfigError: It is a manager of a real Redis.
    """
    store = given
    while not isinstance(store, FakeRedis):
        behind = getattr(store, "_store", None) or getattr(store, "store", None)
        if behind is None:
            break
        store = behind
    if isinstance(store, FakeRedis):
        return store
    if store is not given:
        raise ConfigError("FAKE_REDIS: the manager that was given is one of a real Redis.")
    return FakeRedis()


def _follow(server: Any, clock: Clock) -> None:
    """Have all databases of a server go by a clock, in addition to the real time."""
    database_class: Any = type(server.dbs[0])

    class ClockedDatabase(database_class):
        @property
        def time(self) -> float:
            return self._real_time + clock.seconds()

        @time.setter
        def time(self, now: float) -> None:
            self._real_time = now

    server.dbs = defaultdict(lambda: ClockedDatabase(server.lock))
