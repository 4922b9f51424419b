"""PDUs that wait: their order, the rate, and an SMSC that has enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from vumi.token_bucket import TokenBucket
from vumi.transports.smpp.outbox import Outbox, Outgoing
from vumi.transports.smpp.pdu import SubmitSm

if TYPE_CHECKING:
    from collections.abc import Callable


class Sender:
    """Windows that the test opens and closes."""

    def __init__(self) -> None:
        self.can_send = True
        self.at_once: str | None = None
        self.sent: list[tuple[bytes, Callable[[Any], object], Callable[[Failure], object]]] = []

    def send_request(self, pdu: Any, on_response: Any, on_failure: Any) -> int:
        self.sent.append((pdu.short_message, on_response, on_failure))
        if self.at_once is not None:
            on_response(self.at_once)
        return 1

    def texts(self) -> str:
        return b"".join(text for text, _, _ in self.sent).decode()


class TestOutbox(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.sender = Sender()
        self.throttled: list[bool] = []
        self.outcomes: list[Any] = []
        self.outbox = self.make()

    def make(self, rate: int = 0) -> Outbox:
        return Outbox(
            self.clock,
            self.sender,
            TokenBucket(rate, self.clock.seconds),
            1.0,
            self.throttled.append,
        )

    def put(self, text: str) -> None:
        for part, letter in enumerate(text):
            self.outbox.put(Outgoing(SubmitSm(short_message=letter.encode()), self, part))

    def answer(self, index: int, outcome: str) -> None:
        self.sender.sent[index][1](outcome)

    # As the owner of PDUs

    def answered(self, outgoing: Outgoing, response: Any) -> None:
        if response == "throttle":
            self.outbox.throttle(outgoing)
        elif response == "again":
            self.outbox.put_back(outgoing)
        else:
            self.outcomes.append(response)

    def failed(self, outgoing: Outgoing, failure: Failure) -> None:
        self.outbox.put_back(outgoing)

    def test_pdus_go_in_order_when_there_is_room(self) -> None:
        self.sender.can_send = False
        self.put("abc")
        self.assertEqual((self.sender.texts(), len(self.outbox)), ("", 3))
        self.sender.can_send = True
        self.outbox.pump()
        self.assertEqual((self.sender.texts(), len(self.outbox)), ("abc", 0))

    def test_what_is_put_back_has_its_old_place(self) -> None:
        self.put("abc")
        self.sender.can_send = False
        self.put("d")
        self.answer(2, "again")
        self.sender.sent[0][2](Failure(ValueError()))
        self.sender.can_send = True
        self.outbox.pump()
        self.assertEqual(self.sender.texts(), "abcacd")

    def test_what_is_dropped_is_not_sent(self) -> None:
        self.sender.can_send = False
        dropped = Outgoing(SubmitSm(short_message=b"x"), self)
        self.outbox.put(dropped)
        self.put("a")
        dropped.dropped = True
        self.sender.can_send = True
        self.outbox.pump()
        self.assertEqual(self.sender.texts(), "a")

    def test_a_chain_of_answers_at_once_does_not_recurse(self) -> None:
        self.sender.can_send = False
        self.put("x" * 5000)
        self.sender.can_send, self.sender.at_once = True, "ok"
        self.outbox.pump()
        self.assertEqual(len(self.outcomes), 5000)

    def test_the_rate_is_held_whatever_the_answers(self) -> None:
        self.outbox = self.make(rate=10)
        self.sender.at_once = "ok"
        self.put("x" * 100)
        self.assertLessEqual(len(self.sender.sent), 2)
        self.clock.pump([0.01] * 500)
        self.assertTrue(49 <= len(self.sender.sent) <= 52, len(self.sender.sent))

    def test_the_throttle_closes_tries_one_and_opens(self) -> None:
        self.put("abc")
        for index in range(3):
            self.answer(index, "throttle")
        self.put("d")
        self.assertEqual((self.sender.texts(), self.throttled), ("abc", [True]))
        self.clock.advance(1)
        self.assertEqual(self.sender.texts(), "abca")
        self.answer(3, "throttle")
        self.assertEqual(self.sender.texts(), "abca")
        self.clock.advance(1)
        self.answer(4, "ok")
        self.assertEqual((self.sender.texts(), self.throttled), ("abcaabcd", [True, False]))
        self.assertFalse(self.outbox.throttled)

    def test_answers_from_before_decide_nothing(self) -> None:
        self.put("abc")
        self.answer(0, "throttle")
        self.answer(1, "ok")
        self.assertTrue(self.outbox.throttled)
        self.clock.advance(1)
        self.answer(2, "throttle")
        self.answer(3, "ok")
        self.assertEqual((self.sender.texts(), self.throttled), ("abcac", [True, False]))

    def test_a_try_that_gets_no_answer_is_made_again(self) -> None:
        self.put("a")
        self.answer(0, "throttle")
        self.clock.advance(1)
        self.sender.sent[1][2](Failure(ValueError()))
        self.assertEqual(self.sender.texts(), "aaa")
        self.answer(2, "ok")
        self.assertEqual(self.throttled, [True, False])

    def test_stopping_leaves_no_timer(self) -> None:
        self.outbox = self.make(rate=1)
        self.put("abc")
        self.answer(0, "throttle")
        self.outbox.stop()
        self.put("d")
        self.assertEqual((self.clock.getDelayedCalls(), self.sender.texts()), ([], "a"))
