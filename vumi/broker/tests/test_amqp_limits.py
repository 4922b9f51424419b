"""Bounds of RabbitMQ: full queues, large messages, no memory. Nothing hangs or is swapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from vumi.broker import BrokerAddress, Exchange, IReceiver, Queue, amqp, amqp_subscription
from vumi.broker.amqp import AmqpBroker
from vumi.errors import BrokerError, PublishRefused
from vumi.tests.servers import RabbitMQServer, shared_rabbitmq

if TYPE_CHECKING:
    from vumi.broker import Delivery, ISubscription

pytestmark = pytest.mark.integration

MEGABYTE = 1_000_000


@implementer(IReceiver)
class Reader:
    """Acknowledges all that comes, and keeps the beginning of each."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.sizes: list[int] = []
        self.subscription: ISubscription | None = None

    def delivered(self, delivery: Delivery) -> None:
        self.got.append(delivery.body[:20])
        self.sizes.append(len(delivery.body))
        assert self.subscription is not None
        self.subscription.ack(delivery)

    def interrupted(self) -> None:
        pass


class LimitTests(TestCase):
    timeout = 60

    async def broker(self) -> AmqpBroker:
        broker = AmqpBroker(BrokerAddress.from_url(shared_rabbitmq().url()), reactor)
        self.addCleanup(broker.stop, 1)
        await broker.start()
        await broker.declare_exchange(Exchange("vumi"))
        return broker

    async def queue(self, broker: AmqpBroker, **arguments: Any) -> str:
        name = f"limits-{uuid4().hex}"
        await broker.declare_queue(Queue(name, arguments={"x-expires": 60_000, **arguments}))
        return name

    async def reader(self, broker: AmqpBroker, queue: str) -> Reader:
        reader = Reader()
        reader.subscription = await broker.subscribe(queue, _Later(reader), 10)
        return reader

    async def test_a_full_queue_swapped_messages(self) -> None:
        self.patch(amqp, "REFUSED_DELAY", 0.1)
        broker = await self.broker()
        name = await self.queue(broker, **{"x-max-length": 3, "x-overflow": "reject-publish"})
        other = await self.queue(broker)
        publications = [broker.publish("vumi", name, b"%d" % n) for n in range(10)]
        while not broker._held:
            await deferLater(reactor, 0.01)
        publications += [broker.publish("vumi", name, b"%d" % n) for n in range(10, 20)]
        # Another conversation doesn't wait for it.
        await broker.publish("vumi", other, b"other")
        reader = await self.reader(broker, name)
        for publication in publications:
            await publication
        while len(reader.got) < 20:
            await deferLater(reactor, 0.01)
        self.assertEqual(reader.got, [b"%d" % n for n in range(20)])
        self.assertEqual(broker._held, {})
        self.assertEqual(broker.confirmed, broker.published)

    async def test_a_queue_that_was_deleted_swapped_messages(self) -> None:
        broker = await self.broker()
        name = await self.queue(broker)
        await broker.publish("vumi", name, b"first", mandatory=True)
        assert broker._link is not None
        await broker._link.topology("queue_delete", queue=name)
        publications = [broker.publish("vumi", name, b"%d" % n, mandatory=True) for n in range(5)]
        while not broker._held:
            await deferLater(reactor, 0.001)
        publications += [
            broker.publish("vumi", name, b"%d" % n, mandatory=True) for n in range(5, 10)
        ]
        for publication in publications:
            await publication
        reader = await self.reader(broker, name)
        while len(reader.got) < 10:
            await deferLater(reactor, 0.01)
        self.assertEqual(reader.got, [b"%d" % n for n in range(10)])

    async def test_a_publish_that_is_not_to_be_tried_again_fails_at_a_full_queue(self) -> None:
        broker = await self.broker()
        name = await self.queue(broker, **{"x-max-length": 0, "x-overflow": "reject-publish"})
        with self.assertRaises(PublishRefused):
            await broker.publish("vumi", name, b"x", retry=False)
        self.assertEqual(broker.confirmed, broker.published)

    async def test_a_message_over_the_brokers_own_limit_reconnected_for_ever(self) -> None:
        server = shared_rabbitmq()
        if not isinstance(server, RabbitMQServer):
            self.skipTest("needs a RabbitMQ of its own")
        server.evaluate(f"application:set_env(rabbit, max_message_size, {MEGABYTE})")
        try:
            broker = await self.broker()
        finally:
            server.evaluate("application:unset_env(rabbit, max_message_size)")
        name = await self.queue(broker)
        before = broker.publish("vumi", name, b"before")
        too_large = broker.publish("vumi", name, b"x" * (MEGABYTE + 1))
        after = broker.publish("vumi", name, b"after")
        with self.assertRaisesRegex(BrokerError, "of 1000001 bytes is too large: at most 1000000"):
            await too_large
        await before
        await after
        reader = await self.reader(broker, name)
        while b"after" not in reader.got:
            await deferLater(reactor, 0.01)
        self.assertLessEqual({b"before", b"after"}, set(reader.got))
        self.assertNotIn(MEGABYTE + 1, reader.sizes)
        # Now that the limit is known nothing is sent.
        with self.assertRaisesRegex(BrokerError, "at most 1000000"):
            _ = broker.publish("vumi", name, b"x" * (MEGABYTE + 1))

    async def test_more_queues_than_channels_ended_in_connection_lost(self) -> None:
        server = shared_rabbitmq()
        if not isinstance(server, RabbitMQServer):
            self.skipTest("needs a RabbitMQ of its own")
        server.evaluate("application:set_env(rabbit, channel_max, 6)")
        try:
            broker = await self.broker()
        finally:
            server.evaluate("application:set_env(rabbit, channel_max, 2047)")
        # Two are for publishes and declarations.
        readers = [await self.reader(broker, await self.queue(broker)) for _ in range(4)]
        name = await self.queue(broker)
        with self.assertRaisesRegex(BrokerError, "allows 6 channels on a connection.*channel_max"):
            await self.reader(broker, name)
        self.assertTrue(broker.connected)
        subscription = readers[0].subscription
        assert subscription is not None
        await broker.publish("vumi", subscription.queue, b"x")
        while not readers[0].got:
            await deferLater(reactor, 0.01)
        # One that is given back can be used again.
        await subscription.close()
        # pika says that a channel is closed just before it gives its number back.
        await deferLater(reactor, 0)
        await self.reader(broker, name)

    async def test_large_messages_are_read_while_others_are_answered(self) -> None:
        broker = await self.broker()
        name, other = await self.queue(broker), await self.queue(broker)
        large, small = await self.reader(broker, name), await self.reader(broker, other)
        for _ in range(2):
            _ = broker.publish("vumi", name, b"x" * (120 * MEGABYTE))
            _ = broker.publish("vumi", other, b"small")
        while len(large.got) < 2 or len(small.got) < 2:
            await deferLater(reactor, 0.01)
        self.assertEqual(large.sizes, [120 * MEGABYTE] * 2)
        self.assertTrue(broker.connected)

    async def test_closing_waited_for_a_broker_without_memory(self) -> None:
        self.patch(amqp_subscription, "END_TIMEOUT", 0.5)
        server = shared_rabbitmq()
        if not isinstance(server, RabbitMQServer):
            self.skipTest("needs a RabbitMQ of its own")
        broker = await self.broker()
        name = await self.queue(broker)
        reader = await self.reader(broker, name)
        await broker.publish("vumi", name, b"x")
        server.node_memory_alarm(True)
        try:
            while not broker.blocked:
                _ = broker.publish("vumi", name, b"x")
                await deferLater(reactor, 0.01)
            assert reader.subscription is not None
            await reader.subscription.close()
            await broker.stop(0.5)
        finally:
            server.node_memory_alarm(False)


@implementer(IReceiver)
class _Later:
    """Hands deliveries on when the subscription is known."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def delivered(self, delivery: Delivery) -> None:
        if self._reader.subscription is None:
            reactor.callLater(0, self.delivered, delivery)
        else:
            self._reader.delivered(delivery)

    def interrupted(self) -> None:
        pass
