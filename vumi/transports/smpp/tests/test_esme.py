"""A connection: a session on a Twisted transport, at both ends."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from vumi.transports.smpp import connection as connection_module
from vumi.transports.smpp import esme, protocol, service, smpp_service
from vumi.transports.smpp.constants import CommandStatus
from vumi.transports.smpp.esme import EsmeProtocol, EsmeProtocolFactory
from vumi.transports.smpp.pdu import (
    AlertNotification,
    BindTransceiver,
    BindTransceiverResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    Pdu,
    PduEncodeError,
    PduReader,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    UnknownPdu,
    decode,
)
from vumi.transports.smpp.session import (
    RequestFailed,
    RequestNotSent,
    ResponseLost,
    ResponseTimeout,
    SessionSettings,
)
from vumi.transports.smpp.smsc import SmscProtocolFactory
from vumi.transports.smpp.tests.sessions import Counter
from vumi.transports.smpp.transitions import Event, State


class FakeTransport(StringTransport):
    """A TCP transport that writes down what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        alsoProvides(self, ITCPTransport)
        self.writes: list[bytes] = []
        self.options: list[str] = []
        self.aborted = False
        self._reader = PduReader()

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.options.append(f"nodelay {enabled}")

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.options.append(f"keepalive {enabled}")

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def abortConnection(self) -> None:
        self.aborted = True

    def pdus(self) -> list[Pdu]:
        """What was written since this was asked last."""
        data = b"".join(self.writes)
        self.writes.clear()
        return list(map(decode, self._reader.feed(data)))


class Listener:
    """Writes down what it is told; answers requests with what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.details: list[Any] = []
        self.requests: list[Pdu] = []
        self.notifications: list[Pdu] = []
        self.late: list[tuple[Pdu, Pdu]] = []
        self.rooms = 0
        self.answer: Any = None
        self.bind_status: int | None = 0

    def state_changed(
        self, connection: Any, old: State, new: State, event: Event, detail: Any
    ) -> None:
        self.events.append(event)
        self.details.append(detail)

    def request_received(self, connection: Any, pdu: Any) -> Any:
        self.requests.append(pdu)
        return self.answer

    def notification_received(self, connection: Any, pdu: Any) -> None:
        self.notifications.append(pdu)

    def late_response(self, connection: Any, request: Any, response: Any) -> None:
        self.late.append((request, response))

    def has_room(self, connection: Any) -> None:
        self.rooms += 1

    def bind_requested(self, connection: Any, pdu: Any) -> int | None:
        return self.bind_status


def pdus_bytes(*pdus: Pdu) -> bytes:
    return b"".join(pdu.encode() for pdu in pdus)


class TestEsmeProtocol(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.listener = Listener()
        self.transport = FakeTransport()

    def connect(self, **settings: Any) -> EsmeProtocol:
        factory = EsmeProtocolFactory(
            SessionSettings(system_id="me", **settings), Counter(), self.listener, self.clock
        )
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(self.transport)
        self.clock.advance(0)
        return protocol

    def bound(self, **settings: Any) -> EsmeProtocol:
        protocol = self.connect(**settings)
        protocol.dataReceived(pdus_bytes(BindTransceiverResp(sequence_number=1)))
        self.transport.pdus()
        return protocol

    def answer(self, value: Any) -> list[Pdu]:
        """What a deliver_sm is answered with if the listener returns this."""
        protocol = self.bound()
        self.listener.answer = value
        protocol.dataReceived(pdus_bytes(DeliverSm(sequence_number=5)))
        self.clock.advance(0)
        return self.transport.pdus()

    def test_it_binds_at_once_without_nagles_delay(self) -> None:
        protocol = self.connect()
        self.assertEqual(self.transport.options, ["nodelay True", "keepalive True"])
        self.assertEqual(
            self.transport.pdus(), [BindTransceiver(sequence_number=1, system_id="me")]
        )
        self.assertEqual(protocol.state, "OPEN")
        self.assertFalse(protocol.bound)
        protocol.dataReceived(pdus_bytes(BindTransceiverResp(sequence_number=1)))
        self.assertEqual(protocol.state, "BOUND_TRX")
        self.assertTrue(protocol.bound)
        self.assertEqual(self.listener.events, [Event.CONNECTED, Event.BIND_ACCEPTED])

    def test_what_is_written_in_one_turn_goes_out_in_one_piece(self) -> None:
        protocol = self.bound(window_size=10)
        for _ in range(10):
            _ = protocol.submit(SubmitSm())
        self.assertEqual(self.transport.writes, [])
        self.clock.advance(0)
        self.assertEqual(len(self.transport.writes), 1)
        self.assertEqual(len(self.transport.pdus()), 10)
        self.clock.advance(1)
        self.assertEqual(self.transport.writes, [])

    def test_what_answers_one_chunk_goes_out_in_one_piece_and_at_once(self) -> None:
        protocol = self.bound()
        protocol.dataReceived(pdus_bytes(*(EnquireLink(sequence_number=n) for n in range(5))))
        self.assertEqual(len(self.transport.writes), 1)
        self.assertEqual(
            self.transport.pdus(), [EnquireLinkResp(sequence_number=n) for n in range(5)]
        )

    def test_a_request_gets_its_response(self) -> None:
        protocol = self.bound()
        submitted = protocol.submit(SubmitSm(short_message=b"hi"))
        self.clock.advance(0)
        (pdu,) = self.transport.pdus()
        self.assertEqual((protocol.in_flight, protocol.room), (1, 19))
        self.assertNoResult(submitted)
        response = pdu.respond(message_id="x")
        protocol.dataReceived(response.encode())
        self.assertEqual(self.successResultOf(submitted), response)

    def test_a_request_that_is_refused_is_a_response_and_no_failure(self) -> None:
        protocol = self.bound()
        submitted = protocol.submit(SubmitSm())
        response = SubmitSmResp(sequence_number=3, command_status=0x400)
        protocol.dataReceived(response.encode())
        self.assertEqual(self.successResultOf(submitted).status_name, "0x00000400")

    def test_a_request_without_response_fails(self) -> None:
        protocol = self.bound(response_timeout=7)
        submitted = protocol.submit(SubmitSm())
        self.clock.advance(6.9)
        self.assertNoResult(submitted)
        self.clock.advance(0.2)
        self.failureResultOf(submitted, ResponseTimeout)
        protocol.dataReceived(pdus_bytes(SubmitSmResp(sequence_number=3, message_id="late")))
        self.assertEqual([response.message_id for _, response in self.late()], ["late"])

    def late(self) -> list[tuple[Any, Any]]:
        return list(self.listener.late)

    def test_a_request_fails_with_the_connection(self) -> None:
        protocol = self.bound()
        submitted = protocol.submit(SubmitSm())
        reason = Failure(ConnectionLost())
        protocol.connectionLost(reason)
        self.failureResultOf(submitted, ResponseLost)
        self.assertIs(self.listener.details[-1], reason)
        self.assertEqual(protocol.state, "CLOSED")
        self.failureResultOf(protocol.submit(SubmitSm()), RequestNotSent)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_request_that_can_not_be_written_fails(self) -> None:
        protocol = self.bound()
        pdu = SubmitSm(source_addr="\N{SNOWMAN}")
        self.failureResultOf(protocol.submit(pdu), PduEncodeError)

    def test_the_callbacks_below_the_deferreds(self) -> None:
        protocol = self.bound(window_size=1)
        outcomes: list[Any] = []
        self.assertTrue(protocol.can_send)
        number = protocol.send_request(SubmitSm(), outcomes.append, outcomes.append)
        self.assertFalse(protocol.can_send)
        protocol.dataReceived(pdus_bytes(SubmitSmResp(sequence_number=number)))
        self.assertEqual(outcomes, [SubmitSmResp(sequence_number=number)])
        self.assertEqual(self.listener.rooms, 1)

    def test_a_message_is_answered_as_the_listener_says(self) -> None:
        for value, answer in [
            (None, DeliverSmResp(sequence_number=5)),
            (
                CommandStatus.ESME_RDELIVERYFAILURE,
                DeliverSmResp(sequence_number=5, command_status=0xFE),
            ),
            (0x400, DeliverSmResp(sequence_number=5, command_status=0x400)),
            (
                DeliverSmResp(sequence_number=5, message_id="x"),
                DeliverSmResp(sequence_number=5, message_id="x"),
            ),
        ]:
            self.transport = FakeTransport()
            self.assertEqual(self.answer(value), [answer])

    def test_a_message_is_answered_once_it_is_dealt_with(self) -> None:
        published: Deferred[None] = Deferred()
        protocol = self.bound()
        self.listener.answer = published
        protocol.dataReceived(pdus_bytes(DeliverSm(sequence_number=5)))
        self.clock.advance(0)
        self.assertEqual(self.transport.pdus(), [])
        self.assertEqual(protocol.unanswered, 1)
        published.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.transport.pdus(), [DeliverSmResp(sequence_number=5)])
        self.assertEqual(protocol.unanswered, 0)

    def test_a_listener_may_be_a_coroutine(self) -> None:
        async def deal_with_it() -> int:
            return 0xFE

        (answer,) = self.answer(deal_with_it())
        self.assertEqual(answer.command_status, 0xFE)

    def test_a_message_whose_handler_failed_is_to_come_again(self) -> None:
        for value in (fail(ValueError("a bug")), "no status"):
            self.transport = FakeTransport()
            (answer,) = self.answer(value)
            self.assertEqual(answer.status_name, "ESME_RX_T_APPN")
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_listener_that_fails_late_with_nonsense_is_answered_for_too(self) -> None:
        later: Deferred[Any] = Deferred()
        self.assertEqual(self.answer(later), [])
        later.callback("no status")
        self.clock.advance(0)
        self.assertEqual([pdu.status_name for pdu in self.transport.pdus()], ["ESME_RX_T_APPN"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_more_messages_than_can_be_kept_are_to_come_again(self) -> None:
        self.patch(connection_module, "MAX_UNANSWERED", 2)
        protocol = self.bound()
        self.listener.answer = Deferred()
        for number in range(3):
            self.listener.answer = Deferred()
            protocol.dataReceived(pdus_bytes(DeliverSm(sequence_number=number)))
        self.assertEqual(
            [(pdu.sequence_number, pdu.status_name) for pdu in self.transport.pdus()],
            [(2, "ESME_RX_T_APPN")],
        )
        self.assertEqual(len(self.listener.requests), 2)

    def test_an_answer_after_the_connection_is_not_sent(self) -> None:
        published: Deferred[None] = Deferred()
        protocol = self.bound()
        self.listener.answer = published
        protocol.dataReceived(pdus_bytes(DeliverSm(sequence_number=5)))
        protocol.connectionLost(Failure(ConnectionLost()))
        published.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.transport.writes, [])

    def test_a_notification_reaches_the_listener(self) -> None:
        self.bound().dataReceived(pdus_bytes(AlertNotification(source_addr="1")))
        self.assertEqual([pdu.name for pdu in self.listener.notifications], ["alert_notification"])

    def test_disconnecting_unbinds_and_waits_for_the_end(self) -> None:
        protocol = self.bound()
        ended = protocol.disconnect()
        self.clock.advance(0)
        (unbind,) = self.transport.pdus()
        self.assertIsInstance(unbind, Unbind)
        self.assertFalse(self.transport.disconnecting)
        protocol.dataReceived(unbind.respond().encode())
        self.assertTrue(self.transport.disconnecting)
        self.assertNoResult(ended)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(ended)
        self.successResultOf(protocol.disconnect())

    def test_an_unbind_of_the_smsc_is_answered_before_the_end(self) -> None:
        protocol = self.bound()
        protocol.dataReceived(pdus_bytes(Unbind(sequence_number=7)))
        self.assertEqual(self.transport.pdus(), [UnbindResp(sequence_number=7)])
        self.assertTrue(self.transport.disconnecting)

    def test_a_frozen_connection_is_cut(self) -> None:
        self.bound(enquire_link_interval=10, unbind_timeout=2, close_timeout=5)
        self.clock.pump([10, 10, 2])
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.transport.aborted)
        self.clock.advance(5)
        self.assertTrue(self.transport.aborted)

    def test_the_log_tells_why_and_no_password(self) -> None:
        with capturedLogs() as logs:
            protocol = self.connect(password="s3cret")
            refusal = BindTransceiverResp(sequence_number=1, command_status=0x0E)
            protocol.dataReceived(refusal.encode())
            protocol.connectionLost(Failure(ConnectionDone()))
            self.transport = FakeTransport()
            self.bound(password="s3cret").dataReceived(
                pdus_bytes(UnknownPdu(unknown_command_id=0x00010200))
            )
            self.clock.pump([55, 55])
        events = [event["event"] for event in logs if "event" in event]
        for expected in ("smpp-bind-refused", "smpp-state", "smpp-complaint", "smpp-silence"):
            self.assertIn(expected, events)
        refused = next(event for event in logs if event.get("event") == "smpp-bind-refused")
        self.assertEqual(refused["status"], "ESME_RINVPASWD")
        self.assertNotIn("s3cret", repr(logs))


class TestSmscProtocol(SynchronousTestCase):
    def connect(self, listener: Listener) -> tuple[Any, FakeTransport]:
        self.clock = Clock()
        factory = SmscProtocolFactory(
            SessionSettings(system_id="SMSC"), Counter(), listener, self.clock
        )
        protocol, transport = factory.buildProtocol(None), FakeTransport()
        protocol.makeConnection(transport)
        protocol.dataReceived(pdus_bytes(BindTransceiver(sequence_number=9)))
        return protocol, transport

    def test_who_may_bind_is_bound_and_served(self) -> None:
        listener = Listener()
        protocol, transport = self.connect(listener)
        self.assertEqual(
            transport.pdus(), [BindTransceiverResp(sequence_number=9, system_id="SMSC")]
        )
        listener.answer = SubmitSmResp(sequence_number=2, message_id="id")
        protocol.dataReceived(pdus_bytes(SubmitSm(sequence_number=2)))
        self.assertEqual(transport.pdus(), [listener.answer])

    def test_who_may_not_bind_is_refused_and_disconnected(self) -> None:
        listener = Listener()
        listener.bind_status = CommandStatus.ESME_RINVPASWD
        _, transport = self.connect(listener)
        self.assertEqual(transport.pdus()[0].status_name, "ESME_RINVPASWD")
        self.assertTrue(transport.disconnecting)

    def test_a_bind_may_be_answered_later(self) -> None:
        listener = Listener()
        listener.bind_status = None
        protocol, transport = self.connect(listener)
        self.assertEqual(transport.pdus(), [])
        protocol.session.answer_bind(BindTransceiver(sequence_number=9))
        self.clock.advance(0)
        self.assertEqual(transport.pdus(), [BindTransceiverResp(sequence_number=9)])


class TestOldPaths(SynchronousTestCase):
    def test_the_old_paths_are_the_same_objects(self) -> None:
        self.assertIs(protocol.EsmeProtocol, esme.EsmeProtocol)
        self.assertIs(protocol.EsmeProtocolFactory, esme.EsmeProtocolFactory)
        self.assertIs(protocol.EsmeProtocolError, RequestFailed)
        self.assertIs(smpp_service.SmppService, service.SmppService)
