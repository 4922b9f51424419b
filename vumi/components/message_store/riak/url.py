"""The URL of a Riak archive: which nodes, which buckets, and how sure a write must be.

Pure: text in, values out. Knows no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from vumi.components.message_store.riak.terms import quoted
from vumi.config.redact import mask_text
from vumi.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DEFAULT_PORT", "RiakNode", "RiakPlace", "parse_riak_url"]

#: Of Riak's HTTP API.
DEFAULT_PORT = 8098

_QUORUM_WORDS = ("default", "one", "quorum", "all")
#: Of what a write must have reached; see the operations manual.
_QUORUM_DEFAULTS = {"dw": "all"}
_QUORUMS = ("r", "w", "dw", "pr", "pw")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_MOST_SECONDS = 3600.0
_MOST_CONNECTIONS = 1000
#: So that each request fits into a line that Riak reads.
_MOST_NAME = 255


@dataclass(frozen=True, slots=True)
class RiakNode:
    """One node of the cluster.

    :param host: A name or an address, without brackets.
    """

    host: str
    port: int = DEFAULT_PORT

    @property
    def netloc(self) -> str:
        """As it is in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RiakPlace:
    """Where an archive is, and how it is spoken to.

    :param bucket_prefix: What the names of all its buckets begin with.
    :param bucket_type: ``None``: the buckets have no type.
    :param quorums: Of ``r``, ``w``, ``dw``, ``pr`` and ``pw`` those that are not left to the
        bucket's properties.
    :param timeout: Seconds that Riak may take for one request.
    :param patience: For how many seconds a request is tried again.
    :param connections: How many to each node at most.
    :param tls: Whether it is HTTPS.
    :param set_properties: Whether the buckets are made to keep siblings.
    """

    nodes: tuple[RiakNode, ...]
    bucket_prefix: str
    bucket_type: str | None = None
    quorums: Mapping[str, str] = field(default_factory=lambda: dict(_QUORUM_DEFAULTS))
    timeout: float = 10.0
    patience: float = 15.0
    connections: int = 16
    tls: bool = False
    set_properties: bool = True
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """The URL without credentials, fit for a log."""
        scheme = "riaks" if self.tls else "riak"
        hosts = ",".join(node.netloc for node in self.nodes)
        query = f"bucket_prefix={quote(self.bucket_prefix, safe='')}"
        if self.bucket_type is not None:
            query += f"&bucket_type={quote(self.bucket_type, safe='')}"
        return f"{scheme}://{hosts}/?{query}"


def parse_riak_url(url: str) -> RiakPlace:
    """Read ``riak://user:password@host:8098,host2/?bucket_prefix=...``.

    :raises ConfigError: With all that is wrong with it; never with the password.
    """
    problems: list[str] = []
    scheme, _, rest = url.partition("://")
    # A "?" may come at once: riak://host?bucket_prefix=x
    netloc = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    path, query = rest[len(netloc) :].partition("#")[0].partition("?")[::2]
    if scheme.lower() not in ("riak", "riaks"):
        problems.append(f"{scheme!r} is not the scheme of a Riak archive: use riak:// or riaks://")
    if path.strip("/"):
        problems.append(
            f"{path!r} is too much: a Riak archive has no path; give bucket_prefix after a '?'"
        )
    credentials, at, hosts = netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    if at and not user:
        problems.append("There is a password, but no user")
    if "#" in rest:
        problems.append("A '#' must be written as %23")
    options = _Options(query, problems)
    place = RiakPlace(
        nodes=_nodes(hosts, problems),
        bucket_prefix=options.text("bucket_prefix") or "",
        bucket_type=options.text("bucket_type"),
        quorums=_QUORUM_DEFAULTS | options.quorums(),
        timeout=options.number("timeout", 10.0, most=_MOST_SECONDS),
        patience=options.number("patience", 15.0, most=_MOST_SECONDS),
        connections=int(options.number("connections", 16, most=_MOST_CONNECTIONS, kind=int)),
        tls=options.boolean("tls", scheme.lower() == "riaks"),
        set_properties=options.boolean("set_properties", True),
        user=unquote(user) if at else None,
        password=unquote(password) if at else None,
    )
    for name, value in (
        ("bucket_prefix", place.bucket_prefix),
        ("bucket_type", place.bucket_type),
    ):
        if len(quoted(value or "")) > _MOST_NAME:
            problems.append(f"{name} is too long: it may have {_MOST_NAME} octets in a URL")
    if not place.bucket_prefix:
        problems.append("bucket_prefix is missing: what the buckets' names begin with")
    if scheme.lower() == "riaks" and not place.tls:
        problems.append("riaks:// is TLS, but the option tls says no")
    options.finish()
    if problems:
        shown = mask_text(url)
        raise ConfigError(problems=[f"{shown}: {problem}." for problem in problems])
    return place


def _nodes(hosts: str, problems: list[str]) -> tuple[RiakNode, ...]:
    nodes = []
    for text in hosts.split(","):
        try:
            parts = urlsplit(f"//{text}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or port == 0 or any(character.isspace() for character in text):
            problems.append(f"{text!r} is not host or host:port")
        else:
            nodes.append(RiakNode(host, DEFAULT_PORT if port is None else port))
    return tuple(dict.fromkeys(nodes))


class _Options:
    """What is after the question mark; each is taken once, what is left is unknown."""

    def __init__(self, query: str, problems: list[str]) -> None:
        self._problems = problems
        self._left: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name in self._left:
                problems.append(f"{name} is given twice")
            self._left[name] = value

    def text(self, name: str) -> str | None:
        value = self._left.pop(name, None)
        if value == "":
            self._problems.append(f"{name} is empty")
        return value or None

    def number(
        self, name: str, default: float, *, most: float, kind: Callable[[str], float] = float
    ) -> float:
        value = self._left.pop(name, None)
        if value is None:
            return default
        try:
            number = kind(value)
        except ValueError:
            number = 0
        # Said this way round it refuses NaN too.
        if not 0 < number <= most:
            what = "a whole number" if kind is int else "a number of seconds"
            self._problems.append(f"{name} must be {what} over 0, at most {most:g}: {value!r}")
            return default
        return number

    def boolean(self, name: str, default: bool) -> bool:
        value = self._left.pop(name, None)
        if value is None:
            return default
        if value.lower() not in _BOOLEANS:
            self._problems.append(f"{name} must be true or false: {value!r}")
        return _BOOLEANS.get(value.lower(), default)

    def quorums(self) -> dict[str, str]:
        found = {}
        for name in _QUORUMS:
            value = self._left.pop(name, None)
            if value is None:
                continue
            number = int(value) if value.isascii() and value.isdigit() else None
            if value not in _QUORUM_WORDS and (number is None or number > 100):
                words = ", ".join(_QUORUM_WORDS)
                self._problems.append(f"{name} must be a number of nodes, or {words}: {value!r}")
            found[name] = value
        return found

    def finish(self) -> None:
        known = "bucket_prefix, bucket_type, r, w, dw, pr, pw, timeout, patience, connections"
        self._problems.extend(
            f"There is no option {name!r}: there are {known}, set_properties and tls"
            for name in self._left
        )
