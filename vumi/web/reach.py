"""HTTP going out on behalf of people who must not reach what only this machine can.

Knows addresses, and where a connection of an HTTP client really goes to. Knows nothing of who asks
and why; one request by itself is :mod:`vumi.web.client`'s.

Theory of operation. A name is looked up once, what must not be reached is taken out of the answer,
and the connection is made to one of the addresses that are left: there is no second look-up whose
answer could be another one. Redirects come through here like any other request.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IHostnameResolver,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from vumi.errors import ConfigError
from vumi.utils import HttpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import (
        IAddress,
        IHostResolution,
        IProtocol,
        IProtocolFactory,
    )
    from twisted.python.failure import Failure
    from twisted.web.client import URI
    from twisted.web.iweb import IPolicyForHTTPS

__all__ = ["AddressRefused", "HostRule", "Reach", "ReachEndpoints", "is_own_address"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: What :mod:`ipaddress` does not count among the special ones, or not in all its versions.
SPECIAL: tuple[Network, ...] = (
    # Carriers' own networks, and the metadata of some clouds.
    ip_network("100.64.0.0/10"),
    # A cloud's metadata under an address that is not special at all.
    ip_network("168.63.129.16/32"),
    # The end of a tunnel.
    ip_network("192.88.99.0/24"),
    ip_network("192.0.0.0/24"),
    ip_network("64:ff9b:1::/48"),
    ip_network("100::/64"),
    ip_network("2001:db8::/32"),
    ip_network("fec0::/10"),
)
#: Networks in whose last 32 bits there is an IPv4 address.
EMBEDDING = (ip_network("::/96"), ip_network("64:ff9b::/96"))


class AddressRefused(HttpError):
    """A request would have gone where it must not.

    :param host: What was asked for.
    :param addresses: What it stands for.
    """

    def __init__(self, host: str, addresses: Sequence[str]) -> None:
        # The addresses are not told: they would be a map of what is inside.
        super().__init__(f"{host} must not be reached from here.")
        self.host = host
        self.addresses = tuple(addresses)


# Rules


@dataclass(frozen=True)
class HostRule:
    """What may be reached although it is special.

    :param name: A host's name in lower case, ``*.example.com`` for all below it; or
    :param network: addresses.
    :param port: Only this port; ``None``: any.
    """

    name: str | None = None
    network: Network | None = None
    port: int | None = None

    @classmethod
    def from_text(cls, text: str) -> HostRule:
        """Read a rule: a name, an address or a network, each with or without ``:port``.

        An IPv6 address with a port is written as in URLs: ``[::1]:8080``.

        :raises ConfigError: It is none.
        """
        network = _network(text)
        if network is not None:
            return cls(network=network)
        match = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]+)(?::(\d{1,5}))?", text)
        if match is not None:
            host = match[1].strip("[]")
            port = None if match[2] is None else int(match[2])
            network = _network(host)
            if network is not None:
                return cls(network=network, port=port)
            if re.fullmatch(r"(\*\.)?[\w-]+(\.[\w-]+)*\.?", host) and not host.endswith("."):
                return cls(name=host.lower(), port=port)
        raise ConfigError(f"{text!r} is no host name, address or network.")

    def allows(self, host: str, port: int, address: Address) -> bool:
        """Whether an address may be reached.

        :param host: The name that was asked for, in lower case.
        """
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return address in self.network
        name = self.name or ""
        return host == name or (name.startswith("*.") and host.endswith(name[1:]))


def _network(text: str) -> Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


class Reach:
    """Where requests may go: everywhere but to special addresses, and to those of our own machine.

    Special are private networks, loopback, link-local, multicast, reserved and the like.

    :param allowed_hosts: What may be reached all the same: see :meth:`HostRule.from_text`.
    :param denied_networks: What must not be reached besides.
    :param is_own: Whether an address is one of this machine's.
    :raises ConfigError: One of them can't be read; all of these are told.
    """

    def __init__(
        self,
        allowed_hosts: Iterable[str] = (),
        denied_networks: Iterable[str] = (),
        is_own: Callable[[Address], bool] | None = None,
    ) -> None:
        problems: list[str] = []
        self._rules: list[HostRule] = []
        self._denied: list[Network] = list(SPECIAL)
        for text in allowed_hosts:
            try:
                self._rules.append(HostRule.from_text(str(text)))
            except ConfigError as error:
                problems.append(f"Field 'allowed_hosts': {error}")
        for text in denied_networks:
            network = _network(str(text))
            if network is None:
                problems.append(f"Field 'denied_networks': {text!r} is no network.")
            else:
                self._denied.append(network)
        if problems:
            raise ConfigError(problems=problems)
        self._is_own = is_own_address if is_own is None else is_own

    def allows(self, host: str, port: int, address: str) -> bool:
        """Whether a connection may be made.

        :param host: The name that was asked for.
        :param address: The address that it stands for.
        """
        try:
            # A zone, as in fe80::1%eth0, changes nothing.
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        name = host.lower().rstrip(".")
        meant = _meant(found)
        if any(rule.allows(name, port, one) for rule in self._rules for one in meant):
            return True
        return not any(self._is_denied(one) for one in meant)

    def _is_denied(self, address: Address) -> bool:
        if not address.is_global or address.is_multicast:
            return True
        return any(address in network for network in self._denied) or self._is_own(address)


def _meant(address: Address) -> list[Address]:
    """The addresses that a packet to this one may end at: IPv4 ones may be in an IPv6 one."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.is_loopback or address.is_unspecified:
        return [address]
    found: list[Address] = [address]
    if address.sixtofour is not None:
        found.append(address.sixtofour)
    if address.teredo is not None:
        found.extend(address.teredo)
    if any(address in network for network in EMBEDDING):
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return found


def is_own_address(address: Address) -> bool:
    """Whether an address is one of this machine's; no packet is sent for that.

    What listens on all of them often relies on a firewall in front of the machine.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # For UDP this only chooses the route, and by that our own end.
            probe.connect((str(address), 9))
            return str(probe.getsockname()[0]) == str(address)
    except OSError:
        # There is no way to it at all.
        return False


# Connections


@implementer(IAgentEndpointFactory)
class ReachEndpoints:
    """Makes the connections of an :class:`twisted.web.client.Agent`.

    :param reactor: Twisted's.
    :param reach: Where they may go.
    :param policy: What TLS trusts.
    :param timeout: How long connecting to one address may take, in seconds.
    """

    def __init__(
        self, reactor: Any, reach: Reach, policy: IPolicyForHTTPS, timeout: float = 30.0
    ) -> None:
        self._reactor = reactor
        self._reach = reach
        self._policy = policy
        self._timeout = timeout

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Where a URL's requests go.

        :raises SchemeNotSupported: It is not of HTTP.
        """
        if uri.scheme not in (b"http", b"https"):
            raise SchemeNotSupported(f"Unsupported scheme: {uri.scheme!r}")
        endpoint = _ReachEndpoint(
            self._reactor, self._reach, uri.host.decode("latin-1"), uri.port, self._timeout
        )
        if uri.scheme == b"http":
            return endpoint
        secured: IStreamClientEndpoint = wrapClientTLS(
            self._policy.creatorForNetloc(uri.host, uri.port), endpoint
        )
        return secured


@implementer(IStreamClientEndpoint)
class _ReachEndpoint:
    def __init__(self, reactor: Any, reach: Reach, host: str, port: int, timeout: float) -> None:
        self._reactor = reactor
        self._reach = reach
        self._host = host
        self._port = port
        self._timeout = timeout

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        refused: list[str] = []

        def allows(address: Any) -> bool:
            host = getattr(address, "host", "")
            allowed = self._reach.allows(self._host, self._port, host)
            if not allowed:
                refused.append(host)
            return allowed

        def explain(failure: Failure) -> Failure:
            failure.trap(DNSLookupError)
            if refused:
                raise AddressRefused(self._host, refused)
            return failure

        view = _ReactorView(self._reactor, _Resolver(self._reactor.nameResolver, allows))
        endpoint = HostnameEndpoint(view, self._host, self._port, timeout=self._timeout)
        connecting: Deferred[IProtocol] = endpoint.connect(protocolFactory)
        return connecting.addErrback(explain)


@implementer(IReactorPluggableNameResolver)
class _ReactorView:
    """A reactor with a name resolver of its own: as much as an endpoint needs."""

    def __init__(self, reactor: Any, resolver: IHostnameResolver) -> None:
        self.nameResolver = resolver
        self.connectTCP = reactor.connectTCP
        self.callLater = reactor.callLater
        self.seconds = reactor.seconds

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """Refuse: nobody is to change it.

        :raises NotImplementedError: Always.
        """
        raise NotImplementedError("The resolver of this reactor is not to be changed.")


@implementer(IHostnameResolver)
class _Resolver:
    """Takes addresses out of another resolver's answers."""

    def __init__(self, resolver: Any, allows: Callable[[IAddress], bool]) -> None:
        self._resolver = resolver
        self._allows = allows

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        receiver = _Sieve(resolutionReceiver, self._allows)
        resolution: IHostResolution = self._resolver.resolveHostName(
            receiver, hostName, portNumber, addressTypes, transportSemantics
        )
        return resolution


@implementer(IResolutionReceiver)
class _Sieve:
    def __init__(self, receiver: IResolutionReceiver, allows: Callable[[IAddress], bool]) -> None:
        self._receiver = receiver
        self._allows = allows

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: IAddress) -> None:
        if self._allows(address):
            self._receiver.addressResolved(address)

    def resolutionComplete(self) -> None:
        self._receiver.resolutionComplete()
