"""A connection to a simulated SMSC.

Knows how a connection plays dead. What goes on on it otherwise is the listener's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import connectionDone

from vumi.transports.smpp.smsc import SmscProtocol

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from vumi.transports.smpp.pdu import Pdu

__all__ = ["BIND_TIMEOUT", "SimulatorProtocol"]

#: Seconds that a connection may be without a bind.
BIND_TIMEOUT = 30.0


class SimulatorProtocol(SmscProtocol):
    """A connection that can freeze: open, but dead.

    What it receives is answered by the listener itself, if at all.
    """

    #: A :class:`~vumi.transports.smpp.simulator.smsc.Smsc`.
    listener: Any

    #: The system_id that it is bound with.
    account: str = ""

    def connectionMade(self) -> None:
        self._frozen = self.listener.frozen
        self._held_in: list[bytes] = []
        self._held_out: list[bytes] = []
        self._wants_to_bind = False
        self._bind_timer: IDelayedCall | None = None
        super().connectionMade()
        self._wait_for_bind()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._bind_timer is not None and self._bind_timer.active():
            self._bind_timer.cancel()
        super().connectionLost(reason)

    def _wait_for_bind(self) -> None:
        self._wants_to_bind = False
        self._bind_timer = self.listener.clock.callLater(BIND_TIMEOUT, self._check_bind)

    def _check_bind(self) -> None:
        """Cut a connection that does not bind, whatever part of a PDU it has sent."""
        if self.session.bound:
            return
        # But not one whose bind the script leaves without an answer.
        if self._frozen or self._wants_to_bind:
            self._wait_for_bind()
            return
        self.log.info(
            "{name}: not bound within {seconds:g} seconds; the connection is cut",
            event="smpp-not-bound",
            name=self.name,
            seconds=BIND_TIMEOUT,
        )
        self.cut()

    def bind_requested(self, pdu: Any) -> None:
        """Ask the listener."""
        self._wants_to_bind = True
        super().bind_requested(pdu)

    def dataReceived(self, data: bytes) -> None:
        if self._frozen:
            self._held_in.append(data)
        else:
            super().dataReceived(data)

    def write(self, data: bytes) -> None:
        """Send bytes, unless frozen: then they wait."""
        if self._frozen:
            self._held_out.append(data)
        else:
            super().write(data)

    def freeze(self) -> None:
        """Do nothing from now on."""
        self._frozen = True

    def thaw(self) -> None:
        """Go on."""
        self._frozen = False
        out, self._held_out = self._held_out, []
        for data in out:
            super().write(data)
        held, self._held_in = self._held_in, []
        for data in held:
            self.dataReceived(data)

    def cut(self) -> None:
        """End the connection without a word."""
        self.transport.abortConnection()

    def request_received(self, pdu: Pdu) -> None:
        """Hand over."""
        self.listener.request_received(self, pdu)
