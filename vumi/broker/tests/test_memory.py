"""The broker in memory keeps the contract."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from vumi.broker import Exchange, MemoryBroker, Queue
from vumi.broker.memory import topic_matches
from vumi.broker.tests.contract import BrokerContract, Inbox


class MemoryContractTests(BrokerContract, TestCase):
    def setUp(self) -> None:
        self.memory = MemoryBroker(reactor)

    def connect(self) -> Any:
        return self.memory.connect()

    def interrupt(self, broker: Any) -> None:
        broker.interrupt()


class MemoryDeliveryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.memory = MemoryBroker(self.clock)
        self.connection = self.memory.connect()
        self.successResultOf(self.connection.start())
        self.successResultOf(self.connection.declare_exchange(Exchange("vumi")))
        self.successResultOf(self.connection.declare_queue(Queue("q")))

    def test_nothing_is_delivered_from_within_a_publish(self) -> None:
        inbox = Inbox()
        self.successResultOf(self.connection.subscribe("q", inbox))
        self.successResultOf(self.connection.publish("vumi", "q", b"1"))
        self.assertEqual(inbox.bodies, [])
        self.clock.advance(0)
        self.assertEqual(inbox.bodies, [b"1"])

    def test_idle_means_delivered_and_acknowledged(self) -> None:
        inbox = Inbox()
        subscription = self.successResultOf(self.connection.subscribe("q", inbox))
        self.successResultOf(self.connection.publish("vumi", "q", b"1"))
        idle = self.memory.when_idle()
        self.clock.advance(0)
        self.assertNoResult(idle)
        subscription.ack(inbox.deliveries[0])
        self.clock.advance(0)
        self.successResultOf(idle)

    def test_a_queue_without_a_reader_does_not_hold_up_idleness(self) -> None:
        self.successResultOf(self.connection.publish("vumi", "q", b"1"))
        idle = self.memory.when_idle()
        self.clock.advance(0)
        self.successResultOf(idle)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_deleted_queue_gets_nothing(self) -> None:
        self.memory.delete_queue("q")
        self.successResultOf(self.connection.publish("vumi", "q", b"1"))
        self.assertIsNone(self.successResultOf(self.connection.depth("q")))


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("#", "anything.at.all", True),
        ("#.b", "a.b", True),
        ("*.b", "b", False),
    ],
)
def test_topic_patterns(pattern: str, key: str, matches: bool) -> None:
    assert topic_matches(pattern, key) is matches
