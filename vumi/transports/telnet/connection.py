"""Telnet itself (RFC 854, RFC 855), on Twisted's implementation of it.

Knows telnet's commands, how a client breaks the rules, and how much is on its way to it. Knows
nothing of lines or messages.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twisted.conch.telnet import TelnetTransport
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.python.failure import Failure

__all__ = ["TelnetConnection"]

#: Where a command may begin.
_BEFORE_COMMAND = re.compile(rb"(?=\xff)")


@implementer(IPushProducer)
class _Unread:
    """How much was written that the client has not read.

    It is counted from when the socket is full: what the system still takes costs us nothing.
    """

    def __init__(self) -> None:
        self.size = 0
        self._full = False

    def written(self, size: int) -> None:
        """Something is about to be written."""
        self.size = self.size + size if self._full else size

    # Called by the transport

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False
        self.size = 0

    stopProducing = resumeProducing

    def has_room(self, size: int, most: int) -> bool:
        """Whether something may be written; one text of any size always may."""
        return not self._full or self.size + size <= most


class TelnetConnection(TelnetTransport):
    """Takes telnet's commands out of what a client sends.

    No option is ever enabled. A client that sends what is no telnet is disconnected. One that
    doesn't read what is sent to it is cut off when too much of it has come together.
    """

    log = Logger()

    #: How many bytes may wait for a client that doesn't read.
    max_unread = 1024 * 1024

    # Any: the interfaces that these have depend on the endpoint.
    transport: Any
    protocol: Any

    def connectionMade(self) -> None:
        self._text: list[bytes] = []
        self._broken = False
        if ITCPTransport.providedBy(self.transport):
            # Who is gone without a word would keep his address for ever.
            self.transport.setTcpKeepAlive(True)
        self._unread = _Unread()
        self.transport.registerProducer(self._unread, True)
        super().connectionMade()

    def has_room(self, size: int) -> bool:
        """Whether the client has read enough for so many bytes more to be sent to it."""
        return self._unread.has_room(size, self.max_unread)

    def write(self, data: bytes) -> None:
        """Send text: its lines end as telnet's do, and no byte is taken for a command."""
        self._write(data.replace(b"\xff", b"\xff\xff").replace(b"\n", b"\r\n"))

    def _write(self, data: bytes) -> None:
        # All that is sent comes this way, the answers to telnet's commands too.
        if self._unread.has_room(len(data), self.max_unread):
            self._unread.written(len(data))
            super()._write(data)
        elif not self._broken:
            self._broken = True
            self.log.warn(
                "Telnet client {peer} is disconnected: it does not read what is sent to it",
                event="telnet-unread",
                peer=str(self.getPeer()),
            )
            self.abortConnection()

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

    def loseConnection(self) -> None:
        """Close after what is still to be sent."""
        # A transport waits for its producer to end.
        self.transport.unregisterProducer()
        super().loseConnection()

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
