"""Web pages of strangers get nothing from a server on the own machine."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource

from vumi.web.same_origin import SameOriginGuard
from vumi.web.server import BoundedSite


class Page(Resource):
    isLeaf = True

    def render(self, request: Any) -> bytes:
        return b"secret"


def ask(headers: str) -> bytes:
    """The status and what follows."""
    site = BoundedSite(SameOriginGuard(Page(), ["smsc.test"]), Clock())
    channel: Any = site.buildProtocol(None)
    wire = StringTransport()
    channel.makeConnection(wire)
    channel.dataReceived(f"POST /x HTTP/1.1\r\n{headers}\r\n".encode())
    answer: bytes = wire.value()
    return answer


@pytest.mark.parametrize(
    "headers",
    [
        "Host: localhost:2776\r\n",
        "Host: LOCALHOST\r\n",
        "Host: 127.0.0.1:2776\r\n",
        "Host: 192.0.2.7\r\n",
        "Host: [::1]:2776\r\n",
        "Host: [::1]\r\n",
        "Host: smsc.test:2776\r\n",
        "Host: Smsc.Test.:2776\r\n",
        "Host: localhost:2776\r\nOrigin: http://localhost:2776\r\nSec-Fetch-Site: same-origin\r\n",
        "Host: localhost:2776\r\nSec-Fetch-Site: none\r\n",
    ],
)
def test_programs_and_own_pages_are_served(headers: str) -> None:
    assert ask(headers).endswith(b"secret")


@pytest.mark.parametrize(
    "headers",
    [
        "",
        "Host:\r\n",
        "Host: evil.test\r\n",
        "Host: localhost.evil.test:2776\r\n",
        "Host: 127.0.0.1.evil.test\r\n",
        "Host: 127.0.0.1@evil.test\r\n",
        "Host: 127.0.0.1:2776:80\r\n",
        "Host: ::1\r\n",
        "Host: [127.0.0.1]\r\n",
        "Host: localhost:abc\r\n",
        "Host: localhost:2776\r\nOrigin: http://evil.test\r\n",
        "Host: localhost:2776\r\nOrigin: null\r\n",
        "Host: localhost:2776\r\nOrigin: http://localhost:9999\r\n",
        "Host: localhost:2776\r\nOrigin: http://localhost:2776\r\nOrigin: http://evil.test\r\n",
        "Host: localhost:2776\r\nSec-Fetch-Site: cross-site\r\n",
        "Host: localhost:2776\r\nSec-Fetch-Site: same-site\r\n",
    ],
)
def test_pages_of_others_and_rebound_names_are_refused(headers: str) -> None:
    answer = ask(headers)
    assert answer.startswith(b"HTTP/1.1 403 "), answer
    assert b"secret" not in answer


def test_a_second_host_is_refused_before() -> None:
    assert ask("Host: localhost\r\nHost: evil.test\r\n").startswith(b"HTTP/1.1 400 ")
