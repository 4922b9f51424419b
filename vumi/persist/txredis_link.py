"""One connection to Redis: from the TCP connect to its end.

Of txredisapi it takes the protocol's parser only. txredisapi's own way of connecting stops for
good when SELECT fails, as it does while a restarted Redis loads its data; and it sends nothing
again. What keeps connections is :mod:`~vumi.persist.txredis_client`.

To be imported late: txredisapi imports the reactor, which chooses it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.protocol import Factory

from vumi.endpoints import client_endpoint, detect_dead_peer
from vumi.errors import StoreError, StoreUnavailable
from vumi.extras import needs_extra
from vumi.persist.interface import Reply, ResponseError
from vumi.persist.outages import (
    RECONNECT_CODES,
    in_words,
    no_master,
    not_for_now,
    not_now_code,
    refused,
)
from vumi.persist.txredis_command import Command

with needs_extra("redis"):
    from txredisapi import RedisError, RedisProtocol
    from txredisapi import ResponseError as Refusal

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from vumi.persist.address import Login, RedisAddress

__all__ = ["Link", "connect_link"]

#: How long one of several Sentinels may take, in seconds; less if there is less time.
SENTINEL_SECONDS = 3.0


class Link(RedisProtocol):
    """A connection.

    :param clock: Tells the time.
    :param seconds: How long what was sent may stay unacknowledged by the peer's system.
    :param where: Redis's address, for words.

    :ivar in_flight: What was written and not answered, in order.
    :ivar put_off: What Redis has refused with one of ``RECONNECT_CODES``, in order. With something
        in it nothing more is to be sent: the connection is given up as soon as all that is in
        flight is answered.
    :ivar heard_at: When something was last received.
    :ivar lost: Fires with the reason once the connection has ended.
    """

    def __init__(self, clock: Any, seconds: float, where: str = "an unknown address") -> None:
        super().__init__(charset=None, convertNumbers=False)
        self.in_flight: deque[Command] = deque()
        self.put_off: list[Command] = []
        self.lost: Deferred[Any] = Deferred()
        self.heard_at = 0.0
        self._clock = clock
        self._seconds = seconds
        self._where = where
        self._reason: object = None
        self._put_off_by = ""

    # Twisted's side

    def connectionMade(self) -> None:
        self.heard_at = self._clock.seconds()
        detect_dead_peer(self.transport, self._seconds)

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        self.heard_at = self._clock.seconds()
        try:
            super().dataReceived(data, unpause)
        except RedisError as error:
            self.abort(f"what answers is not Redis ({in_words(error)})")

    def connectionLost(self, why: Failure) -> None:
        super().connectionLost(why)
        reason = why.value if self._reason is None else self._reason
        for command in self.in_flight:
            if command.deadline is None:
                command.fail(StoreUnavailable(in_words(reason)))
        self.lost.callback(reason)

    def replyReceived(self, reply: Any) -> None:
        if not self.in_flight:
            self.abort(f"it said {in_words(reply)!r} unasked")
            return
        command = self.in_flight.popleft()
        if not isinstance(reply, Exception):
            command.succeed(reply)
        elif not isinstance(reply, Refusal):
            command.fail(StoreError(in_words(reply)))
            self.abort(f"what answers is not Redis ({in_words(reply)})")
        else:
            self._refused(command, str(reply))
        if self.put_off and not self.in_flight:
            self.abort(self._put_off_by)

    def _refused(self, command: Command, text: str) -> None:
        code = not_now_code(text)
        if code is None:
            command.fail(ResponseError(text))
        elif code in RECONNECT_CODES and command.deadline is not None:
            self.put_off.append(command)
            self._put_off_by = text
        else:
            command.fail(not_for_now(self._where, str(command), text))

    # Our side

    def send(self, command: Command) -> None:
        """Write a command."""
        self.in_flight.append(command)
        self.transport.write(command.data)

    def ask(self, *words: bytes) -> Deferred[Reply]:
        """Write a command of our own, that dies with the connection."""
        command = Command(words)
        self.send(command)
        return command.result

    def abort(self, reason: object = None) -> None:
        """Drop the connection at once.

        :param reason: Why, if not because of what the other side did.
        """
        if self._reason is None:
            self._reason = reason
        self.transport.abortConnection()


async def connect_link(address: RedisAddress, reactor: Any, seconds: float) -> Link:
    """Connect, log in, choose the database and make sure that Redis takes commands.

    :param seconds: How long all that may take.
    :raises Refused: Redis does not let us in.
    :raises StoreError: or another error that says why there is no connection.
    """
    connecting = Deferred.fromCoroutine(_connect(address, reactor, seconds))
    try:
        return await connecting.addTimeout(seconds, reactor)
    except (DeferredTimeout, ConnectingCancelledError):
        raise StoreUnavailable(f"it did not answer within {seconds:g} s") from None


async def _connect(address: RedisAddress, reactor: Any, seconds: float) -> Link:
    if address.service is None:
        host, port = address.hosts[0]
    else:
        host, port = await _ask_sentinels(address, reactor, seconds)
    link = await _open(host, port, address, reactor, seconds)
    try:
        await _log_in(link, address, address.login)
        if address.db:
            await _granted(link, address, b"SELECT", b"%d" % address.db)
        # A Redis that loads its data takes the login, but no commands yet.
        await _granted(link, address, b"PING")
        if address.service is not None:
            role = await link.ask(b"ROLE")
            if role[0] != b"master":
                raise StoreUnavailable(f"{host}:{port} is not the master any more")
    except BaseException:
        link.abort()
        raise
    return link


async def _open(host: str, port: int, address: RedisAddress, reactor: Any, seconds: float) -> Link:
    # Half, so that what can be sent again still has time to be.
    factory = Factory.forProtocol(lambda: Link(reactor, seconds / 2, str(address)))
    factory.noisy = False
    endpoint = client_endpoint(host, port, address.tls, reactor, seconds, "Redis")
    return cast("Link", await endpoint.connect(factory))


async def _log_in(link: Link, address: RedisAddress, login: Login) -> None:
    if login.password is not None:
        words = [login.username, login.password] if login.username else [login.password]
        await _granted(link, address, b"AUTH", *(word.encode() for word in words))


async def _granted(link: Link, address: RedisAddress, *words: bytes) -> Reply:
    try:
        return await link.ask(*words)
    except ResponseError as error:
        raise refused(address, str(error)) from None


async def _ask_sentinels(address: RedisAddress, reactor: Any, seconds: float) -> tuple[str, int]:
    """Where the master is: the first Sentinel that knows it tells.

    As in https://redis.io/docs/latest/develop/reference/sentinel-clients/.
    """
    # Each gets its share, and the master one too.
    share = min(SENTINEL_SECONDS, seconds / (len(address.hosts) + 1))
    problems = []
    for host, port in address.hosts:
        asking = Deferred.fromCoroutine(_ask_sentinel(host, port, address, reactor))
        try:
            return await asking.addTimeout(share, reactor)
        except (DeferredTimeout, ConnectingCancelledError):
            problems.append(f"{host}:{port} did not answer")
        except (StoreError, ConnectError, OSError) as error:
            problems.append(f"{host}:{port}: {in_words(error)}")
    raise no_master(address, problems)


async def _ask_sentinel(
    host: str, port: int, address: RedisAddress, reactor: Any
) -> tuple[str, int]:
    link = await _open(host, port, address, reactor, SENTINEL_SECONDS)
    try:
        await _log_in(link, address, address.sentinel_login)
        assert address.service is not None  # noqa: S101 (tells the type checker)
        found = await _granted(
            link, address, b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", address.service.encode()
        )
    finally:
        link.abort()
    if not found:
        raise StoreError("it does not know that service")
    return found[0].decode(), int(found[1])
