"""Which addresses may be reached, and that a connection goes to one that was checked."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import DNSLookupError
from twisted.web.client import URI, Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.error import SchemeNotSupported

from vumi.errors import ConfigError
from vumi.tests.helpers import VumiTestCase
from vumi.web.client import fetch
from vumi.web.reach import AddressRefused, HostRule, Reach, ReachEndpoints, is_own_address
from vumi.web.tests.raw_server import RawServer, response


def reach(*allowed: str, denied: tuple[str, ...] = ()) -> Reach:
    return Reach(allowed, denied, is_own=lambda address: str(address) == "9.9.9.9")


SPECIAL = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104 (it is not bound to)
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "100::1",
    # IPv4 in IPv6, in all the ways that there are.
    "::ffff:127.0.0.1",
    "::ffff:a00:1",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    "2001:0:7f00:1::",
    # What is our own, and in disguise.
    "9.9.9.9",
    "::ffff:9.9.9.9",
    "no address",
    "",
]
OPEN = [
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("address", SPECIAL)
def test_special_addresses_are_not_reached(address: str) -> None:
    assert not reach().allows("example.org", 80, address)


@pytest.mark.parametrize("address", OPEN)
def test_all_others_are(address: str) -> None:
    assert reach().allows("example.org", 80, address)


@given(st.ip_addresses())
def test_whatever_the_address_it_is_either_allowed_or_not(address: Any) -> None:
    allowed = reach().allows("example.org", 80, str(address))
    assert allowed in (True, False)
    assert not (allowed and (address.is_private or address.is_loopback or address.is_multicast))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_an_ipv6_one_is_judged_as_itself(address: Any) -> None:
    mapped = reach().allows("example.org", 80, f"::ffff:{address}")
    assert mapped == reach().allows("example.org", 80, str(address))


@given(st.text(max_size=40))
def test_whatever_is_given_as_an_address_or_rule_nothing_else_is_raised(text: str) -> None:
    reach().allows(text, 80, text)
    with contextlib.suppress(ConfigError):
        HostRule.from_text(text)


@pytest.mark.parametrize(
    ("rule", "host", "port", "address", "allowed"),
    [
        ("api.internal", "api.internal", 80, "10.0.0.1", True),
        ("api.internal", "API.Internal.", 80, "10.0.0.1", True),
        ("API.internal", "api.internal", 80, "10.0.0.1", True),
        ("api.internal", "other.internal", 80, "10.0.0.1", False),
        ("api.internal", "evil.api.internal", 80, "10.0.0.1", False),
        ("api.internal:8080", "api.internal", 8080, "10.0.0.1", True),
        ("api.internal:8080", "api.internal", 6379, "10.0.0.1", False),
        ("*.internal", "api.internal", 80, "10.0.0.1", True),
        ("*.internal", "internal", 80, "10.0.0.1", False),
        ("*.internal", "evilinternal", 80, "10.0.0.1", False),
        ("10.1.0.0/16", "x", 80, "10.1.2.3", True),
        ("10.1.0.0/16", "x", 80, "::ffff:10.1.2.3", True),
        ("10.1.0.0/16", "x", 80, "10.2.0.1", False),
        ("127.0.0.1:8000", "localhost", 8000, "127.0.0.1", True),
        ("127.0.0.1:8000", "localhost", 8001, "127.0.0.1", False),
        ("127.0.0.1", "localhost", 22, "127.0.0.1", True),
        ("[::1]:8000", "localhost", 8000, "::1", True),
        ("::1", "localhost", 8000, "::1", True),
        ("[::1]:8000", "localhost", 80, "::1", False),
    ],
)
def test_what_is_allowed_all_the_same(
    rule: str, host: str, port: int, address: str, allowed: bool
) -> None:
    assert reach(rule).allows(host, port, address) is allowed


def test_networks_can_be_denied_besides() -> None:
    ours = reach("ok.example.org", denied=("8.8.0.0/16", "2606:4700::/32"))
    assert not ours.allows("x", 80, "8.8.8.8")
    assert not ours.allows("x", 80, "::ffff:8.8.8.8")
    assert not ours.allows("x", 80, "2606:4700::1111")
    assert ours.allows("x", 80, "8.9.0.1")
    assert ours.allows("ok.example.org", 80, "8.8.8.8")


def test_all_that_can_not_be_read_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        Reach(["a b", "http://x", "ok", ""], ["10.0.0.0/33", "name"])
    assert len(caught.value.problems) == 5


def test_our_own_addresses_are_known() -> None:
    assert is_own_address(ip_address("127.0.0.1"))
    assert not is_own_address(ip_address("192.0.2.77"))


class FakeResolver:
    """Gives the addresses of a name, each time the next ones."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def resolveHostName(
        self, receiver: Any, hostName: str, portNumber: int = 0, *args: Any, **kw: Any
    ) -> None:
        self.asked += 1
        receiver.resolutionBegan(None)
        for address in self.answers.pop(0):
            kind = IPv6Address if ":" in address else IPv4Address
            receiver.addressResolved(kind("TCP", address, portNumber))
        receiver.resolutionComplete()


class FakeReactor:
    """The reactor, with another resolver, that keeps where connections go."""

    def __init__(self, resolver: FakeResolver) -> None:
        self.nameResolver = resolver
        self.connected: list[str] = []

    def connectTCP(self, host: str, port: int, *args: Any, **kw: Any) -> Any:
        self.connected.append(host)
        return self.__getattr__("connectTCP")("127.0.0.1", port, *args, **kw)

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class ReachEndpointsTests(VumiTestCase):
    timeout = 30

    def setUp(self) -> None:
        self.server = RawServer([response(b"here")])
        self.server.start()
        self.add_cleanup(self.server.stop)
        self.port = self.server.url.rpartition(":")[2].partition("/")[0]

    def agent(self, resolver: FakeResolver, *allowed: str) -> Any:
        self.reactor: Any = FakeReactor(resolver)
        endpoints = ReachEndpoints(self.reactor, reach(*allowed), BrowserLikePolicyForHTTPS())
        pool = HTTPConnectionPool(self.reactor, persistent=False)
        return Agent.usingEndpointFactory(self.reactor, endpoints, pool=pool)

    async def get(self, agent: Any, host: str) -> bytes:
        url = f"http://{host}:{self.port}/"
        answer = await fetch(agent, self.reactor, "GET", url, follow_redirects=True, timeout=10)
        return answer.delivered_body

    async def refused(self, agent: Any, host: str) -> AddressRefused:
        try:
            await self.get(agent, host)
        except AddressRefused as error:
            return error
        raise AssertionError("it was reached")

    async def test_a_name_whose_address_is_special_is_refused(self) -> None:
        agent = self.agent(FakeResolver(["127.0.0.1", "::1"]))
        error = await self.refused(agent, "innocent.example.org")
        self.assertEqual(str(error), "innocent.example.org must not be reached from here.")
        self.assertEqual(error.addresses, ("127.0.0.1", "::1"))
        self.assertEqual(self.reactor.connected, [])
        self.assertEqual(self.server.requests, [])

    async def test_the_connection_goes_to_the_address_that_was_checked(self) -> None:
        # Who answers another address the second time gains nothing: there is no second time.
        resolver = FakeResolver(["8.8.8.8"], ["127.0.0.1"])
        agent = self.agent(resolver)
        self.assertEqual(await self.get(agent, "rebinding.example.org"), b"here")
        self.assertEqual(self.reactor.connected, ["8.8.8.8"])
        self.assertEqual(resolver.asked, 1)

    async def test_of_several_addresses_only_those_that_may_be_are_tried(self) -> None:
        agent = self.agent(FakeResolver(["10.0.0.1", "8.8.8.8", "::ffff:127.0.0.1"]))
        self.assertEqual(await self.get(agent, "mixed.example.org"), b"here")
        self.assertEqual(self.reactor.connected, ["8.8.8.8"])

    async def test_a_redirect_is_checked_as_any_request(self) -> None:
        location = f"http://inside.example.org:{self.port}/secret"
        self.server.answers = [response(b"", "302 Found", Location=location), response(b"secret")]
        agent = self.agent(FakeResolver(["8.8.8.8"], ["192.168.0.1"]))
        await self.refused(agent, "outside.example.org")
        self.assertEqual(self.reactor.connected, ["8.8.8.8"])
        self.assertEqual(len(self.server.requests), 1)

    async def test_what_is_allowed_by_name_is_reached(self) -> None:
        agent = self.agent(FakeResolver(["127.0.0.1"]), f"api.internal:{self.port}")
        self.assertEqual(await self.get(agent, "api.internal"), b"here")

    async def test_addresses_written_in_other_ways_are_refused(self) -> None:
        endpoints = ReachEndpoints(reactor, reach(), BrowserLikePolicyForHTTPS())
        self.reactor = reactor
        agent = Agent.usingEndpointFactory(reactor, endpoints)
        names = ("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost")
        for host in (*names, "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"):
            await self.refused(agent, host)

    async def test_an_ipv6_address_that_may_be_is_reached(self) -> None:
        agent = self.agent(FakeResolver(["2606:4700::1111"]))
        self.assertEqual(await self.get(agent, "[2606:4700::1111]"), b"here")
        self.assertEqual(self.reactor.connected, ["2606:4700::1111"])

    async def test_a_name_that_becomes_another_one_between_redirects_is_checked_again(
        self,
    ) -> None:
        self.server.answers = [response(b"", "302 Found", Location="/secret"), response(b"secret")]
        resolver = FakeResolver(["8.8.8.8"], ["127.0.0.1"])
        await self.refused(self.agent(resolver), "rebinding.example.org")
        self.assertEqual((self.reactor.connected, resolver.asked), (["8.8.8.8"], 2))
        self.assertEqual(len(self.server.requests), 1)

    async def test_a_name_that_is_not_there_is_told_as_that(self) -> None:
        agent = self.agent(FakeResolver([]))
        with self.assertRaises(DNSLookupError):
            await self.get(agent, "nowhere.example.org")

    def test_other_schemes_are_refused(self) -> None:
        endpoints = ReachEndpoints(reactor, reach(), BrowserLikePolicyForHTTPS())
        for url in (b"ftp://x/", b"gopher://x/", b"file:///etc/passwd"):
            with self.assertRaises(SchemeNotSupported):
                endpoints.endpointForURI(URI.fromBytes(url))
