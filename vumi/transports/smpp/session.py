"""The life of one SMPP connection: bound, alive, unbound, and who owes whom a response.

Knows SMPP's rules and the time. Knows no sockets, no reactor and no messages: bytes come in by
:meth:`Session.receive`, what is to be done goes out by a :class:`SessionHandler`, and time passes
when :meth:`Session.tick` is called. It is either end of the connection: ESME or SMSC
(:class:`~vumi.transports.smpp.transitions.Role`).

Theory of operation. All that can happen is an :class:`~vumi.transports.smpp.transitions.Event`: a
PDU of some kind has come, a time is over, somebody wants something.
:data:`~vumi.transports.smpp.transitions.TRANSITIONS` says for each state what an event makes of
it: actions, in their order, and the next state. An event that a state has no line for is ignored.
There is no other place where the state changes. The table in the documentation is made of it.

The window: no more than ``window_size`` requests of ours are without a response, links and binds
not counted. A request that gets none in time fails; the session remembers it for a while, should
the response be late.

How fast messages may go, and what to do when the SMSC says that it is too fast, is not decided
here, as it concerns all connections together: :mod:`vumi.transports.smpp.outbox`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from twisted.python.failure import Failure

from vumi.errors import VumiError
from vumi.transports.smpp.constants import (
    RESPONSE_BIT,
    CommandId,
    CommandStatus,
    status_name,
)
from vumi.transports.smpp.pdu import (
    DEFAULT_MAX_LENGTH,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    EnquireLink,
    GenericNack,
    Pdu,
    PduDecodeError,
    PduEncodeError,
    PduError,
    PduFramingError,
    PduReader,
    Unbind,
    decode,
    response_class,
)
from vumi.transports.smpp.transitions import TRANSITIONS, BindType, Event, Role, State

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BindType",
    "Event",
    "RequestFailed",
    "RequestNotSent",
    "ResponseLost",
    "ResponseTimeout",
    "Role",
    "SequenceNumbers",
    "Session",
    "SessionHandler",
    "SessionSettings",
    "State",
]

#: So many requests are remembered whose response was not there in time.
MAX_LATE = 10_000


# What can become of a request that gets no response


class RequestFailed(VumiError):
    """A request got no response."""


class RequestNotSent(RequestFailed):
    """A request was not sent: the session is not bound for it, or its window is full.

    To send it again, on this connection or another, can't make two messages of it.
    """


class ResponseTimeout(RequestFailed):
    """There was no response in time. Whether the request was carried out is not known."""


class ResponseLost(RequestFailed):
    """The connection ended before the response. It is not known what became of the request."""


_SUBMITS: frozenset[int] = frozenset(
    (
        CommandId.submit_sm,
        CommandId.submit_multi,
        CommandId.data_sm,
        CommandId.query_sm,
        CommandId.cancel_sm,
        CommandId.replace_sm,
    )
)
_DELIVERS: frozenset[int] = frozenset((CommandId.deliver_sm, CommandId.data_sm))
_NOTIFICATIONS: frozenset[int] = frozenset((CommandId.alert_notification, CommandId.outbind))
_BINDS: dict[int, BindType] = {
    CommandId.bind_transceiver: BindType.TRX,
    CommandId.bind_transmitter: BindType.TX,
    CommandId.bind_receiver: BindType.RX,
}
_BIND_CLASSES = {
    BindType.TRX: BindTransceiver,
    BindType.TX: BindTransmitter,
    BindType.RX: BindReceiver,
}
_BIND_RESPONSES = frozenset(command | RESPONSE_BIT for command in _BINDS)


@dataclass(frozen=True, kw_only=True)
class SessionSettings:
    """What a session is told once. Times are in seconds.

    :param bind_type: What an ESME binds for. An SMSC learns it from the bind.
    :param system_id: The name to bind with.
    :param password: The password to bind with.
    :param system_type: What kind of system we are.
    :param interface_version: The version of SMPP, 0x34 is 3.4.
    :param addr_ton: The type of number of `address_range`.
    :param addr_npi: The numbering plan of `address_range`.
    :param address_range: The addresses whose messages an ESME wants.
    :param bind_timeout: How long binding may take.
    :param enquire_link_interval: How often an enquire_link is sent. After twice that time without
        any PDU the other side is given up. 0: never.
    :param response_timeout: How long a request may be without a response. 0: for ever.
    :param unbind_timeout: How long to wait for unbind_resp.
    :param close_timeout: How long to wait until what was written has gone and the connection ends.
    :param window_size: How many requests may be without a response at a time.
    :param max_pdu_length: A PDU that says it has more octets breaks the stream.
    """

    bind_type: BindType = BindType.TRX
    system_id: str = ""
    password: str = field(default="", repr=False)
    system_type: str = ""
    interface_version: int = 0x34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    bind_timeout: float = 30
    enquire_link_interval: float = 55
    response_timeout: float = 60
    unbind_timeout: float = 2
    close_timeout: float = 5
    window_size: int = 20
    max_pdu_length: int = DEFAULT_MAX_LENGTH


class SequenceNumbers(Protocol):
    """Where sequence numbers come from."""

    def take(self) -> int:
        """The next one, 1 to 0x7FFFFFFF. Never waits."""
        ...


class SessionHandler(Protocol):
    """What a session has done by others: its connection's side, and its user's."""

    def write(self, data: bytes) -> object:
        """Send bytes."""

    def close(self) -> object:
        """Close the connection, once what was written has gone."""

    def abort(self) -> object:
        """Cut the connection."""

    def wake_at(self, when: float) -> object:
        """Call :meth:`Session.tick` at that time. Overrides what was asked before."""

    def state_changed(self, old: State, new: State, event: Event, detail: Any) -> object:
        """The session is in another state.

        :param detail: The PDU or :class:`~vumi.transports.smpp.pdu.PduError` that did it, or the
            reason of :meth:`Session.connection_lost`; ``None`` if there is none.
        """

    def request_received(self, pdu: Pdu) -> object:
        """A request is to be dealt with; :meth:`Session.respond` must be called in the end.

        If this raises, the request is answered with ``ESME_RX_T_APPN``: try again later.
        """

    def notification_received(self, pdu: Pdu) -> object:
        """An alert_notification or outbind has come. There is no response to it."""

    def bind_requested(self, pdu: Any) -> object:
        """SMSC: somebody wants to bind; :meth:`Session.answer_bind` must be called in the end."""

    def late_response(self, request: Pdu, response: Pdu) -> object:
        """The response to a request has come that had failed by :class:`ResponseTimeout`.

        :param request: The request, the very object; if it was sent again meanwhile it has
            another sequence number now.
        """

    def has_room(self) -> object:
        """The window was full, and is no more."""

    def complain(self, what: str, pdu: Pdu | None) -> object:
        """The other side did what it should not; for the log."""

    def callback_failed(self, failure: Failure, pdu: Pdu | None) -> object:
        """Something that was called with a PDU has raised."""


class _Request(NamedTuple):
    """A request of ours that waits for its response."""

    pdu: Pdu
    response_id: int
    deadline: float
    on_response: Callable[[Any], object]
    on_failure: Callable[[Failure], object]


class Session:
    """One connection's session. Starts anew with each :meth:`connected`.

    :param settings: What it is told.
    :param sequence: Where its sequence numbers come from.
    :param handler: What does things for it.
    :param seconds: Tells the time, in seconds.
    :param role: Which end it is.
    """

    def __init__(
        self,
        settings: SessionSettings,
        sequence: SequenceNumbers,
        handler: SessionHandler,
        seconds: Callable[[], float],
        role: Role = Role.ESME,
    ) -> None:
        self.settings = settings
        self.role = role
        #: The state; only the table changes it.
        self.state = State.CLOSED
        #: What the session is bound for, or will be.
        self.bind_type = settings.bind_type
        self._sequence = sequence
        self._handler = handler
        self._seconds = seconds
        self._table = self._bound_table()
        self._events = self._events_by_command()
        self._reset()

    def _reset(self) -> None:
        self._reader = PduReader(self.settings.max_pdu_length)
        self._in_flight: dict[int, _Request] = {}
        self._late: OrderedDict[int, _Request] = OrderedDict()
        self._timers: dict[Event, float] = {}
        self._wake = inf
        self._last_received = self._seconds()
        self._told_damage = False

    def _bound_table(
        self,
    ) -> dict[State, dict[Event, tuple[tuple[Callable[[Any], None], ...], State]]]:
        table: dict[State, dict[Event, tuple[tuple[Callable[[Any], None], ...], State]]] = {
            state: {} for state in State
        }
        for state, event, actions, next_state in TRANSITIONS:
            methods = tuple(getattr(self, f"_do_{action}") for action in actions)
            table[state][event] = methods, next_state
        return table

    def _events_by_command(self) -> dict[int, Event]:
        """What the coming of a command is, as far as that does not depend on the PDU."""
        esme = self.role is Role.ESME
        receives = self.bind_type.receives if esme else self.bind_type.sends
        events: dict[int, Event] = {
            CommandId.enquire_link: Event.ENQUIRE_RECEIVED,
            CommandId.unbind: Event.UNBIND_RECEIVED,
            CommandId.unbind_resp: Event.UNBIND_ANSWERED,
        }
        for command in _SUBMITS | _DELIVERS:
            events[command] = Event.FORBIDDEN_RECEIVED
            events[command | RESPONSE_BIT] = Event.RESPONSE_RECEIVED
        if receives:
            for command in _DELIVERS if esme else _SUBMITS:
                events[command] = Event.REQUEST_RECEIVED
        for command in _BINDS:
            events[command] = Event.FORBIDDEN_RECEIVED if esme else Event.BIND_RECEIVED
        for command in _NOTIFICATIONS:
            events[command] = Event.NOTIFICATION_RECEIVED
        return events

    # What it is like

    @property
    def bound(self) -> bool:
        """Whether messages may go."""
        return self.state is State.BOUND

    @property
    def state_name(self) -> str:
        """The state under the specification's name: ``BOUND_TRX``, ``OPEN`` ..."""
        if self.state is State.BOUND:
            return f"BOUND_{self.bind_type.value}"
        return self.state.name

    @property
    def in_flight(self) -> int:
        """How many requests wait for their response."""
        return len(self._in_flight)

    @property
    def room(self) -> int:
        """How many requests may be sent now."""
        if self.state is not State.BOUND or not self._may_send_messages():
            return 0
        return max(self.settings.window_size - len(self._in_flight), 0)

    @property
    def can_send(self) -> bool:
        """Whether a message may be sent now: bound for it, and room in the window."""
        return (
            self.state is State.BOUND
            and len(self._in_flight) < self.settings.window_size
            and self._may_send_messages()
        )

    def _may_send_messages(self) -> bool:
        # For each message several times, so not by asking bind_type.sends and .receives.
        refusing = BindType.RX if self.role is Role.ESME else BindType.TX
        return self.bind_type is not refusing

    # What happens outside

    def connected(self) -> None:
        """There is a connection now."""
        self._reset()
        self.bind_type = self.settings.bind_type
        self._events = self._events_by_command()
        self._fire(Event.CONNECTED, None)

    def connection_lost(self, reason: Any = None) -> None:
        """The connection has ended. What has no response yet fails.

        :param reason: Why, for :meth:`SessionHandler.state_changed`.
        """
        self._fire(Event.LOST, reason)

    def receive(self, data: bytes) -> None:
        """Take bytes from the connection."""
        reader = self._reader
        frames = reader.feed(data)
        if frames:
            # Any PDU shows that there is somebody; half of one does not.
            self._last_received = self._seconds()
        for frame in frames:
            # The session may be over after any of them, and be another one even.
            if reader is not self._reader:
                return
            try:
                pdu = decode(frame)
            except PduDecodeError as error:
                self._fire(Event.MALFORMED_RECEIVED, error)
            else:
                if pdu.damage and not self._told_damage:
                    # Once: an SMSC that does so does it with every PDU.
                    self._told_damage = True
                    self._handler.complain(f"{pdu.damage}; it is taken nevertheless", pdu)
                self._receive_pdu(pdu)
        if reader is self._reader and reader.error is not None:
            self._fire(Event.STREAM_BROKEN, reader.error)

    def tick(self) -> None:
        """See what times are over."""
        now = self._seconds()
        self._wake = inf
        if Event.SILENCE in self._timers:
            # It is put off here rather than with each PDU.
            self._timers[Event.SILENCE] = self._last_received + self._silence()
        # Not in any order: of those that are due one, at most, means something in any state.
        for event in [event for event, when in self._timers.items() if when <= now]:
            if self._timers.pop(event, inf) <= now:
                self._fire(event, None)
        while self._in_flight and self._oldest().deadline <= now:
            self._fire(Event.RESPONSE_TIMEOUT, None)
        due = min(self._timers.values(), default=inf)
        if self._in_flight:
            due = min(due, self._oldest().deadline)
        self._wake_by(due)

    # What its user wants

    def stop(self) -> None:
        """Unbind, and close the connection."""
        self._fire(Event.STOP, None)

    def send_request(
        self,
        pdu: Pdu,
        on_response: Callable[[Any], object],
        on_failure: Callable[[Failure], object],
    ) -> int:
        """Send a request, with a sequence number that it gets here.

        Exactly one of the callables is called, in the end. Nothing is raised for a request that
        can't be sent: it fails.

        :param on_response: Called with the response, whatever its status, a generic_nack too.
        :param on_failure: Called with the Failure of a :class:`RequestFailed`, or of a
            :class:`~vumi.transports.smpp.pdu.PduEncodeError`.
        :returns: The sequence number; 0 if it was not sent.
        """
        refusal = self._refusal(pdu)
        if refusal:
            on_failure(Failure(RequestNotSent(f"This {pdu.name} was not sent: {refusal}.")))
            return 0
        number = self._take_number()
        pdu.sequence_number = number
        try:
            data = pdu.encode()
        except PduEncodeError:
            on_failure(Failure())
            return 0
        timeout = self.settings.response_timeout
        deadline = self._seconds() + timeout if timeout > 0 else inf
        self._in_flight[number] = _Request(
            pdu, pdu.COMMAND | RESPONSE_BIT, deadline, on_response, on_failure
        )
        self._handler.write(data)
        if deadline < self._wake:
            self._wake_by(deadline)
        return number

    def notify(self, pdu: Pdu) -> None:
        """Send what has no response: an alert_notification, or an outbind.

        :raises RequestNotSent: there is no connection that may take it.
        :raises PduEncodeError: it can't be sent.
        """
        if self.state not in (State.OPEN, State.BOUND):
            raise RequestNotSent(f"This {pdu.name} was not sent: {self._state_words()}.")
        pdu.sequence_number = self._take_number()
        self._handler.write(pdu.encode())

    def respond(self, request: Pdu, status: int = CommandStatus.ESME_ROK, **fields: Any) -> bool:
        """Answer a request of the other side.

        :param request: What was given to :meth:`SessionHandler.request_received`.
        :param status: How it fared.
        :param fields: The response's fields, such as ``message_id``.
        :returns: Whether it was sent. It isn't if the session that the request came by is over.
        :raises PduEncodeError: it can't be sent.
        """
        return self.reply(request.respond(status, **fields))

    def reply(self, response: Pdu) -> bool:
        """Send a response that is made already (:meth:`~vumi.transports.smpp.pdu.Pdu.respond`).

        :returns: As :meth:`respond`.
        :raises PduEncodeError: it can't be sent.
        """
        if self.state not in (State.BOUND, State.UNBINDING):
            return False
        self._handler.write(response.encode())
        return True

    def answer_bind(
        self, request: Pdu, status: int = CommandStatus.ESME_ROK, **fields: Any
    ) -> None:
        """SMSC: answer a bind; what is not accepted is closed.

        :param request: What was given to :meth:`SessionHandler.bind_requested`.
        :param status: ``ESME_ROK`` accepts it.
        :param fields: The response's fields, such as ``system_id``.
        """
        if self.state is not State.OPEN:
            return
        response = request.respond(status, **fields)
        self._handler.write(response.encode())
        if response.ok:
            self.bind_type = _BINDS[request.command_id]
            self._events = self._events_by_command()
        self._fire(Event.BIND_ACCEPTED if response.ok else Event.BIND_REFUSED, response)

    # Inside

    def _fire(self, event: Event, detail: Any) -> None:
        """Have the table say what an event does."""
        state = self.state
        transition = self._table[state].get(event)
        if transition is None:
            return
        actions, next_state = transition
        if next_state is not state:
            # First, so that nothing that an action calls is sent into the old state.
            self.state = next_state
        for action in actions:
            action(detail)
        if next_state is not state:
            self._handler.state_changed(state, next_state, event, detail)

    def _receive_pdu(self, pdu: Pdu) -> None:
        event = self._events.get(pdu.command_id)
        if event is None:
            event = self._rare_event(pdu)
        try:
            self._fire(event, pdu)
        except Exception:  # noqa: BLE001 (of what was called; the PDUs after this one are to come)
            self._handler.callback_failed(Failure(), pdu)
            if event is Event.REQUEST_RECEIVED:
                self.respond(pdu, CommandStatus.ESME_RX_T_APPN)

    def _rare_event(self, pdu: Pdu) -> Event:
        command = pdu.command_id
        if command in _BIND_RESPONSES and self.role is Role.ESME:
            return Event.BIND_ACCEPTED if pdu.ok else Event.BIND_REFUSED
        if command == CommandId.generic_nack:
            # Only one thing can be meant then, and not all SMSCs get the sequence number right.
            if self.state is State.OPEN and self.role is Role.ESME:
                return Event.BIND_REFUSED
            if self.state is State.UNBINDING and pdu.sequence_number not in self._in_flight:
                return Event.UNBIND_ANSWERED
            return Event.RESPONSE_RECEIVED
        if pdu.is_response:
            return Event.RESPONSE_RECEIVED
        return Event.UNSUPPORTED_RECEIVED

    def _refusal(self, pdu: Pdu) -> str:
        """Why a request can't be sent, in words."""
        if self.state is not State.BOUND:
            return self._state_words()
        commands = _SUBMITS if self.role is Role.ESME else _DELIVERS
        if pdu.command_id not in commands:
            return f"it is nothing that an {self.role.value} sends"
        if not self._may_send_messages():
            return f"the session is {self.state_name}"
        if len(self._in_flight) >= self.settings.window_size:
            return f"{self.settings.window_size} requests wait for their response already"
        return ""

    def _state_words(self) -> str:
        return f"the session is not bound, but {self.state.value}"

    def _take_number(self) -> int:
        number = self._sequence.take()
        # They start anew some day, and something may still be without its response.
        while number in self._in_flight:
            number = self._sequence.take()
        return number

    def _oldest(self) -> _Request:
        return next(iter(self._in_flight.values()))

    def _silence(self) -> float:
        return 2 * self.settings.enquire_link_interval

    def _start_timer(self, event: Event, delay: float) -> None:
        when = self._timers[event] = self._seconds() + delay
        self._wake_by(when)

    def _wake_by(self, when: float) -> None:
        if when < self._wake:
            self._wake = when
            self._handler.wake_at(when)

    def _send(self, pdu: Pdu) -> None:
        pdu.sequence_number = self._take_number()
        self._handler.write(pdu.encode())

    # Actions, each called with the event's detail

    def _do_begin(self, _: Any) -> None:
        self._start_timer(Event.BIND_TIMEOUT, self.settings.bind_timeout)
        if self.role is Role.SMSC:
            return
        settings = self.settings
        self._send(
            _BIND_CLASSES[self.bind_type](
                system_id=settings.system_id,
                password=settings.password,
                system_type=settings.system_type,
                interface_version=settings.interface_version,
                addr_ton=settings.addr_ton,
                addr_npi=settings.addr_npi,
                address_range=settings.address_range,
            )
        )

    def _do_enter(self, _: Any) -> None:
        del self._timers[Event.BIND_TIMEOUT]
        if self.settings.enquire_link_interval <= 0:
            return
        self._start_timer(Event.SILENCE, self._silence())
        if self.role is Role.ESME:
            self._do_enquire(None)
        else:
            self._start_timer(Event.ENQUIRE_DUE, self.settings.enquire_link_interval)

    def _do_enquire(self, _: Any) -> None:
        self._send(EnquireLink())
        self._start_timer(Event.ENQUIRE_DUE, self.settings.enquire_link_interval)

    def _do_unbind(self, _: Any) -> None:
        self._timers.clear()
        self._start_timer(Event.UNBIND_TIMEOUT, self.settings.unbind_timeout)
        self._send(Unbind())

    def _do_close(self, _: Any) -> None:
        self._timers.clear()
        self._start_timer(Event.CLOSE_TIMEOUT, self.settings.close_timeout)
        self._handler.close()

    def _do_abort(self, _: Any) -> None:
        self._handler.abort()

    def _do_forget(self, _: Any) -> None:
        requests = list(self._in_flight.values())
        self._reset()
        for request in requests:
            lost = ResponseLost(
                f"The connection ended before the response to this {request.pdu.name}."
            )
            self._call(request.on_failure, Failure(lost), request.pdu)

    def _do_answer(self, pdu: Pdu) -> None:
        self._handler.write(pdu.respond().encode())

    def _do_refuse(self, pdu: Pdu) -> None:
        self._complain_and_answer("it is not for this bind", pdu, CommandStatus.ESME_RINVBNDSTS)

    def _do_refuse_bind(self, pdu: Pdu) -> None:
        self._complain_and_answer("it is bound already", pdu, CommandStatus.ESME_RALYBND)

    def _do_postpone(self, pdu: Pdu) -> None:
        self._handler.write(pdu.respond(CommandStatus.ESME_RX_T_APPN).encode())

    def _do_nack(self, pdu: Pdu) -> None:
        self._handler.complain("the command is not known", pdu)
        nack = GenericNack(
            sequence_number=pdu.sequence_number, command_status=CommandStatus.ESME_RINVCMDID
        )
        self._handler.write(nack.encode())

    def _do_reject(self, error: PduError) -> None:
        self._handler.complain(str(error), None)
        command = error.command_id or 0
        answer: type[Pdu] = GenericNack
        if not isinstance(error, PduFramingError):
            if command & RESPONSE_BIT:
                # A response is never answered.
                return
            answer = response_class(command) or GenericNack
        pdu = answer(sequence_number=error.sequence_number, command_status=error.status)
        self._handler.write(pdu.encode())

    def _do_judge_bind(self, pdu: Pdu) -> None:
        self._handler.bind_requested(pdu)

    def _do_hand_over(self, pdu: Pdu) -> None:
        self._handler.request_received(pdu)

    def _do_notify(self, pdu: Pdu) -> None:
        self._handler.notification_received(pdu)

    def _do_settle(self, pdu: Pdu) -> None:
        number = pdu.sequence_number
        request = self._in_flight.get(number)
        if request is None or not _answers(pdu, request):
            self._settle_late(pdu)
            return
        was_full = len(self._in_flight) >= self.settings.window_size
        del self._in_flight[number]
        self._call(request.on_response, pdu, pdu)
        if was_full and self.can_send:
            self._handler.has_room()

    def _settle_late(self, pdu: Pdu) -> None:
        request = self._late.get(pdu.sequence_number)
        if request is not None and _answers(pdu, request):
            del self._late[pdu.sequence_number]
            self._handler.late_response(request.pdu, pdu)
        elif pdu.command_id != CommandId.enquire_link_resp:
            self._handler.complain("nothing was asked that this answers", pdu)

    def _do_expire(self, _: Any) -> None:
        number, request = next(iter(self._in_flight.items()))
        was_full = len(self._in_flight) >= self.settings.window_size
        del self._in_flight[number]
        self._late[number] = request
        if len(self._late) > MAX_LATE:
            self._late.popitem(last=False)
        timeout = ResponseTimeout(
            f"There was no response to this {request.pdu.name} within "
            f"{self.settings.response_timeout:g} seconds."
        )
        self._call(request.on_failure, Failure(timeout), request.pdu)
        if was_full and self.can_send:
            self._handler.has_room()

    def _call(self, callback: Callable[[Any], object], value: Any, pdu: Pdu) -> None:
        try:
            callback(value)
        except Exception:  # noqa: BLE001 (the callbacks of others are still to be called)
            self._handler.callback_failed(Failure(), pdu)

    def _complain_and_answer(self, what: str, pdu: Pdu, status: int) -> None:
        self._handler.complain(f"{what}: {status_name(status)}", pdu)
        self._handler.write(pdu.respond(status).encode())


def _answers(response: Pdu, request: _Request) -> bool:
    command = response.command_id
    return command in (request.response_id, CommandId.generic_nack)
