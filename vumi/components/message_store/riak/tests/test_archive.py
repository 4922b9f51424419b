"""What is Riak's own about the Riak archive: siblings, old archives, windows of time, locks."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from vumi.components.message_store.interface import (
    Batch,
    Entry,
    Kind,
    Order,
    Query,
    StoredMessage,
)
from vumi.components.message_store.riak import RiakArchive
from vumi.components.message_store.riak import __main__ as upgrading
from vumi.components.message_store.riak.answers import Fetched
from vumi.components.message_store.riak.client import RiakClient
from vumi.components.message_store.riak.layout import batch_record, event_draft, message_draft
from vumi.components.message_store.riak.locks import RiakLocks
from vumi.components.message_store.riak.objects import RiakObjects
from vumi.components.message_store.riak.tests.riak_double import RiakDouble
from vumi.components.message_store.riak.url import parse_riak_url
from vumi.components.message_store.tests.contract import (
    ack,
    at,
    ids,
    inbound,
    nack,
    outbound,
    report,
)
from vumi.errors import StoreError, StoreUnavailable
from vumi.named_locks import NamedLocks

if TYPE_CHECKING:
    from collections.abc import Collection

    from vumi.message import TransportEvent, TransportUserMessage

INBOUND, OUTBOUND, EVENT = (
    (None, "p.inboundmessage"),
    (None, "p.outboundmessage"),
    (None, "p.event"),
)

#: What the old Vumi's versions of messages had, beside ``batches``.
OLD_INDEXES = {
    2: {"batches_bin"},
    3: {"batches_bin", "batches_with_addresses_bin"},
    5: {
        "batches_bin",
        "batches_with_addresses_bin",
        "batches_with_addresses_reverse_bin",
    },
}
OLD_EVENT_INDEXES = {
    "message_bin",
    "message_with_status_bin",
    "batches_bin",
    "batches_with_statuses_reverse_bin",
}


class RiakCase(TestCase):
    timeout = 60

    def setUp(self) -> Any:
        self.cluster = RiakDouble(reactor)
        self.addCleanup(lambda: ensureDeferred(self.cluster.stop()))
        return ensureDeferred(self.cluster.add_node())

    async def opened(self, **options: str) -> RiakArchive:
        url = self.cluster.url(bucket_prefix="p.", **options)
        archive = RiakArchive.from_url(url, reactor, patience=0.3)
        self.addCleanup(archive.close)
        await archive.open()
        return archive

    def client(self) -> RiakClient:
        client = RiakClient(reactor, parse_riak_url(self.cluster.url(bucket_prefix="p.")))
        self.addCleanup(lambda: ensureDeferred(client.close()))
        return client

    def requests(self) -> int:
        """How many requests there were since this was asked last."""
        number = len(self.cluster.requests)
        self.cluster.requests.clear()
        return number

    async def refused(self, deferred: Any) -> str:
        try:
            result = await deferred
        except StoreError as error:
            assert not isinstance(error, StoreUnavailable), error
            return str(error)
        raise AssertionError(f"not refused, but {result!r}")

    # What others write

    def write_message(
        self, message: TransportUserMessage, batches: Collection[str], kind: Kind = Kind.INBOUND
    ) -> None:
        """Write a message as another process that has not read what is there."""
        record = message_draft(kind, message).record(batches)
        bucket = INBOUND if kind is Kind.INBOUND else OUTBOUND
        self.cluster.put(bucket, message["message_id"], record.body, record.indexes)

    def write_old_message(
        self, message: TransportUserMessage, batches: Collection[str], version: int = 5
    ) -> None:
        """Write a message as an old worker."""
        record = message_draft(Kind.INBOUND, message).record(batches)
        data = {**json.loads(record.body), "$VERSION": version}
        indexes = [entry for entry in record.indexes if entry[0] in OLD_INDEXES[version]]
        self.cluster.put(INBOUND, message["message_id"], json.dumps(data).encode(), indexes)

    def write_old_event(self, event: TransportEvent, batches: Collection[str]) -> None:
        """Write an event as an old worker."""
        record = event_draft(event).record(batches)
        indexes = [entry for entry in record.indexes if entry[0] in OLD_EVENT_INDEXES]
        self.cluster.put(EVENT, event["event_id"], record.body, indexes)

    async def all_pages(self, function: Any, *args: Any, **kw: Any) -> list[str]:
        found: list[str] = []
        continuation = None
        while not found or continuation is not None:
            page = await function(*args, **kw, continuation=continuation)
            found += ids(page)
            continuation = page.continuation
        return found


class SiblingTests(RiakCase):
    """Several processes write one object at the same moment."""

    async def test_a_message_that_two_wrote_is_in_the_batches_of_both(self) -> None:
        archive = await self.opened()
        message = inbound(message_id="m")
        for batch in ("b1", "b2", "b3"):
            self.write_message(message, [batch])
        found = await archive.get_message(Kind.INBOUND, "m")
        self.assertEqual(found, StoredMessage(Kind.INBOUND, message, ("b1", "b2", "b3")))
        # And is so in Riak too.
        self.assertEqual(len(self.cluster.objects(INBOUND)["m"].contents), 1)
        for batch in ("b1", "b2", "b3"):
            self.assertEqual(ids(await archive.page(Kind.INBOUND, batch)), ["m"])

    async def test_storing_again_loses_no_batch_of_a_sibling(self) -> None:
        archive = await self.opened()
        message = inbound(message_id="m")
        for batch in ("b1", "b2"):
            self.write_message(message, [batch])
        self.assertEqual(await archive.store_message(Kind.INBOUND, message, ["b3"]), False)
        found = await archive.get_message(Kind.INBOUND, "m")
        assert found is not None
        self.assertEqual(found.batch_ids, ("b1", "b2", "b3"))

    async def test_an_event_that_two_wrote_is_in_the_batches_of_both(self) -> None:
        archive = await self.opened()
        event = ack("m", event_id="e")
        for batch in ("b1", "b2"):
            record = event_draft(event).record([batch])
            self.cluster.put(EVENT, "e", record.body, record.indexes)
        stored = await archive.store_event(event, ["b3"])
        self.assertEqual(stored.batch_ids, ("b1", "b2", "b3"))

    async def test_processes_that_write_at_once_lose_no_batch(self) -> None:
        await self.opened()
        processes = [RiakObjects(self.client(), NamedLocks()) for _ in range(8)]
        self.cluster.writes_race = True
        stored = await self.stored_at_once(processes)
        # Nothing tells them apart.
        self.assertEqual([is_new for is_new, _ in stored], [True] * 8)
        self.assertEqual(len(self.cluster.objects(OUTBOUND)["m"].contents), 8)
        found = await processes[0].find(Kind.OUTBOUND, "m")
        assert found is not None
        self.assertEqual(found.batch_ids, tuple(f"b{n}" for n in range(8)))

    async def test_processes_that_add_batches_at_once_lose_none(self) -> None:
        archive = await self.opened()
        await archive.store_message(Kind.OUTBOUND, outbound(message_id="m"), ["a"])
        # All read before one writes.
        clients = [self.client() for _ in range(8)]
        waiting_ones: list[Deferred[None]] = []
        reads = 0

        def waiting(get: Any) -> Any:
            async def get_and_wait(*args: Any) -> Any:
                nonlocal reads
                found = await get(*args)
                reads += 1
                if reads < len(clients):
                    waiting_ones.append(Deferred())
                    await waiting_ones[-1]
                elif reads == len(clients):
                    for each in waiting_ones:
                        each.callback(None)
                return found

            return get_and_wait

        for client in clients:
            self.patch(client, "get", waiting(client.get))
        processes = [RiakObjects(client, NamedLocks()) for client in clients]
        stored = await self.stored_at_once(processes)
        self.assertEqual([is_new for is_new, _ in stored], [False] * 8)
        self.assertEqual(len(self.cluster.objects(OUTBOUND)["m"].contents), 8)
        found = await processes[0].find(Kind.OUTBOUND, "m")
        assert found is not None
        self.assertEqual(found.batch_ids, ("a", *(f"b{n}" for n in range(8))))

    async def stored_at_once(self, processes: list[RiakObjects]) -> list[tuple[bool, Any]]:
        draft = message_draft(Kind.OUTBOUND, outbound(message_id="m"))
        return await gatherResults(
            [
                ensureDeferred(objects.store(draft, [f"b{n}"]))
                for n, objects in enumerate(processes)
            ]
        )

    async def test_a_message_with_siblings_is_read_though_it_cannot_be_written(self) -> None:
        archive = await self.opened()
        message = inbound(message_id="m")
        for batch in ("b1", "b2"):
            self.write_message(message, [batch])
        self.patch(RiakClient, "put", lambda *args: (_ for _ in ()).throw(StoreError("full")))
        found = await archive.get_message(Kind.INBOUND, "m")
        assert found is not None
        self.assertEqual(found.batch_ids, ("b1", "b2"))

    async def test_two_versions_with_different_times_are_on_a_page_once(self) -> None:
        archive = await self.opened()
        for seconds in (1, 2):
            self.write_message(inbound(seconds=seconds, message_id="m"), ["b"])
        page = await archive.search(Query(batch_id="b"))
        self.assertEqual(ids(page), ["m"])

    async def test_what_was_written_while_it_was_erased_stays(self) -> None:
        archive = await self.opened()
        message = inbound(message_id="m")
        self.write_message(message, ["b1"])
        found = self.cluster.objects(INBOUND)["m"]
        seen = found.vclock
        self.write_message(message, ["b2"])
        self.cluster.put(INBOUND, "m", b"", (), seen, deleted=True)
        stored = await archive.get_message(Kind.INBOUND, "m")
        assert stored is not None
        self.assertEqual(stored.batch_ids, ("b2",))
        # The tombstone is gone with it.
        self.assertEqual(len(self.cluster.objects(INBOUND)["m"].contents), 1)

    async def test_what_was_erased_does_not_come_back_after_a_race(self) -> None:
        # Untyped buckets have no dotted version vectors by themselves. Without them the version
        # that was read and erased stayed as a sibling of the one that came meanwhile.
        archive = await self.opened()
        self.write_message(inbound(message_id="m"), ["erased"])
        found = await self.client().get("inboundmessage", "m")
        self.write_message(inbound(message_id="m"), ["came meanwhile"])
        await self.client().delete("inboundmessage", "m", found.vclock)
        stored = await archive.get_message(Kind.INBOUND, "m")
        assert stored is not None
        self.assertEqual(stored.batch_ids, ("came meanwhile",))

    async def test_of_a_batch_that_two_put_the_newest_counts(self) -> None:
        archive = await self.opened()
        bucket = (None, "p.batch")
        self.cluster.properties[bucket] = {"allow_mult": True, "dvv_enabled": True}
        for seconds, batch in ((5, Batch("b", metadata={"n": "2"})), (0, Batch("b"))):
            record = batch_record(batch)
            self.cluster.put(bucket, "b", record.body, record.indexes)
            self.cluster.objects(bucket)["b"].contents[-1].modified += seconds
        self.assertEqual(await archive.get_batch("b"), Batch("b", metadata={"n": "2"}))

    async def test_buckets_are_made_to_keep_siblings_but_only_if_they_do_not(self) -> None:
        await self.opened()
        buckets = (INBOUND, OUTBOUND, EVENT, (None, "p.lock"))
        for name in ("allow_mult", "dvv_enabled"):
            assert all(self.cluster.props(bucket)[name] for bucket in buckets), name
        self.requests()
        await self.opened()
        await self.opened(bucket_type="vumi")
        changed = [
            target
            for method, target, _ in self.cluster.requests
            if method == "PUT" and "/props" in target
        ]
        self.assertEqual(changed, [])

    async def test_an_archive_that_is_only_looked_at_is_not_written(self) -> None:
        url = self.cluster.url(bucket_prefix="p.")
        archive = RiakArchive.from_url(url, reactor, create=False)
        self.addCleanup(archive.close)
        await archive.open()
        self.assertEqual(ids(await archive.search(Query())), [])
        self.assertEqual({method for method, _, _ in self.cluster.requests}, {"GET"})

    async def test_buckets_are_left_alone_if_the_url_says_so(self) -> None:
        await self.opened(set_properties="no")
        assert not any("/props" in target for _, target, _ in self.cluster.requests)

    async def test_turns_leave_nothing_behind(self) -> None:
        archive = await self.opened()
        message = inbound()
        writes = [archive.store_message(Kind.INBOUND, message, [str(n)]) for n in range(5)]
        self.assertEqual(sum(await gatherResults(writes)), 1)
        self.assertEqual(len(archive._objects._turns), 0)
        turns = NamedLocks()
        try:
            async with turns.hold("x"):
                raise KeyError
        except KeyError:
            pass
        self.assertEqual(len(turns), 0)


class RequestsTests(RiakCase):
    """How many requests it takes."""

    def methods(self) -> list[str]:
        """The requests since this was asked last."""
        methods = [method for method, _, _ in self.cluster.requests]
        self.cluster.requests.clear()
        return methods

    async def test_what_is_new_is_written_by_one_request(self) -> None:
        archive = await self.opened()
        self.requests()
        for n in range(10):
            message = outbound(seconds=n, message_id=f"m{n}")
            self.assertEqual(await archive.store_message(Kind.OUTBOUND, message, ["b"]), True)
        self.assertEqual(self.methods(), ["PUT"] * 10)
        # Its message's batches are asked for.
        await archive.store_event(ack("m1", event_id="e1"))
        self.assertEqual(self.methods(), ["GET", "PUT"])
        await archive.store_event(ack("m1", event_id="e2"), ["b"])
        self.assertEqual(self.methods(), ["PUT"])

    async def test_what_is_there_is_read_before_it_is_written_again(self) -> None:
        archive = await self.opened()
        await archive.store_message(Kind.INBOUND, inbound(message_id="m"), ["a"])
        self.requests()
        again = await archive.store_message(Kind.INBOUND, inbound(message_id="m"), ["b"])
        self.assertEqual(again, False)
        self.assertEqual(self.methods(), ["PUT", "GET", "PUT"])
        stored = await archive.get_message(Kind.INBOUND, "m")
        assert stored is not None
        self.assertEqual(stored.batch_ids, ("a", "b"))

    async def test_a_new_message_whose_answer_is_lost_is_told_as_new(self) -> None:
        archive = await self.opened()
        [node] = self.cluster.nodes
        node.cut_after = 1
        stored = await archive.store_message(Kind.INBOUND, inbound(message_id="m"), ["b"])
        self.assertEqual(stored, True)
        node.cut_after = 1
        again = await archive.store_message(Kind.INBOUND, inbound(message_id="m"), ["c"])
        self.assertEqual(again, False)
        self.assertEqual(len(self.cluster.objects(INBOUND)["m"].contents), 1)

    async def test_a_search_by_status_does_not_ask_for_each_message(self) -> None:
        archive = await self.opened()
        await gatherResults(
            [
                archive.store_message(
                    Kind.OUTBOUND, outbound(seconds=n, message_id=f"m{n:04}"), ["b"]
                )
                for n in range(1_500)
            ]
        )
        failed = [f"m{n:04}" for n in range(1_500) if n % 100 == 7]
        for n in range(1_500):
            status = "failed" if n % 100 == 7 else "delivered"
            for event in (ack(f"m{n:04}", n), report(f"m{n:04}", status, n + 1)):
                record = event_draft(event).record(["b"])
                self.cluster.put(EVENT, event["event_id"], record.body, record.indexes)
        self.requests()
        for query in (Query(status="failed"), Query(status="failed", batch_id="b")):
            for order in Order:
                found = await archive.search(query, order, 1_000)
                wanted = failed if order is Order.OLDEST_FIRST else failed[::-1]
                self.assertEqual(ids(found), wanted)
                objects = [t for _, t, _ in self.cluster.requests if "/keys/" in t]
                self.assertEqual(len(objects), len(failed))
                assert self.requests() - len(objects) < 60
        # Few of many: each by a query of its own, no more than that.
        page = await archive.search(Query(status="ack"), limit=5)
        self.assertEqual(ids(page), [])

    async def test_the_last_event_counts_however_many_a_message_has(self) -> None:
        archive = await self.opened()
        for n in range(12):
            key = f"m{n:02}$x" if n % 2 else f"m{n:02}"
            await archive.store_message(Kind.OUTBOUND, outbound(seconds=n, message_id=key))
            for times in range(1_200 if n == 5 else n):
                status = "failed" if n % 3 else "pending"
                event = report(key, "failed" if times % 2 else "pending", times)
                if times == (1_199 if n == 5 else n - 1):
                    event = report(key, status, times)
                record = event_draft(event).record([])
                self.cluster.put(EVENT, event["event_id"], record.body, record.indexes)
        for status, wanted in (
            ("none", ["m00"]),
            ("pending", ["m03$x", "m06", "m09$x"]),
            ("failed", ["m01$x", "m02", "m04", "m05$x", "m07$x", "m08", "m10", "m11$x"]),
        ):
            page = await archive.search(Query(status=status), Order.OLDEST_FIRST)
            self.assertEqual(ids(page), wanted)

    async def test_a_starting_node_costs_no_event_its_batches(self) -> None:
        archive = await self.opened()
        await archive.store_message(Kind.OUTBOUND, outbound(message_id="m"), ["b"])
        [node] = self.cluster.nodes
        node.is_starting = True
        try:
            await archive.store_event(ack("m", event_id="e"))
        except StoreUnavailable:
            pass
        else:
            raise AssertionError("it was stored")
        node.is_starting = False
        stored = await archive.store_event(ack("m", event_id="e"))
        self.assertEqual(stored.batch_ids, ("b",))

    async def test_a_message_may_be_in_more_batches_than_riak_reads_header_lines(self) -> None:
        archive = await self.opened()
        batches = [f"b{n}" for n in range(340)]
        message = inbound(message_id="m", user="+1")
        await archive.store_message(Kind.INBOUND, message, batches)
        for batch in ("b0", "b339"):
            self.assertEqual(ids(await archive.page(Kind.INBOUND, batch)), ["m"])


class OldArchiveTests(RiakCase):
    """An archive that old workers wrote, or still write."""

    async def test_messages_of_the_old_vumi_are_on_pages_in_both_orders(self) -> None:
        for n in range(12):
            message = inbound(seconds=n / 4, message_id=f"m{n:02}")
            self.write_old_message(message, ["b"], version=3 if n % 3 else 5)
        archive = await self.opened()
        expected = [f"m{n:02}" for n in range(12)]
        for limit in (1, 5, 12):
            found = await self.all_pages(archive.page, Kind.INBOUND, "b", limit=limit)
            self.assertEqual(found, expected)
            found = await self.all_pages(
                archive.page, Kind.INBOUND, "b", Order.NEWEST_FIRST, limit=limit
            )
            self.assertEqual(found, expected[::-1])

    async def test_events_of_the_old_vumi_have_exact_times_on_pages_in_both_orders(self) -> None:
        # In their index is the second only, and it runs one way.
        archive = await self.opened()
        events = [ack("m", n / 4, event_id=f"e{n:02}") for n in range(20)]
        for n, event in enumerate(events):
            if n % 3:
                self.write_old_event(event, ["b"])
            else:
                await archive.store_event(event, ["b"])
        expected = [f"e{n:02}" for n in range(20)]
        for limit in (1, 7, 20):
            found = await self.all_pages(archive.page, Kind.EVENT, "b", limit=limit)
            self.assertEqual(found, expected)
            found = await self.all_pages(
                archive.page, Kind.EVENT, "b", Order.NEWEST_FIRST, limit=limit
            )
            self.assertEqual(found, expected[::-1])
        page = await archive.page(Kind.EVENT, "b", start=at(0.25), end=at(0.5))
        self.assertEqual(
            page.entries, (Entry("e01", at(0.25), "ack"), Entry("e02", at(0.5), "ack"))
        )
        self.assertEqual((await archive.status_counts("b"))["ack"], 20)

    async def test_a_page_of_many_old_events_is_found_without_reading_them_all(self) -> None:
        archive = await self.opened()
        for n in range(1000):
            self.write_old_event(ack("m", 60 * n, event_id=f"e{n:04}"), ["b"])
        await archive.store_event(ack("m", 60 * 1000, event_id="e1000"), ["b"])
        self.requests()
        page = await archive.page(Kind.EVENT, "b", limit=10)
        self.assertEqual(ids(page), [f"e{n:04}" for n in range(10)])
        fetched = [target for _, target, _ in self.cluster.requests if "/keys/" in target]
        assert len(fetched) < 100, len(fetched)

    async def test_what_needs_own_indexes_is_refused_until_the_upgrade(self) -> None:
        for n, version in enumerate((2, 3, 5)):
            message = inbound(seconds=n, message_id=f"m{n}", user="+1")
            self.write_old_message(message, ["b"], version)
        self.write_old_event(ack("m0", event_id="e0"), ["b"])
        record = batch_record(Batch("b", (("pool", "1"),)))
        self.cluster.put((None, "p.batch"), "b", record.body)
        archive, other = await self.opened(), await self.opened()
        for asked in (
            archive.search(Query(address="+1")),
            archive.search(Query()),
            archive.forget("+1"),
            archive.forget("+1", dry_run=True),
            archive.delete_before(at(1)),
        ):
            assert "message_store.riak URL" in await self.refused(asked)
        # What can be found is found.
        self.assertEqual(await archive.count(Kind.INBOUND), 3)
        self.assertEqual(await archive.count(Kind.INBOUND, "b"), 3)
        self.assertEqual(ids(await archive.page(Kind.INBOUND, "b")), ["m1", "m2"])
        self.assertEqual(ids(await archive.search(Query(tag=("pool", "1")))), ["m2", "m1"])
        told: list[tuple[int, int]] = []
        self.assertEqual(await archive.upgrade(lambda *seen: told.append(seen)), 5)
        self.assertEqual(told[-1], (5, 5))
        for each in (archive, other, await self.opened()):
            self.assertEqual(ids(await each.search(Query(address="+1"))), ["m2", "m1", "m0"])
            self.assertEqual(ids(await each.search(Query(tag=("pool", "1")))), ["m2", "m1", "m0"])
            self.assertEqual(ids(await each.page(Kind.INBOUND, "b")), ["m0", "m1", "m2"])
        self.assertEqual(await archive.upgrade(), 0)
        self.assertEqual(await archive.forget("+1"), 3)

    async def test_an_empty_archive_needs_no_upgrade(self) -> None:
        archive = await self.opened()
        self.assertEqual(ids(await archive.search(Query())), [])
        self.assertEqual(await archive.delete_before(at(0)), 0)

    async def test_what_an_old_worker_saves_again_it_finds_again(self) -> None:
        archive = await self.opened()
        await archive.store_message(Kind.INBOUND, inbound(message_id="m"), ["b"])
        await archive.store_event(ack("m", event_id="e"), ["b"])
        self.cluster.objects(INBOUND).clear()
        self.cluster.objects(EVENT).clear()
        self.write_old_message(inbound(message_id="m"), ["b"])
        self.write_old_event(ack("m", event_id="e"), ["b"])
        for order in Order:
            self.assertEqual(ids(await archive.page(Kind.INBOUND, "b", order)), ["m"])
            self.assertEqual(ids(await archive.page(Kind.EVENT, "b", order)), ["e"])

    async def test_the_upgrade_can_be_run_from_the_command_line(self) -> None:
        self.write_old_message(inbound(message_id="m"), ["b"])
        written: list[str] = []
        url = self.cluster.url(bucket_prefix="p.")
        await upgrading.upgrade(reactor, url, written.append)
        self.assertEqual(written[0], "0 objects seen, 0 changed")
        self.assertEqual(written[-1], "Done, 1 objects changed.")
        self.assertRaises(SystemExit, upgrading.main, [])


class ListingTests(RiakCase):
    """Pages cost the same wherever they are."""

    async def write_many(self, number: int, every: float) -> RiakArchive:
        archive = await self.opened()
        for n in range(number):
            message = inbound(seconds=n * every, message_id=f"m{n:04}", user=f"+{n % 2}")
            self.write_message(message, ["b"])
        return archive

    async def test_the_last_page_costs_what_the_first_does(self) -> None:
        archive = await self.write_many(400, every=7)
        for order in Order:
            costs: list[int] = []
            continuation = None
            while not costs or continuation is not None:
                self.requests()
                page = await archive.page(Kind.INBOUND, "b", order, 40, continuation)
                continuation = page.continuation
                costs.append(self.requests())
            self.assertEqual(len(costs), 10)
            assert max(costs) <= 3, costs

    async def test_a_page_of_an_address_is_found_in_few_steps_backwards_too(self) -> None:
        archive = await self.write_many(400, every=50_000)
        self.requests()
        page = await archive.search(Query(address="+1"), limit=10)
        self.assertEqual(ids(page), [f"m{n:04}" for n in range(399, 379, -2)])
        assert self.requests() < 120

    async def test_many_of_the_same_second_come_in_order(self) -> None:
        archive = await self.write_many(300, every=0.001)
        expected = [f"m{n:04}" for n in range(300)]
        for order in Order:
            wanted = expected if order is Order.OLDEST_FIRST else expected[::-1]
            found = await self.all_pages(archive.page, Kind.INBOUND, "b", order, limit=70)
            self.assertEqual(found, wanted)
            query = Query(batch_id="b")
            found = await self.all_pages(archive.search, query, order, limit=70)
            self.assertEqual(found, wanted)

    async def test_other_batches_that_begin_alike_are_not_on_the_page(self) -> None:
        archive = await self.opened()
        for n in range(30):
            await archive.store_message(Kind.INBOUND, inbound(seconds=n), ["b$2", "b", "b$"])
        for batch in ("b", "b$", "b$2"):
            for order in Order:
                found = await self.all_pages(archive.page, Kind.INBOUND, batch, order, limit=7)
                self.assertEqual(len(found), 30)

    async def test_an_index_that_is_behind_finds_nothing_that_is_not_there(self) -> None:
        archive = await self.opened()
        message = inbound(seconds=5, message_id="m", user="+1")
        stale = message_draft(Kind.INBOUND, inbound(seconds=1, message_id="m", user="+2"))
        record = message_draft(Kind.INBOUND, message).record(["b"])
        indexes = [*record.indexes, *stale.record(["b", "c"]).indexes]
        self.cluster.put(INBOUND, "m", record.body, indexes)
        self.assertEqual(ids(await archive.search(Query(batch_id="b"))), ["m"])
        self.assertEqual(ids(await archive.search(Query(batch_id="c"))), [])
        self.assertEqual(ids(await archive.search(Query(address="+2"))), [])
        self.assertEqual(await archive.delete_before(at(2)), 0)
        self.assertEqual(await archive.forget("+2"), 0)
        self.assertEqual(await archive.count(Kind.INBOUND), 1)


class ErasingTests(RiakCase):
    async def test_an_object_that_is_damaged_does_not_hold_up_erasing(self) -> None:
        archive = await self.opened()
        record = message_draft(Kind.INBOUND, inbound(message_id="m")).record(["b"])
        self.cluster.put(INBOUND, "m", b"{damaged", record.indexes)
        await archive.store_message(Kind.INBOUND, inbound(seconds=1), ["b"])
        assert "'m'" in await self.refused(archive.get_message(Kind.INBOUND, "m"))
        self.assertEqual(await archive.delete_before(at(5)), 2)
        self.assertEqual(await archive.delete_before(at(5)), 0)

    async def test_a_person_with_more_events_than_a_step_erases_is_forgotten(self) -> None:
        archive = await self.opened()
        await archive.store_message(Kind.OUTBOUND, outbound(message_id="m", user="+1"))
        for n in range(7):
            await archive.store_event(nack("m", n, event_id=f"e{n}"))
        steps = []
        while erased := await archive.forget("+1", 3):
            steps.append(erased)
        self.assertEqual(steps, [3, 3, 2])

    async def test_nothing_is_older_than_the_first_moment(self) -> None:
        archive = await self.opened()
        await archive.store_message(Kind.INBOUND, inbound())
        first = at(0).min
        self.assertEqual(await archive.delete_before(first), 0)
        self.assertEqual(await archive.delete_before(at(0).max - timedelta(1), dry_run=True), 1)


class LockTests(RiakCase):
    """Locks of processes that have nothing in common but the cluster."""

    def setUp(self) -> Any:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        return super().setUp()

    def process(self, name: str) -> RiakLocks:
        return RiakLocks(self.client(), NamedLocks(), self.clock)

    async def test_of_processes_that_want_a_lock_at_once_at_most_one_gets_it(self) -> None:
        await self.opened()
        processes = [self.process(f"p{n}") for n in range(6)]
        for n in range(10):
            name = f"lock {n}"
            taken = await gatherResults(
                [ensureDeferred(p.acquire(name, f"o{i}", 60)) for i, p in enumerate(processes)]
            )
            assert sum(taken) <= 1, taken
            again = [await p.acquire(name, f"o{i}", 60) for i, p in enumerate(processes)]
            assert sum(again) <= 1, again
            if sum(taken):
                self.assertEqual(again, taken)
        # What all have lost is free when its time is up.
        self.clock.advance(61)
        self.assertEqual(await processes[0].acquire("lock 0", "o0", 60), True)

    async def test_who_sees_another_claim_takes_its_own_back(self) -> None:
        await self.opened()
        one, other = self.process("one"), self.process("other")
        bucket = (None, "p.lock")
        claim = json.dumps({"claims": [["other", self.clock.seconds() + 60]]}).encode()
        real_get = one._client.get
        reads = 0

        async def get(*args: Any) -> Any:
            nonlocal reads
            reads += 1
            if reads == 2:
                # Between our write and our second look somebody else's arrives.
                self.cluster.put(bucket, "l", claim)
            return await real_get(*args)

        self.patch(one._client, "get", get)
        self.assertEqual(await one.acquire("l", "one", 60), False)
        [content] = self.cluster.objects(bucket)["l"].contents
        self.assertEqual(json.loads(content.body)["claims"], json.loads(claim)["claims"])
        self.assertEqual(await other.acquire("l", "other", 60), True)

    async def test_a_late_loser_does_not_revive_what_was_released(self) -> None:
        # Both wrote back the claims that they saw beside their own: each revived the other's, and
        # nobody had the lock until both ran out.
        await self.opened()
        one, other = self.process("one"), self.process("other")
        self.cluster.writes_race = True
        self.assertEqual(await one.acquire("l", "one", 60), True)
        # The other one has looked before that, and its claim arrives late.
        looked: list[Any] = [Fetched(())]
        real_get, real_put = other._client.get, other._client.put
        released = False

        async def get(*args: Any) -> Any:
            return looked.pop() if looked else await real_get(*args)

        async def put(*args: Any) -> Any:
            nonlocal released
            if (
                b"withdrawn" in args[2].body
                and b'["other", ' in args[2].body.partition(b"withdrawn")[2]
            ):
                # Between its second look and its withdrawal the first one is done.
                await one.release("l", "one")
                released = True
            return await real_put(*args)

        self.patch(other._client, "get", get)
        self.patch(other._client, "put", put)
        self.assertEqual(await other.acquire("l", "other", 60), False)
        assert released
        self.cluster.writes_race = False
        self.assertEqual(await self.process("third").acquire("l", "third", 60), True)

    async def test_a_claim_that_comes_late_does_not_take_the_lock_from_its_owner(self) -> None:
        await self.opened()
        one = self.process("one")
        self.assertEqual(await one.acquire("l", "one", 60), True)
        claim = json.dumps({"claims": [["late", self.clock.seconds() + 60]]}).encode()
        self.cluster.put((None, "p.lock"), "l", claim)
        self.assertEqual(await one.acquire("l", "one", 60), True)
        # The late one sees it, as all do.
        for owner in ("late", "third"):
            self.assertEqual(await self.process(owner).acquire("l", owner, 60), False)
        await one.release("l", "one")
        self.clock.advance(61)
        self.assertEqual(await self.process("third").acquire("l", "third", 60), True)

    async def test_an_owner_can_have_its_lock_again_after_it_released_it(self) -> None:
        await self.opened()
        one, other = self.process("one"), self.process("other")
        for _ in range(3):
            self.assertEqual(await one.acquire("l", "one", 60), True)
            self.assertEqual(await other.acquire("l", "other", 60), False)
            await one.release("l", "one")
            self.assertEqual(await other.acquire("l", "other", 60), True)
            await other.release("l", "other")
        # What is over does not pile up.
        self.clock.advance(10_000)
        self.assertEqual(await one.acquire("l", "one", 60), True)
        [content] = self.cluster.objects((None, "p.lock"))["l"].contents
        self.assertEqual(json.loads(content.body)["withdrawn"], [])

    async def test_a_lock_runs_out_and_can_be_prolonged(self) -> None:
        await self.opened()
        one, other = self.process("one"), self.process("other")
        self.assertEqual(await one.acquire("l", "one", 60), True)
        self.clock.advance(50)
        self.assertEqual(await one.acquire("l", "one", 60), True)
        self.clock.advance(50)
        self.assertEqual(await other.acquire("l", "other", 60), False)
        self.clock.advance(11)
        self.assertEqual(await other.acquire("l", "other", 60), True)
        await one.release("l", "one")
        self.assertEqual(await one.acquire("l", "one", 60), False)

    async def test_a_claim_that_is_damaged_is_nobody_s(self) -> None:
        await self.opened()
        for body in (b"", b"[]", b'{"claims": [1]}', b'{"claims": [["a", "b"]]}'):
            self.cluster.buckets.pop((None, "p.lock"), None)
            self.cluster.put((None, "p.lock"), "l", body)
            self.assertEqual(await self.process("one").acquire("l", "one", 60), True)
