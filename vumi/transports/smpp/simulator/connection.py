"""A connection to a simulated SMSC.

Knows how a connection plays dead. What goes on on it otherwise is the listener's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.transports.smpp.smsc import SmscProtocol

if TYPE_CHECKING:
    from vumi.transports.smpp.pdu import Pdu

__all__ = ["SimulatorProtocol"]


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
        super().connectionMade()

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
