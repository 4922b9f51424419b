"""Dead letters are read, retried and purged without losing one."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from vumi.broker import BrokerAddress, Delivery, Exchange, MemoryBroker, Queue
from vumi.broker.amqp import AmqpBroker
from vumi.deadletters import DeadLetter, DeadLetters
from vumi.errors import BrokerError
from vumi.tests.servers import shared_rabbitmq


class DeadLettersMixin:
    """Run on each kind of broker."""

    broker: Any
    letters: DeadLetters

    async def prepare(self, number: int = 0, queue: str | None = None) -> None:
        await self.broker.start()
        queue = queue or f"dead-{uuid4().hex}.inbound"
        self.letters = DeadLetters(self.broker, queue)
        await self.broker.declare_exchange(Exchange("vumi"))
        await self.broker.declare_queue(Queue(queue))
        await self.broker.declare_queue(Queue(f"{queue}.dead"))
        for index in range(1, number + 1):
            headers = {
                "x-vumi-reason": "handler-failed" if index % 2 else "handler-timeout",
                "x-vumi-error": f"ValueError: number {index}",
                "x-vumi-traceback": "Traceback ...",
                "x-vumi-queue": queue,
                "x-vumi-first-seen": "2026-01-01T00:00:00+00:00",
                "x-vumi-last-seen": "2026-01-02T00:00:00+00:00",
                "x-vumi-count": index,
            }
            body = b'{"message_id": "m%d"}' % index
            await self.broker.publish("vumi", f"{queue}.dead", body, headers=headers)

    async def ids(self) -> list[str | None]:
        return [letter.message_id for letter in await self.letters.read()]

    async def test_reading_shows_all_and_leaves_them(self) -> None:
        await self.prepare(3)
        assert await self.ids() == ["m1", "m2", "m3"]
        letters = await self.letters.read()
        assert [letter.message_id for letter in letters] == ["m1", "m2", "m3"]
        assert letters[1] == DeadLetter(
            number=2,
            body=b'{"message_id": "m2"}',
            message_id="m2",
            reason="handler-timeout",
            error="ValueError: number 2",
            traceback="Traceback ...",
            queue=self.letters.queue,
            first_seen="2026-01-01T00:00:00+00:00",
            last_seen="2026-01-02T00:00:00+00:00",
            count=2,
        )

    async def test_a_limit_is_kept(self) -> None:
        await self.prepare(5)
        assert len(await self.letters.read(limit=2)) == 2
        assert await self.letters.count() == 5

    async def test_what_went_round_between_dispatchers_is_counted_anew_when_retried(self) -> None:
        await self.prepare()
        metadata = {"routing_metadata": {"hops": 50, "endpoint_name": "a"}}
        bodies = [json.dumps(metadata).encode(), b"no message", b"{}", b'{"routing_metadata": 1}']
        for body in bodies:
            await self.broker.publish(
                "vumi", self.letters.name, body, headers={"x-vumi-reason": "routing-loop"}
            )
        assert await self.letters.retry() == len(bodies)
        retried = [await self.broker.get(self.letters.queue) for _ in bodies]
        assert [delivery.body for delivery in retried] == [
            b'{"routing_metadata":{"endpoint_name":"a"}}',
            *bodies[1:],
        ]

    async def test_retry_puts_the_chosen_back_with_their_history(self) -> None:
        await self.prepare(4)
        looked_at: list[int] = []
        retried = await self.letters.retry(
            lambda letter: letter.reason == "handler-timeout", looked_at.append
        )
        assert retried == 2
        assert sum(looked_at) == 4
        assert await self.ids() == ["m1", "m3"]
        delivery = await self.broker.get(self.letters.queue)
        assert delivery.body == b'{"message_id": "m2"}'
        assert delivery.headers["x-vumi-count"] == 2
        assert await self.broker.depth(self.letters.queue) == 1

    async def test_purge_drops_the_chosen_only(self) -> None:
        await self.prepare(4)
        assert await self.letters.purge(lambda letter: letter.is_called("m3")) == 1
        assert await self.letters.purge(lambda letter: letter.is_called("1")) == 1
        assert await self.ids() == ["m2", "m4"]
        assert await self.letters.purge() == 2
        assert await self.letters.count() == 0

    async def test_an_empty_queue_is_no_error(self) -> None:
        await self.prepare()
        assert await self.letters.read() == []
        assert await self.letters.retry() == 0

    async def test_a_queue_that_never_had_any_is_told(self) -> None:
        await self.broker.start()
        letters = DeadLetters(self.broker, "no-such-queue")
        with pytest.raises(BrokerError, match=r"no queue 'no-such-queue\.dead'"):
            await letters.read()

    async def test_what_is_not_json_or_has_no_headers_is_shown_too(self) -> None:
        await self.prepare()
        await self.broker.publish("vumi", self.letters.name, b"\xff\x00")
        (letter,) = await self.letters.read()
        assert (letter.message_id, letter.reason, letter.count) == (None, "unknown", 1)
        assert letter.queue == self.letters.queue

    async def test_headers_of_any_type_are_read_retried_and_purged(self) -> None:
        await self.prepare()
        odd: list[Any] = ["x", "", 0, -3, 2**40, True, [], [1], {}, {"a": [1]}, [[]], [{}]]
        names = (
            *("x-death", "x-vumi-count", "x-vumi-reason", "x-vumi-error", "x-vumi-queue"),
            *("x-vumi-traceback", "x-vumi-first-seen"),
        )
        for value in odd:
            headers = dict.fromkeys(names, value)
            await self.broker.publish("vumi", self.letters.name, b"{}", headers=headers)
        death = [{"count": "many", "time": ["?"], "reason": None}]
        await self.broker.publish("vumi", self.letters.name, b"{}", headers={"x-death": death})
        letters = await self.letters.read()
        assert [letter.count for letter in letters] == [1, 1, 1, 1, 2**40, *[1] * 8]
        assert letters[-1].reason == "delivery-limit"
        number = len(odd) + 1
        assert await self.letters.retry(lambda letter: letter.number <= 5) == 5
        # Back where they died, whatever a header says.
        assert await self.broker.depth(self.letters.queue) == 5
        assert await self.letters.purge() == number - 5


@pytest.mark.parametrize(
    ("headers", "count"),
    [
        ({"x-vumi-count": "9" * 5000}, 1),
        ({"x-vumi-count": None, "x-death": [None, {"count": 7}]}, 7),
        ({"x-vumi-count": "many", "x-death": {"count": 3}}, 3),
        ({"x-vumi-count": b"\xff", "x-death": b"\xff"}, 1),
    ],
)
def test_a_count_that_is_not_a_number_is_1(headers: dict[str, Any], count: int) -> None:
    letter = DeadLetter.from_delivery(Delivery(b"\xff", headers=headers), 1, "q")
    assert letter.count == count
    assert letter.queue == "q"


class MemoryDeadLettersTests(DeadLettersMixin, TestCase):
    def setUp(self) -> None:
        self.broker = MemoryBroker(reactor).connect()


@pytest.mark.integration
class AmqpDeadLettersTests(DeadLettersMixin, TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.broker = AmqpBroker(BrokerAddress.from_url(shared_rabbitmq().url()), reactor)
        self.addCleanup(self.broker.stop)
