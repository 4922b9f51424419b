"""Where redirects lead, what goes there, and hosts that can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers

from vumi.tests.fake_connection import FakeHttpServer
from vumi.tests.helpers import VumiTestCase
from vumi.web.client import HttpResponse, fetch
from vumi.web.redirects import MAX_REDIRECTS, Hop, requestable

if TYPE_CHECKING:
    from twisted.web.server import Request

CREDENTIALS = {
    "Authorization": "Bearer s3cret",
    "Cookie": "session=s3cret",
    "Proxy-Authorization": "s3cret",
    "X-Api-Key": "s3cret",
    "x-auth-token": "s3cret",
    "apikey": "s3cret",
    "X-Vumi-Signature": "s3cret",
    "From": "s3cret",
}
HARMLESS = {"Accept": "text/plain", "user-agent": "me", "Accept-Language": "sw"}
HERE = "http://service.example/a/b?c=d"


def answer(code: int, location: str | bytes | None) -> Any:
    """A response without a body."""
    raw = location.encode() if isinstance(location, str) else location
    headers = Headers({} if raw is None else {b"Location": [raw]})
    return HttpResponse(code, b"", headers, b"")


@pytest.mark.parametrize(
    ("location", "same"),
    [
        ("/there", True),
        ("there?x=1", True),
        ("http://service.example:80/there", True),
        ("http://SERVICE.example/there", True),
        ("//service.example/there", True),
        ("https://service.example/there", False),
        ("http://service.example:8080/there", False),
        ("http://evil.example/there", False),
        ("http://www.service.example/there", False),
        ("http://service.example.evil.example/", False),
        ("http://service.example@evil.example/", False),
        ("//evil.example/there", False),
        ("\\\\evil.example/there", True),
        ("http://[::1]/there", False),
    ],
)
def test_only_harmless_headers_go_to_another_origin(location: str, same: bool) -> None:
    hop = Hop("GET", HERE, Headers({k: [v] for k, v in {**CREDENTIALS, **HARMLESS}.items()}))
    following = hop.after(answer(302, location))
    assert following is not None
    for name, value in HARMLESS.items():
        assert following.headers.getRawHeaders(name) == [value]
    for name, value in CREDENTIALS.items():
        assert following.headers.getRawHeaders(name) == ([value] if same else None)


def test_what_was_dropped_does_not_come_back_with_the_way_home() -> None:
    hop = Hop("GET", HERE, Headers({"X-Api-Key": ["s3cret"]}))
    for location in ("http://evil.example/", HERE):
        found = hop.after(answer(301, location))
        assert found is not None
        hop = found
    assert not hop.headers.hasHeader("X-Api-Key")


def test_a_relative_location_is_one_of_the_last_origin() -> None:
    hop: Any = Hop("GET", HERE, Headers())
    hop = hop.after(answer(302, "http://other.example/x/y"))
    assert hop.after(answer(302, "z")).url == "http://other.example/x/z"


def test_redirects_that_are_not_followed() -> None:
    for method, code, location in (
        ("POST", 302, "/there"),
        ("PUT", 307, "/there"),
        ("GET", 302, None),
        ("POST", 303, None),
    ):
        with pytest.raises(ResponseFailed):
            Hop(method, HERE, Headers()).after(answer(code, location))
    with pytest.raises(ResponseFailed):
        Hop("GET", HERE, Headers(), MAX_REDIRECTS).after(answer(302, "/there"))
    for code in (200, 300, 304, 404):
        assert Hop("GET", HERE, Headers()).after(answer(code, "/there")) is None


@given(st.binary(max_size=30))
def test_whatever_the_location_there_is_a_request_or_a_declared_error(location: bytes) -> None:
    try:
        hop = Hop("GET", HERE, Headers()).after(answer(302, location))
        assert hop is not None
        requestable(hop.url)
    except ValueError:
        pass


class FetchTests(VumiTestCase):
    """Whole requests, without a socket."""

    def setUp(self) -> None:
        self.requests: list[tuple[str, Headers]] = []
        self.locations: dict[str, str] = {}
        self.fake_http = FakeHttpServer(self.handle)

    def handle(self, request: Request) -> bytes:
        url = request.uri.decode()
        self.requests.append((url, request.requestHeaders.copy()))
        if url in self.locations:
            request.redirect(self.locations[url].encode())
            request.setHeader("Set-Cookie", "seen=yes")
        return b"here"

    async def get(self, url: str, **headers: str) -> Any:
        agent = self.fake_http.get_agent()
        return await fetch(agent, Clock(), "GET", url, headers=headers, follow_redirects=True)

    async def test_a_key_of_the_services_own_is_not_told_to_another_one(self) -> None:
        self.locations["http://service.example/"] = "http://evil.example/"
        await self.get("http://service.example/", **CREDENTIALS, **HARMLESS)
        first, second = (headers for _url, headers in self.requests)
        for name in CREDENTIALS:
            self.assertTrue(first.hasHeader(name), name)
            self.assertFalse(second.hasHeader(name), name)
        for name in HARMLESS:
            self.assertTrue(second.hasHeader(name), name)

    async def test_a_cookie_that_a_redirect_sets_is_sent_to_where_it_leads(self) -> None:
        self.locations["http://service.example/"] = "/there"
        await self.get("http://service.example/")
        [cookie] = self.requests[1][1].getRawHeaders("Cookie") or []
        self.assertEqual(cookie, "seen=yes")

    async def test_addresses_of_both_kinds_and_names_of_any_sort_can_be_asked(self) -> None:
        for url, asked in (
            ("http://[::1]:8080/x", "http://[::1]:8080/x"),
            ("http://[2001:db8::1]/x?y=\u00fc", "http://[2001:db8::1]/x?y=%C3%BC"),
            ("http://[::ffff:127.0.0.1]/", "http://[::ffff:127.0.0.1]/"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
            ("http://my_service/\u00fc", "http://my_service/%C3%BC"),
            ("http://z\u00fcrich.example/", "http://xn--zrich-kva.example/"),
        ):
            await self.get(url)
            self.assertEqual(self.requests[-1][0], asked)
            [host] = self.requests[-1][1].getRawHeaders("Host") or []
            self.assertEqual(host, asked.split("/")[2])

    async def test_an_address_may_be_where_a_redirect_leads(self) -> None:
        self.locations["http://service.example/"] = "http://[::1]:8080/x"
        await self.get("http://service.example/")
        self.assertEqual(self.requests[-1][0], "http://[::1]:8080/x")
