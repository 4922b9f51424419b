"""The Riak archive keeps the contract: on the double always, on a real cluster if there is one.

``VUMI_TEST_RIAK_URL`` names the real one, such as ``riak://127.0.0.1:8098/?bucket_type=vumi``.
Each test has buckets of its own: a ``bucket_prefix`` in the URL is what their names begin with.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import TestCase

from vumi.components.message_store.riak import RiakArchive
from vumi.components.message_store.riak.tests.riak_double import RiakDouble
from vumi.components.message_store.riak.url import parse_riak_url
from vumi.components.message_store.tests.contract import (
    ArchiveContract,
    ArchiveOutageContract,
    ArchiveSuite,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

REAL_URL = os.environ.get("VUMI_TEST_RIAK_URL")

CANNOT = {"text": "Riak has no index of words"}


class RiakDoubleCase(ArchiveSuite, TestCase):
    """A cluster of two nodes."""

    options: ClassVar[Mapping[str, str]] = {"bucket_prefix": "test."}

    def setUp(self) -> Any:
        return ensureDeferred(self._start())

    async def _start(self) -> None:
        self.cluster = RiakDouble(reactor)
        self.addCleanup(lambda: ensureDeferred(self.cluster.stop()))
        for _ in range(2):
            await self.cluster.add_node()

    def make_archive(self) -> Any:
        return RiakArchive.from_url(self.cluster.url(**self.options), reactor)


class RiakArchiveTests(RiakDoubleCase, ArchiveContract):
    cannot = CANNOT


class TypedRiakArchiveTests(RiakDoubleCase, ArchiveContract):
    cannot = CANNOT
    options: ClassVar[Mapping[str, str]] = {"bucket_prefix": "t\N{SNOWMAN}", "bucket_type": "vumi"}


class RiakOutageTests(RiakDoubleCase, ArchiveOutageContract):
    cannot = CANNOT

    def make_impatient_archive(self) -> Any:
        return RiakArchive.from_url(self.cluster.url(**self.options), reactor, patience=0.3)

    async def take_away(self) -> None:
        await self.cluster.stop()

    async def bring_back(self) -> None:
        for node in self.cluster.nodes:
            await node.start()


class RealRiakArchiveTests(ArchiveContract, TestCase):
    """On a real cluster, with a prefix of each test's own."""

    cannot = CANNOT
    skip = None if REAL_URL else "VUMI_TEST_RIAK_URL does not name a Riak cluster"

    def setUp(self) -> None:
        self.url = with_own_prefix(REAL_URL or "")

    def make_archive(self) -> Any:
        return RiakArchive.from_url(self.url, reactor)


def with_own_prefix(url: str) -> str:
    """The URL of a cluster as that of an archive nobody has used."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    prefix = options.get("bucket_prefix", "vumi-test-")
    options["bucket_prefix"] = f"{prefix}{uuid4().hex}-"
    # Riak's own address is as good.
    scheme = {"http": "riak", "https": "riaks"}.get(parts.scheme, parts.scheme)
    return f"{scheme}://{parts.netloc}/?{urlencode(options)}"


def test_the_url_of_a_real_cluster_gets_a_prefix_of_the_test_s_own() -> None:
    for given, begin in (
        ("riak://h:1,h2", "vumi-test-"),
        ("http://h:1/", "vumi-test-"),
        ("riak://u:p@h:1,h2/?bucket_prefix=x.&bucket_type=t&r=1", "x."),
    ):
        place, other = (parse_riak_url(with_own_prefix(given)) for _ in range(2))
        assert place.bucket_prefix.startswith(begin)
        assert place.bucket_prefix != other.bucket_prefix
        assert place.nodes[0].netloc == "h:1"
