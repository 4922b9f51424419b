"""Parameters of requests: what a person writes sets no others."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource

from vumi.web.parameters import parse_parameters
from vumi.web.server import BoundedSite
from vumi.web.site import LogFilterSite


@pytest.mark.parametrize(
    ("encoded", "parameters"),
    [
        (b"", {}),
        (b"a=1&b=2&a=3", {b"a": [b"1", b"3"], b"b": [b"2"]}),
        (b"content=x;session_event=close", {b"content": [b"x;session_event=close"]}),
        (b"content=x%3By&to=1;2", {b"content": [b"x;y"], b"to": [b"1;2"]}),
        (b"&&a=&=b&c&", {b"a": [b""], b"": [b"b"], b"c": [b""]}),
        (b"a+b=c+d%2B", {b"a b": [b"c d+"]}),
        (b"a=1=2", {b"a": [b"1=2"]}),
        (b"a=%zz%f&%61=%C3%A9", {b"a": [b"%zz%f", "é".encode()]}),
    ],
)
def test_pairs_end_at_ampersands_only(
    encoded: bytes, parameters: dict[bytes, list[bytes]]
) -> None:
    assert parse_parameters(encoded) == parameters


FORM = b"application/x-www-form-urlencoded"
PARTS = b'--x\r\nContent-Disposition: form-data; name="content"\r\n\r\nx;event=close\r\n--x--\r\n'


def _bounded(root: Resource) -> Any:
    return BoundedSite(root, Clock())


def _filtered(root: Resource) -> Any:
    return LogFilterSite(root, reactor=Clock())


@pytest.mark.parametrize("site", [_bounded, _filtered])
@pytest.mark.parametrize(
    ("method", "target", "content_type", "body", "parameters"),
    [
        (b"GET", b"/?content=x;event=close", b"", b"", {b"content": [b"x;event=close"]}),
        (b"POST", b"/", FORM, b"content=x;event=close", {b"content": [b"x;event=close"]}),
        (b"POST", b"/?a=1&b=2", FORM + b"; charset=utf-8", b"a=3;", {b"a": [b"3;"], b"b": [b"2"]}),
        (b"POST", b"/?a=1", b"application/json", b"b=2", {b"a": [b"1"]}),
        (b"PUT", b"/?a=1", FORM, b"b=2", {b"a": [b"1"]}),
        (
            *(b"POST", b"/?a=1;2", b"multipart/form-data; boundary=x", PARTS),
            {b"a": [b"1;2"], b"content": [b"x;event=close"]},
        ),
    ],
)
def test_a_semicolon_in_a_text_sets_no_parameter(
    site: Any,
    method: bytes,
    target: bytes,
    content_type: bytes,
    body: bytes,
    parameters: dict[bytes, list[bytes]],
) -> None:
    seen: list[Any] = []

    class Seeing(Resource):
        isLeaf = True

        def render(self, request: Any) -> bytes:
            seen.append((request.args, request.uri, request.path, request.content.read()))
            return b""

    channel = site(Seeing()).buildProtocol(None)
    channel.makeConnection(StringTransport())
    type_header = b"Content-Type: %b\r\n" % content_type if content_type else b""
    channel.dataReceived(
        b"%b %b HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b"
        % (method, target, type_header, len(body), body)
    )
    assert seen == [(parameters, target, b"/", body)]
