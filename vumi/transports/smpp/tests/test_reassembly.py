"""Messages in parts: their headers, and waiting for all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vumi.persist.fake_redis import FakeRedis, LaterStore
from vumi.persist.txredis_manager import TxRedisManager
from vumi.transports.smpp.reassembly import (
    IncompleteMessage,
    MultipartMessages,
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
        self.fake = FakeRedis()
        self.redis = TxRedisManager(LaterStore(self.fake), "vumi")
        self.messages = self.process()

    def process(self) -> MultipartMessages:
        return MultipartMessages(self.redis, self.EXPIRY, self.DONE_EXPIRY)

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
