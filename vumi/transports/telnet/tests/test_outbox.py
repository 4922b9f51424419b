"""Tests for publishing in order."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vumi.errors import HandleLater, StoreUnavailable
from vumi.transports.telnet.outbox import Outbox, Outboxes


def fields(message_id: str) -> dict[str, Any]:
    return {"message_id": message_id, "from_addr": "somebody"}


class OutboxesTests(SynchronousTestCase):
    """Several addresses, and a broker that confirms when the test says so."""

    def setUp(self) -> None:
        self.handed_over: list[str] = []
        self.confirmations: dict[str, Deferred[Any]] = {}
        self.left: list[tuple[str, int]] = []
        self.clock = Clock()
        self.lost: list[tuple[str, str]] = []
        self.outboxes = self.make(self.publish)

    def make(self, publish: Any) -> Outboxes:
        return Outboxes(
            publish,
            lambda *args: self.left.append(args),
            lambda fields, error: self.lost.append((fields["message_id"], str(error))),
            self.clock,
        )

    def publish(self, **message: Any) -> Deferred[Any]:
        message_id = message["message_id"]
        self.handed_over.append(message_id)
        confirmation: Deferred[Any] = Deferred()
        self.confirmations[message_id] = confirmation
        return confirmation

    def confirm(self, message_id: str) -> None:
        self.confirmations.pop(message_id).callback(None)

    def put(self, address: str, *message_ids: str) -> list[int]:
        return [self.outboxes.put(address, fields(message_id)) for message_id in message_ids]

    def test_a_message_waits_until_the_one_before_is_confirmed(self) -> None:
        assert self.put("jo", "m1", "m2", "m3") == [1, 2, 3]
        assert self.handed_over == ["m1"]
        self.confirm("m1")
        assert self.handed_over == ["m1", "m2"]
        assert self.left == [("jo", 2)]
        self.confirm("m2")
        self.confirm("m3")
        assert self.handed_over == ["m1", "m2", "m3"]
        assert self.left == [("jo", 2), ("jo", 1), ("jo", 0)]

    def test_addresses_do_not_wait_for_each_other(self) -> None:
        self.put("jo", "m1")
        self.put("mo", "m2")
        assert self.handed_over == ["m1", "m2"]

    def test_many_that_are_confirmed_at_once_do_not_recurse(self) -> None:
        waiting: Deferred[Any] = Deferred()

        def publish(**message: Any) -> Deferred[Any]:
            self.handed_over.append(message["message_id"])
            return waiting if message["message_id"] == "first" else succeed(None)

        self.outboxes = self.make(publish)
        ids = ["first", *(str(number) for number in range(5000))]
        self.put("jo", *ids)
        assert self.handed_over == ["first"]
        waiting.callback(None)
        assert self.handed_over == ids

    def test_one_that_can_not_be_published_is_told_and_does_not_hold_up_the_next(self) -> None:
        self.put("jo", "m1", "m2")
        self.confirmations["m1"].errback(ValueError("no room"))
        assert self.handed_over == ["m1", "m2"]
        assert self.left == [("jo", 1)]
        [failure] = self.flushLoggedErrors(ValueError)
        assert failure.getErrorMessage() == "no room"
        assert self.lost == [("m1", "no room")]

    def test_while_a_store_is_away_messages_wait_in_order(self) -> None:
        self.put("jo", "m1", "m2")
        for error in (StoreUnavailable("away"), HandleLater("away"), StoreUnavailable("away")):
            self.confirmations["m1"].errback(error)
            self.clock.advance(30)
        assert self.handed_over == ["m1"] * 4
        assert (self.left, self.lost) == ([], [])
        self.confirm("m1")
        self.confirm("m2")
        assert self.handed_over == ["m1"] * 4 + ["m2"]
        assert self.left == [("jo", 1), ("jo", 0)]

    def test_drain_gives_up_what_waits_for_a_store(self) -> None:
        self.put("jo", "m1", "m2")
        self.confirmations["m1"].errback(StoreUnavailable("away"))
        draining = Deferred.fromCoroutine(self.outboxes.drain(0.1, self.clock))
        self.clock.advance(0.1)
        assert self.successResultOf(draining) == 2
        assert self.clock.getDelayedCalls() == []
        assert len(self.flushLoggedErrors(StoreUnavailable)) == 1

    def test_drain_waits_for_all_confirmations(self) -> None:
        self.put("jo", "m1", "m2")
        self.put("mo", "m3")
        drained = Deferred.fromCoroutine(self.outboxes.drain(3, self.clock))
        for message_id in ("m3", "m1"):
            self.confirm(message_id)
            self.assertNoResult(drained)
        self.confirm("m2")
        assert self.successResultOf(drained) == 0
        assert not self.clock.getDelayedCalls()

    def test_drain_of_nothing_is_done_at_once(self) -> None:
        assert (
            self.successResultOf(Deferred.fromCoroutine(self.outboxes.drain(3, self.clock))) == 0
        )

    def test_an_outbox_without_messages_is_done(self) -> None:
        outbox = Outbox(self.publish, lambda *_: None, self.clock)
        self.successResultOf(outbox.when_done())
        outbox.put(fields("m1"))
        done = outbox.when_done()
        self.assertNoResult(done)
        self.confirm("m1")
        self.successResultOf(done)
        self.successResultOf(outbox.when_done())

    def test_drain_gives_up_in_the_end_and_says_how_many(self) -> None:
        self.put("jo", "m1", "m2", "m3")
        drained = Deferred.fromCoroutine(self.outboxes.drain(3, self.clock))
        self.clock.advance(2.9)
        self.assertNoResult(drained)
        self.clock.advance(0.1)
        assert self.successResultOf(drained) == 3
        self.confirm("m1")
        assert self.handed_over == ["m1"]
