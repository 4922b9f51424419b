"""The ESME's end of an SMPP connection.

Knows how a connection is made into one of ours; what goes on on it is in
:mod:`vumi.transports.smpp.connection` and :mod:`vumi.transports.smpp.session`, how many there are
and when they are made again in :mod:`vumi.transports.smpp.service`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from twisted.internet.protocol import Factory

from vumi.transports.smpp.connection import ConnectionListener, SmppConnection
from vumi.transports.smpp.session import RequestFailed, Role, SequenceNumbers, SessionSettings

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IReactorTime

__all__ = ["EsmeProtocol", "EsmeProtocolError", "EsmeProtocolFactory"]

#: The root of why a request got no response, under the old Vumi's name.
EsmeProtocolError = RequestFailed


class EsmeProtocol(SmppConnection):
    """Binds as soon as it is connected."""

    ROLE: ClassVar[Role] = Role.ESME


class EsmeProtocolFactory(Factory):
    """Makes the protocol of each connection.

    :param settings: What sessions are told.
    :param sequence: Where sequence numbers come from; it may be the same for all connections.
    :param listener: Who is told what happens.
    :param clock: For timers.
    :param name: What connections are called in logs.
    """

    protocol = EsmeProtocol
    noisy = False

    def __init__(
        self,
        settings: SessionSettings,
        sequence: SequenceNumbers,
        listener: ConnectionListener,
        clock: IReactorTime,
        name: str = "smpp",
    ) -> None:
        self.settings = settings
        self.sequence = sequence
        self.listener = listener
        self.clock = clock
        self.name = name

    def buildProtocol(self, addr: IAddress | None) -> EsmeProtocol:
        """A protocol for a new connection."""
        protocol = self.protocol(
            self.settings, self.sequence, self.listener, self.clock, self.name
        )
        protocol.factory = self
        return protocol
