"""Requests to Riak: nodes, retries, and what answers say."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from vumi.components.message_store.riak import client as riak_client
from vumi.components.message_store.riak.answers import (
    Fetched,
    Missing,
    RiakAnswer,
    fetched,
    index_page,
    what_is_missing,
)
from vumi.components.message_store.riak.client import Put, RiakClient
from vumi.components.message_store.riak.layout import ArchiveRecord
from vumi.components.message_store.riak.tests.riak_double import REAPED_AFTER, RiakDouble
from vumi.components.message_store.riak.url import parse_riak_url
from vumi.errors import StoreError, StoreUnavailable

BUCKET = (None, "p.b")
RECORD = ArchiveRecord(b"{}")


class ClientCase(TestCase):
    timeout = 30

    def setUp(self) -> Any:
        self.cluster = RiakDouble(reactor)
        self.addCleanup(lambda: ensureDeferred(self.cluster.stop()))
        return ensureDeferred(self.start_nodes())

    async def start_nodes(self) -> None:
        for _ in range(2):
            await self.cluster.add_node()

    def client(self, **options: str) -> RiakClient:
        place = parse_riak_url(self.cluster.url(bucket_prefix="p.", **options))
        client = RiakClient(reactor, place)
        self.addCleanup(lambda: ensureDeferred(client.close()))
        return client

    async def unavailable(self, client: RiakClient) -> StoreUnavailable:
        try:
            await client.put("b", "k", RECORD)
        except StoreUnavailable as error:
            return error
        raise AssertionError("it worked")

    async def refused(self, client: RiakClient) -> StoreError:
        try:
            await client.put("b", "k", RECORD)
        except StoreError as error:
            assert not isinstance(error, StoreUnavailable), error
            return error
        raise AssertionError("it worked")


class NodesTests(ClientCase):
    async def test_nodes_take_turns(self) -> None:
        client = self.client()
        for _ in range(6):
            await client.get("b", "k")
        self.assertEqual([node.asked for node in self.cluster.nodes], [3, 3])

    async def test_when_a_node_is_away_the_other_one_is_asked_and_nobody_waits(self) -> None:
        client = self.client()
        await self.cluster.nodes[0].stop()
        for n in range(6):
            await client.put("b", f"k{n}", RECORD)
        self.assertEqual(len(self.cluster.objects(BUCKET)), 6)
        self.assertEqual(self.cluster.nodes[1].asked, 6)

    async def test_an_overloaded_node_hands_over_to_the_next(self) -> None:
        client = self.client()
        self.cluster.nodes[0].refusals = [(503, b"overload")]
        for n in range(3):
            await client.put("b", f"k{n}", RECORD)
        # It rests.
        self.assertEqual([node.asked for node in self.cluster.nodes], [1, 3])

    async def test_a_node_that_is_back_is_asked_when_the_others_are_away(self) -> None:
        client = self.client()
        await self.cluster.nodes[0].stop()
        await client.get("b", "k")
        await self.cluster.nodes[0].start()
        await self.cluster.nodes[1].stop()
        await client.get("b", "k")
        self.assertEqual(self.cluster.nodes[0].asked, 1)

    async def test_a_write_whose_answer_is_lost_is_written_again(self) -> None:
        client = self.client()
        self.cluster.properties[BUCKET] = {"allow_mult": True, "dvv_enabled": True}
        self.cluster.nodes[0].cut_after = 1
        await client.put("b", "k", ArchiveRecord(b'{"a":1}'))
        found = await client.get("b", "k")
        self.assertEqual({sibling.body for sibling in found.siblings}, {b'{"a":1}'})

    async def test_connections_are_kept_and_bounded(self) -> None:
        client = self.client(connections="3")
        await gatherResults([ensureDeferred(client.put("b", f"k{n}", RECORD)) for n in range(60)])
        self.assertEqual(len(self.cluster.objects(BUCKET)), 60)
        for node in self.cluster.nodes:
            assert node.most_connections <= 6, node.most_connections

    async def test_a_silent_node_is_given_up(self) -> None:
        client = self.client(timeout="0.05", patience="0.1")
        for node in self.cluster.nodes:
            node.is_silent = True
        self.patch(riak_client, "_GRACE_SECONDS", 0.01)
        error = await self.unavailable(client)
        assert "did not answer" in str(error), error
        assert error.maybe_executed

    async def test_what_never_left_was_not_executed(self) -> None:
        client = self.client(patience="0.1")
        await self.cluster.stop()
        error = await self.unavailable(client)
        assert not error.maybe_executed
        assert "could not be reached" in str(error), error
        assert str(error).startswith("riak://127.0.0.1:"), error

    async def test_errors_that_pass_are_waited_for(self) -> None:
        client = self.client()
        for node in self.cluster.nodes:
            node.refusals = [(500, b"Error:\n{error,insufficient_vnodes}"), (503, b"timed out")]
        await client.put("b", "k", RECORD)
        self.assertEqual(len(self.cluster.objects(BUCKET)), 1)

    async def test_an_error_that_stays_is_not_waited_for(self) -> None:
        client = self.client()
        self.cluster.nodes[0].refusals = [(500, b"Error:\n{badmatch,x}\n")]
        error = await self.refused(client)
        assert "answered 500: Error: {badmatch,x}" in str(error), error

    async def test_a_backend_without_indexes_is_named(self) -> None:
        self.cluster.has_indexes = False
        try:
            await self.client().index("b", "x_bin", "a", limit=1)
        except StoreError as error:
            assert "use leveldb or leveled" in str(error), error
        else:
            raise AssertionError("it worked")

    async def test_credentials_are_sent_and_never_shown(self) -> None:
        self.cluster.credentials = "user:sec ret"
        error = await self.refused(self.client())
        assert "does not let us in" in str(error), error
        url = self.cluster.url(bucket_prefix="p.").replace("riak://", "riak://user:sec%20ret@")
        client = RiakClient(reactor, parse_riak_url(url))
        self.addCleanup(lambda: ensureDeferred(client.close()))
        await client.put("b", "k", RECORD)
        self.cluster.credentials = "other:one"
        error = await self.refused(client)
        assert "sec" not in str(error), error

    async def test_a_bucket_type_that_is_not_active_is_named(self) -> None:
        client = self.client(bucket_type="nowhere")
        for asked in (client.properties("b"), client.get("b", "k")):
            try:
                await asked
            except StoreError as error:
                assert "no bucket type 'nowhere'" in str(error), error
            else:
                raise AssertionError("it worked")


class StartingTests(ClientCase):
    """A node that starts or stops answers 404 in HTML to everything."""

    async def each_way(self, client: RiakClient) -> dict[str, Any]:
        """What each kind of request ends with."""
        asked: dict[str, Any] = {
            "get": lambda: client.get("b", "k"),
            "put": lambda: client.put("b", "new", RECORD),
            "conditional put": lambda: client.put("b", "k", RECORD, None, ("If-None-Match", "*")),
            "delete": lambda: client.delete("b", "gone", None),
            "index": lambda: client.index("b", "$bucket", "_", limit=5),
            "properties": lambda: client.properties("b"),
            "set properties": lambda: client.set_properties("b", b'{"props":{}}'),
        }
        ends: dict[str, Any] = {}
        for name, ask in asked.items():
            try:
                ends[name] = await ask()
            except StoreError as error:
                ends[name] = error
        return ends

    async def test_another_node_is_asked(self) -> None:
        for options in ({}, {"bucket_type": "vumi"}):
            client = self.client(**options)
            for key in ("k", "gone"):
                await client.put("b", key, RECORD)
            for starting in self.cluster.nodes:
                for node in self.cluster.nodes:
                    node.is_starting = node is starting
                ends = await self.each_way(client)
                assert not any(isinstance(end, Exception) for end in ends.values()), ends
                self.assertEqual(ends["get"].siblings[0].body, b"{}")
                self.assertEqual(ends["conditional put"], Put.REFUSED)
                assert ends["delete"]
                await client.put("b", "gone", RECORD)

    async def test_when_all_are_starting_nothing_is_taken_for_missing(self) -> None:
        for options in ({}, {"bucket_type": "vumi"}, {"bucket_type": "nowhere"}):
            client = self.client(patience="0.05", **options)
            for node in self.cluster.nodes:
                node.is_starting = True
            for name, end in (await self.each_way(client)).items():
                assert isinstance(end, StoreUnavailable), (name, end)
                assert "starting or stopping" in str(end), end
                assert not end.maybe_executed, name

    async def test_it_is_waited_for(self) -> None:
        client = self.client()
        await client.put("b", "k", RECORD)
        for node in self.cluster.nodes:
            node.is_starting = True
        asked = ensureDeferred(client.get("b", "k"))
        while not all(node.asked > 2 for node in self.cluster.nodes):
            await deferLater(reactor, 0.01)
        for node in self.cluster.nodes:
            node.is_starting = False
        self.assertEqual((await asked).siblings[0].body, b"{}")

    async def test_a_bucket_type_that_is_missing_is_told_from_a_node_that_starts(self) -> None:
        ends = await self.each_way(self.client(bucket_type="nowhere"))
        for name, end in ends.items():
            assert not isinstance(end, StoreUnavailable), (name, end)
            assert "no bucket type 'nowhere'" in str(end), (name, end)

    async def test_another_server_s_404_is_not_an_answer_of_riak(self) -> None:
        for content_type, body in (
            (b"text/plain", b"404 page not found\n"),
            (b"text/plain; charset=utf-8", b""),
            (b"application/json", b'{"error": "not found"}'),
        ):
            headers = {"content-type": content_type.decode()}
            missing = what_is_missing(RiakAnswer(404, headers, body))
            self.assertEqual(missing, Missing.API)
        for headers in (
            {"content-type": "text/plain"},
            {"content-type": "Text/Plain; charset=utf-8"},
            {"content-type": "text/html", "x-riak-deleted": "true"},
        ):
            missing = what_is_missing(RiakAnswer(404, headers, b"not found\n"))
            self.assertEqual(missing, Missing.OBJECT)


class BoundsTests(ClientCase):
    async def test_an_object_may_have_more_index_terms_than_riak_reads_lines(self) -> None:
        client = self.client()
        indexes = tuple(("n_bin", f"{n:05}") for n in range(2_100))
        await client.put("b", "k", ArchiveRecord(b"{}", indexes))
        page = await client.index("b", "n_bin", "0", "9", limit=3_000)
        self.assertEqual(page.hits, tuple((term, "k") for _, term in indexes))

    async def test_a_term_of_the_longest_kind_is_sent_alone(self) -> None:
        client = self.client()
        indexes = tuple(("n_bin", f"{n}{'x' * 3_999}") for n in range(5))
        await client.put("b", "k", ArchiveRecord(b"{}", indexes))
        page = await client.index("b", "n_bin", "0", "9", limit=3_000)
        self.assertEqual(len(page.hits), 5)


class ObjectTests(ClientCase):
    async def test_quorums_are_asked_for_where_they_belong(self) -> None:
        client = self.client(r="1", w="2", pr="quorum", timeout="2.5")
        await client.get("b", "k")
        await client.put("b", "k", RECORD)
        await client.delete("b", "k", None)
        queries = [target.partition("?")[2] for _, target, _ in self.cluster.requests]
        self.assertEqual(
            queries,
            [
                "r=1&pr=quorum&timeout=2500",
                "w=2&dw=all&timeout=2500",
                "r=1&pr=quorum&w=2&dw=all&timeout=2500",
            ],
        )

    async def test_any_key_and_bucket_survives_the_path(self) -> None:
        client = self.client()
        for key in ("a+b", "a b", "a/b", "..", "%2B", "?x=1", "é\N{SNOWMAN}", "a&b=c#d;e"):
            await client.put(key, key, ArchiveRecord(key.encode()))
            assert key in self.cluster.objects((None, f"p.{key}")), key
            found = await client.get(key, key)
            self.assertEqual([sibling.body for sibling in found.siblings], [key.encode()])

    async def test_typed_buckets_are_others(self) -> None:
        await self.client(bucket_type="vumi").put("b", "k", RECORD)
        self.assertEqual(await self.client().get("b", "k"), Fetched(()))
        assert "k" in self.cluster.objects(("vumi", "p.b"))

    async def test_what_is_deleted_leaves_a_context_until_it_is_reaped(self) -> None:
        client = self.client()
        await client.put("b", "k", RECORD)
        found = await client.get("b", "k")
        self.assertEqual(await client.delete("b", "k", found.vclock), True)
        found = await client.get("b", "k")
        self.assertEqual((found.siblings, found.tombstone), ((), True))
        assert found.vclock
        self.assertEqual(await client.delete("b", "k", found.vclock), False)
        self.cluster.objects(BUCKET)["k"].contents[0].modified -= REAPED_AFTER
        self.assertEqual(await client.get("b", "k"), Fetched(()))

    async def test_siblings_come_with_their_times_and_without_the_deleted_one(self) -> None:
        client = self.client()
        self.cluster.properties[BUCKET] = {"allow_mult": True, "dvv_enabled": True}
        bodies = [b'{"a":"\xe2\x98\x83\\r\\n--x"}', b'{"a":"%s"}' % (b"x" * 100_000)]
        for body in bodies:
            self.cluster.put(BUCKET, "k", body, [("a_bin", "1"), ("a_bin", "2")])
        self.cluster.put(BUCKET, "k", b"", deleted=True)
        found = await client.get("b", "k")
        self.assertEqual([sibling.body for sibling in found.siblings], bodies)
        assert all(sibling.modified > 1_600_000_000 for sibling in found.siblings)
        self.assertEqual(found.siblings[0].indexes, {"a_bin"})
        assert found.tombstone
        assert found.to_be_merged
        await client.put("b", "k", RECORD, found.vclock)
        found = await client.get("b", "k")
        self.assertEqual([sibling.body for sibling in found.siblings], [b"{}"])
        assert not found.to_be_merged

    async def test_a_condition_that_does_not_hold_is_told(self) -> None:
        client = self.client()
        nothing = ("If-None-Match", "*")
        self.assertEqual(await client.put("b", "k", RECORD, None, nothing), Put.DONE)
        self.assertEqual(await client.put("b", "k", RECORD, None, nothing), Put.REFUSED)
        etag = (await client.get("b", "k")).siblings[0].etag
        assert etag
        self.assertEqual(await client.put("b", "k", RECORD, None, ("If-Match", etag)), Put.DONE)
        self.assertEqual(await client.put("b", "k", RECORD, None, ("If-Match", etag)), Put.REFUSED)

    async def test_indexes_are_read_page_by_page(self) -> None:
        client = self.client()
        for n in range(7):
            indexes = (("n_bin", f"{n} +%,"[:3]), ("same_bin", "x"))
            await client.put("b", f"k{n}", ArchiveRecord(b"{}", indexes))
        hits: list[tuple[str, str]] = []
        continuation = None
        while not hits or continuation is not None:
            page = await client.index(
                "b", "n_bin", "1 +", "5 +", limit=2, continuation=continuation
            )
            assert len(page.hits) <= 2
            hits += page.hits
            continuation = page.continuation
        self.assertEqual(hits, [(f"{n} +", f"k{n}") for n in range(1, 6)])
        page = await client.index("b", "same_bin", "x", limit=3)
        self.assertEqual(page.hits, (("", "k0"), ("", "k1"), ("", "k2")))


class AnswerTests(TestCase):
    def test_what_is_not_riak_is_refused(self) -> None:
        for body in (b"", b"[]", b"\xff", b'{"keys": 1}', b'{"results": [1]}', b"<html>"):
            self.assertRaises(StoreError, index_page, RiakAnswer(200, {}, body))
        answer = RiakAnswer(300, {"content-type": "text/plain"}, b"Siblings:\na\nb\n")
        self.assertRaises(StoreError, fetched, answer)

    def test_terms_that_are_numbers_come_as_texts(self) -> None:
        page = index_page(RiakAnswer(200, {}, b'{"results":[{"1":"k"}]}'))
        self.assertEqual(page.hits, (("1", "k"),))

    def test_a_date_that_is_none_is_no_date(self) -> None:
        found = fetched(RiakAnswer(200, {"last-modified": "yesterday"}, b"x"))
        self.assertEqual(found.siblings[0].modified, 0.0)
