"""An SMSC and a transport for tests: connections in memory, time that tests move.

The SMSC is made of this package's own session, at the other end. What it says is checked against
other implementations elsewhere.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from vumi.tests.fake_amqp import FakeAMQPBroker
from vumi.tests.fake_connection import FakeServer, wait0
from vumi.tests.helpers import VumiTestCase
from vumi.transports.smpp.constants import CommandStatus
from vumi.transports.smpp.pdu import DeliverSm, Pdu, SubmitSm
from vumi.transports.smpp.session import SessionSettings
from vumi.transports.smpp.smpp import SmppTransceiverTransport
from vumi.transports.smpp.smsc import SmscProtocolFactory
from vumi.transports.smpp.tests.sessions import Counter
from vumi.transports.tests.helpers import TransportHelper

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

__all__ = ["FakeSmsc", "SmppTestCase"]

#: Turns of the reactor until a test gives up.
MAX_TURNS = 2000


class FakeSmsc:
    """An SMSC. By default all is accepted, and nothing answered until the test says so.

    :ivar binds: The binds that came.
    :ivar submitted: The submit_sm and data_sm that came, in order.
    :ivar unanswered: Those that have no answer yet, with the connections they came by.
    :ivar answer: Answers what comes; ``None``: the test does, by :meth:`answer_next`.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.binds: list[Any] = []
        self.submitted: list[SubmitSm] = []
        self.unanswered: list[tuple[Any, SubmitSm, Deferred[Any]]] = []
        self.answer: Callable[[SubmitSm], Any] | None = None
        self.bind_status: int = CommandStatus.ESME_ROK
        self.connections: list[Any] = []
        self._ids = count(1)
        settings = SessionSettings(
            system_id="smsc", window_size=1000, enquire_link_interval=0, response_timeout=0
        )
        self.server = FakeServer(SmscProtocolFactory(settings, Counter(1000), self, clock))
        self.endpoint = self.server.endpoint

    # What a test does

    def answer_next(self, status: int = 0, message_id: str | None = None) -> SubmitSm:
        """Answer the oldest submit_sm that has none."""
        _, pdu, answered = self.unanswered.pop(0)
        answered.callback(self.response(pdu, status, message_id))
        return pdu

    def accept_all(self) -> None:
        """Take all that comes from now on, with ids that count up from ``id-1``."""
        self.answer = self.response

    def response(self, pdu: Pdu, status: int = 0, message_id: str | None = None) -> Pdu:
        """An answer; of an accepted PDU with an id."""
        if status:
            return pdu.respond(status)
        return pdu.respond(message_id=message_id or f"id-{next(self._ids)}")

    def deliver(self, pdu: Pdu | None = None, **fields: Any) -> Deferred[Any]:
        """Send a deliver_sm; fires with its response."""
        if pdu is None:
            pdu = DeliverSm(
                **{"source_addr": "+27761234567", "destination_addr": "9292", **fields}
            )
        delivered: Deferred[Any] = self.connections[-1].submit(pdu)
        return delivered

    def receipt(self, message_id: str, stat: str = "DELIVRD") -> Deferred[Any]:
        """Send a delivery report; fires with its response."""
        text = (
            f"id:{message_id} sub:001 dlvrd:001 submit date:2404011200 done date:2404011201 "
            f"stat:{stat} err:000 text:hello"
        )
        return self.deliver(short_message=text.encode(), esm_class=0x04)

    # As the listener of its connections

    def bind_requested(self, connection: Any, pdu: Any) -> int | None:
        self.binds.append(pdu)
        return self.bind_status

    def state_changed(self, connection: Any, old: Any, new: Any, event: Any, detail: Any) -> None:
        if new.name == "BOUND":
            self.connections.append(connection)
        elif new.name == "CLOSED" and connection in self.connections:
            self.connections.remove(connection)

    def request_received(self, connection: Any, pdu: Any) -> Any:
        self.submitted.append(pdu)
        if self.answer is not None:
            return self.answer(pdu)
        answered: Deferred[Any] = Deferred()
        self.unanswered.append((connection, pdu, answered))
        return answered

    def notification_received(self, connection: Any, pdu: Any) -> None:
        pass

    def late_response(self, connection: Any, request: Any, response: Any) -> None:
        pass

    def has_room(self, connection: Any) -> None:
        pass


class SmppTestCase(VumiTestCase):
    """A transport, bound to a :class:`FakeSmsc`. Time stands still unless the test moves it."""

    transport_class: ClassVar[type[Any]] = SmppTransceiverTransport

    def setUp(self) -> None:
        self.clock = Clock()
        self.helper = self.add_helper(TransportHelper(self.transport_class))
        self.helper.worker_helper.broker = FakeAMQPBroker(self.clock)
        self.smsc = FakeSmsc(self.clock)

    def tearDown(self) -> Any:
        # The transport unbinds and closes by timers of this clock.
        self._stopping = True
        in_time = Deferred.fromCoroutine(self._keep_time())
        ending = super().tearDown()

        async def end() -> None:
            try:
                if ending is not None:
                    await ending
            finally:
                self._stopping = False
                await in_time

        return Deferred.fromCoroutine(end())

    async def _keep_time(self) -> None:
        while self._stopping:
            self.clock.advance(0.05)
            await wait0()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Let all happen that can without time passing, until something is so."""
        for _ in range(MAX_TURNS):
            self.clock.advance(0)
            if condition():
                return
            await wait0()
        raise AssertionError("what was waited for has not happened")

    async def settle(self) -> None:
        """Let all happen that can without time passing."""
        for _ in range(60):
            self.clock.advance(0)
            await wait0()

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        await self.settle()
        self.clock.advance(seconds)
        await self.settle()

    async def get(self, deferred: Deferred[Any]) -> Any:
        """What a Deferred fires with."""
        results: list[Any] = []
        _ = deferred.addBoth(results.append)
        await self.until(lambda: results)
        return results[0]

    def config(self, **config: Any) -> dict[str, Any]:
        """A transport's configuration."""
        return {
            "twisted_endpoint": self.smsc.endpoint,
            "system_id": "me",
            "password": "secret",
            "publish_status": True,
            **config,
        }

    async def start(self, **config: Any) -> Any:
        """A transport that is bound."""
        transport = await self.get(self.helper.get_transport(self.config(**config)))
        binds = config.get("binds", 1)
        await self.until(lambda: len(self.smsc.connections) == binds)
        await self.settle()
        return transport

    async def send(self, content: str | None = "hello", **fields: Any) -> Any:
        """Put a message into the transport's queue, and let it go as far as it can."""
        message = self.helper.make_outbound(content, **fields)
        self.helper.dispatch_outbound(message)
        await self.settle()
        return message

    # What came out

    def events(self) -> list[tuple[Any, ...]]:
        """The events that were published, in short."""
        return [
            (
                event["event_type"],
                event["user_message_id"],
                event.get("sent_message_id")
                or event.get("nack_reason")
                or event.get("delivery_status"),
            )
            for event in self.helper.get_dispatched_events()
        ]

    def inbound(self) -> list[Any]:
        """The messages that were published."""
        inbound: list[Any] = self.helper.get_dispatched_inbound()
        return inbound

    def statuses(self) -> list[tuple[str, str]]:
        """Level and type of the statuses that were published."""
        return [(s["status"], s["type"]) for s in self.helper.get_dispatched_statuses()]
