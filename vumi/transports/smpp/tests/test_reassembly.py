"""Messages in parts: their headers, and waiting for all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from vumi.codecs.gsm_shifts import Shifts
from vumi.persist.fake_redis import FakeRedis, LaterStore
from vumi.persist.txredis_manager import TxRedisManager
from vumi.transports.smpp.reassembly import MultipartLimits, MultipartMessages
from vumi.transports.smpp.udh import (
    IncompleteMessage,
    Part,
    find_legacy_part,
    find_udh_part,
    split_udh,
)

HEADERS = [
    ("8 bit", b"\x05\x00\x03\x7a\x02\x01hello", Part(0x7A, 2, 1, b"hello", 0, "udh8")),
    ("16 bit", b"\x06\x08\x04\x01\x02\x03\x02hello", Part(0x102, 3, 2, b"hello", 0, "udh16")),
    (
        "after another element",
        b"\x0b\x05\x04\x0b\x84\x23\xf0\x00\x03\x01\x02\x02x",
        Part(1, 2, 2, b"x", 0, "udh8"),
    ),
    ("ports only", b"\x06\x05\x04\x0b\x84\x23\xf0push", None),
    ("no elements", b"\x00hello", None),
    ("part 0", b"\x05\x00\x03\x01\x02\x00x", None),
    ("part 3 of 2", b"\x05\x00\x03\x01\x02\x03x", None),
    ("16 bit with the number of 8 bit", b"\x06\x00\x04\x01\x02\x03\x02x", None),
]


@pytest.mark.parametrize(
    ("data", "expected"), [row[1:] for row in HEADERS], ids=[row[0] for row in HEADERS]
)
def test_headers(data: bytes, expected: Part | None) -> None:
    assert find_udh_part(data, 0)[0] == expected


@pytest.mark.parametrize(
    ("data", "payload"),
    [(b"\x05\x00\x03\x01\x02\x01hello", b"hello"), (b"\x00hello", b"hello"), (b"\x00", b"")],
)
def test_what_is_no_header_is_the_message(data: bytes, payload: bytes) -> None:
    assert split_udh(data)[1] == payload


@pytest.mark.parametrize(
    "data", [b"", b"\x05", b"\x05\x00\x03\x01", b"\x01\x00", b"\x03\x00\x09x\x00"]
)
def test_a_header_that_is_cut_off_is_refused(data: bytes) -> None:
    with pytest.raises(IncompleteMessage):
        split_udh(data)


@given(st.binary(max_size=200))
def test_any_bytes_have_a_header_or_are_refused(data: bytes) -> None:
    try:
        _, payload = find_udh_part(data, 0)
    except IncompleteMessage:
        return
    assert data.endswith(payload)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x05\x00\x03\x01\x02\x01a", Part(1, 2, 1, b"a", 0, "udh8")),
        (b"\x00\x03\x01\x02\x01a", Part(1, 2, 1, b"a", 0, "legacy5")),
        (b"\x06\x00\x04\x01\x02\x02\x01a", Part(0x102, 2, 1, b"a", 0, "legacy6")),
        (b"hello", None),
        (b"\x05\x00", None),
        (b"\x00\x03", None),
    ],
)
def test_legacy_headers(data: bytes, expected: Part | None) -> None:
    assert find_legacy_part(data, 0) == expected


class TestMultipartMessages(SynchronousTestCase):
    EXPIRY, DONE_EXPIRY = 1000, 100

    def setUp(self) -> None:
        self.limits = MultipartLimits(self.EXPIRY, done_expiry=self.DONE_EXPIRY)
        self.fake = FakeRedis()
        self.redis = TxRedisManager(LaterStore(self.fake), "vumi")
        self.messages = self.process()

    def process(self) -> MultipartMessages:
        return MultipartMessages(self.redis, self.limits, self.fake.clock.seconds)

    def part(self, number: int, payload: bytes, total: int = 2, kind: str = "udh8") -> Part:
        return Part(7, total, number, payload, 8, kind)

    def add(self, part: Part, messages: MultipartMessages | None = None) -> bytes | None:
        """The whole message if it is complete; empty if it is done with."""
        adding = (messages or self.messages).add("+27", "9292", part)
        parts = self.successResultOf(adding)
        return None if parts is None else b"".join(part.payload for part in parts)

    def finish(self) -> None:
        self.successResultOf(self.messages.finish("+27", "9292", self.part(1, b"")))

    def test_parts_in_any_order(self) -> None:
        self.assertIsNone(self.add(self.part(3, b"c", 3)))
        self.assertIsNone(self.add(self.part(1, b"a", 3)))
        self.assertEqual(self.add(self.part(2, b"b", 3)), b"abc")

    def test_a_part_keeps_its_data_coding_and_all_bytes(self) -> None:
        everything = bytes(range(256))
        self.add(self.part(1, everything))
        parts = self.successResultOf(self.messages.add("+27", "9292", self.part(2, b"")))
        assert parts is not None
        self.assertEqual((parts[0].payload, parts[0].data_coding), (everything, 8))

    def test_parts_come_to_several_processes_and_outlive_a_restart(self) -> None:
        self.assertIsNone(self.add(self.part(1, b"a"), self.process()))
        self.assertEqual(self.add(self.part(2, b"b"), self.process()), b"ab")

    def test_a_part_that_comes_twice_does_not_complete_a_message(self) -> None:
        self.assertIsNone(self.add(self.part(1, b"a")))
        self.assertIsNone(self.add(self.part(1, b"a")))

    def test_a_crash_before_the_message_is_safe_does_not_lose_the_other_parts(self) -> None:
        self.add(self.part(1, b"a"))
        self.assertEqual(self.add(self.part(2, b"b")), b"ab")
        # Not published. The SMSC sends again what it has no answer to.
        self.assertEqual(self.add(self.part(2, b"b"), self.process()), b"ab")

    def test_a_part_that_comes_again_after_the_message_was_published_is_nothing_new(self) -> None:
        self.add(self.part(1, b"a"))
        self.add(self.part(2, b"b"))
        self.finish()
        self.assertEqual(self.add(self.part(2, b"b")), b"")
        self.assertEqual(self.add(self.part(1, b"a")), b"")

    def test_a_reference_that_is_used_again_is_another_message(self) -> None:
        self.add(self.part(1, b"a"))
        self.add(self.part(2, b"b"))
        self.finish()
        self.assertIsNone(self.add(self.part(1, b"c")))
        self.assertEqual(self.add(self.part(2, b"d")), b"cd")

    def test_an_old_incomplete_message_is_not_mixed_with_a_new_one(self) -> None:
        self.add(self.part(1, b"a", 3))
        self.add(self.part(2, b"b", 3))
        self.assertIsNone(self.add(self.part(1, b"x", 3)))
        self.assertIsNone(self.add(self.part(3, b"z", 3)))
        self.assertEqual(self.add(self.part(2, b"y", 3)), b"xyz")

    def test_references_of_different_kinds_are_different(self) -> None:
        self.add(self.part(1, b"a", kind="sar"))
        self.assertIsNone(self.add(self.part(2, b"b", kind="udh8")))

    def test_parts_were_kept_for_ever(self) -> None:
        self.add(self.part(1, b"a"))
        self.fake.clock.advance(self.EXPIRY + 1)
        self.assertEqual(self.fake.keys("*"), [])
        self.assertIsNone(self.add(self.part(2, b"b")))

    def test_a_message_that_is_done_with_is_soon_forgotten(self) -> None:
        self.add(self.part(1, b"a"))
        self.add(self.part(2, b"b"))
        self.finish()
        self.fake.clock.advance(self.DONE_EXPIRY + 1)
        self.assertEqual(self.fake.keys("*"), [])

    def test_the_beginning_that_two_messages_have_in_common_was_lost(self) -> None:
        self.add(self.part(1, b"Hello"))
        self.add(self.part(2, b"a"))
        self.finish()
        self.assertEqual(self.add(self.part(1, b"Hello")), b"")
        self.assertEqual(self.add(self.part(2, b"b")), b"Hellob")

    def test_a_part_that_can_not_belong_starts_a_new_message(self) -> None:
        for kept, new, whole in (
            # A part that is there with other octets.
            ([(1, b"a"), (2, b"b")], [(1, b"x"), (2, b"y"), (3, b"z")], b"xyz"),
            ([(2, b"b")], [(2, b"y"), (1, b"x"), (3, b"z")], b"xyz"),
            # The same beginning again.
            ([(1, b"a"), (2, b"b")], [(1, b"a"), (2, b"y"), (3, b"z")], b"ayz"),
            # What was only sent again ends up in no other message.
            ([(1, b"a"), (3, b"c"), (3, b"c")], [(1, b"x"), (2, b"y"), (3, b"z")], b"xyz"),
        ):
            for number, payload in kept:
                self.assertIsNone(self.add(self.part(number, payload, 3)))
            *first, last = new
            for number, payload in first:
                self.assertIsNone(self.add(self.part(number, payload, 3)), new)
            self.assertEqual(self.add(self.part(*last, 3)), whole)
            self.finish_and_forget(3)

    def test_another_total_is_another_message(self) -> None:
        self.assertIsNone(self.add(self.part(1, b"a", 3)))
        self.assertIsNone(self.add(self.part(2, b"b", 3)))
        self.assertIsNone(self.add(self.part(1, b"x", 2)))
        self.assertEqual(self.add(self.part(2, b"y", 2)), b"xy")

    def finish_and_forget(self, total: int) -> None:
        self.successResultOf(self.messages.finish("+27", "9292", self.part(1, b"", total)))
        self.fake.clock.advance(self.DONE_EXPIRY + 1)

    def test_parts_keep_their_language(self) -> None:
        turkish = Shifts(1, 1)
        self.add(Part(7, 2, 1, b"a", 0, "udh8", turkish))
        adding = self.messages.add("+27", "9292", Part(7, 2, 2, b"b", 0, "udh8"))
        parts = self.successResultOf(adding)
        assert parts is not None
        self.assertEqual([part.shifts for part in parts], [turkish, Shifts()])

    # What never becomes complete

    def flood(self, count: int, sender: str | None = None, size: int = 10) -> None:
        for number in range(count):
            from_addr = sender or f"+{number}"
            part = Part(number % 0x10000, 255, 1 + number // 0x10000, b"x" * size, 0, "udh16")
            self.successResultOf(self.messages.add(from_addr, "9292", part))

    def waiting(self) -> int:
        return len(self.fake.keys("vumi:multipart:*"))

    def limited(self, **limits: int) -> None:
        self.limits = MultipartLimits(self.EXPIRY, done_expiry=self.DONE_EXPIRY, **limits)
        self.messages = self.process()

    def test_first_parts_of_one_sender_grew_without_bound(self) -> None:
        self.limited(sender_messages=5)
        self.assertIsNone(self.add(self.part(1, b"a")))
        self.flood(50, "+666")
        self.assertEqual(self.waiting(), 1 + 5)
        # Somebody else's message waits still.
        self.assertEqual(self.add(self.part(2, b"b")), b"ab")

    def test_first_parts_of_many_senders_grew_without_bound(self) -> None:
        self.limited(messages=20)
        self.flood(100)
        self.assertEqual(self.waiting(), 20)
        self.assertEqual(self.fake.zcard("vumi:multipart_waiting"), 20)
        self.assertEqual(self.fake.hlen("vumi:multipart_octets"), 21)

    def test_the_accounts_of_forgotten_senders_grew_without_bound(self) -> None:
        self.limited(messages=20)
        self.flood(100)
        self.assertEqual(len(self.fake.keys("vumi:multipart_from:*")), 20)
        self.limited(octets=1000)
        self.flood(100, size=50)
        self.assertTrue(len(self.fake.keys("*")) <= 2 * 20 + 2)

    def test_large_parts_grew_without_bound(self) -> None:
        self.limited(octets=10_000)
        self.flood(50, size=500)
        self.assertEqual(self.waiting(), 9)
        octets = int(self.fake.hget("vumi:multipart_octets", "total") or 0)
        self.assertTrue(8_000 < octets <= 10_000, octets)
        self.fake.clock.advance(self.EXPIRY + 1)
        self.assertEqual(self.fake.keys("*"), [])

    def test_one_message_of_large_parts_is_bounded_too(self) -> None:
        self.limited(octets=10_000)
        for number in range(1, 100):
            self.add(self.part(number, b"x" * 1000, 255))
        octets = int(self.fake.hget("vumi:multipart_octets", "total") or 0)
        self.assertTrue(octets <= 10_000, octets)

    def test_what_was_complete_leaves_the_accounts(self) -> None:
        self.add(self.part(1, b"a"))
        self.add(self.part(2, b"b"))
        self.finish()
        self.assertEqual(len(self.fake.keys("*")), 1)

    def test_later_parts_do_not_renew_the_expiry(self) -> None:
        self.add(self.part(1, b"a", 255))
        for number in range(2, 10):
            self.fake.clock.advance(self.EXPIRY / 5)
            self.add(self.part(number % 2 + 2, b"a", 255))
            if number > 6:
                self.assertIsNone(self.fake.hget(self.key(255), "1"))

    def key(self, total: int) -> str:
        return f"vumi:multipart:+27:9292:udh8:7:{total}"

    def test_the_log_is_told_of_a_flood_but_not_flooded(self) -> None:
        self.limited(messages=1)
        with capturedLogs() as logs:
            self.flood(100)
        told = [event for event in logs if event.get("event") == "smpp-parts-forgotten"]
        self.assertEqual([event["count"] for event in told], [1])
