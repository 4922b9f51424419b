"""The store's operations, as the old Vumi had them, over SQLite in memory and with a cache."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.defer import gatherResults as gather

from vumi.components.message_store import (
    Batch,
    CurrentTag,
    MessageStore,
    from_reverse_timestamp,
    to_reverse_timestamp,
)
from vumi.components.message_store.sql import SqlArchive
from vumi.components.message_store.tests.test_cache import START, event, message
from vumi.components.tests.stores import InProcess
from vumi.errors import StoreError, StoreUnavailable
from vumi.message import format_vumi_date

if TYPE_CHECKING:
    from vumi.message import TransportUserMessage

TAG = ("pool", "tag")


def vumi_date(seconds: float) -> str:
    return format_vumi_date(START + timedelta(seconds=seconds))


class StoreTestCase(InProcess):
    with_cache = True

    async def store(self) -> Any:
        archive = SqlArchive("sqlite://", reactor)
        await archive.open()
        self.add_cleanup(archive.close)
        return MessageStore(archive, await self.manager() if self.with_cache else None)

    async def filled(self, store: Any, count: int = 5) -> str:
        """A batch with so many messages each way, and an event about each."""
        batch_id: str = await store.batch_start([TAG])
        for number in range(count):
            await store.add_inbound_message(message(number), batch_id=batch_id)
            await store.add_outbound_message(message(number), batch_id=batch_id)
            about = event(number)
            about["user_message_id"] = f"m{number}"
            await store.add_event(about)
        return batch_id


class OperationTests(StoreTestCase):
    async def test_every_operation_gives_a_deferred(self) -> None:
        store = await self.store()
        names = [name for name in dir(store) if name.startswith(("batch_", "get_", "add_"))]
        self.assertGreater(len(names), 30)
        for call in (
            lambda: store.batch_start(),
            lambda: store.get_inbound_message("m"),
            lambda: store.batch_inbound_keys("b"),
            lambda: store.batch_inbound_keys_page("b"),
            lambda: store.batch_status("b"),
        ):
            deferred = call()
            self.assertIsInstance(deferred, Deferred)
            await deferred

    async def test_a_batch_begins_with_its_tags_and_ends_without(self) -> None:
        store = await self.store()
        first = await store.batch_start([TAG, ["pool", "other"]], name="campaign")
        self.assertEqual(
            await store.get_batch(first),
            Batch(first, (TAG, ("pool", "other")), {"name": "campaign"}),
        )
        self.assertEqual((await store.get_tag_info(TAG)).current_batch, first)
        second = await store.batch_start([TAG])
        await store.batch_done(first)
        self.assertEqual((await store.get_tag_info(TAG)).current_batch, second)
        self.assertEqual((await store.get_tag_info(("pool", "other"))).current_batch, None)
        self.assertEqual(await store.get_tag_info(("pool", "x")), CurrentTag(("pool", "x")))
        await store.batch_done("unknown")
        self.assertIsNone(await store.get_batch("unknown"))

    async def test_what_is_no_tag_is_refused(self) -> None:
        store = await self.store()
        self.assertEqual((await store.get_tag_info("pool:a:b")).tag, ("pool", "a:b"))
        for tag in ("pool", ("a", "b", "c"), ("a", None)):
            with self.assertRaises(StoreError):
                await store.get_tag_info(tag)

    async def test_messages_belong_to_the_batch_of_their_tag_and_to_those_named(self) -> None:
        store = await self.store()
        batch_id = await store.batch_start([TAG])
        await store.add_outbound_message(message(1), tag=TAG, batch_ids=["x"])
        await store.add_inbound_message(message(1), tag=TAG, batch_id="y")
        await store.add_inbound_message(message(2), tag=("pool", "unused"))
        self.assertEqual(await store.batch_outbound_keys(batch_id), ["m1"])
        self.assertEqual(await store.batch_outbound_keys("x"), ["m1"])
        self.assertEqual(await store.batch_inbound_keys(batch_id), [])
        self.assertEqual(await store.batch_inbound_keys("y"), ["m1"])
        self.assertEqual(await store.get_inbound_message("m2"), message(2))
        await store.batch_done(batch_id)
        await store.add_outbound_message(message(2), tag=TAG)
        self.assertEqual(await store.batch_outbound_count(batch_id), 1)

    async def test_what_comes_again_is_stored_and_counted_once(self) -> None:
        store = await self.store()
        batch_id = await store.batch_start()
        await gather(
            [store.add_outbound_message(message(1), batch_id=batch_id) for _ in range(20)]
        )
        for _ in range(3):
            await store.add_event(event(1))
        self.assertEqual(await store.batch_outbound_count(batch_id), 1)
        status = await store.batch_status(batch_id)
        self.assertEqual((status["sent"], status["ack"]), (1, 1))

    async def test_events_belong_to_the_batches_of_their_message_unless_told(self) -> None:
        store = await self.store()
        await store.add_outbound_message(message(1), batch_id="b")
        await store.add_event(event(1))
        await store.add_event(event(2), batch_ids=["c"])
        unknown = event(3)
        unknown["user_message_id"] = "nobody's"
        await store.add_event(unknown)
        self.assertEqual(list(await store.batch_event_keys_page("b")), ["e1"])
        self.assertEqual(list(await store.batch_event_keys_page("c")), ["e2"])
        self.assertEqual(await store.get_event("e3"), unknown)
        self.assertIsNone(await store.get_event("e4"))
        self.assertEqual(await store.message_event_keys("m1"), ["e1", "e2"])
        self.assertEqual(await store.get_events_for_message("m1"), [event(1), event(2)])
        self.assertEqual(await store.get_events_for_message("m2"), [])

    async def test_a_message_whose_figures_cannot_be_counted_is_stored_all_the_same(self) -> None:
        store = await self.store()
        if store.cache is None:
            return
        count = store.cache.add_inbound_message
        store.cache.add_inbound_message = lambda *args: fail(StoreUnavailable("Redis is away"))
        batch_id = await store.batch_start()
        await store.add_inbound_message(message(1), batch_id=batch_id)
        self.assertEqual(await store.batch_inbound_count(batch_id), 1)
        self.assertTrue(await store.needs_reconciliation(batch_id))
        store.cache.add_inbound_message = count
        await store.reconcile_cache(batch_id)
        self.assertFalse(await store.needs_reconciliation(batch_id))

    async def test_what_the_archive_did_not_take_is_not_counted(self) -> None:
        # The old Vumi counted first: a failure left the figures too high.
        store = await self.store()
        batch_id = await store.batch_start()
        store.archive.store_message = lambda *args: fail(StoreUnavailable("away"))
        with self.assertRaises(StoreUnavailable):
            await store.add_inbound_message(message(1), batch_id=batch_id)
        del store.archive.store_message
        if store.cache is not None:
            self.assertEqual(await store.cache.inbound_message_count(batch_id), 0)


class PageTests(StoreTestCase):
    async def test_pages_go_on_where_they_ended(self) -> None:
        store = await self.store()
        batch_id = await self.filled(store, 5)
        page = await store.batch_inbound_keys_page(batch_id, max_results=2)
        self.assertEqual((list(page), len(page), page.has_next_page()), (["m0", "m1"], 2, True))
        page = await page.next_page()
        self.assertEqual(list(page), ["m2", "m3"])
        again = await store.batch_inbound_keys_page(batch_id, 2, page.continuation)
        page = await page.next_page()
        self.assertEqual(list(page), ["m4"])
        self.assertEqual(list(again), ["m4"])
        self.assertEqual(page, again)
        self.assertFalse(page.has_next_page())
        self.assertIsNone(page.continuation)
        self.assertIsNone(await page.next_page())

    async def test_pages_with_dates_addresses_and_statuses(self) -> None:
        store = await self.store()
        b = await self.filled(store, 3)
        self.assertEqual(
            list(await store.batch_inbound_keys_with_timestamps(b)),
            [("m0", vumi_date(0)), ("m1", vumi_date(1)), ("m2", vumi_date(2))],
        )
        self.assertEqual(
            list(await store.batch_outbound_keys_with_timestamps(b, with_timestamps=False)),
            ["m0", "m1", "m2"],
        )
        self.assertEqual(
            list(await store.batch_inbound_keys_with_addresses(b, 2)),
            [("m0", vumi_date(0), "+270"), ("m1", vumi_date(1), "+271")],
        )
        self.assertEqual(
            list(await store.batch_outbound_keys_with_addresses_reverse(b)),
            [("m2", vumi_date(2), "80"), ("m1", vumi_date(1), "81"), ("m0", vumi_date(0), "80")],
        )
        self.assertEqual(
            [key for key, _, _ in await store.batch_inbound_keys_with_addresses_reverse(b)],
            ["m2", "m1", "m0"],
        )
        self.assertEqual(
            [key for key, _, _ in await store.batch_outbound_keys_with_addresses(b)],
            ["m0", "m1", "m2"],
        )
        self.assertEqual(
            list(await store.batch_event_keys_with_statuses_reverse(b, 1)),
            [("e2", vumi_date(2), "ack")],
        )
        self.assertEqual(
            list(await store.message_event_keys_with_statuses("m1")),
            [("e1", vumi_date(1), "ack")],
        )

    async def test_ranges_include_their_ends(self) -> None:
        store = await self.store()
        b = await self.filled(store, 5)
        for start, end, wanted in (
            (vumi_date(1), vumi_date(3), ["m1", "m2", "m3"]),
            (vumi_date(3), None, ["m3", "m4"]),
            (None, (START + timedelta(seconds=0)).replace(tzinfo=UTC), ["m0"]),
        ):
            page = await store.batch_inbound_keys_with_timestamps(b, None, start, end, False)
            self.assertEqual(list(page), wanted)
        with self.assertRaises(StoreError):
            await store.batch_inbound_keys_with_addresses(b, start="yesterday")

    async def test_a_date_of_a_reversed_page_finds_its_message(self) -> None:
        # Such pages have whole seconds, so what is within that second belongs to it.
        store = await self.store()
        late = message(1, timestamp=START + timedelta(seconds=1.75))
        await store.add_inbound_message(late, batch_id="b")
        ((_, date, _),) = await store.batch_inbound_keys_with_addresses_reverse("b")
        self.assertEqual(date, vumi_date(1))
        page = await store.batch_inbound_keys_with_addresses_reverse("b", start=date, end=date)
        self.assertEqual(len(page), 1)

    async def test_reversed_dates_are_those_of_the_old_index(self) -> None:
        self.assertEqual(to_reverse_timestamp("1970-01-01 00:00:00.900000"), "FFFFFFFFFF")
        self.assertEqual(from_reverse_timestamp("FFFFFFFFFE"), "1970-01-01 00:00:01.000000")
        date = "2015-01-02 23:14:11.000000"
        self.assertEqual(from_reverse_timestamp(to_reverse_timestamp(date)), date)


class FigureTests(StoreTestCase):
    async def test_figures_of_a_batch(self) -> None:
        store = await self.store()
        b = await self.filled(store, 5)
        self.assertEqual(await store.batch_inbound_count(b), 5)
        self.assertEqual(await store.batch_outbound_count(b), 5)
        status = await store.batch_status(b)
        self.assertEqual(
            status,
            {
                "ack": 5,
                "nack": 0,
                "delivery_report": 0,
                "delivery_report.pending": 0,
                "delivery_report.failed": 0,
                "delivery_report.delivered": 0,
                "sent": 5,
            },
        )
        self.assertEqual(await store.batch_inbound_stats(b), {"total": 5, "unique_addresses": 3})
        self.assertEqual(
            await store.batch_outbound_stats(b, start=vumi_date(1), end=vumi_date(1)),
            {"total": 1, "unique_addresses": 1},
        )

    async def test_reconciling_counts_what_the_archive_has_and_each_event_once(self) -> None:
        store = await self.store()
        b = await self.filled(store, 4)
        report = event(9, "delivery_report.delivered")
        await store.add_event(report)
        if store.cache is None:
            self.assertFalse(await store.needs_reconciliation(b))
            await store.reconcile_cache(b)
            return
        await store.cache.add_inbound_message_count(b, 100)
        self.assertTrue(await store.needs_reconciliation(b))
        await store.reconcile_cache(b, vumi_date(0))
        self.assertFalse(await store.needs_reconciliation(b, delta=0))
        self.assertEqual(await store.cache.event_count(b), 5)
        self.assertEqual((await store.batch_status(b))["delivery_report"], 1)
        self.assertEqual(await store.cache.count_from_addrs(b), 3)

    async def test_the_newest_ids(self) -> None:
        store = await self.store()
        b = await self.filled(store, 3)
        if store.cache is None:
            with self.assertRaises(StoreError):
                await store.get_cached_inbound_message_keys(b)
            return
        self.assertEqual(await store.get_cached_inbound_message_keys(b, 0, 1), ["m2", "m1"])
        keys = await store.get_cached_outbound_message_keys(b, with_timestamp=True)
        self.assertEqual([key for key, _ in keys], ["m2", "m1", "m0"])
        with pytest.warns(DeprecationWarning, match="get_cached_inbound_message_keys"):
            self.assertEqual(await store.get_inbound_message_keys(b, 2, 2), ["m0"])


class MatchingTests(StoreTestCase):
    async def spoken(self, store: Any) -> None:
        for number, content in enumerate(["Hello", "good BYE", None, "hello\nbye"]):
            await store.add_inbound_message(message(number, content=content), batch_id="b")

    async def test_any_part_of_a_query_may_match(self) -> None:
        store = await self.store()
        await self.spoken(store)
        for query, wanted in (
            ([{"key": "msg.content", "pattern": "hello", "flags": "i"}], ["m0", "m3"]),
            ([{"key": "msg.content", "pattern": "^bye", "flags": "m"}], ["m3"]),
            (
                [
                    {"key": "msg.content", "pattern": "BYE", "flags": ""},
                    {"key": "msg.from_addr", "pattern": "270$"},
                ],
                ["m0", "m1", "m3"],
            ),
            ([{"key": "msg.helper_metadata.x.y", "pattern": "."}], []),
            ([{"key": "msg.timestamp", "pattern": "00:30:02"}], ["m2"]),
        ):
            self.assertEqual(await store.batch_inbound_keys_matching("b", query), wanted)
            self.assertEqual(await store.batch_outbound_keys_matching("b", query), [])

    async def test_what_is_no_query_is_refused_with_a_reason(self) -> None:
        store = await self.store()
        for query in (
            "x",
            [],
            ["x"],
            [{"key": "msg.content"}],
            [{"key": "content", "pattern": "x"}],
            [{"key": "msg.content", "pattern": "("}],
            [{"key": "msg.content", "pattern": "x", "flags": 1}],
            [{"key": "msg.content", "pattern": "x" * 2000}],
        ):
            with self.assertRaises(StoreError):
                await store.batch_inbound_keys_matching("b", query)

    async def test_a_search_in_the_background_keeps_what_it_finds(self) -> None:
        store = await self.store()
        await self.spoken(store)
        query = [{"key": "msg.content", "pattern": "hello", "flags": "i"}]
        if store.cache is None:
            with self.assertRaises(StoreError):
                await store.find_inbound_keys_matching("b", query)
            with self.assertRaises(StoreError):
                await store.count_keys_for_token("b", "token")
            return
        token = await store.find_inbound_keys_matching("b", query, wait=True)
        self.assertFalse(await store.is_query_in_progress("b", token))
        self.assertEqual(await store.get_keys_for_token("b", token), ["m3", "m0"])
        self.assertEqual(await store.get_keys_for_token("b", token, 0, 0, asc=True), ["m0"])
        self.assertEqual(await store.count_keys_for_token("b", token), 2)
        nothing = await store.find_outbound_keys_matching("b", query, ttl=5, wait=True)
        self.assertEqual(await store.count_keys_for_token("b", nothing), 0)

    async def test_a_search_that_fails_is_no_more_in_progress(self) -> None:
        store = await self.store()
        if store.cache is None:
            return
        store.archive.page = lambda *args, **kw: fail(StoreUnavailable("away"))
        query = [{"key": "msg.content", "pattern": "x"}]
        with self.assertRaises(StoreUnavailable):
            await store.find_inbound_keys_matching("b", query, wait=True)
        token = store.cache.get_query_token("inbound", query)
        self.assertFalse(await store.is_query_in_progress("b", token))
        del store.archive.page


class ForgettingTests(StoreTestCase):
    def conversation(self, number: int, user: str) -> tuple[TransportUserMessage, Any, Any]:
        about = event(number)
        about["user_message_id"] = f"out{number}"
        return (
            message(number, message_id=f"in{number}", from_addr=user, to_addr="8864"),
            message(number, message_id=f"out{number}", from_addr="8864", to_addr=user),
            about,
        )

    async def talk(self, store: Any) -> None:
        for number, user in enumerate(["+271", "+272", "+271"]):
            inbound, outbound, about = self.conversation(number, user)
            await store.add_inbound_message(inbound, batch_id="b")
            await store.add_outbound_message(outbound, batch_id="b")
            await store.add_event(about)

    async def test_a_person_is_forgotten_everywhere_and_nobody_else(self) -> None:
        store = await self.store()
        await self.talk(store)
        self.assertEqual(await store.forget("+271", dry_run=True), 6)
        self.assertEqual(await store.batch_inbound_count("b"), 3)
        steps: list[int] = []
        self.assertEqual(await store.forget("+271", progress=steps.append), 6)
        self.assertEqual(sum(steps), 6)
        self.assertEqual(await store.batch_inbound_keys("b"), ["in1"])
        self.assertEqual(await store.batch_outbound_keys("b"), ["out1"])
        self.assertEqual(list(await store.batch_event_keys_page("b")), ["e1"])
        self.assertIsNone(await store.get_event("e0"))
        status = await store.batch_status("b")
        self.assertEqual((status["sent"], status["ack"]), (1, 1))
        self.assertFalse(await store.needs_reconciliation("b", 0))
        if store.cache is not None:
            self.assertEqual(await store.cache.get_outbound_message_keys("b"), ["out1"])
        self.assertEqual(await store.forget("+271"), 0)

    async def test_what_is_older_is_erased_in_steps(self) -> None:
        store = await self.store()
        await self.talk(store)
        self.assertEqual(await store.delete_before(vumi_date(1), dry_run=True), 3)
        steps: list[int] = []
        self.assertEqual(await store.delete_before(vumi_date(1), progress=steps.append), 3)
        self.assertEqual(sum(steps), 3)
        self.assertEqual(await store.batch_inbound_keys("b"), ["in1", "in2"])

    async def test_a_person_is_forgotten_also_where_nothing_can_be_searched(self) -> None:
        store = await self.store()
        await self.talk(store)
        store.archive.search = lambda *args, **kw: fail(StoreError("no search here"))
        self.assertEqual(await store.forget("+271"), 6)
        del store.archive.search
        if store.cache is not None:
            self.assertTrue(await store.needs_reconciliation("b"))


class WithoutCache:
    with_cache = False


class OperationWithoutCacheTests(WithoutCache, OperationTests):
    pass


class FigureWithoutCacheTests(WithoutCache, FigureTests):
    pass


class MatchingWithoutCacheTests(WithoutCache, MatchingTests):
    pass


class ForgettingWithoutCacheTests(WithoutCache, ForgettingTests):
    pass
