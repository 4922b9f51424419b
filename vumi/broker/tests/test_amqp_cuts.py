"""A connection to RabbitMQ that is cut: at every byte of its beginning, and while it is full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from vumi.broker import BrokerAddress, Exchange, IReceiver, Queue, amqp
from vumi.broker.amqp import AmqpBroker
from vumi.tests.servers import shared_rabbitmq

if TYPE_CHECKING:
    from vumi.broker import Delivery

pytestmark = pytest.mark.integration

#: How many connections are made and cut at the same time.
AT_A_TIME = 40
#: What of a connection is cut: what comes from the broker, or what goes to it.
FROM_BROKER, TO_BROKER = "from the broker", "to the broker"


class _Side(Protocol):
    """One half of a proxied connection."""

    def __init__(self, proxy: CuttingProxy, direction: str) -> None:
        self.proxy = proxy
        self.direction = direction
        self.other: _Side | None = None
        self.early: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        data = self.proxy.let_through(self, data)
        if self.other is None:
            self.early.append(data)
        elif data:
            transport: Any = self.other.transport
            transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        if self.other is not None:
            transport: Any = self.other.transport
            transport.loseConnection()


class CuttingProxy:
    """Between a client and a broker: cuts the first connection after some bytes."""

    def __init__(self, port: int, direction: str = "", offset: int = -1) -> None:
        self.passed = {FROM_BROKER: 0, TO_BROKER: 0}
        self._port = port
        self._direction = direction
        self._left = offset
        self._listening: Any = None

    async def start(self) -> int:
        """Listen.

        :returns: The port.
        """
        factory = Factory.forProtocol(self._accept)
        factory.noisy = False
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self._listening = await endpoint.listen(factory)
        return int(self._listening.getHost().port)

    def _accept(self) -> Protocol:
        near = _Side(self, TO_BROKER)
        far = _Side(self, FROM_BROKER)
        far.other = near
        outgoing = Factory.forProtocol(lambda: far)
        outgoing.noisy = False

        def connected(_: Any) -> None:
            near.other = far
            transport: Any = far.transport
            transport.write(b"".join(near.early))

        connecting = TCP4ClientEndpoint(reactor, "127.0.0.1", self._port).connect(outgoing)
        _ = connecting.addCallback(connected)
        return near

    def let_through(self, side: _Side, data: bytes) -> bytes:
        self.passed[side.direction] += len(data)
        if side.direction != self._direction or self._left < 0:
            return data
        if len(data) <= self._left:
            self._left -= len(data)
            return data
        data, self._left = data[: self._left], -1
        transport: Any = side.transport
        reactor.callLater(0, transport.abortConnection)
        return data

    async def stop(self) -> None:
        await self._listening.stopListening()


@implementer(IReceiver)
class Mailbox:
    def __init__(self) -> None:
        self.first: Deferred[bytes] = Deferred()

    def delivered(self, delivery: Delivery) -> None:
        if not self.first.called:
            self.first.callback(delivery.body)

    def interrupted(self) -> None:
        pass


class CutTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.patch(amqp, "RETRY_INITIAL_DELAY", 0.01)
        self.address = BrokerAddress.from_url(shared_rabbitmq().url())

    async def talk(self, direction: str = "", offset: int = -1) -> dict[str, int]:
        """Start, declare, subscribe, publish and receive over a connection that is cut.

        :returns: How many bytes went each way.
        """
        proxy = CuttingProxy(self.address.hosts[0][1], direction, offset)
        port = await proxy.start()
        url = shared_rabbitmq().url().replace(f":{self.address.hosts[0][1]}/", f":{port}/")
        broker = AmqpBroker(BrokerAddress.from_url(url), reactor)
        name = f"cut-{uuid4().hex}"
        mailbox = Mailbox()
        try:
            await broker.start()
            await broker.declare_exchange(Exchange("vumi"))
            # The broker deletes it some time after the test.
            await broker.declare_queue(Queue(name, arguments={"x-expires": 60_000}))
            await broker.subscribe(name, mailbox, 10)
            publication = broker.publish("vumi", name, name.encode(), mandatory=True)
            heard = await mailbox.first.addTimeout(60, reactor)
            self.assertEqual(heard, name.encode())
            await publication
        finally:
            await broker.stop(1)
            await proxy.stop()
        return proxy.passed

    async def cut_everywhere(self, direction: str, step: int = 1) -> None:
        length = (await self.talk())[direction]
        at_a_time = DeferredSemaphore(AT_A_TIME)
        problems: dict[int, BaseException] = {}

        async def cut_at(offset: int) -> None:
            await at_a_time.acquire()
            try:
                await self.talk(direction, offset)
            except Exception as error:  # noqa: BLE001 (all are told together)
                problems[offset] = error
            finally:
                at_a_time.release()

        await gatherResults([Deferred.fromCoroutine(cut_at(at)) for at in range(0, length, step)])
        self.assertEqual(problems, {})

    async def test_what_comes_from_the_broker_is_cut_at_every_byte(self) -> None:
        await self.cut_everywhere(FROM_BROKER)

    async def test_what_goes_to_the_broker_is_cut_all_along(self) -> None:
        # A request that is cut is never acted on: where in it makes no difference.
        await self.cut_everywhere(TO_BROKER, step=5)
