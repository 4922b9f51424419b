"""Real RabbitMQ, Redis and PostgreSQL servers for tests, benches and demos.

The servers themselves are in :mod:`vumi.tests.rabbitmq_server`, :mod:`vumi.tests.redis_server` and
:mod:`vumi.tests.postgres_server`; this module gives them, and knows when a test without a server
is skipped and which servers a session of tests shares. Needs neither Twisted nor pytest.

A test that must break its server (kill, pause, fill its memory) starts one in a directory of its
own; all others use :func:`shared_rabbitmq`, :func:`shared_redis` and :func:`shared_postgres`.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import unittest
from typing import Protocol, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

from vumi.tests.certificates import TLSFiles, make_test_certificates
from vumi.tests.local_server import LocalServer, ServerError, find_program, free_port
from vumi.tests.postgres_server import PostgresServer
from vumi.tests.rabbitmq_server import DEFAULT_VHOST, RabbitMQServer
from vumi.tests.redis_server import RedisServer, SentinelServer

__all__ = [
    "DEFAULT_VHOST",
    "ExternalPostgres",
    "ExternalRabbitMQ",
    "ExternalRedis",
    "LocalServer",
    "Postgres",
    "PostgresServer",
    "RabbitMQ",
    "RabbitMQServer",
    "Redis",
    "RedisServer",
    "SentinelServer",
    "ServerError",
    "TLSFiles",
    "find_program",
    "free_port",
    "make_test_certificates",
    "require",
    "shared_postgres",
    "shared_rabbitmq",
    "shared_redis",
    "stop_shared_servers",
]


class RabbitMQ(Protocol):
    """A running RabbitMQ server, started by us or not."""

    def url(self, vhost: str | None = None) -> str:
        """The server as a URL, for a virtual host or its usual one."""

    def add_vhost(self, name: str) -> str:
        """Make a virtual host; return its URL."""

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with all its queues."""


class Redis(Protocol):
    """A running Redis server, started by us or not."""

    def url(self, db: int | None = None) -> str:
        """The server as a URL, for a database or its usual one."""


class Postgres(Protocol):
    """A running PostgreSQL server, started by us or not."""

    def url(self, database: str | None = None) -> str:
        """The server as a URL, for a database or its usual one."""


class ExternalRabbitMQ:
    """A RabbitMQ server that somebody else runs.

    :param url: where it is, with user, password and virtual host.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, vhost: str | None = None) -> str:
        """The server as a URL, for a virtual host or the one that was given."""
        return self._url if vhost is None else _with_path(self._url, vhost)

    def add_vhost(self, name: str) -> str:
        """Skip the test: the server's virtual hosts are not ours to make.

        :raises unittest.SkipTest: always.
        """
        raise unittest.SkipTest(f"no virtual host {name!r} on a server that is not ours")

    def delete_vhost(self, name: str) -> None:
        """Do nothing: none was made."""


class ExternalRedis:
    """A Redis server that somebody else runs.

    :param url: where it is, with the database that tests may change.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, db: int | None = None) -> str:
        """The server as a URL, for a database or the one that was given."""
        return self._url if db is None else _with_path(self._url, str(db))


class ExternalPostgres:
    """A PostgreSQL server that somebody else runs.

    :param url: where it is, with user, password and the database that tests may make schemas in.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, database: str | None = None) -> str:
        """The server as a URL, for a database or the one that was given."""
        return self._url if database is None else _with_path(self._url, database)


def _with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(path, safe="")))


def require(server: type[LocalServer]) -> None:
    """Go on if this machine can run the server.

    :raises unittest.SkipTest: if it can't.
    :raises AssertionError: if it can't, and the environment has ``CI`` or
        ``VUMI_TEST_REQUIRE_SERVERS=1``: there, a test that is silently skipped proves nothing.
    """
    reason = server.missing()
    if not reason:
        return
    if _is_set("CI") or _is_set("VUMI_TEST_REQUIRE_SERVERS"):
        raise AssertionError(reason)
    raise unittest.SkipTest(reason)


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() not in {"", "0", "false", "no"}


class _Shared:
    """The servers that one session of tests shares; each is started when first asked for."""

    def __init__(self) -> None:
        self._servers: dict[type[LocalServer], LocalServer] = {}
        self._problems: dict[type[LocalServer], str] = {}

    def get(self, server_class: type[_Server]) -> _Server:
        require(server_class)
        # A server that can't start is waited for once, not by every test.
        if problem := self._problems.get(server_class):
            raise ServerError(problem)
        server = self._servers.get(server_class)
        if server is None:
            server = self._servers[server_class] = self._start(server_class)
        if not isinstance(server, server_class):
            raise TypeError(f"{server!r} is no {server_class.__name__}")
        return server

    def _start(self, server_class: type[LocalServer]) -> LocalServer:
        directory = tempfile.mkdtemp(prefix=f"vumi-{server_class.title.lower()}-")
        server = server_class(directory)
        try:
            server.start()
        except ServerError as error:
            self._problems[server_class] = str(error)
            shutil.rmtree(directory, ignore_errors=True)
            raise
        atexit.register(self.stop)
        return server

    def stop(self) -> None:
        while self._servers:
            _, server = self._servers.popitem()
            server.stop()
            shutil.rmtree(server.directory, ignore_errors=True)
        atexit.unregister(self.stop)


_Server = TypeVar("_Server", bound=LocalServer)
_shared = _Shared()


def shared_rabbitmq() -> RabbitMQ:
    """The RabbitMQ server that all tests of this session share.

    The one at ``VUMI_TEST_RABBITMQ_URL`` if the environment has that, else one of our own. Others
    use it too: make queues of your own, or a virtual host; don't stop it.

    :raises unittest.SkipTest: if there is none (see :func:`require`).
    :raises ServerError: if it can't be started.
    """
    if url := os.environ.get("VUMI_TEST_RABBITMQ_URL"):
        return ExternalRabbitMQ(url)
    return _shared.get(RabbitMQServer)


def shared_redis() -> Redis:
    """The Redis server that all tests of this session share.

    The one at ``VUMI_TEST_REDIS_URL`` if the environment has that, else one of our own. Others
    use it too: use keys with a prefix of your own; don't stop it, don't flush it.

    :raises unittest.SkipTest: if there is none (see :func:`require`).
    :raises ServerError: if it can't be started.
    """
    if url := os.environ.get("VUMI_TEST_REDIS_URL"):
        return ExternalRedis(url)
    return _shared.get(RedisServer)


def shared_postgres() -> Postgres:
    """The PostgreSQL server that all tests of this session share.

    The one at ``VUMI_TEST_POSTGRES_URL`` if the environment has that, else one of our own. Others
    use it too: make a schema of your own and drop it afterwards; don't stop it.

    :raises unittest.SkipTest: if there is none (see :func:`require`).
    :raises ServerError: if it can't be started.
    """
    if url := os.environ.get("VUMI_TEST_POSTGRES_URL"):
        return ExternalPostgres(url)
    return _shared.get(PostgresServer)


def stop_shared_servers() -> None:
    """Stop the shared servers that were started; also done when Python ends."""
    _shared.stop()
