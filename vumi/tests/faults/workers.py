"""The workers of the fault suite: a transport to the numbered network, a relay, an application.

The network is a line protocol over TCP in which each side acknowledges, as real ones do:

* ``in <user> <number>`` from the phones, answered by ``ok <user> <number>`` once the message is
  safely published;
* ``out <user> <number>`` to the phones, answered by ``got <user> <number>``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineReceiver

from vumi.application import ApplicationWorker
from vumi.config import ConfigInt
from vumi.middleware import BaseMiddleware
from vumi.tasks import on_outcome
from vumi.transports import Transport, TransportConfig
from vumi.worker import BaseWorker

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort, ITCPTransport
    from twisted.python.failure import Failure

    from vumi.message import TransportUserMessage

__all__ = ["Application", "FailingLate", "NumbersTransport", "Relay"]


class NumbersTransportConfig(TransportConfig):
    """Options of the transport to the numbered network."""

    port = ConfigInt("The TCP port that the network connects to.", required=True, static=True)


class _Line(LineReceiver):
    """The connection to the phones."""

    delimiter = b"\n"

    def __init__(self, worker: NumbersTransport) -> None:
        self.worker = worker

    def connectionMade(self) -> None:
        cast("ITCPTransport", self.transport).setTcpNoDelay(True)
        self.worker.connected(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.worker.disconnected(self)

    def lineReceived(self, line: bytes) -> None:
        verb, user, number = line.decode().split(" ")
        if verb == "in":
            self.worker.came_in(self, user, number)
        else:
            self.worker.was_taken(user, number)

    def say(self, *words: str) -> None:
        self.sendLine(" ".join(words).encode())


class NumbersTransport(Transport):
    """A transport to the numbered network."""

    CONFIG_CLASS: ClassVar[Any] = NumbersTransportConfig

    async def setup_transport(self) -> None:
        self._line: _Line | None = None
        self._untaken: dict[tuple[str, str], Deferred[None]] = {}
        self._publishing = 0
        factory = Factory.forProtocol(lambda: _Line(self))
        factory.noisy = False
        endpoint = TCP4ServerEndpoint(
            self.clock, self.get_static_config().port, interface="127.0.0.1"
        )
        self._listening: IListeningPort = await endpoint.listen(factory)

    async def teardown_transport(self) -> None:
        stopped = self._listening.stopListening()
        if stopped is not None:
            await stopped
        line = self._line
        if line is not None and line.transport is not None:
            # What was read is still said "ok" to, or the phones would say it again.
            line.pauseProducing()
            while self._publishing:
                await deferLater(self.clock, 0.01, lambda: None)
            line.transport.loseConnection()

    def connected(self, line: _Line) -> None:
        self._line = line
        for user, number in self._untaken:
            line.say("out", user, number)

    def disconnected(self, line: _Line) -> None:
        if self._line is line:
            self._line = None

    def came_in(self, line: _Line, user: str, number: str) -> None:
        published = self.publish_message(
            to_addr="8864", from_addr=user, content=number, transport_type="sms"
        )

        self._publishing += 1

        def safe(_: Any) -> None:
            self._publishing -= 1
            line.say("ok", user, number)

        def failed(failure: Failure) -> None:
            # No word to the phones: they will say it again.
            self._publishing -= 1

        on_outcome(published, safe, failed)

    async def handle_outbound_message(self, message: TransportUserMessage) -> None:
        user, number = str(message["to_addr"]), str(message["content"])
        taken = self._untaken.setdefault((user, number), Deferred())
        if self._line is not None:
            self._line.say("out", user, number)
        await taken
        await self.publish_ack(message["message_id"], number)

    def was_taken(self, user: str, number: str) -> None:
        taken = self._untaken.pop((user, number), None)
        if taken is not None:
            taken.callback(None)


class Relay(BaseWorker):
    """What a dispatcher does, at its least: passes everything on between two names."""

    async def setup_connectors(self) -> None:
        net = await self.setup_ri_connector("net")
        app = await self.setup_ro_connector("app")
        net.set_default_inbound_handler(app.publish_inbound)
        net.set_default_event_handler(app.publish_event)
        app.set_default_outbound_handler(net.publish_outbound)

    def setup_worker(self) -> Any:
        return self.unpause_connectors()


class FailingLate(BaseMiddleware):
    """Takes its time with every reply, and fails with those to numbers from :attr:`FIRST` on."""

    FIRST: ClassVar = 1_000_000

    async def handle_publish_outbound(self, message: Any, connector_name: str) -> Any:
        await deferLater(self.worker.clock, 0.01, lambda: None)
        if int(message["content"]) >= self.FIRST:
            raise ValueError("told to fail late")
        return message


class Application(ApplicationWorker):
    """Answers each number with itself, after some work; breaks when told to.

    The work takes from 10 to 50 ms, more for one number than for the next: so there is something
    in hand whenever a fault strikes, and nothing but the promise keeps answers in order.
    """

    async def consume_user_message(self, message: TransportUserMessage) -> None:
        content = str(message["content"])
        if content == "raise":
            raise ValueError("told to raise")
        if content == "hang":
            await Deferred()
        await deferLater(self.clock, 0.01 * (5 - int(content) % 5), lambda: None)
        # Not waited for, as many applications don't.
        _ = self.reply_to(message, content)
