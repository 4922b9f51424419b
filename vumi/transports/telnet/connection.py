"""Telnet itself (RFC 854, RFC 855), on Twisted's implementation of it.

Knows telnet's commands and how a client breaks the rules. Knows nothing of lines or messages.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twisted.conch.telnet import TelnetTransport
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted.python.failure import Failure

__all__ = ["TelnetConnection"]

#: Where a command may begin.
_BEFORE_COMMAND = re.compile(rb"(?=\xff)")


class TelnetConnection(TelnetTransport):
    """Takes telnet's commands out of what a client sends.

    No option is ever enabled. A client that sends what is no telnet is disconnected.
    """

    log = Logger()

    # Any: the interfaces that these have depend on the endpoint.
    transport: Any
    protocol: Any

    def connectionMade(self) -> None:
        self._text: list[bytes] = []
        self._broken = False
        if ITCPTransport.providedBy(self.transport):
            # Who is gone without a word would keep his address for ever.
            self.transport.setTcpKeepAlive(True)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        if self._broken:
            return
        try:
            # In parts: what comes before a command that is wrong still counts.
            for part in _BEFORE_COMMAND.split(data):
                super().dataReceived(part)
            if self.state == "newline":
                # A bare CR ends a line, whatever comes next. CR NUL is how telnet spells it.
                super().dataReceived(b"\0")
        except (IndexError, ValueError) as error:
            self._broken = True
            self._hand_over()
            self.log.warn(
                "Telnet client {peer} is disconnected: it sent no valid telnet: {error!r}",
                event="telnet-invalid",
                peer=str(self.getPeer()),
                error=error,
            )
            self.protocol.disconnect()
        else:
            self._hand_over()

    def applicationDataReceived(self, data: bytes) -> None:
        # Kept until the parser is done: an error from it can then not be one of ours.
        self._text.append(data)

    def _hand_over(self) -> None:
        text = b"".join(self._text)
        self._text.clear()
        if text:
            self.protocol.dataReceived(text)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.state != "data":
            # It went in the middle of a command.
            self._broken = True
        super().connectionLost(reason)

    @property
    def broken(self) -> bool:
        """What came last was no valid telnet."""
        return self._broken

    # Conch's transport has only some of a transport's methods.

    def abortConnection(self) -> None:
        """Close at once, without sending what is still to be sent."""
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """Read no more for now."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read again."""
        self.transport.resumeProducing()
