"""Tests of the bounds on bodies of requests and on connections."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.test.requesthelper import DummyChannel

from vumi.web.limits import DEFAULT_BODY_LIMIT, BoundedRequest, ConnectionLimits
from vumi.web.server import BoundedSite


@pytest.mark.parametrize(
    ("chunks", "too_big", "kept"),
    [
        ([], False, b""),
        ([b"0123456789"], False, b"0123456789"),
        ([b"01234", b"56789"], False, b"0123456789"),
        ([b"01234567890"], True, b""),
        ([b"01234", b"567890", b"1"], True, b"01234"),
        ([b"0123456789", b"x" * 1_000_000], True, b"0123456789"),
    ],
)
# A body in chunks, and one whose length is told: right or wrong.
@pytest.mark.parametrize("length", [None, 10, 10_000_000])
def test_no_more_than_the_limit_is_kept(
    chunks: list[bytes], too_big: bool, kept: bytes, length: int | None
) -> None:
    bounded: Any = type("SmallRequest", (BoundedRequest,), {"body_limit": 10})
    request: Any = bounded(DummyChannel(), False)
    request.gotLength(length)
    for chunk in chunks:
        request.handleContentChunk(chunk)
    assert request.body_too_big == too_big
    request.content.seek(0)
    assert request.content.read() == kept
    request.content.close()


def test_sites_do_not_share_their_limits() -> None:
    small = BoundedSite(Resource(), Clock(), body_limit=10)
    usual = BoundedSite(Resource(), Clock())
    limits = [getattr(site.requestFactory, "body_limit", None) for site in (small, usual)]
    assert limits == [10, DEFAULT_BODY_LIMIT]
    assert BoundedRequest.body_limit == DEFAULT_BODY_LIMIT


def test_connections_are_counted_in_total_and_by_address() -> None:
    limits = ConnectionLimits(total=4, per_address=2)
    first = limits.admit("192.0.2.1")
    assert first is not None
    assert limits.admit("192.0.2.1") is not None
    assert limits.admit("192.0.2.1") is None
    assert limits.admit("192.0.2.2") is not None
    assert limits.admit(None) is not None
    assert limits.admit("192.0.2.3") is None
    first()
    assert limits.admit("192.0.2.1") is not None


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    limits = ConnectionLimits(total=10, per_address=1)
    assert limits.admit("2001:db8:0:1::1") is not None
    assert limits.admit("2001:db8:0:1:ffff::2") is None
    assert limits.admit("2001:db8:0:2::1") is not None
    assert limits.admit("fe80::1%eth0") is not None
    # The same as the one of IPv4 that it stands for.
    assert limits.admit("::ffff:192.0.2.1") is not None
    assert limits.admit("192.0.2.1") is None
