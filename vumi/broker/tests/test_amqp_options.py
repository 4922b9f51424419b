"""TLS, client certificates and quorum queues against the real broker."""

from __future__ import annotations

import tempfile
from pathlib import Path
from shutil import rmtree
from typing import ClassVar
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from vumi.broker import BrokerAddress, Exchange, Queue
from vumi.broker.amqp import AmqpBroker
from vumi.broker.queue_types import dead_letter_queue, queue_arguments
from vumi.broker.tests.contract import Inbox
from vumi.deadletters import DeadLetters
from vumi.errors import BrokerError
from vumi.tests.servers import (
    RabbitMQServer,
    TLSFiles,
    make_test_certificates,
    require,
    shared_rabbitmq,
)
from vumi.tests.utils import LogCatcher

pytestmark = pytest.mark.integration


class TlsTests(TestCase):
    """A listener that speaks TLS and wants a client certificate."""

    timeout = 60

    directory: ClassVar[Path]
    files: ClassVar[TLSFiles]
    server: ClassVar[RabbitMQServer]

    @classmethod
    def setUpClass(cls) -> None:
        require(RabbitMQServer)
        cls.directory = Path(tempfile.mkdtemp(prefix="vumi-tls-"))
        cls.files = make_test_certificates(cls.directory / "certificates")
        cls.server = RabbitMQServer(
            cls.directory / "rabbitmq", tls=cls.files, require_client_certificate=True
        )
        cls.server.start()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.stop()
        rmtree(cls.directory)

    def broker(self, **options: object) -> AmqpBroker:
        url = self.server.url(tls=True).replace("127.0.0.1", "localhost")
        address = BrokerAddress.from_url(f"{url}?{urlencode(options)}")
        broker = AmqpBroker(address, reactor)
        self.addCleanup(broker.stop, timeout=0)
        return broker

    async def test_a_client_with_its_certificate_is_let_in(self) -> None:
        broker = self.broker(
            ca_certs=self.files.ca_certificate,
            certfile=self.files.client_certificate,
            keyfile=self.files.client_key,
        )
        await broker.start()
        await broker.declare_exchange(Exchange("vumi"))
        await broker.declare_queue(Queue("tls"))
        await broker.publish("vumi", "tls", b"over TLS")
        delivery = await broker.get("tls")
        assert delivery is not None
        self.assertEqual(delivery.body, b"over TLS")

    async def refused(self, broker: AmqpBroker) -> str:
        """Wait for the log line that says why there is no connection."""
        with LogCatcher() as catcher:
            started = broker.start()
            while not (lines := [line for line in catcher.messages() if "Next try" in line]):
                await deferLater(reactor, 0.01, lambda: None)
        self.assertNoResult(started)
        await broker.stop(timeout=0)
        self.failureResultOf(started).trap(BrokerError)
        return lines[0]

    async def test_a_client_without_a_certificate_is_refused(self) -> None:
        await self.refused(self.broker(ca_certs=self.files.ca_certificate))

    async def test_a_broker_whose_authority_is_not_known_is_not_trusted(self) -> None:
        line = await self.refused(
            self.broker(certfile=self.files.client_certificate, keyfile=self.files.client_key)
        )
        assert "certificate verify failed" in line, line

    async def test_a_broker_of_another_name_is_not_trusted(self) -> None:
        line = await self.refused(
            self.broker(
                ca_certs=self.files.ca_certificate,
                certfile=self.files.client_certificate,
                keyfile=self.files.client_key,
                server_name="another.example.com",
            )
        )
        assert "certificate is for another name" in line, line

    async def test_a_certificate_file_that_is_not_there_is_named(self) -> None:
        line = await self.refused(self.broker(ca_certs="/no/such/ca.pem"))
        assert "/no/such/ca.pem" in line


class QuorumTests(TestCase):
    timeout = 60

    async def test_a_message_that_keeps_crashing_its_worker_becomes_a_dead_letter(self) -> None:
        broker = AmqpBroker(BrokerAddress.from_url(shared_rabbitmq().url()), reactor)
        self.addCleanup(broker.stop)
        await broker.start()
        await broker.declare_exchange(Exchange("vumi"))
        name = f"quorum-{uuid4().hex}.inbound"
        dead = dead_letter_queue(name)
        await broker.declare_queue(Queue(dead, arguments=queue_arguments("quorum", dead)))
        await broker.declare_queue(Queue(name, arguments=queue_arguments("quorum", name, 2)))
        inbox = Inbox()
        subscription = await broker.subscribe(name, inbox)
        await broker.publish("vumi", name, b'{"message_id": "killer"}')
        for times in (1, 2, 3):
            await inbox.until_count(times)
            link = broker._link
            assert link is not None
            link.abort()
        letters = DeadLetters(broker, name)
        while not await letters.count():
            await deferLater(reactor, 0.05, lambda: None)
        (letter,) = await letters.read()
        self.assertEqual(letter.reason, "delivery-limit")
        self.assertEqual(letter.message_id, "killer")
        self.assertEqual(len(inbox.deliveries), 3)
        await subscription.close()
