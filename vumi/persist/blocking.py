"""A connection to Redis for those who may block, on redis-py.

Of redis-py it takes a single connection and the protocol; its own ways to try again would send any
command twice. Knows no command. May be used by several threads, which then wait for each other.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from vumi.errors import StoreError, StoreUnavailable
from vumi.extras import needs_extra
from vumi.persist.interface import IKeyValueStore, ResponseError
from vumi.persist.outages import (
    closed,
    in_words,
    lost,
    no_master,
    not_for_now,
    not_now_code,
    refused,
    unanswered,
    unreachable,
)

with needs_extra("redis"):
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
    from redis.sentinel import MasterNotFoundError, Sentinel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vumi.persist.address import RedisAddress
    from vumi.persist.interface import Reply

__all__ = ["BlockingRedis", "response_error"]

#: Seconds between attempts to connect: the first, and the most.
RETRY_INITIAL_DELAY, RETRY_MAX_DELAY = 0.1, 2.0

#: What a lost connection, or one that can't be made, shows as.
OUTAGES = (redis.ConnectionError, redis.TimeoutError, OSError)


class _NamedTLSConnection(redis.SSLConnection):
    """TLS to a host whose certificate has another name."""

    server_name: str | None = None

    def _wrap_socket_with_ssl(self, sock: Any) -> Any:
        host = self.host
        self.host = self.server_name or host
        try:
            return super()._wrap_socket_with_ssl(sock)
        finally:
            self.host = host


@implementer(IKeyValueStore)
class BlockingRedis:
    """A connection to Redis that is made with the first command, and again when it is lost.

    :param address: Where Redis is.
    :param timeout: How long a command may take, in seconds, waiting for a connection included.
    """

    def __init__(self, address: RedisAddress, timeout: float) -> None:
        self.where = address
        self.address = str(address)
        self.timeout = timeout
        self._lock = threading.Lock()
        self._connection: Any = None
        self._closed = False

    def execute(self, words: Sequence[bytes], repeatable: bool = False) -> Reply:
        with self._lock:
            return self._execute(words, repeatable)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._disconnect()

    def _execute(self, words: Sequence[bytes], repeatable: bool) -> Reply:
        command = words[0].decode("ascii", "replace")
        if self._closed:
            raise closed(self.where, command)
        deadline = time.monotonic() + self.timeout
        delay = RETRY_INITIAL_DELAY
        while True:
            sent = False
            try:
                connection = self._connected(deadline)
                sent = True
                return self._ask(connection, words, deadline)
            except redis.AuthenticationError as error:
                self._disconnect()
                raise refused(self.where, str(response_error(error))) from None
            except (redis.ResponseError, redis.BusyLoadingError) as error:
                refusal = response_error(error)
                if not_now_code(str(refusal)) is None:
                    raise refusal from None
                # It has not executed anything, so the same may be asked again.
                problem: StoreError = not_for_now(self.address, command, str(refusal))
            except OUTAGES as error:
                if not sent:
                    problem = self._unreachable(command, error)
                elif isinstance(error, redis.TimeoutError):
                    problem = unanswered(self.where, command, self.timeout, repeatable)
                else:
                    problem = lost(self.where, command, in_words(error))
            except BaseException:
                # Interrupted: the reply would be taken for the next command's.
                self._disconnect()
                raise
            self._disconnect()
            if isinstance(problem, StoreUnavailable) and problem.maybe_executed and not repeatable:
                raise problem
            if time.monotonic() + delay >= deadline:
                raise problem
            time.sleep(delay)
            delay = min(delay * 2, RETRY_MAX_DELAY)

    def _unreachable(self, command: str, error: Exception) -> StoreUnavailable:
        return unreachable(self.where, command, in_words(error), self.timeout)

    def _ask(self, connection: Any, words: Sequence[bytes], deadline: float) -> Reply:
        connection._sock.settimeout(_seconds_until(deadline))
        connection.send_command(*words)
        return connection.read_response(disable_decoding=True)

    # The connection

    def _connected(self, deadline: float) -> Any:
        """The connection, made if there is none.

        :raises StoreError: Redis refuses the login or the database.
        """
        if self._connection is not None and _is_over(self._connection):
            # Found out now, it is not in doubt whether the next command was executed.
            self._disconnect()
        if self._connection is None:
            connection = self._new_connection(_seconds_until(deadline))
            try:
                connection.connect()
                if self.where.service is not None:
                    connection.send_command("ROLE")
                    if connection.read_response()[0] != b"master":
                        raise redis.ConnectionError(
                            f"{connection.host}:{connection.port} is not the master any more"
                        )
            except redis.ResponseError as error:
                connection.disconnect()
                if not_now_code(str(response_error(error))):
                    raise
                raise refused(self.where, str(response_error(error))) from None
            except BaseException:
                connection.disconnect()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _new_connection(self, seconds: float) -> Any:
        address = self.where
        tls = address.tls
        connection_class: Any = redis.Connection if tls is None else _NamedTLSConnection
        options: dict[str, Any] = {
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "socket_keepalive": True,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        }
        if tls is not None:
            options |= {
                "ssl_cert_reqs": "required",
                "ssl_check_hostname": True,
                "ssl_ca_certs": tls.ca_certs,
                "ssl_certfile": tls.certfile,
                "ssl_keyfile": tls.keyfile,
            }
        host, port = address.hosts[0] if address.service is None else self._master(options)
        connection = connection_class(
            host=host,
            port=port,
            db=address.db,
            username=address.login.username,
            password=address.login.password,
            **options,
        )
        if tls is not None:
            connection.server_name = tls.server_name
        return connection

    def _master(self, options: dict[str, Any]) -> tuple[str, int]:
        """Where the master is, as the Sentinels say."""
        address = self.where
        if address.tls is not None:
            options = options | {"ssl": True}
        sentinel: Any = Sentinel(
            list(address.hosts),
            sentinel_kwargs=options
            | {
                "username": address.sentinel_login.username,
                "password": address.sentinel_login.password,
            },
        )
        try:
            found: tuple[str, int] = sentinel.discover_master(address.service)
        except MasterNotFoundError as error:
            raise redis.ConnectionError(in_words(no_master(address, [in_words(error)]))) from None
        finally:
            for one in sentinel.sentinels:
                one.close()
        return found


def _is_over(connection: Any) -> bool:
    """Whether an idle connection was closed by the other side, or something is wrong with it."""
    try:
        return bool(connection.can_read(timeout=0))
    except OUTAGES:
        return True


def _seconds_until(deadline: float) -> float:
    # Not 0, which would mean not to wait at all.
    return max(0.001, deadline - time.monotonic())


def response_error(error: redis.RedisError) -> ResponseError:
    """redis-py's error as ours. It takes the code off the text, and keeps it elsewhere."""
    code = getattr(error, "status_code", None)
    if isinstance(error, redis.exceptions.NoScriptError):
        code = "NOSCRIPT"
    return ResponseError(f"{code} {error}" if code else str(error))
