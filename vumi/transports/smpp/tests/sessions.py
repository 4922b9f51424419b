"""A session without a connection: what goes in is written down, what comes out is collected."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from twisted.internet.task import Clock

from vumi.transports.smpp.pdu import (
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    Pdu,
    PduReader,
    decode,
)
from vumi.transports.smpp.session import Role, Session, SessionSettings
from vumi.transports.smpp.transitions import BindType, Event, State

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

__all__ = ["BIND_CLASSES", "Counter", "SessionKit"]

BIND_CLASSES: dict[BindType, Any] = {
    BindType.TRX: BindTransceiver,
    BindType.TX: BindTransmitter,
    BindType.RX: BindReceiver,
}


class Counter:
    """Sequence numbers from 1 on."""

    def __init__(self, first: int = 1) -> None:
        self._numbers = count(first)

    def take(self) -> int:
        return next(self._numbers)


class SessionKit:
    """A session, its handler, and the other side."""

    def __init__(self, role: Role = Role.ESME, **settings: Any) -> None:
        self.clock = Clock()
        self.settings = SessionSettings(**{"system_id": "me", "password": "pw", **settings})
        self.session = Session(self.settings, Counter(), self, self.clock.seconds, role)
        self.closed = self.aborted = False
        self.states: list[tuple[State, State, Event]] = []
        self.details: list[Any] = []
        self.requests: list[Pdu] = []
        self.notifications: list[Pdu] = []
        self.late: list[tuple[Pdu, Pdu]] = []
        self.complaints: list[str] = []
        self.failures: list[Failure] = []
        self.binds: list[Pdu] = []
        self.rooms = 0
        self.responses: list[Any] = []
        self.errors: list[Failure] = []
        self.raises: Exception | None = None
        self._reader = PduReader()
        self._written: list[Pdu] = []
        self._call: IDelayedCall | None = None

    # What a test does

    @property
    def state(self) -> State:
        return self.session.state

    def bind(self) -> SessionKit:
        """Bring it to the state in which messages may go."""
        self.session.connected()
        if self.session.role is Role.ESME:
            (bind,) = self.written()
            self.receive(bind.respond())
        else:
            bind_class = BIND_CLASSES[self.settings.bind_type]
            self.receive(bind_class(sequence_number=1))
            self.session.answer_bind(self.binds[-1])
        assert self.state is State.BOUND
        self.written()
        self.states.clear()
        return self

    def receive(self, *pdus: Pdu) -> None:
        self.session.receive(b"".join(pdu.encode() for pdu in pdus))

    def written(self) -> list[Pdu]:
        """What was written since this was asked last."""
        written, self._written = self._written, []
        return written

    def send(self, pdu: Pdu) -> int:
        return self.session.send_request(pdu, self.responses.append, self.errors.append)

    # SessionHandler

    def write(self, data: bytes) -> None:
        self._written += map(decode, self._reader.feed(data))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def wake_at(self, when: float) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = self.clock.callLater(max(when - self.clock.seconds(), 0), self.session.tick)

    def state_changed(self, old: State, new: State, event: Event, detail: Any) -> None:
        self.states.append((old, new, event))
        self.details.append(detail)

    def request_received(self, pdu: Pdu) -> None:
        self.requests.append(pdu)
        if self.raises is not None:
            raise self.raises

    def notification_received(self, pdu: Pdu) -> None:
        self.notifications.append(pdu)

    def bind_requested(self, pdu: Any) -> None:
        self.binds.append(pdu)

    def late_response(self, request: Pdu, response: Pdu) -> None:
        self.late.append((request, response))

    def has_room(self) -> None:
        self.rooms += 1

    def complain(self, what: str, pdu: Pdu | None) -> None:
        self.complaints.append(what)

    def callback_failed(self, failure: Failure, pdu: Pdu | None) -> None:
        self.failures.append(failure)
