"""Slow networks don't fill the memory: what a worker holds is bounded by its prefetch count."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from vumi.broker import BrokerAddress
from vumi.broker.amqp import AmqpBroker
from vumi.message import TransportUserMessage
from vumi.service import WorkerCreator
from vumi.tests.servers import shared_rabbitmq
from vumi.transports import Transport

pytestmark = pytest.mark.integration


class StuckTransport(Transport):
    """A transport whose network takes nothing until told to."""

    def setup_transport(self) -> None:
        self.waiting: list[Deferred[None]] = []
        self.taken = 0
        self.stuck = True

    async def handle_outbound_message(self, message: TransportUserMessage) -> None:
        if self.stuck:
            self.waiting.append(Deferred())
            await self.waiting[-1]
        self.taken += 1
        await self.publish_ack(message["message_id"], message["message_id"])

    def unstick(self) -> None:
        self.stuck = False
        for waiting in self.waiting:
            waiting.callback(None)


class BackPressureTests(TestCase):
    timeout = 60

    async def test_a_transport_whose_network_is_stuck_holds_no_more_than_its_prefetch(
        self,
    ) -> None:
        number, prefetch, concurrency = 2_000, 50, 10
        name = f"stuck-{uuid4().hex}"
        url = shared_rabbitmq().url()
        config = {
            "transport_name": name,
            "amqp_prefetch_count": prefetch,
            "worker_concurrency": concurrency,
        }
        worker: Any = WorkerCreator({"broker": url}, reactor).create_worker_by_class(
            StuckTransport, config
        )
        worker.startService()
        self.addCleanup(worker.stopService)
        while name not in worker.connectors or worker.connectors[name].paused:
            await deferLater(reactor, 0.01, lambda: None)

        sender = AmqpBroker(BrokerAddress.from_url(url), reactor)
        self.addCleanup(sender.stop)
        await sender.start()
        for index in range(number):
            message = TransportUserMessage.send(f"+{index}", "x", transport_name=name)
            _ = sender.publish("", f"{name}.outbound", message.to_bytes())
        await sender.publish("", f"{name}.elsewhere", b"fires after all before it")

        flow = worker.connectors[name]._inlets["outbound"].consumer.flow
        while flow.counters.in_flight < prefetch:
            await deferLater(reactor, 0.01, lambda: None)
        await deferLater(reactor, 0.3, lambda: None)
        self.assertEqual(flow.counters.in_flight, prefetch)
        self.assertEqual(len(worker.waiting), concurrency)
        self.assertEqual(await sender.depth(f"{name}.outbound"), number - prefetch)

        worker.unstick()
        while worker.taken < number:
            await deferLater(reactor, 0.05, lambda: None)
        self.assertEqual(flow.counters.failed, 0)
