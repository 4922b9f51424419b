"""Tests of the bound on bodies of requests."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.test.requesthelper import DummyChannel

from vumi.web.limits import DEFAULT_BODY_LIMIT, BoundedRequest, limit_bodies


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
    site = Site(Resource())
    limit_bodies(site, 10)
    request: Any = site.requestFactory(DummyChannel(), False)
    request.gotLength(length)
    for chunk in chunks:
        request.handleContentChunk(chunk)
    assert request.body_too_big == too_big
    request.content.seek(0)
    assert request.content.read() == kept
    request.content.close()


def test_sites_do_not_share_their_limits() -> None:
    small, usual = Site(Resource()), Site(Resource())
    limit_bodies(small, 10)
    limit_bodies(usual)
    limits = [getattr(site.requestFactory, "body_limit", None) for site in (small, usual)]
    assert limits == [10, DEFAULT_BODY_LIMIT]
    assert BoundedRequest.body_limit == DEFAULT_BODY_LIMIT
