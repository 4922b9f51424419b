"""One telnet client: its lines, and how it gets its addresses.

Knows what a client types and what is typed to it. Telnet's commands are
:mod:`vumi.transports.telnet.connection`'s; what a line becomes is the transport's business, see
:mod:`vumi.transports.telnet.telnet`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.conch.telnet import TelnetProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import connectionDone

from vumi.transports.telnet.wire import LineSplitter, decode_line, encode_text

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from vumi.transports.telnet.telnet import TelnetServerTransport

__all__ = [
    "AddressedTelnetTransportProtocol",
    "TelnetTransportProtocol",
    "address_text",
]


def address_text(address: Any) -> str | None:
    """``host:port`` of a network address; ``None`` if it has no host and port."""
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    return None if host is None or port is None else f"{host}:{port}"


class TelnetTransportProtocol(TelnetProtocol):
    """A client that may write at once; its address is that of its socket.

    :param vumi_transport: The transport it belongs to.
    """

    #: A :class:`~vumi.transports.telnet.connection.TelnetConnection`.
    transport: Any

    def __init__(self, vumi_transport: TelnetServerTransport) -> None:
        self.vumi_transport = vumi_transport
        #: Whose messages these are, and whom they are for; known once the client is registered.
        self.from_addr = ""
        self.to_addr = ""
        #: The client is about to be disconnected: it gets and says no more.
        self.closing = False
        self._paused = False
        self._idle: IDelayedCall | None = None
        self._abort_later: IDelayedCall | None = None
        self._splitter = LineSplitter(vumi_transport.max_line_length)

    # The network's side

    def connectionMade(self) -> None:
        self.vumi_transport.client_connected(self)
        if self.vumi_transport.idle_timeout:
            self._idle = self.vumi_transport.clock.callLater(
                self.vumi_transport.idle_timeout, self._idle_too_long
            )
        self.begin()

    def dataReceived(self, data: bytes) -> None:
        self._keep_alive()
        for line in self._splitter.feed(data):
            if self.closing:
                return
            self._line_received(decode_line(line))
        if self._splitter.overflowed and not self.closing:
            self.send(f"Line too long (at most {self._splitter.max_length} bytes). Goodbye.")
            self.disconnect()

    def _keep_alive(self) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.reset(self.vumi_transport.idle_timeout)

    def _idle_too_long(self) -> None:
        if self._paused:
            # It may have said something that we have not read.
            self._idle = self.vumi_transport.clock.callLater(
                self.vumi_transport.idle_timeout, self._idle_too_long
            )
        elif not self.closing:
            self.send("You have been silent for too long. Goodbye.")
            self.disconnect()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        rest = self._splitter.rest()
        if (
            rest
            and not self.closing
            and not self.transport.broken
            and reason.check(ConnectionDone)
        ):
            # The last line of who just pipes a text in need not have an end.
            self._line_received(decode_line(rest))
        self.closing = True
        if self._abort_later is not None:
            self._abort_later.cancel()
            self._abort_later = None
        self.vumi_transport.client_disconnected(self)

    def _line_received(self, line: str) -> None:
        if line.strip().lower() == "/quit":
            self.disconnect()
        else:
            self.line_received(line)

    # What another kind of client does in its own way

    def begin(self) -> None:
        """The client is there. Registers it with the transport once its address is known."""
        self.vumi_transport.register_client(
            self, from_addr=self.vumi_transport.peer_address(self), to_addr=None
        )

    def line_received(self, line: str) -> None:
        """Take a line.

        :param line: Its text, without the end.
        """
        self.vumi_transport.handle_input(self, line)

    # The transport's side

    def send(self, text: str | None) -> None:
        """Show a text to the client, followed by a line end."""
        self._keep_alive()
        self.transport.write(encode_text(text))

    def takes(self, text: str | None) -> bool:
        """Whether the client has read enough of what was sent to it for a text to be sent."""
        size = len(encode_text(text))
        takes: bool = self.transport.has_room(size)
        return takes

    def cut_off(self) -> None:
        """Close the connection at once."""
        self.closing = True
        self.transport.abortConnection()

    def disconnect(self) -> None:
        """Close the connection, after what was sent before, if the client takes it soon enough."""
        if self.closing:
            return
        # Over TLS the client's goodbye has to be read.
        self.set_paused(False)
        self.closing = True
        self._abort_later = self.vumi_transport.clock.callLater(
            self.vumi_transport.close_timeout, self._abort
        )
        self.transport.loseConnection()

    def _abort(self) -> None:
        self._abort_later = None
        self.transport.abortConnection()

    def set_paused(self, paused: bool) -> None:
        """Stop or go on reading what the client sends."""
        if self._paused != paused and not self.closing:
            self._paused = paused
            if paused:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()


class AddressedTelnetTransportProtocol(TelnetTransportProtocol):
    """A client that is asked first which addresses its messages are to have."""

    TO_ADDR_PROMPT = 'Please provide "to_addr":'
    FROM_ADDR_PROMPT = 'Please provide "from_addr":'

    def begin(self) -> None:
        self._registered = False
        self.send(self.TO_ADDR_PROMPT)

    def line_received(self, line: str) -> None:
        if self._registered:
            super().line_received(line)
        elif not self.to_addr:
            self.to_addr = line.strip()
            self.send(self.FROM_ADDR_PROMPT if self.to_addr else self.TO_ADDR_PROMPT)
        else:
            self._take_from_addr(line.strip())

    def _take_from_addr(self, from_addr: str) -> None:
        if self.vumi_transport.is_in_use(from_addr):
            self.send(
                f'The from_addr "{from_addr}" is in use by somebody else. Please choose another.'
            )
            from_addr = ""
        if not from_addr:
            self.send(self.FROM_ADDR_PROMPT)
            return
        self._registered = True
        self.send(f"[Sending all messages to: {self.to_addr} and from: {from_addr}]")
        self.vumi_transport.register_client(self, from_addr=from_addr, to_addr=self.to_addr)
