"""The binds of a transport: when they are made again, and which one is chosen."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from vumi.transports.smpp.constants import CommandStatus
from vumi.transports.smpp.pdu import DeliverSm, Pdu, SubmitSm, UnbindResp
from vumi.transports.smpp.service import SmppService
from vumi.transports.smpp.session import RequestNotSent, ResponseLost, SessionSettings
from vumi.transports.smpp.tests.sessions import Counter
from vumi.transports.smpp.tests.test_esme import FakeTransport
from vumi.transports.smpp.transitions import BindType, Event, State


class Link:
    """A connection that the endpoint has made."""

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.transport = FakeTransport()
        protocol.makeConnection(self.transport)

    def answer(self, status: int = 0) -> list[Pdu]:
        """Answer all requests that have come; give them."""
        pdus = self.transport.pdus()
        for pdu in pdus:
            if not pdu.is_response:
                self.protocol.dataReceived(pdu.respond(status).encode())
        return pdus

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))


@implementer(IStreamClientEndpoint)
class FakeEndpoint:
    """Connects at once, or refuses to."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.refuses = False
        self.attempts = 0

    def connect(self, factory: Any) -> Deferred[Any]:
        self.attempts += 1
        if self.refuses:
            return fail(ConnectionRefusedError())
        link = Link(factory.buildProtocol(None))
        self.links.append(link)
        return succeed(link.protocol)


class Listener:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Event]] = []
        self.may_sends: list[bool] = []
        self.failed: list[int] = []
        self.rooms = 0
        self.requests: list[Any] = []
        self.notifications: list[Any] = []
        self.late: list[Any] = []

    def state_changed(self, bind: int, old: State, new: State, event: Event, detail: Any) -> None:
        self.events.append((bind, event))

    def connection_failed(self, bind: int, reason: Failure) -> None:
        self.failed.append(bind)

    def may_send(self, possible: bool) -> None:
        self.may_sends.append(possible)

    def has_room(self) -> None:
        self.rooms += 1

    def request_received(self, pdu: Any) -> Any:
        self.requests.append(pdu)
        return CommandStatus.ESME_RX_P_APPN

    def notification_received(self, pdu: Any) -> None:
        self.notifications.append(pdu)

    def late_response(self, request: Any, response: Any) -> None:
        self.late.append(response)


class TestSmppService(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint = FakeEndpoint()
        self.listener = Listener()

    def make(self, settings: dict[str, Any] | None = None, **kw: Any) -> SmppService:
        service = SmppService(
            self.endpoint,
            SessionSettings(**(settings or {})),
            Counter(),
            self.listener,
            self.clock,
            **{"jitter": 0, **kw},
        )
        service.startService()
        self.clock.advance(0)
        return service

    def bound(self, settings: dict[str, Any] | None = None, **kw: Any) -> SmppService:
        service = self.make(settings, **kw)
        for link in self.endpoint.links:
            link.answer()
            link.answer()
        return service

    def waits(self, count: int, each: Any) -> list[float]:
        """How long it took to each of the next attempts, in seconds."""
        waits = []
        for _ in range(count):
            before, attempts = self.clock.seconds(), self.endpoint.attempts
            while self.endpoint.attempts == attempts:
                self.clock.advance(
                    min(call.getTime() for call in self.clock.getDelayedCalls())
                    - self.clock.seconds()
                )
            waits.append(round(self.clock.seconds() - before, 1))
            each()
        return waits

    # Connecting

    def test_refused_connections_wait_longer_and_longer(self) -> None:
        # The old Vumi read initial_reconnect_delay and did nothing with it.
        self.endpoint.refuses = True
        self.make(initial_reconnect_delay=5, max_reconnect_delay=60)
        self.assertEqual(self.waits(5, lambda: None), [5, 13.6, 36.9, 60, 60])
        self.assertEqual(self.listener.failed, [0] * 6)

    def refuse_bind(self) -> None:
        link = self.endpoint.links[-1]
        self.clock.advance(0)
        link.answer(CommandStatus.ESME_RINVPASWD)
        self.assertTrue(link.transport.disconnecting)
        link.lose()

    def test_refused_binds_wait_longer_and_longer_though_the_connection_succeeds(self) -> None:
        # The old Vumi began anew as soon as there was a TCP connection.
        self.make(initial_reconnect_delay=5, max_reconnect_delay=60)
        self.refuse_bind()
        self.assertEqual(self.waits(4, self.refuse_bind), [5, 13.6, 36.9, 60])

    def test_a_bind_that_succeeds_makes_the_waits_short_again(self) -> None:
        self.make(initial_reconnect_delay=5)
        self.refuse_bind()
        self.waits(2, self.refuse_bind)

        def bind_and_lose() -> None:
            self.clock.advance(0)
            self.endpoint.links[-1].answer()
            self.endpoint.links[-1].lose()

        self.waits(1, bind_and_lose)
        self.assertEqual(self.waits(2, bind_and_lose), [5, 5])

    def test_a_first_wait_of_0_does_not_make_all_others_0(self) -> None:
        self.endpoint.refuses = True
        self.make(initial_reconnect_delay=0)
        self.clock.advance(0)
        self.assertEqual(self.endpoint.attempts, 2)
        self.assertEqual(self.waits(2, lambda: None), [1, 2.7])

    def test_waits_vary_but_never_beyond_the_longest(self) -> None:
        self.endpoint.refuses = True
        self.make(initial_reconnect_delay=5, max_reconnect_delay=6, jitter=0.5)
        waits = self.waits(50, lambda: None)
        self.assertGreater(len(set(waits)), 5)
        self.assertLessEqual(max(waits), 6)

    def test_an_unbind_of_the_smsc_leads_to_a_new_connection(self) -> None:
        self.bound(initial_reconnect_delay=5)
        link = self.endpoint.links[0]
        link.protocol.session.receive(b"\0\0\0\x10\0\0\0\6\0\0\0\0\0\0\0\1")
        link.lose()
        self.clock.advance(5)
        self.assertEqual(len(self.endpoint.links), 2)

    # What is told

    def test_whether_messages_may_go_is_told_when_it_changes(self) -> None:
        service = self.make(binds=2)
        first, second = self.endpoint.links
        self.assertFalse(service.may_send)
        self.assertEqual(self.listener.may_sends, [])
        first.answer()
        second.answer()
        self.assertEqual(self.listener.may_sends, [True])
        self.assertEqual(self.listener.rooms, 2)
        self.assertEqual((service.bound, service.is_bound()), (2, True))
        first.lose()
        self.assertEqual(self.listener.may_sends, [True])
        self.assertTrue(service.may_send)
        second.lose()
        self.assertEqual(self.listener.may_sends, [True, False])
        self.assertEqual(self.listener.events[-2:], [(0, Event.LOST), (1, Event.LOST)])

    def test_a_receiver_never_says_that_messages_may_go(self) -> None:
        service = self.bound({"bind_type": BindType.RX})
        self.assertTrue(service.is_bound())
        self.assertFalse(service.can_send)
        self.assertEqual(self.listener.may_sends, [])
        self.assertEqual(self.listener.rooms, 0)

    def test_messages_reach_the_listener_and_its_answer_the_smsc(self) -> None:
        self.bound(binds=2)
        for link in self.endpoint.links:
            link.protocol.dataReceived(DeliverSm(sequence_number=4).encode())
            (answer,) = link.transport.pdus()
            self.assertEqual(answer.status_name, "ESME_RX_P_APPN")
        self.assertEqual(len(self.listener.requests), 2)

    # Sending

    def test_each_message_goes_over_the_bind_with_the_most_room(self) -> None:
        service = self.bound({"window_size": 2}, binds=2)
        outcomes: list[Any] = []
        for _ in range(4):
            self.assertTrue(service.can_send)
            service.send_request(SubmitSm(), outcomes.append, outcomes.append)
        self.assertFalse(service.can_send)
        self.assertIsNone(service.pick())
        self.assertEqual(service.in_flight, 4)
        self.clock.advance(0)
        sent = [len(link.answer()) for link in self.endpoint.links]
        self.assertEqual(sent, [2, 2])
        self.assertEqual(len(outcomes), 4)
        self.assertEqual(self.listener.rooms, 2 + 2)

    def test_sequence_numbers_are_never_the_same_on_two_binds(self) -> None:
        service = self.bound(binds=3)
        numbers = [service.send_request(SubmitSm(), print, print) for _ in range(9)]
        self.assertEqual(len(set(numbers)), 9)

    def test_a_message_without_a_bind_fails_as_not_sent(self) -> None:
        service = self.make()
        self.failureResultOf(service.submit(SubmitSm()), RequestNotSent)
        self.endpoint.links[0].answer()
        submitted = service.submit(SubmitSm())
        self.clock.advance(0)
        self.endpoint.links[0].answer()
        self.assertTrue(self.successResultOf(submitted).ok)

    def test_a_message_on_a_bind_that_is_lost_fails_as_lost(self) -> None:
        service = self.bound()
        submitted = service.submit(SubmitSm())
        self.endpoint.links[0].lose()
        self.failureResultOf(submitted, ResponseLost)

    # Stopping

    def test_stopping_unbinds_all_and_waits_for_the_end(self) -> None:
        service = self.bound(binds=2)
        stopped = service.stopService()
        assert isinstance(stopped, Deferred)
        self.clock.advance(0)
        for link in self.endpoint.links:
            self.assertEqual([pdu.name for pdu in link.transport.pdus()], ["unbind"])
            link.protocol.dataReceived(UnbindResp().encode())
            self.assertTrue(link.transport.disconnecting)
            self.assertNoResult(stopped)
            link.lose()
        self.successResultOf(stopped)
        self.clock.advance(1000)
        self.assertEqual(self.endpoint.attempts, 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_between_two_attempts_makes_no_other(self) -> None:
        self.endpoint.refuses = True
        service = self.make()
        stopped = service.stopService()
        assert isinstance(stopped, Deferred)
        self.successResultOf(stopped)
        self.clock.advance(1000)
        self.assertEqual(self.endpoint.attempts, 1)

    def test_it_can_be_started_again(self) -> None:
        service = self.bound()
        stopped = service.stopService()
        assert isinstance(stopped, Deferred)
        self.endpoint.links[0].lose()
        self.successResultOf(stopped)
        service.startService()
        self.clock.advance(0)
        self.endpoint.links[1].answer()
        self.assertEqual(service.bound, 1)
        self.assertEqual(self.listener.may_sends, [True, False, True])
