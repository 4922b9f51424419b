"""A session on a Twisted transport: bytes, timers, and requests that are answered later.

Knows Twisted's protocols and clock, and drives a :class:`~vumi.transports.smpp.session.Session`;
SMPP's rules are there. Knows no vumi message. Both ends of a connection are made of it, in
:mod:`vumi.transports.smpp.esme` and :mod:`vumi.transports.smpp.smsc`.

What is written in one turn of the reactor goes out in one piece, and at once (TCP_NODELAY).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger

from vumi.tasks import as_deferred, is_pending
from vumi.transports.smpp.constants import CommandStatus
from vumi.transports.smpp.pdu import Pdu
from vumi.transports.smpp.session import Role, SequenceNumbers, Session, SessionSettings
from vumi.transports.smpp.transitions import Event, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

__all__ = ["MAX_UNANSWERED", "ConnectionListener", "SmppConnection"]

#: So many requests of the other side may wait for us. More are answered "try again later", which
#: keeps the memory bounded while nothing can be published.
MAX_UNANSWERED = 1000


class ConnectionListener(Protocol):
    """Who is told what happens on a connection. ``connection`` is the :class:`SmppConnection`."""

    def state_changed(
        self, connection: Any, old: State, new: State, event: Event, detail: Any
    ) -> object:
        """The session is in another state.

        :param event: What has happened: ``BIND_REFUSED``, ``SILENCE`` ...
        :param detail: The PDU that did it; with ``LOST``, the Failure that says why.
        """

    def request_received(self, connection: Any, pdu: Any) -> Any:
        """A request is to be dealt with: deliver_sm or data_sm; at an SMSC submit_sm and so on.

        :returns: ``None``: answered with ``ESME_ROK``. A number: answered with that status. A PDU:
            it is the answer. Or a Deferred or coroutine of one of these. A failure is answered
            with ``ESME_RX_T_APPN``, try again later, and logged.
        """

    def notification_received(self, connection: Any, pdu: Any) -> object:
        """An alert_notification or outbind has come; there is no answer to it."""

    def late_response(self, connection: Any, request: Any, response: Any) -> object:
        """A response has come to a request that had failed, as it took too long."""

    def has_room(self, connection: Any) -> object:
        """The window was full, and is no more."""


class SmppConnection(TwistedProtocol):
    """One connection.

    :param settings: What its session is told.
    :param sequence: Where its sequence numbers come from.
    :param listener: Who is told what happens.
    :param clock: For timers.
    :param name: What it is called in logs.
    """

    ROLE: ClassVar[Role]

    log = Logger()

    # Any: the interfaces that it has depend on the endpoint.
    transport: Any

    def __init__(
        self,
        settings: SessionSettings,
        sequence: SequenceNumbers,
        listener: ConnectionListener,
        clock: IReactorTime,
        name: str = "smpp",
    ) -> None:
        self.name = name
        self.listener = listener
        self.session = Session(settings, sequence, self, clock.seconds, self.ROLE)
        self._clock = clock
        self._out: list[bytes] = []
        self._in_data = False
        self._flush_later: IDelayedCall | None = None
        self._timer: IDelayedCall | None = None
        self._unanswered = 0
        self._end_waiters: list[Deferred[None]] = []

    # What it is like

    @property
    def state(self) -> str:
        """The session's state under the specification's name: ``BOUND_TRX``, ``OPEN`` ..."""
        return self.session.state_name

    @property
    def bound(self) -> bool:
        """Whether it is bound."""
        return self.session.bound

    @property
    def can_send(self) -> bool:
        """Whether a message may be sent now: bound for it, and room in the window."""
        return self.session.can_send

    @property
    def room(self) -> int:
        """How many messages may be sent now."""
        return self.session.room

    @property
    def in_flight(self) -> int:
        """How many requests wait for their response."""
        return self.session.in_flight

    @property
    def unanswered(self) -> int:
        """How many requests of the other side have no answer from us yet."""
        return self._unanswered

    # What its user wants

    def send_request(
        self,
        pdu: Pdu,
        on_response: Callable[[Any], object],
        on_failure: Callable[[Failure], object],
    ) -> int:
        """Send a request; exactly one of the callables is called in the end.

        See :meth:`vumi.transports.smpp.session.Session.send_request`.
        """
        return self.session.send_request(pdu, on_response, on_failure)

    def submit(self, pdu: Pdu) -> Deferred[Any]:
        """Send a request.

        :returns: Fires with the response, whatever its status.
        :raises RequestNotSent: It was not sent.
        :raises ResponseTimeout: There was no response in time.
        :raises ResponseLost: The connection ended before the response.
        :raises PduEncodeError: It has a value that it can't have.
        """
        answered: Deferred[Any] = Deferred()
        self.session.send_request(pdu, answered.callback, answered.errback)
        return answered

    def disconnect(self) -> Deferred[None]:
        """Unbind, and close the connection.

        :returns: Fires when it has ended.
        """
        if self.session.state is State.CLOSED:
            return succeed(None)
        ended: Deferred[None] = Deferred()
        self._end_waiters.append(ended)
        self.session.stop()
        return ended

    # Twisted's side

    def connectionMade(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            # Behind enquire_link, for sessions that have none.
            self.transport.setTcpKeepAlive(True)
        self.session.connected()

    def dataReceived(self, data: bytes) -> None:
        self._in_data = True
        try:
            self.session.receive(data)
        finally:
            self._in_data = False
            self._flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        for call in (self._timer, self._flush_later):
            if call is not None and call.active():
                call.cancel()
        self._timer = self._flush_later = None
        self._out.clear()
        self.session.connection_lost(reason)
        waiters, self._end_waiters = self._end_waiters, []
        for waiter in waiters:
            waiter.callback(None)

    # The session's side

    def write(self, data: bytes) -> None:
        """Send bytes, at the end of this turn of the reactor."""
        self._out.append(data)
        if self._flush_later is None and not self._in_data:
            self._flush_later = self._clock.callLater(0, self._flush)

    def _flush(self) -> None:
        later, self._flush_later = self._flush_later, None
        if later is not None and later.active():
            later.cancel()
        if self._out:
            data = b"".join(self._out)
            self._out.clear()
            self.transport.write(data)

    def close(self) -> None:
        """Close the connection, once what was written has gone."""
        self._flush()
        self.transport.loseConnection()

    def abort(self) -> None:
        """Cut the connection."""
        self.log.warn(
            "{name}: the connection does not end; it is cut",
            event="smpp-aborted",
            name=self.name,
        )
        self.transport.abortConnection()

    def wake_at(self, when: float) -> None:
        """Have the session look at the time then."""
        delay = max(when - self._clock.seconds(), 0)
        if self._timer is not None and self._timer.active():
            self._timer.reset(delay)
        else:
            self._timer = self._clock.callLater(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.session.tick()

    def state_changed(self, old: State, new: State, event: Event, detail: Any) -> None:
        """Tell the log and the listener."""
        self._log_state(event, detail)
        self.listener.state_changed(self, old, new, event, detail)

    def _log_state(self, event: Event, detail: Any) -> None:
        if event is Event.BIND_REFUSED:
            self.log.warn(
                "{name}: Unable to bind: {status!r}",
                event="smpp-bind-refused",
                name=self.name,
                status=detail.status_name,
            )
        elif event is Event.BIND_TIMEOUT:
            self.log.warn(
                "{name}: no answer to the bind", event="smpp-bind-timeout", name=self.name
            )
        elif event is Event.SILENCE:
            self.log.warn(
                "{name}: Disconnecting, no response from SMSC for longer than {seconds:g} seconds",
                event="smpp-silence",
                name=self.name,
                seconds=2 * self.session.settings.enquire_link_interval,
            )
        else:
            self.log.info(
                "{name}: {what}; now {state}",
                event="smpp-state",
                name=self.name,
                what=event.value,
                state=self.session.state_name,
            )

    def request_received(self, pdu: Pdu) -> None:
        """Have the listener deal with a request, and answer it then."""
        if self._unanswered >= MAX_UNANSWERED:
            self.session.respond(pdu, CommandStatus.ESME_RX_T_APPN)
            return
        result = self.listener.request_received(self, pdu)
        if not is_pending(result):
            self._answer(pdu, result)
            return
        self._unanswered += 1

        def answer(outcome: Any) -> None:
            self._answer(pdu, outcome)

        def failed(failure: Failure) -> None:
            self.callback_failed(failure, pdu)
            self.session.respond(pdu, CommandStatus.ESME_RX_T_APPN)

        def over(_: object) -> None:
            self._unanswered -= 1

        _ = as_deferred(lambda: result).addCallback(answer).addErrback(failed).addBoth(over)

    def _answer(self, pdu: Pdu, outcome: Any) -> None:
        if isinstance(outcome, Pdu):
            sent = self.session.reply(outcome)
        else:
            status = CommandStatus.ESME_ROK if outcome is None else int(outcome)
            sent = self.session.respond(pdu, status)
        if not sent:
            self.log.info(
                "{name}: the connection ended before {command} was answered; it will come again",
                event="smpp-unanswered",
                name=self.name,
                command=pdu.name,
            )

    def notification_received(self, pdu: Pdu) -> None:
        """Tell the listener."""
        self.listener.notification_received(self, pdu)

    def bind_requested(self, pdu: Any) -> None:
        """Refuse: who can be bound to overrides this."""
        self.session.answer_bind(pdu, CommandStatus.ESME_RBINDFAIL)

    def late_response(self, request: Pdu, response: Pdu) -> None:
        """Tell the listener."""
        self.listener.late_response(self, request, response)

    def has_room(self) -> None:
        """Tell the listener."""
        self.listener.has_room(self)

    def complain(self, what: str, pdu: Pdu | None) -> None:
        """Tell the log."""
        self.log.warn(
            "{name}: {command}: {what}",
            event="smpp-complaint",
            name=self.name,
            command="PDU" if pdu is None else pdu.name,
            sequence_number=0 if pdu is None else pdu.sequence_number,
            what=what,
        )

    def callback_failed(self, failure: Failure, pdu: Pdu | None) -> None:
        """Tell the log."""
        self.log.failure(
            "{name}: dealing with {command} {number} failed",
            failure,
            event="smpp-failed",
            name=self.name,
            command="a PDU" if pdu is None else pdu.name,
            number=0 if pdu is None else pdu.sequence_number,
        )
