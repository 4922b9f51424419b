"""The binds of one transport: connected, connected again, and one chosen for each message.

Knows back-off and which bind has room. What goes on on each is in
:mod:`vumi.transports.smpp.connection`. Knows no vumi message.

A bind's delay grows from one attempt to the next until a bind succeeds. That the SMSC takes the
connection is not enough: one that refuses our password would be asked again and again at once.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, Protocol

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from vumi.reconnecting_client import ReconnectingClientService
from vumi.transports.smpp.esme import EsmeProtocol, EsmeProtocolFactory
from vumi.transports.smpp.session import RequestNotSent, SequenceNumbers, SessionSettings
from vumi.transports.smpp.transitions import Event, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

    from vumi.transports.smpp.pdu import Pdu

__all__ = ["ServiceListener", "SmppService"]

#: How much longer each delay is than the one before.
FACTOR = math.e
#: No delay but the first is shorter, in seconds.
SHORTEST_DELAY = 1.0
#: How much delays vary, as a fraction of them, so that not all workers come at once.
JITTER = 0.12


class ServiceListener(Protocol):
    """Who is told what happens to the binds. ``bind`` is a bind's number, from 0."""

    def state_changed(
        self, bind: int, old: State, new: State, event: Event, detail: Any
    ) -> object:
        """A bind is in another state; see
        :class:`~vumi.transports.smpp.connection.ConnectionListener`."""

    def connection_failed(self, bind: int, reason: Failure) -> object:
        """An attempt to connect has failed."""

    def may_send(self, possible: bool) -> object:
        """There is a bind now that messages may be sent over, or there is none any more.

        Called when that changes only; a full window does not count.
        """

    def has_room(self) -> object:
        """There may be room in a window that was full, or in that of a new bind."""

    def request_received(self, pdu: Any) -> Any:
        """A deliver_sm or data_sm has come; what is returned answers it, see
        :class:`~vumi.transports.smpp.connection.ConnectionListener`."""

    def notification_received(self, pdu: Any) -> object:
        """An alert_notification has come."""

    def late_response(self, request: Any, response: Any) -> object:
        """A response has come to a request that had failed, as it took too long."""


class SmppService(MultiService):
    """Holds a number of binds.

    :param endpoint: The SMSC.
    :param settings: What sessions are told.
    :param sequence: Where the sequence numbers of all binds come from.
    :param listener: Who is told what happens.
    :param clock: For timers.
    :param binds: How many there are.
    :param initial_reconnect_delay: After how many seconds a lost connection is made again.
    :param max_reconnect_delay: How many seconds there are between two attempts at most.
    :param jitter: How much delays vary, as a fraction of them.
    :param name: What it is called in logs.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        settings: SessionSettings,
        sequence: SequenceNumbers,
        listener: ServiceListener,
        clock: IReactorTime,
        *,
        binds: int = 1,
        initial_reconnect_delay: float = 5,
        max_reconnect_delay: float = 300,
        jitter: float = JITTER,
        name: str = "smpp",
    ) -> None:
        super().__init__()
        self.listener = listener
        self.settings = settings
        self._may_send = False
        self._next_bind = 0
        self._binds: list[_Bind] = []
        for index in range(binds):
            waits = _Waits(initial_reconnect_delay, max_reconnect_delay, jitter)
            bind_name = name if binds == 1 else f"{name}[{index}]"
            bind = _Bind(self, index, endpoint, sequence, clock, waits, bind_name)
            bind.setServiceParent(self)
            self._binds.append(bind)

    # What it is like

    @property
    def connections(self) -> list[EsmeProtocol]:
        """The connections that there are, bound or not."""
        return [bind.connection for bind in self._binds if bind.connection is not None]

    @property
    def bound(self) -> int:
        """How many binds are bound."""
        return sum(connection.bound for connection in self.connections)

    def is_bound(self) -> bool:
        """Whether any bind is bound."""
        return self.bound > 0

    @property
    def may_send(self) -> bool:
        """Whether a bind is bound so that messages may be sent over it, room or not."""
        return self._may_send

    @property
    def can_send(self) -> bool:
        """Whether a message may be sent now: over some bind, with room in its window."""
        for bind in self._binds:
            connection = bind.connection
            if connection is not None and connection.session.can_send:
                return True
        return False

    @property
    def in_flight(self) -> int:
        """How many requests wait for their response."""
        return sum(connection.in_flight for connection in self.connections)

    # What its user wants

    def pick(self) -> EsmeProtocol | None:
        """The connection for the next message: the one with the most room, in turns."""
        best: EsmeProtocol | None = None
        most = 0
        count = len(self._binds)
        first = self._next_bind
        for offset in range(count):
            connection = self._binds[(first + offset) % count].connection
            if connection is not None and connection.session.room > most:
                best, most = connection, connection.session.room
                self._next_bind = (first + offset + 1) % count
        return best

    def send_request(
        self,
        pdu: Pdu,
        on_response: Callable[[Any], object],
        on_failure: Callable[[Failure], object],
    ) -> int:
        """Send a request over some bind; exactly one of the callables is called in the end.

        See :meth:`vumi.transports.smpp.session.Session.send_request`.
        """
        connection = self.pick()
        if connection is not None:
            return connection.session.send_request(pdu, on_response, on_failure)
        on_failure(
            Failure(
                RequestNotSent(
                    f"This {pdu.name} was not sent: no bind can send, or none has room."
                )
            )
        )
        return 0

    def submit(self, pdu: Pdu) -> Deferred[Any]:
        """Send a request over some bind.

        See :meth:`vumi.transports.smpp.connection.SmppConnection.submit`.
        """
        answered: Deferred[Any] = Deferred()
        self.send_request(pdu, answered.callback, answered.errback)
        return answered

    # What the binds tell

    def bind_state_changed(
        self, bind: int, old: State, new: State, event: Event, detail: Any
    ) -> None:
        """A bind is in another state."""
        self.listener.state_changed(bind, old, new, event, detail)
        may_send = self.settings.bind_type.sends and self.bound > 0
        if may_send is not self._may_send:
            self._may_send = may_send
            self.listener.may_send(may_send)
        if new is State.BOUND and self.settings.bind_type.sends:
            self.listener.has_room()


class _Waits:
    """How long to wait before each attempt to connect.

    :param initial: The first wait, in seconds.
    :param longest: The longest, in seconds.
    :param jitter: How much they vary, as a fraction of them.
    """

    def __init__(self, initial: float, longest: float, jitter: float) -> None:
        self._initial = initial
        self._longest = longest
        self._jitter = jitter
        self._last: float | None = None

    def reset(self) -> None:
        """Begin with the first one again."""
        self._last = None

    def next(self) -> float:
        """The next wait, in seconds."""
        if self._last is None:
            self._last = self._initial
        else:
            self._last = max(self._last * FACTOR, SHORTEST_DELAY)
        self._last = min(self._last, self._longest)
        varied = random.normalvariate(self._last, self._last * self._jitter)
        return min(max(varied, 0), self._longest)


class _Bind(ReconnectingClientService):
    """One of a service's binds: a connection that is made again when it is lost."""

    def __init__(
        self,
        service: SmppService,
        index: int,
        endpoint: IStreamClientEndpoint,
        sequence: SequenceNumbers,
        clock: IReactorTime,
        waits: _Waits,
        name: str,
    ) -> None:
        factory = EsmeProtocolFactory(service.settings, sequence, self, clock, name)
        super().__init__(endpoint, factory, clock)
        self.service = service
        self.index = index
        #: The connection that there is, bound or not.
        self.connection: EsmeProtocol | None = None
        self._waits = waits

    def startService(self) -> None:
        """Connect."""
        self._waits.reset()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Unbind, and don't connect again."""
        self.continueTrying = False
        if self.connection is None:
            return super().stopService()
        return Deferred.fromCoroutine(self._unbind_and_stop(self.connection))

    async def _unbind_and_stop(self, connection: EsmeProtocol) -> None:
        await connection.disconnect()
        await super().stopService()

    # As a reconnecting client

    def clientConnected(self, protocol: Any) -> None:
        """A connection is not enough to begin with short waits again."""

    def clientConnectionFailed(self, reason: Failure) -> None:
        """Tell, and try again later."""
        self.retry(self._waits.next())
        self.service.listener.connection_failed(self.index, reason)

    def clientConnectionLost(self, reason: Failure) -> None:
        """Try again later."""
        self.retry(self._waits.next())

    # As the listener of its connections

    def state_changed(
        self, connection: EsmeProtocol, old: State, new: State, event: Event, detail: Any
    ) -> None:
        """Keep what can be used; tell."""
        if new is State.CLOSED:
            if connection is self.connection:
                self.connection = None
        elif old is State.CLOSED:
            self.connection = connection
        elif new is State.BOUND:
            self._waits.reset()
        self.service.bind_state_changed(self.index, old, new, event, detail)

    def request_received(self, connection: EsmeProtocol, pdu: Any) -> Any:
        """Hand over."""
        return self.service.listener.request_received(pdu)

    def notification_received(self, connection: EsmeProtocol, pdu: Any) -> None:
        """Hand over."""
        self.service.listener.notification_received(pdu)

    def late_response(self, connection: EsmeProtocol, request: Any, response: Any) -> None:
        """Hand over."""
        self.service.listener.late_response(request, response)

    def has_room(self, connection: EsmeProtocol) -> None:
        """Hand over."""
        self.service.listener.has_room()
