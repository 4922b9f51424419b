"""The figures in Redis: counted once, as the old Vumi kept them, and in one step each."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from vumi.components.message_store.cache import MessageStoreCache
from vumi.components.message_store.cache.searches import SEARCH_LEASE
from vumi.components.tests.stores import InProcess, OnRedis
from vumi.message import TransportEvent, TransportUserMessage, format_vumi_date
from vumi.persist.redis_manager import RedisManager
from vumi.tasks import settle

START = datetime(2026, 3, 29, 0, 30)
#: 2026-03-29 00:30 UTC, in seconds since 1970.
START_SECONDS = 1774744200.0


def message(number: int, **fields: Any) -> TransportUserMessage:
    return TransportUserMessage(
        **{
            "message_id": f"m{number}",
            "timestamp": START + timedelta(seconds=number),
            "from_addr": f"+27{number % 3}",
            "to_addr": f"8{number % 2}",
            "content": "x",
            "transport_name": "t",
            "transport_type": "sms",
            **fields,
        }
    )


def event(number: int, status: str = "ack", **fields: Any) -> TransportEvent:
    event_type, _, delivery_status = status.partition(".")
    return TransportEvent(
        event_id=f"e{number}",
        timestamp=START + timedelta(seconds=number),
        user_message_id="m1",
        event_type=event_type,
        sent_message_id="1",
        nack_reason="because",
        delivery_status=delivery_status or None,
        **fields,
    )


class CacheSuite:
    """What holds on every key-value store. A mixin: ``manager()`` gives the store."""

    manager: Any
    pass_seconds: Any
    assertEqual: Any
    assertTrue: Any
    assertFalse: Any

    async def cache(self, limit: int | None = None) -> MessageStoreCache:
        cache = MessageStoreCache(await self.manager())
        if limit is not None:
            cache.TRUNCATE_MESSAGE_KEY_COUNT_AT = limit
        return cache

    async def counts(self, cache: MessageStoreCache) -> list[int]:
        return [
            await cache.inbound_message_count("b"),
            await cache.outbound_message_count("b"),
            await cache.event_count("b"),
        ]

    async def test_each_message_is_counted_once(self) -> None:
        cache = await self.cache()
        await cache.batch_start("b")
        for number in (1, 2, 1, 2, 3):
            await cache.add_inbound_message("b", message(number))
            await cache.add_outbound_message("b", message(number))
        self.assertEqual(await self.counts(cache), [3, 3, 0])
        self.assertEqual(await cache.count_from_addrs("b"), 3)
        self.assertEqual(await cache.count_to_addrs("b"), 2)
        self.assertEqual((await cache.get_event_status("b"))["sent"], "3")
        self.assertEqual(await cache.get_from_addrs("b"), [])
        self.assertEqual(await cache.get_batch_ids(), {"b"})

    async def test_ids_are_kept_newest_first_with_utc_seconds(self) -> None:
        cache = await self.cache()
        for number in (2, 0, 1):
            await cache.add_inbound_message("b", message(number))
        self.assertEqual(await cache.get_inbound_message_keys("b"), ["m2", "m1", "m0"])
        self.assertEqual(await cache.get_inbound_message_keys("b", 0, 0, asc=True), ["m0"])
        # Local time was taken for UTC: an hour was there twice or not at all.
        self.assertEqual(
            await cache.get_inbound_message_keys("b", 2, 2, with_timestamp=True),
            [("m0", START_SECONDS)],
        )

    async def test_starting_a_batch_again_resets_no_counter(self) -> None:
        cache = await self.cache()
        await cache.batch_start("b")
        await cache.add_inbound_message("b", message(1))
        await cache.add_event("b", event(1))
        await cache.batch_start("b")
        self.assertEqual(await self.counts(cache), [1, 0, 1])

    async def test_only_the_newest_ids_are_kept_and_all_are_counted(self) -> None:
        cache = await self.cache(limit=3)
        await cache.batch_start("b")
        for number in range(5):
            await cache.add_inbound_message("b", message(number))
        self.assertEqual(await cache.count_inbound_message_keys("b"), 3)
        self.assertEqual(await cache.get_inbound_message_keys("b"), ["m4", "m3", "m2"])
        self.assertEqual(await self.counts(cache), [5, 0, 0])

    async def test_a_message_known_to_be_old_is_not_counted_again_after_its_id_was_cut(
        self,
    ) -> None:
        cache = await self.cache(limit=2)
        for number in range(4):
            await cache.add_outbound_message("b", message(number), True)
        await cache.add_outbound_message("b", message(0), False)
        self.assertEqual(await self.counts(cache), [0, 4, 0])

    async def test_a_message_stored_before_a_crash_but_not_counted_is_counted_then(self) -> None:
        cache = await self.cache()
        await cache.add_outbound_message("b", message(0), False)
        self.assertEqual(await self.counts(cache), [0, 1, 0])

    async def test_a_delivery_report_is_one_event_of_two_statuses(self) -> None:
        cache = await self.cache()
        await cache.batch_start("b")
        for number, status in enumerate(
            ["ack", "nack", "delivery_report.delivered", "delivery_report.failed"]
        ):
            for _ in range(2):
                await cache.add_event("b", event(number, status))
        self.assertEqual(await self.counts(cache), [0, 0, 4])
        self.assertEqual(
            {name: int(count) for name, count in (await cache.get_event_status("b")).items()},
            {
                "ack": 1,
                "nack": 1,
                "delivery_report": 2,
                "delivery_report.pending": 0,
                "delivery_report.failed": 1,
                "delivery_report.delivered": 1,
                "sent": 0,
            },
        )
        await cache.add_event_count("b", "delivery_report.pending", 3)
        self.assertEqual(await cache.event_count("b"), 7)
        self.assertEqual((await cache.get_event_status("b"))["delivery_report"], "5")

    async def test_messages_without_an_address_are_counted(self) -> None:
        cache = await self.cache()
        await cache.add_inbound_message("b", message(1, from_addr=None))
        await cache.add_outbound_message("b", message(1, to_addr=None))
        await cache.add_from_addr("b", None)
        await cache.add_to_addr("b", None)
        self.assertEqual(await self.counts(cache), [1, 1, 0])
        self.assertEqual(await cache.count_from_addrs("b"), 0)

    async def test_addresses_and_ids_that_have_no_utf8_are_counted(self) -> None:
        cache = await self.cache()
        await cache.add_inbound_message("b", message(1, from_addr="a\ud83d", message_id="\ud83d"))
        await cache.add_from_addr("b", "\udcff")
        self.assertEqual(await cache.count_from_addrs("b"), 2)
        self.assertEqual(await self.counts(cache), [1, 0, 0])

    async def test_a_batch_of_an_old_worker_without_counters_keeps_all_ids(self) -> None:
        cache = await self.cache(limit=2)
        await cache.batch_start("b", use_counters=False)
        self.assertFalse(await cache.uses_counters("b"))
        for number in range(4):
            await cache.add_inbound_message("b", message(number))
        await cache.add_event("b", event(1))
        self.assertEqual(await self.counts(cache), [4, 0, 0])
        self.assertEqual(await cache.count_inbound_message_keys("b"), 4)
        await cache.switch_to_counters("b")
        await cache.add_inbound_message("b", message(9))
        await cache.add_event("b", event(1))
        self.assertEqual(await self.counts(cache), [5, 0, 1])
        self.assertEqual(await cache.count_inbound_message_keys("b"), 2)

    async def test_a_batch_that_nobody_started_is_counted_like_one_that_was(self) -> None:
        cache = await self.cache()
        await cache.add_event("b", event(1))
        self.assertTrue(await cache.uses_event_counters("b"))
        self.assertTrue(await cache.batch_exists("b"))
        self.assertEqual(await self.counts(cache), [0, 0, 1])

    async def test_clearing_leaves_nothing_of_a_batch(self) -> None:
        cache = await self.cache()
        await cache.add_inbound_message("b", message(1))
        await cache.add_outbound_message("b", message(1))
        await cache.add_event("b", event(1))
        await cache.clear_batch("b")
        self.assertEqual(await cache.redis.keys(), [])

    async def test_what_is_erased_counts_no_more(self) -> None:
        cache = await self.cache()
        for number in range(3):
            await cache.add_inbound_message("b", message(number))
            await cache.add_outbound_message("b", message(number))
            await cache.add_event("b", event(number, "delivery_report.failed"))
        await cache.remove_entries("inbound", "b", [("m0", "+270")])
        await cache.remove_entries("outbound", "b", [("m0", ""), ("m1", "")])
        await cache.remove_entries("event", "b", [("e0", "delivery_report.failed")] * 1)
        self.assertEqual(await self.counts(cache), [2, 1, 2])
        status = await cache.get_event_status("b")
        self.assertEqual(
            [status[name] for name in ("sent", "delivery_report", "delivery_report.failed")],
            ["1", "2", "2"],
        )
        self.assertEqual(await cache.get_outbound_message_keys("b"), ["m2"])
        await cache.remove_entries("inbound", "c", [("m0", "")])
        self.assertEqual(await cache.inbound_message_count("c"), 0)

    async def test_throughput_is_what_came_just_before_the_newest(self) -> None:
        cache = await self.cache()
        self.assertEqual(await cache.count_inbound_throughput("b"), 0)
        for number in (0, 10, 20, 400):
            await cache.add_inbound_message("b", message(number))
        self.assertEqual(await cache.count_inbound_throughput("b", sample_time=385), 2)
        self.assertEqual(await cache.count_inbound_throughput("b"), 1)
        self.assertEqual(await cache.count_outbound_throughput("b"), 0)

    async def test_many_are_added_in_one_go(self) -> None:
        cache = await self.cache(limit=10)
        entries = [(f"m{n}", START - timedelta(seconds=n), f"a{n}") for n in range(1200)]
        self.assertEqual(await cache.add_entries("inbound", "b", entries), 1200)
        self.assertEqual(await self.counts(cache), [1200, 0, 0])
        self.assertEqual((await cache.get_inbound_message_keys("b"))[0], "m0")
        self.assertEqual(await cache.count_inbound_message_keys("b"), 10)

    async def test_a_message_without_a_known_time_does_not_keep_a_search_from_finishing(
        self,
    ) -> None:
        cache = await self.cache()
        await cache.add_inbound_message("b", message(1))
        token = await cache.start_query("b", "inbound", [{"key": "msg.content"}])
        self.assertTrue(await cache.is_query_in_progress("b", token))
        await cache.store_query_results(
            "b", token, ["m1", "cut", ("m9", format_vumi_date(START))], "inbound", 60
        )
        self.assertFalse(await cache.is_query_in_progress("b", token))
        self.assertEqual(await cache.get_query_results("b", token), ["m1", "m9", "cut"])
        self.assertEqual(await cache.count_query_results("b", token), 3)
        self.assertTrue(0 < await cache.redis.ttl(cache.search_result_key("b", token)) <= 60)

    async def test_the_same_query_has_the_same_token(self) -> None:
        cache = await self.cache()
        token = cache.get_query_token("inbound", [{"key": "a", "pattern": "b"}])
        self.assertEqual(token, cache.get_query_token("inbound", [{"pattern": "b", "key": "a"}]))
        self.assertTrue(token.startswith("inbound-"))
        self.assertFalse(token == cache.get_query_token("outbound", [{"key": "a"}]))


class InProcessCacheTests(CacheSuite, InProcess):
    async def test_a_search_whose_worker_crashed_is_not_in_progress_for_ever(self) -> None:
        cache = await self.cache()
        token = await cache.start_query("b", "inbound", ["q"])
        await self.pass_seconds(SEARCH_LEASE + 1)
        self.assertFalse(await cache.is_query_in_progress("b", token))

    async def test_keys_are_those_of_the_old_vumi(self) -> None:
        cache = await self.cache()
        await cache.add_inbound_message("b", message(1))
        await cache.add_outbound_message("b", message(1))
        await cache.add_event("b", event(1))
        self.assertEqual(
            await self.keys(),
            [
                "batches",
                "batches:event:b",
                "batches:event_count:b",
                "batches:from_addr_hll:b",
                "batches:inbound:b",
                "batches:inbound_count:b",
                "batches:outbound:b",
                "batches:outbound_count:b",
                "batches:status:b",
                "batches:to_addr_hll:b",
            ],
        )

    async def test_with_a_manager_that_blocks_nothing_is_a_deferred(self) -> None:
        cache = MessageStoreCache(await self.manager(RedisManager))
        cache.batch_start("b")
        self.assertEqual(cache.add_inbound_message("b", message(1)), 1)
        self.assertEqual(cache.inbound_message_count("b"), 1)
        self.assertEqual(cache.get_from_addrs("b"), [])
        await settle(None)


class RedisCacheTests(CacheSuite, OnRedis):
    pytestmark = pytest.mark.integration
