"""What is remembered of messages: by one round trip each way, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vumi.persist.fake_redis import FakeRedis, LaterStore
from vumi.persist.txredis_manager import TxRedisManager
from vumi.transports.smpp.correlation import (
    Answer,
    Expiries,
    SmppMessageDataStash,
    Submission,
)

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class CountingStore(LaterStore):
    def __init__(self, store: FakeRedis) -> None:
        super().__init__(store)
        self.commands = 0

    def execute(self, words: Any, repeatable: bool = False) -> Deferred[Any]:
        self.commands += 1
        return super().execute(words, repeatable)


class TestStash(SynchronousTestCase):
    def setUp(self) -> None:
        self.fake = FakeRedis()
        self.store = CountingStore(self.fake)
        self.clock = Clock()
        redis = TxRedisManager(self.store, "vumi")
        self.stash = SmppMessageDataStash(redis, self.clock, Expiries())
        self.results: list[Any] = []
        self.failures: list[Any] = []
        # So that the scripts are known and a call is one command.
        self.stash.look_up("x", self.results.append, self.failures.append)
        self.record("warm", "up")
        self.resolve("warm")
        self.clock.advance(0)
        self.results.clear()
        self.store.commands = 0

    def record(self, ours: str, theirs: str, **fields: Any) -> None:
        fields.setdefault("event", ("ack", theirs))
        answer = Answer(Submission(ours, **fields), theirs)
        self.stash.record(answer, self.results.append, self.failures.append)

    def resolve(self, theirs: str, final: bool = True) -> None:
        self.stash.resolve(theirs, "{}", final, self.results.append, self.failures.append)

    def test_messages_of_one_turn_cost_one_round_trip_each_way(self) -> None:
        for number in range(50):
            self.stash.look_up(str(number), self.results.append, self.failures.append)
        self.clock.advance(0)
        self.assertEqual((self.store.commands, self.results), (1, [None] * 50))
        for number in range(50):
            self.record(str(number), f"t{number}")
        self.clock.advance(0)
        self.assertEqual((self.store.commands, self.results[50:]), (2, [[]] * 50))
        for number in range(50):
            self.resolve(f"t{number}")
        self.clock.advance(0)
        self.assertEqual(self.store.commands, 3)
        self.assertEqual(self.results[100:], [str(number) for number in range(50)])
        self.assertEqual(self.failures, [])

    def test_what_was_recorded_is_found(self) -> None:
        submission: dict[str, Any] = {
            "parts": 3,
            "reference": 7,
            "taken": {0: "a", 2: "c"},
            "event": None,
        }
        self.record("ours", "c", **submission)
        self.clock.advance(0)
        self.stash.look_up("ours", self.results.append, self.failures.append)
        self.clock.advance(0)
        self.assertEqual(self.results, [[], Submission("ours", **submission)])

    def test_early_reports_come_with_the_record(self) -> None:
        self.resolve("theirs")
        self.clock.advance(0)
        self.record("ours", "theirs")
        self.clock.advance(0)
        self.assertEqual(self.results, [None, ["{}"]])

    def test_a_record_that_redis_executes_twice_finds_early_reports_twice(self) -> None:
        self.resolve("theirs")
        self.clock.advance(0)
        for _ in range(2):
            self.record("ours", "theirs")
            self.clock.advance(0)
        self.assertEqual(self.results[1:], [["{}"], ["{}"]])

    def test_ids_by_the_methods_for_one(self) -> None:
        self.successResultOf(self.stash.set_remote_message_id("ours", "theirs"))
        self.assertEqual(
            self.successResultOf(self.stash.get_internal_message_id("theirs")), "ours"
        )
        self.assertEqual(self.fake.get("vumi:remote_message:theirs"), "ours")

    def test_a_refusal_leaves_no_remote_id(self) -> None:
        self.record("ours", "", event=("nack", "no"))
        self.clock.advance(0)
        self.assertEqual(self.fake.keys("vumi:remote_message:"), [])


@given(st.text())
def test_any_text_that_is_stored_is_a_submission_or_none(text: str) -> None:
    found = Submission.from_json("ours", text)
    assert found is None or found.message_id == "ours"


@given(
    st.integers(1, 255),
    st.integers(0, 0xFFFF),
    st.dictionaries(st.integers(0, 254), st.text(max_size=5), max_size=5),
    st.none() | st.tuples(st.sampled_from(["ack", "nack"]), st.text(max_size=5)),
)
def test_a_submission_is_stored_whole(
    parts: int, reference: int, taken: dict[int, str], event: tuple[str, str] | None
) -> None:
    submission = Submission("ours", parts, reference, taken, event)
    found = Submission.from_json("ours", submission.to_json())
    if event is not None and event[0] == "nack":
        submission.event = event = None
    if parts > 1:
        assert found == submission
    else:
        assert (None if found is None else found.event) == event
