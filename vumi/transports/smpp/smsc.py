"""The SMSC's end of an SMPP connection, for simulators and tests.

Knows who may bind; what goes on afterwards is in :mod:`vumi.transports.smpp.connection`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from twisted.internet.protocol import Factory

from vumi.transports.smpp.connection import ConnectionListener, SmppConnection
from vumi.transports.smpp.session import Role, SequenceNumbers, SessionSettings

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IReactorTime

__all__ = ["SmscListener", "SmscProtocol", "SmscProtocolFactory"]


class SmscListener(ConnectionListener, Protocol):
    """Who is told what happens on an SMSC's connections."""

    def bind_requested(self, connection: Any, pdu: Any) -> int | None:
        """Somebody wants to bind.

        :returns: The status to answer with; 0 accepts. ``None``: the listener answers later, by
            ``connection.session.answer_bind(pdu, status)``.
        """


class SmscProtocol(SmppConnection):
    """Waits for a bind."""

    ROLE: ClassVar[Role] = Role.SMSC

    listener: SmscListener

    def bind_requested(self, pdu: Any) -> None:
        """Ask the listener."""
        status = self.listener.bind_requested(self, pdu)
        if status is not None:
            self.session.answer_bind(
                pdu, status, system_id=self.session.settings.system_id if status == 0 else ""
            )


class SmscProtocolFactory(Factory):
    """Makes the protocol of each connection.

    :param settings: What sessions are told; of the bind's fields only system_id is used.
    :param sequence: Gives each connection where its sequence numbers come from.
    :param listener: Who is told what happens.
    :param clock: For timers.
    """

    protocol = SmscProtocol
    noisy = False

    def __init__(
        self,
        settings: SessionSettings,
        sequence: SequenceNumbers,
        listener: SmscListener,
        clock: IReactorTime,
    ) -> None:
        self.settings = settings
        self.sequence = sequence
        self.listener = listener
        self.clock = clock

    def buildProtocol(self, addr: IAddress | None) -> SmscProtocol:
        """A protocol for a new connection."""
        protocol = self.protocol(
            self.settings, self.sequence, self.listener, self.clock, str(addr)
        )
        protocol.factory = self
        return protocol
