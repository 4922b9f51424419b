"""Where the broker is and how to log in: from a URL or from the classic five options.

A URL is ``memory:`` or ``amqp://user:password@host:port,host2:port2/vhost?heartbeat=30``
(``amqps://`` for TLS, with ``ca_certs``, ``certfile`` and ``keyfile`` as file names and
``server_name``). The path is the virtual host, percent-encoded: ``/%2Fdevelop`` is ``/develop``.
See https://www.rabbitmq.com/docs/uri-spec. Knows no sockets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote

from vumi.errors import ConfigError
from vumi.tls import TLSOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BrokerAddress"]

AMQP_PORT = 5672
AMQPS_PORT = 5671
DEFAULT_HEARTBEAT = 30
TLS_OPTIONS = ("ca_certs", "certfile", "keyfile", "server_name")


@dataclass(frozen=True)
class BrokerAddress:
    """A broker's address.

    :param scheme: ``memory``, ``amqp`` or ``amqps``.
    :param hosts: Pairs of host name and TCP port, in the order they are to be tried.
    :param heartbeat: Seconds between AMQP heartbeats; 0 turns them off.
    :param tls: For ``amqps``: whom to trust, and who we are.
    """

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    username: str = "vumi"
    password: str = field(default="vumi", repr=False)
    vhost: str = "/develop"
    heartbeat: int = DEFAULT_HEARTBEAT
    tls: TLSOptions | None = None

    def __str__(self) -> str:
        """The address without the password, fit for a log."""
        if self.scheme == "memory":
            return "memory:"
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.scheme}://{quote(self.username)}@{hosts}/{quote(self.vhost, safe='')}"

    @classmethod
    def from_url(cls, url: str) -> BrokerAddress:
        """Read a broker URL.

        :raises ConfigError: The URL is none, or of a broker that vumi doesn't know.
        """
        if url.rstrip("/") == "memory:":
            return cls("memory")
        scheme, _, rest = url.partition("://")
        if scheme not in ("amqp", "amqps") or not rest:
            raise ConfigError(
                f"{_without_password(url)!r} is not a broker URL: use memory:, "
                "amqp://user:password@host:port/vhost or amqps://..."
            )
        # Split by hand: urllib knows one host only.
        location, _, query = rest.partition("?")
        authority, _, path = location.partition("/")
        userinfo, _, hostlist = authority.rpartition("@")
        username, has_password, password = userinfo.partition(":")
        options = dict(parse_qsl(query, keep_blank_values=True))
        fields: dict[str, Any] = {"hosts": _read_hosts(hostlist, scheme)}
        if username:
            fields["username"] = unquote(username)
        if has_password:
            fields["password"] = unquote(password)
        vhost = unquote(path)
        if vhost:
            fields["vhost"] = vhost
        fields["heartbeat"] = _read_seconds(options.pop("heartbeat", DEFAULT_HEARTBEAT))
        tls = {name: options.pop(name) for name in TLS_OPTIONS if name in options}
        if scheme == "amqps":
            fields["tls"] = TLSOptions(**tls)
        elif tls:
            raise ConfigError(f"Option {min(tls)!r} in the broker URL is for amqps:// only.")
        if options:
            raise ConfigError(
                f"Unknown option {sorted(options)[0]!r} in the broker URL: known are heartbeat, "
                f"{', '.join(TLS_OPTIONS)}."
            )
        return cls(scheme, **fields)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> BrokerAddress:
        """Read the classic options ``hostname``, ``port``, ``username``, ``password``, ``vhost``
        and ``heartbeat``, or ``broker``, a URL, which wins over them.

        :raises ConfigError: A value that can't be used.
        """
        url = options.get("broker")
        if url:
            return cls.from_url(str(url))
        fields: dict[str, Any] = {}
        for name in ("username", "password", "vhost"):
            if options.get(name) is not None:
                fields[name] = str(options[name])
        heartbeat = options.get("heartbeat")
        fields["heartbeat"] = _read_seconds(DEFAULT_HEARTBEAT if heartbeat is None else heartbeat)
        host = str(options.get("hostname") or "127.0.0.1")
        port = _read_port(options.get("port") or AMQP_PORT)
        return cls("amqp", ((host, port),), **fields)


def _read_hosts(hostlist: str, scheme: str) -> tuple[tuple[str, int], ...]:
    default_port = AMQPS_PORT if scheme == "amqps" else AMQP_PORT
    hosts = []
    for item in hostlist.split(","):
        if item.startswith("["):
            host, _, after = item[1:].partition("]")
            port = after.removeprefix(":")
        else:
            host, _, port = item.partition(":")
        hosts.append((unquote(host) or "127.0.0.1", _read_port(port or default_port)))
    return tuple(hosts)


def _read_port(value: Any) -> int:
    try:
        port = int(value)
    except (TypeError, ValueError):
        port = -1
    if not 0 < port < 65536:
        raise ConfigError(f"{value!r} is not a TCP port for the broker.")
    return port


def _read_seconds(value: Any) -> int:
    try:
        seconds = int(value)
    except (TypeError, ValueError):
        seconds = -1
    if not 0 <= seconds < 65536:
        raise ConfigError(f"heartbeat: {value!r} is not a number of seconds.")
    return seconds


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    userinfo, at, host = rest.rpartition("@")
    return f"{scheme}{separator}{userinfo.partition(':')[0]}{at}{host}"
