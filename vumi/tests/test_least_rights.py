"""The rights that docs/operations/rabbitmq.rst names are enough for a worker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface import implementer

import vumi
from vumi.application.base import ApplicationWorker
from vumi.broker import BrokerAddress, IReceiver
from vumi.broker.amqp import AmqpBroker
from vumi.errors import InvalidMessage
from vumi.message import TransportUserMessage
from vumi.service import Worker, WorkerCreator
from vumi.tests.servers import RabbitMQServer, shared_rabbitmq
from vumi.tests.utils import LogCatcher

pytestmark = pytest.mark.integration

PAGE = Path(vumi.__file__).parents[1] / "docs" / "operations" / "rabbitmq.rst"
COMMAND = re.compile(r"set_permissions -p \S+ worker \\?\s+'(\S+)' '(\S+)' '(\S+)'")


class Echo(ApplicationWorker):
    """Answers with the same text."""

    def consume_user_message(self, message: TransportUserMessage) -> Any:
        return self.reply_to(message, message["content"])


@implementer(IReceiver)
class Inbox:
    """Fires with the first body."""

    def __init__(self) -> None:
        self.first: Deferred[bytes] = Deferred()

    def delivered(self, delivery: Any) -> None:
        if not self.first.called:
            self.first.callback(delivery.body)

    def interrupted(self) -> None:
        pass


class LeastRightsTests(TestCase):
    timeout = 60

    async def worker(self, url: str) -> Worker:
        config = {"transport_name": "telnet", "worker_name": "echo"}
        worker = WorkerCreator({"broker": url}, reactor).create_worker_by_class(Echo, config)
        worker.startService()
        self.addCleanup(worker.stopService)
        assert worker._starting is not None
        await worker._starting
        return worker

    async def inbox(self, operator: AmqpBroker, queue: str) -> Inbox:
        inbox = Inbox()
        await operator.subscribe(queue, inbox)
        return inbox

    async def test_a_worker_without_the_right_to_configure_ended(self) -> None:
        server = shared_rabbitmq()
        if not isinstance(server, RabbitMQServer):
            self.skipTest("needs a RabbitMQ of its own")
        vhost = f"least-{uuid4().hex}"
        url = server.add_vhost(vhost)
        self.addCleanup(server.delete_vhost, vhost)
        # What there has to be is made by a worker that may make it, and by its first dead letter.
        maker = await self.worker(url)
        operator = AmqpBroker(BrokerAddress.from_url(url), reactor)
        self.addCleanup(operator.stop, 1)
        await operator.start()
        await operator.declare_exchange(maker.broker._exchanges["vumi"])  # type: ignore[attr-defined]  # AmqpBroker
        await operator.publish("vumi", "telnet.inbound", b"no message")
        while not await operator.depth("telnet.inbound.dead"):
            await deferLater(reactor, 0.01)
        await maker.stopService()

        [rights] = COMMAND.findall(PAGE.read_text())
        user = f"worker-{uuid4().hex}"
        named = [
            f'<<"{word}">>' for word in (user, vhost, *(r.replace("\\", "\\\\") for r in rights))
        ]
        server.evaluate(
            f'ok = rabbit_auth_backend_internal:add_user(<<"{user}">>, <<"secret">>, <<>>), '
            f"ok = rabbit_auth_backend_internal:set_permissions({', '.join(named)}, <<>>)"
        )
        with LogCatcher() as catcher:
            await self.worker(f"amqp://{user}:secret@127.0.0.1:{server.port}/{vhost}")
            outbox = await self.inbox(operator, "telnet.outbound")
            message = TransportUserMessage(
                from_addr="1",
                to_addr="2",
                transport_name="telnet",
                transport_type="sms",
                content="hello",
            )
            body = message.to_json().encode()
            await operator.publish("vumi", "telnet.inbound", body)
            self.assertIn(b'"hello"', await outbox.first)
            await operator.publish("vumi", "telnet.inbound", b"no message either")
            while await operator.depth("telnet.inbound.dead") != 2:
                await deferLater(reactor, 0.01)
            lines = catcher.messages()
        told = [line for line in lines if "is used as it is" in line or "used as it is" in line]
        for name in ("'vumi'", "'vumi.health'", "'telnet.inbound'"):
            self.assertEqual(len([line for line in told if name in line]), 1, (name, told))
        self.flushLoggedErrors(InvalidMessage)
