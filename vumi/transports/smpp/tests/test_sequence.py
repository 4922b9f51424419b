"""Numbers in blocks from the key-value store."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vumi.errors import StoreUnavailable
from vumi.persist.fake_redis import FakeRedis, LaterStore
from vumi.persist.txredis_manager import TxRedisManager
from vumi.transports.smpp.sequence import MAX_SEQUENCE, RedisSequence

KEY = "smpp_last_sequence_number"


class CountingStore(LaterStore):
    """Counts commands, and fails them while :attr:`away`."""

    def __init__(self, store: FakeRedis) -> None:
        super().__init__(store)
        self.commands: list[bytes] = []
        self.away = False

    def execute(self, words: Any, repeatable: bool = False) -> Deferred[Any]:
        self.commands.append(words[0])
        if self.away:
            return fail(StoreUnavailable("away"))
        return super().execute(words, repeatable)


class TestRedisSequence(SynchronousTestCase):
    def setUp(self) -> None:
        self.fake = FakeRedis()
        self.store = CountingStore(self.fake)
        self.redis = TxRedisManager(self.store, "vumi")
        self.clock = Clock()

    def sequence(self, **kw: Any) -> RedisSequence:
        sequence = RedisSequence(self.redis, self.clock, **kw)
        self.successResultOf(sequence.start())
        self.addCleanup(sequence.stop)
        return sequence

    def take(self, sequence: RedisSequence, count: int) -> list[int]:
        return [sequence.take() for _ in range(count)]

    def test_numbers_follow_each_other_over_the_ends_of_blocks(self) -> None:
        self.assertEqual(self.take(self.sequence(block=10), 35), list(range(1, 36)))

    def test_a_block_costs_one_command(self) -> None:
        sequence = self.sequence(block=1000)
        # Once the store knows the script.
        self.store.commands.clear()
        self.take(sequence, 10_000)
        self.assertLessEqual(len(self.store.commands), 10)

    def test_processes_never_have_the_same_number(self) -> None:
        first, second = self.sequence(block=10), self.sequence(block=10)
        numbers = [sequence.take() for _ in range(100) for sequence in (first, second)]
        self.assertEqual(len(set(numbers)), 200)

    def test_a_restart_goes_on_where_the_old_vumi_stopped(self) -> None:
        self.fake.set("vumi:" + KEY, "1234")
        self.assertEqual(self.sequence().take(), 1235)

    def test_numbers_wrap_before_they_leave_31_bits(self) -> None:
        self.fake.set("vumi:" + KEY, str(MAX_SEQUENCE - 15))
        numbers = self.take(self.sequence(block=10), 20)
        self.assertEqual(numbers[:10], list(range(MAX_SEQUENCE - 14, MAX_SEQUENCE - 4)))
        self.assertEqual(numbers[10:], list(range(1, 11)))

    def test_a_counter_that_the_old_vumi_left_beyond_the_limit_starts_anew(self) -> None:
        self.fake.set("vumi:" + KEY, str(0xFFFF0001))
        self.assertEqual(self.sequence().take(), 1)

    def test_the_counter_is_written_as_a_whole_number(self) -> None:
        self.fake.set("vumi:" + KEY, str(2_000_000_000))
        self.sequence(block=100)
        self.assertEqual(self.fake.get("vumi:" + KEY), "2000000100")

    def test_while_the_store_is_away_the_last_block_is_used_again(self) -> None:
        sequence = self.sequence(block=10)
        self.store.away = True
        self.assertEqual(self.take(sequence, 25), [*range(1, 11), *range(1, 11), *range(1, 6)])
        self.store.away = False
        self.clock.advance(1)
        self.assertIn(11, self.take(sequence, 10))

    def test_it_asks_for_nothing_once_stopped(self) -> None:
        sequence = self.sequence(block=10)
        self.store.away = True
        self.take(sequence, 10)
        sequence.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_number_before_the_start(self) -> None:
        with self.assertRaises(RuntimeError):
            RedisSequence(self.redis, self.clock).take()

    def test_a_store_that_is_away_at_the_start_is_an_error(self) -> None:
        self.store.away = True
        self.failureResultOf(RedisSequence(self.redis, self.clock).start(), StoreUnavailable)
