"""The session: every line of its table, every timer, every refusal."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.transports.smpp.constants import CommandStatus
from vumi.transports.smpp.pdu import (
    AlertNotification,
    BindReceiver,
    BindTransceiver,
    BindTransceiverResp,
    BindTransmitter,
    CancelSm,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Pdu,
    PduEncodeError,
    QuerySm,
    ReplaceSm,
    SubmitMulti,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    UnknownPdu,
)
from vumi.transports.smpp.session import (
    MAX_LATE,
    RequestNotSent,
    ResponseLost,
    ResponseTimeout,
    Role,
    Session,
)
from vumi.transports.smpp.tests.pdus import any_pdu
from vumi.transports.smpp.tests.sessions import BIND_CLASSES, SessionKit
from vumi.transports.smpp.transitions import (
    ACTION_WORDS,
    TRANSITIONS,
    BindType,
    Event,
    State,
)

if TYPE_CHECKING:
    from twisted.python.failure import Failure

LOST = (State.BOUND, State.CLOSED, Event.LOST)


def in_state(state: State, role: Role = Role.ESME) -> SessionKit:
    """A session that was brought into a state by what brings it there."""
    kit = SessionKit(role)
    if state is State.OPEN:
        kit.session.connected()
    elif state is not State.CLOSED:
        kit.bind()
    if state in (State.UNBINDING, State.CLOSING):
        kit.session.stop()
    if state is State.CLOSING:
        kit.receive(UnbindResp())
    assert kit.state is state
    kit.written()
    return kit


# The table itself


def test_the_table_has_one_line_for_a_state_and_an_event() -> None:
    pairs = [(row.state, row.event) for row in TRANSITIONS]
    assert len(pairs) == len(set(pairs))


def test_every_action_exists_is_used_and_is_in_words() -> None:
    used = {action for row in TRANSITIONS for action in row.actions}
    methods = {name.removeprefix("_do_") for name in dir(Session) if name.startswith("_do_")}
    assert used == methods == set(ACTION_WORDS)


def test_every_event_and_state_is_used() -> None:
    assert {row.event for row in TRANSITIONS} == set(Event)
    assert {row.state for row in TRANSITIONS} == set(State)
    assert {row.next_state for row in TRANSITIONS} == set(State)


def test_every_state_but_closed_ends_with_the_connection() -> None:
    ends = {row.state for row in TRANSITIONS if row.event is Event.LOST}
    assert ends == set(State) - {State.CLOSED}


# A timeout of a response needs a request: see "Our requests".
@pytest.mark.parametrize(
    "row",
    [row for row in TRANSITIONS if row.event is not Event.RESPONSE_TIMEOUT],
    ids=lambda row: f"{row.state.name}-{row.event.name}",
)
def test_the_state_changes_as_the_table_says(row: Any) -> None:
    kit = in_state(row.state)
    kit.states.clear()
    detail: Any = EnquireLink(sequence_number=3)
    if row.event in (Event.MALFORMED_RECEIVED, Event.STREAM_BROKEN):
        detail = PduEncodeError("bad", CommandStatus.ESME_RINVCMDLEN)
    elif row.event is Event.RESPONSE_RECEIVED:
        detail = EnquireLinkResp(sequence_number=3)
    kit.session._fire(row.event, detail)
    changed = [] if row.next_state is row.state else [(row.state, row.next_state, row.event)]
    assert kit.states == changed


@pytest.mark.parametrize("state", State)
def test_an_event_that_the_table_has_not_is_ignored(state: State) -> None:
    known = {row.event for row in TRANSITIONS if row.state is state}
    for event in set(Event) - known:
        kit = in_state(state)
        kit.session._fire(event, None)
        assert kit.state is state
        assert kit.written() == []


# Binding


@pytest.mark.parametrize("bind_type", BindType)
def test_bind_is_sent_at_once_and_then_the_link_is_asked(bind_type: BindType) -> None:
    kit = SessionKit(
        bind_type=bind_type,
        system_type="T",
        interface_version=0x33,
        addr_ton=1,
        addr_npi=2,
        address_range="^1",
    )
    kit.session.connected()
    (bind,) = kit.written()
    assert bind == BIND_CLASSES[bind_type](
        sequence_number=1,
        system_id="me",
        password="pw",
        system_type="T",
        interface_version=0x33,
        addr_ton=1,
        addr_npi=2,
        address_range="^1",
    )
    assert kit.session.state_name == "OPEN"
    kit.receive(bind.respond(system_id="SMSC"))
    assert kit.written() == [EnquireLink(sequence_number=2)]
    assert kit.session.state_name == f"BOUND_{bind_type.name}"
    assert kit.session.bound
    assert kit.states[-1] == (State.OPEN, State.BOUND, Event.BIND_ACCEPTED)


@pytest.mark.parametrize(
    "answer",
    [
        BindTransceiverResp(sequence_number=1, command_status=CommandStatus.ESME_RINVPASWD),
        GenericNack(sequence_number=1, command_status=CommandStatus.ESME_RINVCMDID),
        GenericNack(sequence_number=0, command_status=CommandStatus.ESME_RINVCMDID),
    ],
)
def test_a_refused_bind_closes_the_connection(answer: Pdu) -> None:
    kit = in_state(State.OPEN)
    kit.receive(answer)
    assert kit.closed
    assert kit.states[-1] == (State.OPEN, State.CLOSING, Event.BIND_REFUSED)
    assert kit.details[-1] == answer
    kit.clock.advance(1000)
    assert kit.written() == []


def test_a_bind_without_answer_is_given_up_politely() -> None:
    kit = SessionKit(bind_timeout=30, unbind_timeout=2, close_timeout=5)
    kit.session.connected()
    kit.written()
    kit.clock.advance(29.9)
    assert kit.state is State.OPEN
    kit.clock.advance(0.1)
    assert kit.states[-1] == (State.OPEN, State.UNBINDING, Event.BIND_TIMEOUT)
    assert kit.written() == [Unbind(sequence_number=2)]
    kit.clock.advance(1.9)
    assert not kit.closed
    kit.clock.advance(0.1)
    assert kit.closed
    kit.clock.advance(5)
    assert kit.aborted


def test_a_connection_that_ends_while_binding_is_over() -> None:
    kit = in_state(State.OPEN)
    kit.session.connection_lost("reason")
    assert kit.states[-1] == (State.OPEN, State.CLOSED, Event.LOST)
    assert kit.details[-1] == "reason"
    kit.clock.advance(1000)
    assert kit.written() == []


# The link


def test_the_link_is_asked_at_every_interval() -> None:
    kit = SessionKit(enquire_link_interval=55).bind()
    for number in range(3, 6):
        kit.clock.advance(54.9)
        assert kit.written() == []
        kit.clock.advance(0.1)
        assert kit.written() == [EnquireLink(sequence_number=number)]
        kit.receive(EnquireLinkResp(sequence_number=number))
    assert kit.complaints == []


def test_silence_for_two_intervals_ends_the_session() -> None:
    kit = SessionKit(enquire_link_interval=55).bind()
    kit.clock.advance(55)
    kit.clock.advance(54.9)
    assert kit.states == []
    kit.clock.advance(0.1)
    assert kit.states == [(State.BOUND, State.UNBINDING, Event.SILENCE)]
    assert Unbind in map(type, kit.written())


@pytest.mark.parametrize(
    "pdu",
    [
        EnquireLink(sequence_number=9),
        EnquireLinkResp(sequence_number=9),
        DeliverSm(sequence_number=9),
        SubmitSmResp(sequence_number=9),
        UnknownPdu(unknown_command_id=0x00010200),
    ],
    ids=lambda pdu: pdu.name,
)
def test_any_pdu_counts_as_activity_not_only_enquire_link_resp(pdu: Pdu) -> None:
    kit = SessionKit(enquire_link_interval=55).bind()
    for _ in range(5):
        kit.clock.advance(109)
        kit.receive(pdu)
    assert kit.states == []
    kit.clock.advance(109)
    kit.clock.advance(1)
    assert kit.state is State.UNBINDING


def test_half_a_pdu_is_no_activity() -> None:
    kit = SessionKit(enquire_link_interval=55).bind()
    for byte in DeliverSm().encode()[:10]:
        kit.clock.advance(11)
        kit.session.receive(bytes((byte,)))
    assert kit.state is State.UNBINDING


def test_an_interval_of_0_never_asks() -> None:
    kit = SessionKit(enquire_link_interval=0)
    kit.session.connected()
    kit.receive(BindTransceiverResp(sequence_number=1))
    kit.written()
    kit.clock.advance(1_000_000)
    assert kit.state is State.BOUND
    assert kit.written() == []


@pytest.mark.parametrize("state", [State.OPEN, State.BOUND, State.UNBINDING])
def test_enquire_link_is_answered(state: State) -> None:
    kit = in_state(state)
    kit.receive(EnquireLink(sequence_number=7))
    assert kit.written() == [EnquireLinkResp(sequence_number=7)]


# Unbinding


def test_stopping_unbinds_and_closes_once_that_is_answered() -> None:
    kit = in_state(State.BOUND)
    kit.session.stop()
    assert kit.written() == [Unbind(sequence_number=3)]
    assert not kit.closed
    kit.session.stop()
    kit.receive(UnbindResp(sequence_number=3))
    assert kit.closed
    assert kit.written() == []
    kit.session.connection_lost()
    assert [event for _, _, event in kit.states] == [
        Event.STOP,
        Event.UNBIND_ANSWERED,
        Event.LOST,
    ]


def test_an_unbind_that_is_not_answered_closes_after_a_while() -> None:
    kit = in_state(State.UNBINDING)
    kit.clock.advance(1.9)
    assert not kit.closed
    kit.clock.advance(0.1)
    assert kit.closed


def test_an_unbind_that_is_nacked_closes() -> None:
    kit = in_state(State.UNBINDING)
    kit.receive(GenericNack(sequence_number=3, command_status=3))
    assert kit.closed


def test_stopping_before_the_bind_is_answered_closes() -> None:
    kit = in_state(State.OPEN)
    kit.session.stop()
    assert kit.closed


@pytest.mark.parametrize("state", [State.OPEN, State.BOUND, State.UNBINDING])
def test_an_unbind_from_the_smsc_is_answered_and_ends_the_session(state: State) -> None:
    # The old Vumi answered it, and went on sending.
    kit = in_state(state)
    kit.receive(Unbind(sequence_number=8))
    assert kit.written() == [UnbindResp(sequence_number=8)]
    assert kit.closed
    assert kit.state is State.CLOSING
    assert not kit.session.can_send


def test_a_connection_that_does_not_end_is_cut() -> None:
    kit = in_state(State.CLOSING)
    kit.clock.advance(4.9)
    assert not kit.aborted
    kit.clock.advance(0.1)
    assert kit.aborted


def test_what_comes_while_closing_is_not_answered() -> None:
    kit = in_state(State.CLOSING)
    kit.receive(EnquireLink(), DeliverSm(), Unbind(), UnknownPdu(unknown_command_id=0x00010200))
    assert kit.written() == []
    assert kit.requests == []


def test_what_comes_while_unbinding_is_to_come_again() -> None:
    kit = in_state(State.UNBINDING)
    kit.receive(DeliverSm(sequence_number=8))
    assert kit.requests == []
    assert kit.written() == [
        DeliverSmResp(sequence_number=8, command_status=CommandStatus.ESME_RX_T_APPN)
    ]


# Requests of the other side


@pytest.mark.parametrize("pdu", [DeliverSm(sequence_number=5), DataSm(sequence_number=5)])
def test_a_request_is_handed_over_and_answered_later(pdu: Pdu) -> None:
    kit = in_state(State.BOUND)
    kit.receive(pdu)
    assert kit.requests == [pdu]
    assert kit.written() == []
    assert kit.session.respond(pdu)
    assert kit.written() == [pdu.respond()]


def test_an_answer_after_the_session_is_over_is_not_sent() -> None:
    kit = in_state(State.BOUND)
    pdu = DeliverSm(sequence_number=5)
    kit.receive(pdu)
    kit.session.connection_lost()
    assert not kit.session.respond(pdu)
    kit.session.connected()
    kit.written()
    assert not kit.session.reply(pdu.respond())
    assert kit.written() == []


def test_an_answer_may_be_sent_while_unbinding() -> None:
    kit = in_state(State.BOUND)
    kit.receive(DeliverSm(sequence_number=5))
    kit.session.stop()
    kit.written()
    assert kit.session.respond(kit.requests[0])
    assert kit.written() == [DeliverSmResp(sequence_number=5)]


def test_a_handler_that_raises_is_answered_for_and_others_still_come() -> None:
    # The old Vumi sent no response, and the SMSC's window was stuck.
    kit = in_state(State.BOUND)
    kit.raises = ValueError("a bug")
    kit.receive(DeliverSm(sequence_number=5), DeliverSm(sequence_number=6))
    assert [(pdu.sequence_number, pdu.status_name) for pdu in kit.written()] == [
        (5, "ESME_RX_T_APPN"),
        (6, "ESME_RX_T_APPN"),
    ]
    assert [failure.value for failure in kit.failures] == [kit.raises] * 2


@pytest.mark.parametrize(
    ("bind_type", "pdu"),
    [
        (BindType.TX, DeliverSm(sequence_number=5)),
        (BindType.TX, DataSm(sequence_number=5)),
        (BindType.TRX, SubmitSm(sequence_number=5)),
        (BindType.TRX, SubmitMulti(sequence_number=5)),
        (BindType.TRX, QuerySm(sequence_number=5)),
        (BindType.TRX, CancelSm(sequence_number=5)),
        (BindType.TRX, ReplaceSm(sequence_number=5)),
        (BindType.TRX, BindTransmitter(sequence_number=5)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_request_that_the_bind_is_not_for_is_refused(bind_type: BindType, pdu: Pdu) -> None:
    kit = SessionKit(bind_type=bind_type).bind()
    kit.receive(pdu)
    assert kit.written() == [pdu.respond(CommandStatus.ESME_RINVBNDSTS)]
    assert kit.requests == []
    assert len(kit.complaints) == 1


def test_a_message_before_the_bind_is_refused() -> None:
    kit = in_state(State.OPEN)
    kit.receive(DeliverSm(sequence_number=5))
    assert [pdu.status_name for pdu in kit.written()] == ["ESME_RINVBNDSTS"]


@pytest.mark.parametrize("state", [State.OPEN, State.BOUND, State.UNBINDING])
def test_an_unknown_command_is_nacked_rather_than_ignored(state: State) -> None:
    kit = in_state(state)
    kit.receive(UnknownPdu(sequence_number=5, unknown_command_id=0x00010200))
    assert kit.written() == [
        GenericNack(sequence_number=5, command_status=CommandStatus.ESME_RINVCMDID)
    ]


def test_an_unknown_response_is_not_answered() -> None:
    kit = in_state(State.BOUND)
    kit.receive(UnknownPdu(sequence_number=5, unknown_command_id=0x80010200))
    assert kit.written() == []


@pytest.mark.parametrize(
    ("pdu", "answer"),
    [
        (DeliverSm(sequence_number=5), DeliverSmResp(sequence_number=5, command_status=2)),
        (DataSm(sequence_number=5), DataSmResp(sequence_number=5, command_status=2)),
        (AlertNotification(sequence_number=5), GenericNack(sequence_number=5, command_status=2)),
    ],
    ids=lambda pdu: pdu.name,
)
def test_a_malformed_pdu_is_answered_and_the_session_goes_on(pdu: Pdu, answer: Pdu) -> None:
    # The old Vumi closed the connection.
    kit = in_state(State.BOUND)
    data = pdu.encode()[:20]
    kit.session.receive(struct.pack(">I", len(data)) + data[4:] + EnquireLink().encode())
    assert kit.written() == [answer, EnquireLinkResp()]
    assert kit.state is State.BOUND


@pytest.mark.parametrize("command", [0x00000005, 0x80000004])
def test_a_broken_stream_is_nacked_and_ends_the_session(command: int) -> None:
    kit = in_state(State.BOUND)
    kit.session.receive(EnquireLink(sequence_number=4).encode())
    kit.session.receive(struct.pack(">IIII", 7, command, 0, 5))
    assert kit.written() == [
        EnquireLinkResp(sequence_number=4),
        GenericNack(sequence_number=5, command_status=CommandStatus.ESME_RINVCMDLEN),
    ]
    assert kit.closed
    assert kit.states == [(State.BOUND, State.CLOSING, Event.STREAM_BROKEN)]


def test_notifications_are_handed_over_and_not_answered() -> None:
    kit = in_state(State.OPEN)
    kit.receive(Outbind(system_id="x"))
    kit.receive(BindTransceiverResp(sequence_number=1))
    kit.written()
    kit.receive(AlertNotification(source_addr="1"))
    assert [pdu.name for pdu in kit.notifications] == ["outbind", "alert_notification"]
    assert kit.written() == []


# Our requests


def test_a_request_gets_its_response_whatever_the_order() -> None:
    kit = in_state(State.BOUND)
    first, second = kit.send(SubmitSm()), kit.send(DataSm())
    assert [pdu.sequence_number for pdu in kit.written()] == [first, second] == [3, 4]
    assert kit.session.in_flight == 2
    answers = [DataSmResp(sequence_number=4), SubmitSmResp(sequence_number=3, message_id="x")]
    kit.receive(*answers)
    assert kit.responses == answers
    assert kit.session.in_flight == 0


def test_a_generic_nack_is_a_response() -> None:
    kit = in_state(State.BOUND)
    number = kit.send(SubmitSm())
    nack = GenericNack(sequence_number=number, command_status=CommandStatus.ESME_RINVCMDID)
    kit.receive(nack)
    assert kit.responses == [nack]


@pytest.mark.parametrize("answer", [DataSmResp, EnquireLinkResp, UnbindResp, DeliverSmResp])
def test_a_response_of_another_kind_does_not_answer(answer: type[Pdu]) -> None:
    kit = in_state(State.BOUND)
    number = kit.send(SubmitSm())
    kit.receive(answer(sequence_number=number))
    assert kit.responses == []
    assert kit.session.in_flight == 1
    assert kit.state is State.BOUND


def test_a_response_to_nothing_is_complained_of() -> None:
    kit = in_state(State.BOUND)
    kit.receive(SubmitSmResp(sequence_number=99))
    assert kit.complaints == ["nothing was asked that this answers"]


def test_no_more_requests_than_the_window_has_room_for() -> None:
    kit = SessionKit(window_size=2).bind()
    assert kit.session.room == 2
    first = kit.send(SubmitSm())
    assert (kit.session.room, kit.session.can_send) == (1, True)
    kit.send(SubmitSm())
    assert (kit.session.room, kit.session.can_send) == (0, False)
    assert kit.send(SubmitSm()) == 0
    (failure,) = kit.errors
    assert failure.check(RequestNotSent)
    assert len(kit.written()) == 2
    assert kit.rooms == 0
    kit.receive(SubmitSmResp(sequence_number=first))
    assert kit.rooms == 1
    assert kit.session.can_send


def test_room_that_the_response_itself_has_filled_is_not_told() -> None:
    kit = SessionKit(window_size=1).bind()

    def send_another(_: Any) -> None:
        kit.send(SubmitSm())

    number = kit.session.send_request(SubmitSm(), send_another, kit.errors.append)
    kit.receive(SubmitSmResp(sequence_number=number))
    assert kit.session.in_flight == 1
    assert kit.rooms == 0


def test_a_request_without_response_fails_in_time() -> None:
    # The old Vumi waited for ever.
    kit = SessionKit(response_timeout=60, window_size=2, enquire_link_interval=0).bind()
    kit.send(SubmitSm())
    kit.clock.advance(30)
    kit.send(DataSm())
    kit.clock.advance(29.9)
    assert kit.errors == []
    kit.clock.advance(0.1)
    assert [failure.type for failure in kit.errors] == [ResponseTimeout]
    assert "submit_sm" in kit.errors[0].getErrorMessage()
    assert kit.rooms == 1
    kit.clock.advance(30)
    assert [failure.type for failure in kit.errors] == [ResponseTimeout] * 2
    assert kit.session.in_flight == 0
    assert kit.state is State.BOUND


def test_requests_fail_in_time_while_unbinding_and_closing() -> None:
    kit = SessionKit(response_timeout=2.5, unbind_timeout=2, close_timeout=9).bind()
    kit.send(SubmitSm())
    kit.clock.advance(1)
    kit.send(SubmitSm())
    kit.session.stop()
    kit.clock.advance(1.5)
    assert (kit.state, len(kit.errors)) == (State.UNBINDING, 1)
    kit.clock.advance(1)
    assert (kit.state, len(kit.errors)) == (State.CLOSING, 2)


def test_a_response_timeout_of_0_waits_for_ever() -> None:
    kit = SessionKit(response_timeout=0, enquire_link_interval=0).bind()
    number = kit.send(SubmitSm())
    kit.clock.advance(1_000_000)
    kit.receive(SubmitSmResp(sequence_number=number))
    assert len(kit.responses) == 1


def test_a_late_response_still_tells_of_its_request() -> None:
    kit = SessionKit(response_timeout=10).bind()
    request = SubmitSm(source_addr="1")
    number = kit.send(request)
    kit.clock.advance(10)
    response = SubmitSmResp(sequence_number=number, message_id="late")
    kit.receive(response, response)
    assert kit.late == [(request, response)]
    assert kit.late[0][0] is request
    assert kit.responses == []
    assert kit.complaints == ["nothing was asked that this answers"]


def test_late_requests_are_not_remembered_without_end() -> None:
    kit = SessionKit(response_timeout=1, window_size=MAX_LATE + 1).bind()
    for _ in range(MAX_LATE + 1):
        kit.send(EMPTY)
    kit.written()
    kit.clock.advance(1)
    assert len(kit.errors) == MAX_LATE + 1
    kit.receive(SubmitSmResp(sequence_number=3), SubmitSmResp(sequence_number=4))
    assert len(kit.late) == 1


EMPTY = SubmitSm()


@pytest.mark.parametrize("state", [State.CLOSED, State.OPEN, State.UNBINDING, State.CLOSING])
def test_a_request_is_not_sent_unless_bound(state: State) -> None:
    kit = in_state(state)
    assert not kit.session.can_send
    assert kit.session.room == 0
    assert kit.send(SubmitSm()) == 0
    (failure,) = kit.errors
    assert failure.check(RequestNotSent)
    assert f"not bound, but {state.value}" in failure.getErrorMessage()
    assert kit.written() == []


def test_a_receiver_sends_no_messages() -> None:
    kit = SessionKit(bind_type=BindType.RX).bind()
    assert not kit.session.can_send
    kit.send(SubmitSm())
    assert "BOUND_RX" in kit.errors[0].getErrorMessage()


@pytest.mark.parametrize("pdu", [DeliverSm(), SubmitSmResp(), EnquireLink(), Unbind()])
def test_what_is_no_request_of_an_esme_is_not_sent(pdu: Pdu) -> None:
    kit = in_state(State.BOUND)
    kit.send(pdu)
    assert kit.errors[0].check(RequestNotSent)
    assert kit.written() == []


def test_a_request_that_can_not_be_written_fails_and_takes_no_room() -> None:
    kit = in_state(State.BOUND)
    assert kit.send(SubmitSm(short_message=b"x" * 300)) == 0
    assert kit.errors[0].check(PduEncodeError)
    assert kit.session.in_flight == 0
    assert kit.written() == []


def test_requests_without_response_fail_when_the_connection_ends() -> None:
    kit = in_state(State.BOUND)
    kit.send(SubmitSm())
    kit.send(SubmitSm())
    kit.session.connection_lost("gone")
    assert [failure.type for failure in kit.errors] == [ResponseLost] * 2
    assert kit.states == [LOST]
    kit.clock.advance(1000)
    assert len(kit.errors) == 2


def test_a_callback_that_raises_keeps_no_other_from_being_called() -> None:
    kit = in_state(State.BOUND)

    def broken(_: Any) -> None:
        raise ValueError("a bug")

    first = kit.session.send_request(SubmitSm(), broken, broken)
    kit.session.send_request(SubmitSm(), broken, broken)
    third = kit.send(SubmitSm())
    kit.send(SubmitSm())
    kit.receive(SubmitSmResp(sequence_number=first), SubmitSmResp(sequence_number=third))
    kit.session.connection_lost()
    assert (len(kit.responses), len(kit.errors), len(kit.failures)) == (1, 1, 2)


def test_a_request_sent_again_by_its_failure_is_not_sent_into_a_dead_connection() -> None:
    kit = in_state(State.BOUND)

    def again(failure: Failure) -> None:
        kit.send(SubmitSm())

    kit.session.send_request(SubmitSm(), kit.responses.append, again)
    kit.written()
    kit.session.connection_lost()
    assert kit.written() == []
    assert kit.errors[0].check(RequestNotSent)


def test_a_sequence_number_in_use_is_passed_over() -> None:
    kit = in_state(State.BOUND)
    numbers = iter([7, 7, 7, 8])
    kit.session._sequence.take = lambda: next(numbers)  # type: ignore[method-assign]  # a fake
    assert [kit.send(SubmitSm()), kit.send(SubmitSm())] == [7, 8]


def test_a_session_begins_anew_with_each_connection() -> None:
    kit = in_state(State.BOUND)
    kit.send(SubmitSm())
    kit.session.receive(EnquireLink().encode()[:7])
    kit.session.connection_lost()
    kit.written()
    kit.session.connected()
    (bind,) = kit.written()
    kit.receive(bind.respond())
    assert kit.state is State.BOUND
    assert kit.session.in_flight == 0


@given(st.sampled_from([*State]), st.sampled_from([*Role]), st.lists(any_pdu, max_size=4))
def test_no_pdu_brings_a_session_down(state: State, role: Role, pdus: list[Pdu]) -> None:
    kit = in_state(state, role)
    kit.receive(*pdus)
    kit.clock.advance(1)
    assert kit.failures == []
    # A response is never answered, which would go on for ever.
    asked = [pdu.sequence_number for pdu in pdus if not pdu.is_response]
    for pdu in kit.written():
        if pdu.is_response:
            assert pdu.sequence_number in asked


@given(st.lists(st.binary(max_size=60)))
def test_arbitrary_bytes_never_raise(chunks: list[bytes]) -> None:
    kit = in_state(State.BOUND)
    for chunk in chunks:
        kit.session.receive(chunk)
    assert kit.failures == []


# The other role


@pytest.mark.parametrize("bind_type", BindType)
def test_an_smsc_is_bound_as_the_bind_says(bind_type: BindType) -> None:
    kit = SessionKit(Role.SMSC)
    kit.session.connected()
    assert kit.written() == []
    bind = BIND_CLASSES[bind_type](sequence_number=4, system_id="them")
    kit.receive(bind)
    assert kit.binds == [bind]
    kit.session.answer_bind(bind, system_id="SMSC")
    assert kit.written() == [bind.respond(system_id="SMSC")]
    assert kit.session.state_name == f"BOUND_{bind_type.name}"
    kit.receive(SubmitSm(sequence_number=5))
    allowed = bind_type is not BindType.RX
    assert len(kit.requests) == allowed
    kit.written()
    kit.send(DeliverSm())
    assert len(kit.written()) == (bind_type is not BindType.TX)


def test_an_smsc_refuses_a_bind_and_closes() -> None:
    kit = in_state(State.OPEN, Role.SMSC)
    bind = BindReceiver(sequence_number=4)
    kit.receive(bind)
    kit.session.answer_bind(bind, CommandStatus.ESME_RINVPASWD)
    assert [pdu.status_name for pdu in kit.written()] == ["ESME_RINVPASWD"]
    assert kit.closed
    kit.session.answer_bind(bind)
    assert kit.written() == []


def test_an_smsc_is_bound_only_once() -> None:
    kit = in_state(State.BOUND, Role.SMSC)
    kit.receive(BindTransceiver(sequence_number=4))
    assert [pdu.status_name for pdu in kit.written()] == ["ESME_RALYBND"]
    assert kit.state is State.BOUND


def test_an_smsc_refuses_messages_before_the_bind() -> None:
    kit = in_state(State.OPEN, Role.SMSC)
    kit.receive(SubmitSm(sequence_number=4))
    assert [pdu.status_name for pdu in kit.written()] == ["ESME_RINVBNDSTS"]


def test_an_smsc_asks_for_the_link_after_an_interval() -> None:
    kit = SessionKit(Role.SMSC, enquire_link_interval=10).bind()
    kit.clock.advance(10)
    assert [type(pdu) for pdu in kit.written()] == [EnquireLink]
    kit.clock.advance(10)
    assert kit.state is State.UNBINDING


def test_an_smsc_gives_notifications() -> None:
    kit = in_state(State.BOUND, Role.SMSC)
    kit.session.notify(AlertNotification(source_addr="1"))
    assert [pdu.name for pdu in kit.written()] == ["alert_notification"]
    kit.session.connection_lost()
    with pytest.raises(RequestNotSent):
        kit.session.notify(AlertNotification())


def test_two_sessions_understand_each_other() -> None:
    esme, smsc = SessionKit(), SessionKit(Role.SMSC)
    esme.session.connected()
    smsc.session.connected()

    def carry() -> None:
        while (there := esme.written()) or (back := smsc.written()):
            smsc.receive(*there)
            esme.receive(*(back if not there else smsc.written()))

    carry()
    smsc.session.answer_bind(smsc.binds[0])
    carry()
    assert esme.session.bound
    assert smsc.session.bound
    esme.send(SubmitSm(short_message=b"hi"))
    smsc.send(DeliverSm(short_message=b"ho"))
    carry()
    smsc.session.respond(smsc.requests[0], message_id="1")
    esme.session.respond(esme.requests[0])
    carry()
    assert [pdu.name for pdu in esme.responses + smsc.responses] == [
        "submit_sm_resp",
        "deliver_sm_resp",
    ]
    esme.session.stop()
    carry()
    assert esme.closed
    assert smsc.closed
