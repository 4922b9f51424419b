"""The broker over AMQP keeps the contract on a real RabbitMQ, and a few things of its own."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from vumi.broker import BrokerAddress, Exchange, Queue, broker_from_options
from vumi.broker.amqp import AmqpBroker
from vumi.broker.tests.contract import BrokerContract, Inbox
from vumi.errors import BrokerError, ConfigError
from vumi.tests.servers import free_port, shared_rabbitmq
from vumi.tests.utils import LogCatcher

pytestmark = pytest.mark.integration


class AmqpContractTests(BrokerContract, TestCase):
    timeout = 60

    def connect(self) -> Any:
        return AmqpBroker(BrokerAddress.from_url(shared_rabbitmq().url()), reactor)

    def interrupt(self, broker: Any) -> None:
        broker._link.abort()


class AmqpTests(TestCase):
    timeout = 60

    def broker_at(self, url: str) -> AmqpBroker:
        broker = AmqpBroker(BrokerAddress.from_url(url), reactor)
        self.addCleanup(broker.stop, timeout=0)
        return broker

    def broker(self) -> AmqpBroker:
        return self.broker_at(shared_rabbitmq().url())

    async def logged(self, catcher: LogCatcher, words: str) -> str:
        """Wait for a log line that holds some words."""
        while True:
            for message in catcher.messages():
                if words in message:
                    return message
            turn: Deferred[None] = Deferred()
            reactor.callLater(0.01, turn.callback, None)
            await turn

    async def test_several_hosts_are_tried_in_turn(self) -> None:
        url = shared_rabbitmq().url()
        userinfo, _, location = url.removeprefix("amqp://").rpartition("@")
        broker = self.broker_at(f"amqp://{userinfo}@127.0.0.1:{free_port()},{location}")
        await broker.start()
        assert broker.connected

    async def test_a_broker_that_is_not_there_is_told_and_tried_until_it_is(self) -> None:
        port = free_port()
        broker = self.broker_at(f"amqp://127.0.0.1:{port}")
        with LogCatcher() as catcher:
            started = broker.start()
            line = await self.logged(catcher, "Next try in")
        assert f"127.0.0.1:{port}" in line
        assert "refused" in line
        self.assertNoResult(started)
        await broker.stop()
        self.failureResultOf(started).trap(BrokerError)

    async def test_a_wrong_password_is_told_without_showing_it(self) -> None:
        url = shared_rabbitmq().url().replace(":vumi@", ":wr0ng-s3cret@")
        broker = self.broker_at(url)
        with LogCatcher() as catcher:
            started = broker.start()
            line = await self.logged(catcher, "Next try in")
        assert "user 'vumi' was refused" in line
        assert "wr0ng-s3cret" not in line
        await broker.stop()
        self.failureResultOf(started).trap(BrokerError)

    async def test_a_missing_vhost_is_told_with_what_to_do(self) -> None:
        broker = self.broker_at(shared_rabbitmq().url("/no-such-vhost"))
        with LogCatcher() as catcher:
            started = broker.start()
            line = await self.logged(catcher, "Next try in")
        assert "'/no-such-vhost' was refused" in line
        assert "vumi broker setup" in line
        await broker.stop()
        self.failureResultOf(started).trap(BrokerError)

    async def test_something_that_does_not_speak_amqp_is_left_and_tried_again(self) -> None:
        class Babble(Protocol):
            def connectionMade(self) -> None:
                assert self.transport is not None
                self.transport.write(b"220 mail.example.com ESMTP ready\r\n")
                self.transport.loseConnection()

        factory: Any = Factory.forProtocol(Babble)
        factory.noisy = False
        listening: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        broker = self.broker_at(f"amqp://127.0.0.1:{listening.getHost().port}")
        with LogCatcher() as catcher:
            started = broker.start()
            await self.logged(catcher, "Next try in")
        await broker.stop()
        self.failureResultOf(started).trap(BrokerError)

    async def test_a_queue_with_other_arguments_is_used_as_it_is_with_one_warning(self) -> None:
        broker = self.broker()
        await broker.start()
        await broker.declare_exchange(Exchange("vumi"))
        name = f"as-it-is-{uuid4().hex}"
        await broker.declare_queue(Queue(name))
        with LogCatcher() as catcher:
            for _ in range(2):
                await broker.declare_queue(Queue(name, arguments={"x-queue-type": "quorum"}))
            warnings = [line for line in catcher.messages() if name in line]
        self.assertEqual(len(warnings), 1, warnings)
        await broker.publish("vumi", name, b"x")
        self.assertEqual(await broker.depth(name), 1)

    async def test_a_reserved_name_is_refused_with_the_brokers_words(self) -> None:
        broker = self.broker()
        await broker.start()
        with pytest.raises(BrokerError, match=r"amq\."):
            await broker.declare_queue(Queue("amq.not-ours"))

    async def test_headers_that_amqp_cannot_carry_are_refused_in_time(
        self,
    ) -> None:
        broker = self.broker()
        await broker.start()
        await broker.declare_exchange(Exchange("vumi"))
        with pytest.raises(BrokerError, match="can't carry"):
            _ = broker.publish("vumi", "q", b"x", headers={"x": object()})
        await broker.publish("vumi", "q", b"fine")
        self.assertEqual(broker.confirmed, broker.published)

    async def test_a_deleted_queue_comes_back_and_is_consumed_again(self) -> None:
        broker, operator = self.broker(), self.broker()
        await broker.start()
        await operator.start()
        await broker.declare_exchange(Exchange("vumi"))
        name = f"deleted-{uuid4().hex}.inbound"
        await broker.declare_queue(Queue(name))
        inbox = Inbox()
        subscription = await broker.subscribe(name, inbox)
        await broker.publish("vumi", name, b"before")
        await inbox.until_count(1)
        link = operator._link
        assert link is not None
        await link.topology("queue_delete", queue=name)
        await broker.publish("vumi", name, b"after", mandatory=True)
        await inbox.until_count(2)
        self.assertEqual(inbox.bodies, [b"before", b"after"])
        # What was in hand when the queue went stays in hand: nobody else has it any more.
        self.assertEqual(inbox.interruptions, 0)
        for delivery in inbox.deliveries:
            subscription.ack(delivery)
        await subscription.close()
        self.assertEqual(await broker.depth(name), 0)

    async def test_a_queue_that_is_there_again_before_its_consumer_is_told_was_not_read(
        self,
    ) -> None:
        broker, operator = self.broker(), self.broker()
        await broker.start()
        await operator.start()
        await broker.declare_exchange(Exchange("vumi"))
        name = f"again-{uuid4().hex}.inbound"
        await broker.declare_queue(Queue(name))
        inbox = Inbox()
        subscription = await broker.subscribe(name, inbox)
        await operator.declare_exchange(Exchange("vumi"))
        link = operator._link
        assert link is not None
        for number in range(1, 31):
            await link.topology("queue_delete", queue=name)
            await operator.declare_queue(Queue(name))
            await operator.publish("vumi", name, b"x")
            await inbox.until_count(number)
            subscription.ack(inbox.deliveries[-1])

    async def test_a_quorum_queue_that_is_declared_elsewhere_is_read(self) -> None:
        broker, operator = self.broker(), self.broker()
        await broker.start()
        await operator.start()
        name = f"quorum-{uuid4().hex}"
        await operator.declare_exchange(Exchange("vumi"))
        await operator.declare_queue(Queue(name, arguments={"x-queue-type": "quorum"}))
        inbox = Inbox()
        await broker.subscribe(name, inbox)
        await operator.publish("vumi", name, b"x")
        await inbox.until_count(1)

    async def test_a_deleted_exchange_comes_back_and_nothing_is_lost(self) -> None:
        broker, operator = self.broker(), self.broker()
        await broker.start()
        await operator.start()
        exchange, name = f"deleted-{uuid4().hex}", f"q-{uuid4().hex}"
        await broker.declare_exchange(Exchange(exchange))
        await broker.declare_queue(Queue(name, exchange))
        link = operator._link
        assert link is not None
        await link.topology("exchange_delete", exchange=exchange)
        publications = [broker.publish(exchange, name, b"%d" % number) for number in range(5)]
        for publication in publications:
            await publication
        self.assertEqual(await broker.depth(name), 5)

    async def test_what_was_never_confirmed_is_told_when_closing(self) -> None:
        broker = self.broker_at(f"amqp://127.0.0.1:{free_port()}")
        started = broker.start()
        broker._exchanges["vumi"] = Exchange("vumi")
        publication = broker.publish("vumi", "q", b"x")
        waited_for = publication.addErrback(lambda failure: failure.trap(BrokerError))
        with LogCatcher() as catcher:
            await broker.stop(timeout=0)
            assert any("not confirmed" in str(event) for event in catcher.logs)
        assert await waited_for is not None
        self.failureResultOf(started).trap(BrokerError)


class OptionsTests(TestCase):
    def test_brokers_are_made_from_options(self) -> None:
        self.assertIsInstance(broker_from_options({"port": "1"}, reactor), AmqpBroker)
        assert not isinstance(broker_from_options({"broker": "memory:"}, reactor), AmqpBroker)
        with pytest.raises(ConfigError):
            broker_from_options({"broker": "smtp://h"}, reactor)
