"""Where Redis is and how to log in, from a URL.

Knows URLs; knows no options of workers (:mod:`vumi.persist.config`) and no sockets. The forms:

* ``redis://user:password@host:port/db``, and ``rediss://`` with TLS.
* ``redis+sentinel://user:password@host:port,host2:port2/service/db``: the hosts are Sentinels,
  which know where the master of that service is. ``rediss+sentinel://``: TLS to all of them.
* ``memory:``: no Redis, but a store in this process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from vumi.errors import ConfigError
from vumi.tls import TLSOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Login", "RedisAddress", "TLSOptions"]

REDIS_PORT = 6379
SENTINEL_PORT = 26379
MAX_PORT = 65535
MEMORY = "memory"
SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel")
TLS_OPTIONS = ("ca_certs", "certfile", "keyfile", "server_name")
SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")


@dataclass(frozen=True)
class Login:
    """Who we are; without a password there is no login."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class RedisAddress:
    """Where Redis is.

    :param hosts: Pairs of host name and TCP port: Redis's own, or the Sentinels'. None at all is
        the store in this process.
    :param db: The number of the database.
    :param login: For Redis.
    :param tls: ``None``: no TLS.
    :param service: The name under which Sentinels know the master; ``None``: no Sentinels.
    :param sentinel_login: For the Sentinels.
    """

    hosts: tuple[tuple[str, int], ...] = ()
    db: int = 0
    login: Login = field(default_factory=Login)
    tls: TLSOptions | None = None
    service: str | None = None
    sentinel_login: Login = field(default_factory=Login)

    @property
    def in_process(self) -> bool:
        """It is the store in this process."""
        return not self.hosts

    def __str__(self) -> str:
        """Where, without user and password: fit for a log."""
        if self.in_process:
            return "memory:"
        hosts = ",".join(f"{_bracketed(host)}:{port}" for host, port in self.hosts)
        if self.service is None:
            return hosts
        return f"{hosts} (Sentinel, service {self.service})"

    @classmethod
    def from_url(cls, url: str) -> RedisAddress:
        """Read a URL.

        :raises ConfigError: It is none of a Redis. Its password is not told.
        """
        if url.rstrip("/") == f"{MEMORY}:":
            return cls()
        scheme, _, rest = url.partition("://")
        if scheme not in SCHEMES or not rest:
            raise ConfigError(
                "is not a Redis URL: use redis://host:port/db, rediss://…, "
                "redis+sentinel://host,host2/service/db, rediss+sentinel://… or memory:"
            )
        # Split by hand: urllib knows one host only, and a password may have any character that
        # ends a host.
        location, _, query = rest.partition("?")
        userinfo, _, after = location.rpartition("@")
        hosts, _, path = after.partition("/")
        options = dict(parse_qsl(query, keep_blank_values=True))
        uses_sentinel = scheme.endswith("+sentinel")
        uses_tls = scheme.startswith("rediss")
        service, db = _read_path(path, uses_sentinel)
        address = cls(
            hosts=_read_hosts(hosts, SENTINEL_PORT if uses_sentinel else REDIS_PORT),
            db=_read_db(options.pop("db", db)),
            login=_read_login(userinfo),
            tls=TLSOptions(**_taken(options, TLS_OPTIONS)) if uses_tls else None,
            service=service,
            sentinel_login=_sentinel_login(options) if uses_sentinel else Login(),
        )
        if not uses_sentinel and len(address.hosts) > 1:
            raise ConfigError("has several hosts: that is for Sentinels, redis+sentinel://…")
        if options:
            known = ["db", *(TLS_OPTIONS if uses_tls else ())]
            known += SENTINEL_OPTIONS if uses_sentinel else ()
            raise ConfigError(
                f"has the unknown option {min(options)!r}: known here are {', '.join(known)}"
            )
        return address


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _read_path(path: str, uses_sentinel: bool) -> tuple[str | None, str]:
    """The service, if there are Sentinels, and the database."""
    if not uses_sentinel:
        return None, unquote(path)
    service, _, db = path.partition("/")
    if not service:
        raise ConfigError("names no service: redis+sentinel://host,host2/service/db")
    return unquote(service), unquote(db)


def _read_hosts(hosts: str, default_port: int) -> tuple[tuple[str, int], ...]:
    found = []
    for item in hosts.split(","):
        if item.startswith("["):
            host, _, after = item[1:].partition("]")
            port = after.removeprefix(":")
        else:
            host, _, port = item.partition(":")
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= MAX_PORT):
            raise ConfigError(f"has a port that is none: {port!r}")
        found.append((unquote(host) or "127.0.0.1", int(port or default_port)))
    return tuple(found)


def _read_db(db: str) -> int:
    if db and not (db.isascii() and db.isdigit()):
        raise ConfigError(f"has a database that is no number: {db!r}")
    return int(db or 0)


def _read_login(userinfo: str) -> Login:
    username, has_password, password = userinfo.partition(":")
    return Login(unquote(username) or None, unquote(password) if has_password else None)


def _sentinel_login(options: dict[str, str]) -> Login:
    found = _taken(options, SENTINEL_OPTIONS)
    return Login(found.get("sentinel_username"), found.get("sentinel_password"))


def _taken(options: dict[str, str], names: tuple[str, ...]) -> Mapping[str, Any]:
    return {name: options.pop(name) for name in names if name in options}
