"""Bounds on what comes in over HTTP: the size of bodies, the number of connections.

Knows Twisted's web server, which by itself takes bodies of any size.
"""

from __future__ import annotations

import resource
from collections import Counter
from functools import cache
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any

from vumi.web.parameters import ParameterRequest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_BODY_LIMIT", "BoundedRequest", "ConnectionLimits", "process_limits"]

DEFAULT_BODY_LIMIT = 1024 * 1024
#: More connections than this are of no use to one process.
MAX_CONNECTIONS = 10_000


class BoundedRequest(ParameterRequest):
    """A request whose body is kept only up to a limit.

    What comes after it is read and forgotten, so that the client gets to read the answer.
    """

    #: How many bytes a body may have.
    body_limit = DEFAULT_BODY_LIMIT

    #: The body has more than that; what :attr:`content` has of it is of no use.
    body_too_big = False

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a piece of the body, if there is room."""
        content: Any = self.content
        if self.body_too_big or content.tell() + len(data) > self.body_limit:
            self.body_too_big = True
        else:
            super().handleContentChunk(data)


class ConnectionLimits:
    """Counts connections, in total and by the address that they come from.

    :param total: How many there may be.
    :param per_address: How many there may be from one address. All of a /64 network of IPv6 count
        as one, as anybody gets at least such a network. Connections without an address, as those
        of a Unix socket, count in the total only.
    """

    def __init__(self, total: int, per_address: int) -> None:
        self.total = total
        self.per_address = per_address
        self._open = 0
        self._by_address: Counter[str] = Counter()

    def admit(self, host: str | None) -> Callable[[], None] | None:
        """Count a connection in, if there is room.

        :param host: The address.
        :returns: To be called when the connection is closed; ``None`` if there is no room.
        """
        address = _network(host)
        if self._open >= self.total or (
            address is not None and self._by_address[address] >= self.per_address
        ):
            return None
        self._open += 1
        if address is not None:
            self._by_address[address] += 1

        def release() -> None:
            self._open -= 1
            if address is not None:
                self._by_address[address] -= 1
                if not self._by_address[address]:
                    del self._by_address[address]

        return release


@cache
def process_limits() -> ConnectionLimits:
    """Those of the process: three quarters of the files that it may have open.

    The rest is for the broker, stores and log files. Half of them may be of one address, as all
    are when a proxy stands before the process.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    total = MAX_CONNECTIONS
    if files != resource.RLIM_INFINITY:
        total = min(total, max(files * 3 // 4, 2))
    return ConnectionLimits(total, total // 2)


def _network(host: str | None) -> str | None:
    if host is None or ":" not in host:
        return host
    try:
        address = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return address.exploded[:19]
