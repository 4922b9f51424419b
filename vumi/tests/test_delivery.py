"""The delivery promise, step by step, on a broker whose confirmations the test holds back."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, inlineCallbacks, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vumi.broker import Exchange, MemoryBroker, Publication, Queue
from vumi.broker.memory import MemoryConnection
from vumi.broker.queue_types import dead_letter_queue
from vumi.delivery import DeliveryFlow, FlowOptions
from vumi.errors import HandleLater, InvalidMessage, LeaveUnacknowledged
from vumi.payload import decode_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

QUEUE = "app.inbound"


class HeldBroker(MemoryConnection):
    """A connection whose publishes are confirmed when the test says so."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self.held: deque[Publication] | None = None

    def hold(self) -> None:
        self.held = deque()

    def confirm(self, number: int = 1) -> None:
        assert self.held is not None
        for _ in range(number):
            super()._settle(self.held.popleft())

    def _settle(self, publication: Publication) -> None:
        if self.held is None:
            super()._settle(publication)
        else:
            self.held.append(publication)


class DeliveryTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.memory = MemoryBroker(self.clock)
        self.broker = HeldBroker(self.memory)
        self.successResultOf(self.broker.start())
        self.successResultOf(self.broker.declare_exchange(Exchange("vumi")))
        for name in (QUEUE, "out"):
            self.successResultOf(self.broker.declare_queue(Queue(name)))
        self.handled: list[str] = []
        self.pending: dict[str, Deferred[Any]] = {}
        self._ids = 0

    def flow(self, handle: Callable[[Any], Any], **options: Any) -> DeliveryFlow:
        flow = DeliveryFlow(
            self.broker,
            QUEUE,
            "vumi",
            decode=decode_payload,
            handle=handle,
            conversation_of=lambda message: message.get("user"),
            options=FlowOptions(**options),
            scrub=lambda text: text.replace("s3cret", "****"),
        )
        self.resume(flow)
        return flow

    def resume(self, flow: DeliveryFlow) -> None:
        self.successResultOf(Deferred.fromCoroutine(flow.resume()))

    def note(self, message: Any) -> None:
        self.handled.append(message["text"])

    def wait(self, message: Any) -> Deferred[Any]:
        """A handler that is done when the test says so (:meth:`finish`)."""
        self.note(message)
        pending: Deferred[Any] = Deferred()
        self.pending[message["text"]] = pending
        return pending

    def finish(self, text: str) -> None:
        self.pending.pop(text).callback(None)

    def send(self, *texts: str, user: str | None = None) -> None:
        for text in texts:
            self._ids += 1
            body = json.dumps({"text": text, "user": user, "message_id": str(self._ids)})
            self.memory.publish("vumi", QUEUE, body.encode())
        self.clock.advance(0)

    @property
    def unacked(self) -> int:
        return self.memory.unacked

    def dead(self) -> list[Any]:
        self.clock.advance(0)
        queue = self.memory.queues.get(dead_letter_queue(QUEUE))
        return list(queue.ready) if queue is not None else []

    def published_out(self) -> int:
        return len(self.memory.queues["out"].ready)

    def publish(self, body: bytes = b"{}") -> Publication:
        return self.broker.publish("vumi", "out", body)


class AcknowledgeTests(DeliveryTestCase):
    def test_a_handler_that_is_done_acknowledges(self) -> None:
        self.flow(self.note)
        self.send("1", "2")
        self.assertEqual(self.handled, ["1", "2"])
        self.assertEqual(self.unacked, 0)

    def test_a_deferred_holds_the_ack_until_it_fires(self) -> None:
        self.flow(self.wait)
        self.send("1")
        self.assertEqual(self.unacked, 1)
        self.finish("1")
        self.assertEqual(self.unacked, 0)

    def test_handlers_of_every_kind_are_waited_for(self) -> None:
        results: list[Deferred[None]] = []

        def deferred(message: Any) -> Deferred[None]:
            results.append(Deferred())
            return results[-1]

        @inlineCallbacks
        def generator(message: Any) -> Generator[Deferred[Any], Any, None]:
            yield deferred(message)

        async def coroutine(message: Any) -> None:
            await deferred(message)

        for handler in (deferred, generator, coroutine):
            flow = self.flow(handler)
            self.send("x")
            self.assertEqual(self.unacked, 1, handler)
            results[-1].callback(None)
            self.assertEqual(self.unacked, 0, handler)
            self.successResultOf(Deferred.fromCoroutine(flow.close()))

    def test_the_ack_waits_for_the_confirmation_of_what_was_published(self) -> None:
        self.broker.hold()
        self.flow(lambda message: self.publish())
        self.send("1")
        self.assertEqual(self.unacked, 1)
        self.broker.confirm()
        self.assertEqual(self.unacked, 0)

    def test_the_ack_waits_also_for_a_publish_that_the_handler_forgot(self) -> None:
        self.broker.hold()

        def forgetful(message: Any) -> None:
            _ = self.publish()

        self.flow(forgetful)
        self.send("1")
        self.assertEqual(self.unacked, 1)
        self.broker.confirm()
        self.assertEqual(self.unacked, 0)

    def test_a_handler_that_only_reads_waits_for_nobody_after_it(self) -> None:
        self.flow(self.note)
        self.broker.hold()
        self.send("1")
        self.assertEqual(self.unacked, 0)
        _ = self.publish()
        self.assertEqual(self.unacked, 0)

    def test_a_publish_under_middleware_that_takes_its_time_is_waited_for(self) -> None:
        reservations: list[Publication] = []
        self.flow(lambda message: reservations.append(self.broker.reserve()))
        self.send("1")
        self.assertEqual(self.unacked, 1)
        _ = self.publish()
        self.broker.release(reservations[0])
        self.assertEqual(self.unacked, 0)

    def test_waiting_for_a_confirmation_takes_no_handlers_place(self) -> None:
        self.broker.hold()

        def echo(message: Any) -> Publication:
            self.note(message)
            return self.publish()

        self.flow(echo, concurrency=1)
        self.send("1", "2", "3", user="one")
        self.assertEqual(self.handled, ["1", "2", "3"])
        self.assertEqual(self.unacked, 3)
        self.broker.confirm(3)
        self.assertEqual(self.unacked, 0)


class OrderTests(DeliveryTestCase):
    def test_messages_of_one_conversation_are_handled_one_after_another(self) -> None:
        self.flow(self.wait)
        self.send("1", "2", "3", user="one")
        self.assertEqual(self.handled, ["1"])
        self.finish("1")
        self.assertEqual(self.handled, ["1", "2"])
        self.finish("2")
        self.finish("3")
        self.assertEqual(self.unacked, 0)

    def test_conversations_do_not_wait_for_each_other(self) -> None:
        self.flow(self.wait)
        self.send("a1", "a2", user="a")
        self.send("b1", user="b")
        self.assertEqual(self.handled, ["a1", "b1"])
        self.finish("b1")
        self.send("b2", user="b")
        self.assertEqual(self.handled, ["a1", "b1", "b2"])

    def test_no_more_handlers_run_than_allowed(self) -> None:
        self.flow(self.wait, concurrency=2)
        self.send("1", "2", "3", "4")
        self.assertEqual(self.handled, ["1", "2"])
        self.finish("2")
        self.assertEqual(self.handled, ["1", "2", "3"])

    def test_concurrency_one_is_the_strict_order_of_arrival(self) -> None:
        self.flow(self.wait, concurrency=1)
        self.send("a1", user="a")
        self.send("b1", user="b")
        self.send("a2", user="a")
        for text in ("a1", "b1", "a2"):
            self.finish(text)
        self.assertEqual(self.handled, ["a1", "b1", "a2"])

    def test_a_thousand_messages_of_one_user_need_no_stack(self) -> None:
        self.flow(self.wait, prefetch=0)
        self.send(*map(str, range(1000)), user="one")
        first = self.pending.pop("0")
        self.wait = self.note  # type: ignore[assignment, method-assign]  # from now on at once
        first.callback(None)
        for number in range(1, 1000):
            if str(number) in self.pending:
                self.finish(str(number))
        self.assertEqual(self.handled, [str(number) for number in range(1000)])
        self.assertEqual(self.unacked, 0)

    def test_the_order_holds_after_a_failure(self) -> None:
        self.flow(self.wait)
        self.send("1", "2", user="one")
        self.pending.pop("1").errback(ValueError("1 fails"))
        self.assertEqual(self.handled, ["1", "2"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class PauseTests(DeliveryTestCase):
    def test_paused_nothing_starts_and_resumed_it_goes_on(self) -> None:
        flow = self.flow(self.note)
        self.successResultOf(Deferred.fromCoroutine(flow.pause()))
        self.send("1", "2")
        self.assertEqual(self.handled, [])
        self.resume(flow)
        self.assertEqual(self.handled, ["1", "2"])

    def test_pausing_waits_for_the_handlers_that_run(self) -> None:
        flow = self.flow(self.wait)
        self.send("1")
        paused = Deferred.fromCoroutine(flow.pause())
        self.assertNoResult(paused)
        self.finish("1")
        self.successResultOf(paused)

    def test_draining_finishes_what_is_in_hand_and_takes_no_more(self) -> None:
        flow = self.flow(self.wait, concurrency=1)
        self.send("1", "2")
        drained = Deferred.fromCoroutine(flow.drain(5))
        self.send("3")
        self.finish("1")
        self.assertNoResult(drained)
        self.finish("2")
        self.successResultOf(drained)
        self.assertEqual(self.handled, ["1", "2"])
        self.assertEqual(self.successResultOf(self.broker.depth(QUEUE)), 1)

    def test_draining_waits_for_confirmations(self) -> None:
        self.broker.hold()
        flow = self.flow(lambda message: self.publish())
        self.send("1")
        drained = Deferred.fromCoroutine(flow.drain(5))
        self.assertNoResult(drained)
        self.broker.confirm()
        self.successResultOf(drained)

    def test_draining_is_bounded_and_gives_back_what_is_left(self) -> None:
        flow = self.flow(self.wait, concurrency=1)
        self.send("1", "2")
        drained = Deferred.fromCoroutine(flow.drain(5))
        self.clock.advance(5)
        self.successResultOf(drained)
        # A handler that never ends must not keep the worker from stopping.
        self.successResultOf(Deferred.fromCoroutine(flow.pause()))
        self.successResultOf(Deferred.fromCoroutine(flow.close()))
        self.assertEqual(self.successResultOf(self.broker.depth(QUEUE)), 2)


class DeadLetterTests(DeliveryTestCase):
    def assert_dead(self, reason: str, error: str, body: bytes | None = None) -> Any:
        (delivery,) = self.dead()
        self.assertEqual(delivery.headers["x-vumi-reason"], reason)
        self.assertIn(error, delivery.headers["x-vumi-error"])
        self.assertEqual(delivery.headers["x-vumi-queue"], QUEUE)
        self.assertEqual(delivery.headers["x-vumi-count"], 1)
        self.assertEqual(self.unacked, 0)
        if body is not None:
            self.assertEqual(delivery.body, body)
        return delivery

    def test_a_handler_that_raises(self) -> None:
        def broken(message: Any) -> None:
            raise ValueError("broken handler")

        flow = self.flow(broken)
        self.send("1")
        delivery = self.assert_dead("handler-failed", "ValueError: broken handler")
        self.assertIn("in broken", delivery.headers["x-vumi-traceback"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual((flow.counters.failed, flow.counters.dead_lettered), (1, 1))

    def test_a_handler_whose_deferred_fails(self) -> None:
        self.flow(lambda message: fail(KeyError("lost")))
        self.send("1")
        self.assert_dead("handler-failed", "KeyError: 'lost'")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_what_is_not_json(self) -> None:
        self.flow(self.note)
        self.memory.publish("vumi", QUEUE, b"\xff not json")
        self.clock.advance(0)
        self.assert_dead("invalid-message", "InvalidMessage", b"\xff not json")
        self.assertEqual(len(self.flushLoggedErrors(InvalidMessage)), 1)
        self.send("the next one")
        self.assertEqual(self.handled, ["the next one"])

    def test_a_handler_that_returns_false(self) -> None:
        self.flow(lambda message: False)
        self.send("1")
        self.assert_dead("handler-refused", "returned False")
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_a_handler_that_never_returns(self) -> None:
        self.flow(self.wait, handler_timeout=30, concurrency=1)
        self.send("stuck", "next")
        self.clock.pump([3.0] * 11)
        self.assertEqual(self.handled, ["stuck", "next"])
        self.finish("next")
        self.assert_dead("handler-timeout", "within 30 s")
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.clock.advance(60)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_ack_waits_for_the_dead_letters_confirmation(self) -> None:
        self.broker.hold()
        self.flow(lambda message: fail(ValueError("x")))
        self.send("1")
        self.assertEqual(self.unacked, 1)
        self.broker.confirm()
        self.assertEqual(self.unacked, 0)
        self.flushLoggedErrors(ValueError)

    def test_secrets_stay_out_of_the_dead_letter_and_the_log(self) -> None:
        def broken(message: Any) -> None:
            raise ValueError("login as s3cret refused")

        self.flow(broken)
        self.send("1")
        delivery = self.assert_dead("handler-failed", "login as **** refused")
        self.assertNotIn("s3cret", json.dumps(delivery.headers))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_second_death_is_counted(self) -> None:
        self.flow(lambda message: fail(ValueError("again")))
        self.memory.publish(
            "vumi", QUEUE, b"{}", {"x-vumi-count": 2, "x-vumi-first-seen": "then", "other": 1}
        )
        self.clock.advance(0)
        (delivery,) = self.dead()
        self.assertEqual(delivery.headers["x-vumi-count"], 3)
        self.assertEqual(delivery.headers["x-vumi-first-seen"], "then")
        self.assertEqual(delivery.headers["other"], 1)
        self.flushLoggedErrors(ValueError)


class LostConnectionTests(DeliveryTestCase):
    def lose_connection(self) -> None:
        self.broker.interrupt()
        self.clock.advance(0)

    def test_a_running_handler_is_not_started_again(self) -> None:
        flow = self.flow(self.wait)
        self.send("1")
        self.lose_connection()
        self.assertEqual(self.handled, ["1"])
        self.finish("1")
        self.assertEqual(self.unacked, 0)
        self.assertEqual((flow.counters.repeated, flow.counters.in_flight), (1, 0))

    def test_what_waits_for_confirmation_is_not_handled_again(self) -> None:
        self.broker.hold()

        def echo(message: Any) -> Publication:
            self.note(message)
            return self.publish()

        self.flow(echo)
        self.send("1")
        self.lose_connection()
        self.assertEqual(self.handled, ["1"])
        self.broker.confirm()
        self.assertEqual(self.unacked, 0)

    def test_an_ack_that_was_lost_is_sent_again(self) -> None:
        flow = self.flow(self.note)
        self.send("1")
        body = json.dumps({"text": "1", "user": None, "message_id": "1"}).encode()
        flow.interrupted()
        self.memory.publish("vumi", QUEUE, body)
        self.clock.advance(0)
        self.assertEqual(self.handled, ["1"])
        self.assertEqual(self.unacked, 0)

    def test_what_was_waiting_is_handled_when_it_comes_again_in_order(self) -> None:
        flow = self.flow(self.wait)
        self.send("1", "2", "3", user="one")
        self.lose_connection()
        for text in ("1", "2", "3"):
            self.finish(text)
        self.assertEqual(self.handled, ["1", "2", "3"])
        self.assertEqual((self.unacked, flow.counters.in_flight), (0, 0))

    def test_messages_without_an_id_are_each_handled(self) -> None:
        flow = self.flow(lambda message: self.handled.append("x"))
        for _ in range(2):
            self.memory.publish("vumi", QUEUE, b'{"datapoints": []}')
            self.clock.advance(0)
            flow.interrupted()
        self.assertEqual(self.handled, ["x", "x"])

    def test_redeliveries_are_counted(self) -> None:
        flow = self.flow(self.wait, concurrency=1)
        self.send("1", "2")
        self.lose_connection()
        self.assertEqual(flow.counters.redelivered, 2)
        self.assertEqual(flow.counters.consumed, 4)


class PutOffTests(DeliveryTestCase):
    """What a message needs is away: nothing becomes a dead letter, and order is kept."""

    def setUp(self) -> None:
        super().setUp()
        self.away = True

    def needy(self, message: Any) -> Any:
        """A handler that spoils its message, and needs what may be away."""
        assert "spoilt" not in message, "the message of the first try is handled again"
        message["spoilt"] = True
        if self.away:
            return fail(HandleLater("the store is away"))
        self.note(message)
        return None

    def test_an_outage_kills_no_message_and_nothing_is_acknowledged_meanwhile(self) -> None:
        flow = self.flow(self.needy)
        self.send("1")
        self.send("2", "3", user="one")
        for _ in range(20):
            self.clock.advance(1)
        self.assertEqual((self.handled, self.unacked, self.dead()), ([], 3, []))
        self.away = False
        self.clock.advance(30)
        self.assertEqual(self.handled, ["1", "2", "3"])
        self.assertEqual((self.unacked, flow.counters.in_flight), (0, 0))
        self.assertGreater(flow.counters.put_off, 3)

    def test_order_is_kept_whether_one_or_many_run_at_a_time(self) -> None:
        for concurrency in (1, 2, 20):
            self.handled.clear()
            self.away = True
            flow = self.flow(self.needy, concurrency=concurrency)
            self.send("1", "2", "3")
            self.clock.advance(0.5)
            self.send("4")
            self.away = False
            self.clock.advance(1)
            self.assertEqual(self.handled, ["1", "2", "3", "4"], concurrency)
            self.successResultOf(Deferred.fromCoroutine(flow.close()))

    def test_rests_get_longer_up_to_a_bound_and_start_anew_after_a_success(self) -> None:
        self.flow(self.needy, concurrency=1)
        self.send("1")

        def rests() -> list[float]:
            return [call.getTime() - self.clock.seconds() for call in self.clock.getDelayedCalls()]

        seen = []
        for _ in range(8):
            (rest,) = rests()
            seen.append(rest)
            self.clock.advance(rest)
        self.assertEqual(seen, [0.5, 1, 2, 4, 8, 16, 30, 30])
        self.away = False
        self.clock.advance(30)
        self.away = True
        self.send("2")
        self.assertEqual(rests(), [0.5])

    def test_those_that_run_when_a_rest_begins_are_finished(self) -> None:
        def handle(message: Any) -> Any:
            return self.needy(message) if message["text"] == "needy" else self.wait(message)

        flow = self.flow(handle)
        self.send("other", "needy", "third")
        self.assertEqual(self.handled, ["other"])
        self.finish("other")
        self.assertEqual(self.unacked, 2)
        self.assertEqual(flow.counters.in_flight, 2)

    def test_a_message_that_is_left_unacknowledged_at_the_end_is_the_brokers(self) -> None:
        flow = self.flow(self.wait)
        self.send("1", "2", user="one")
        drained = Deferred.fromCoroutine(flow.drain(5))
        self.pending.pop("1").errback(LeaveUnacknowledged("the worker stops"))
        self.successResultOf(drained)
        self.assertEqual((self.handled, self.unacked, self.dead()), (["1"], 2, []))
        self.successResultOf(Deferred.fromCoroutine(flow.close()))
        self.handled.clear()
        self.flow(self.note)
        self.clock.advance(0)
        self.assertEqual((self.handled, self.unacked), (["1", "2"], 0))

    def test_leaving_a_message_after_the_end_starts_nothing(self) -> None:
        flow = self.flow(self.wait)
        self.send("1")
        self.successResultOf(Deferred.fromCoroutine(flow.close()))
        self.pending.pop("1").errback(LeaveUnacknowledged("the worker stops"))
        self.assertEqual((self.clock.getDelayedCalls(), self.dead()), ([], []))

    def test_a_message_left_by_a_worker_that_goes_on_is_handled_again(self) -> None:
        self.flow(self.wait)
        self.send("1", "2", user="one")
        self.pending.pop("1").errback(LeaveUnacknowledged("the worker stops"))
        self.clock.advance(1)
        self.finish("1")
        self.finish("2")
        self.assertEqual((self.handled, self.unacked), (["1", "1", "2"], 0))

    def test_pausing_does_not_wait_for_what_is_put_off(self) -> None:
        flow = self.flow(self.needy)
        self.send("1")
        self.successResultOf(Deferred.fromCoroutine(flow.pause()))
        self.away = False
        self.clock.advance(30)
        self.assertEqual(self.handled, [])
        self.resume(flow)
        self.assertEqual(self.handled, ["1"])

    def test_draining_gives_back_what_is_put_off_at_once(self) -> None:
        flow = self.flow(self.needy)
        self.send("1", "2", user="one")
        self.successResultOf(Deferred.fromCoroutine(flow.drain(5)))
        self.successResultOf(Deferred.fromCoroutine(flow.close()))
        self.assertEqual(self.successResultOf(self.broker.depth(QUEUE)), 2)
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_put_off_while_draining_takes_all_after_it_back_too(self) -> None:
        def handle(message: Any) -> Any:
            return self.wait(message).addCallback(lambda _: self.needy(message))

        flow = self.flow(handle)
        self.send("1", "2", user="one")
        drained = Deferred.fromCoroutine(flow.drain(5))
        self.assertNoResult(drained)
        self.finish("1")
        self.successResultOf(drained)
        self.assertEqual((self.handled, flow.counters.in_flight), (["1"], 0))

    def test_a_connection_lost_while_resting_loses_nothing(self) -> None:
        flow = self.flow(self.needy)
        self.send("1", "2", user="one")
        self.broker.interrupt()
        self.clock.advance(0)
        self.away = False
        self.clock.advance(30)
        self.assertEqual(self.handled, ["1", "2"])
        self.assertEqual((self.unacked, flow.counters.in_flight), (0, 0))

    def test_a_connection_lost_before_a_message_is_put_off_loses_nothing(self) -> None:
        def handle(message: Any) -> Any:
            return self.wait(message).addCallback(lambda _: self.needy(message))

        flow = self.flow(handle)
        self.send("1")
        flow.interrupted()
        self.finish("1")
        body = json.dumps({"text": "1", "user": None, "message_id": "1"}).encode()
        self.away = False
        self.memory.publish("vumi", QUEUE, body)
        self.clock.advance(30)
        self.finish("1")
        self.assertEqual(self.handled, ["1", "1", "1"])
        self.assertEqual(flow.counters.in_flight, 0)


class CounterTests(DeliveryTestCase):
    def test_what_is_counted(self) -> None:
        outcomes = {"ok": lambda: succeed(None), "bad": lambda: fail(OSError())}
        flow = self.flow(lambda message: outcomes[message["text"]]())
        self.send("ok", "ok", "bad")
        counters = flow.counters
        self.assertEqual((counters.consumed, counters.handled, counters.failed), (3, 2, 1))
        self.assertEqual((counters.dead_lettered, counters.in_flight), (1, 0))
        self.flushLoggedErrors(OSError)

    def test_handler_seconds_add_up(self) -> None:
        flow = self.flow(self.wait)
        self.send("1")
        self.clock.advance(2.5)
        self.finish("1")
        self.assertEqual(flow.counters.handler_seconds, 2.5)
