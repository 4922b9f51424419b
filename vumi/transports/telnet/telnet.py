"""The telnet transports: a TCP server whose clients are the users.

Knows which message an event on a client's connection becomes, and to which client a message goes.
The connections themselves are :mod:`vumi.transports.telnet.protocol`'s.

Theory of operation. A client that is connected and has an address is *registered*: its
connection is a session, so registering publishes a message with the session event ``new``, each
line one with ``resume``, and the end of the connection one with ``close``. What one address says
goes through one outbox, also when the client goes and another comes with the same address: the
broker gets it in order. While the broker is away the outbox grows; a client with too much in it
is not read from until that is confirmed. The same while a middleware's store is away. A client is
told of a line that can't be taken at all.

What is sent to a client that does not read stays in memory up to a bound. A message that would
exceed it is nacked, and the client is cut off; so is one that is silent for too long.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ServerFactory

from vumi.config import (
    ConfigBool,
    ConfigFloat,
    ConfigInt,
    ConfigPort,
    ConfigServerEndpoint,
    ConfigText,
    ServerEndpointFallback,
)
from vumi.message import TransportUserMessage, utc_now
from vumi.tasks import deferred, settle
from vumi.transports.base import Transport, TransportConfig
from vumi.transports.telnet.connection import TelnetConnection
from vumi.transports.telnet.outbox import Outboxes
from vumi.transports.telnet.protocol import (
    AddressedTelnetTransportProtocol,
    TelnetTransportProtocol,
    address_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.internet.interfaces import IListeningPort

__all__ = ["AddressedTelnetServerTransport", "TelnetServerConfig", "TelnetServerTransport"]

MAX_LINE_LENGTH = 16384
#: Seconds.
IDLE_TIMEOUT = 3600.0
#: What a client reads of a line that could not be published.
NOT_TAKEN = "Your message could not be taken. Please try again."


class TelnetServerConfig(TransportConfig):
    """Options of the telnet transports."""

    twisted_endpoint = ConfigServerEndpoint(
        "Where to listen: a Twisted server endpoint such as tcp:port=9010:interface=127.0.0.1.",
        required=True,
        static=True,
        fallbacks=[ServerEndpointFallback("telnet_host", "telnet_port")],
    )
    telnet_host = ConfigText(
        "The address to listen on, if there is no twisted_endpoint; all if left out.", static=True
    )
    telnet_port = ConfigPort(
        "The port to listen on, if there is no twisted_endpoint.", static=True, any_free=True
    )
    to_addr = ConfigText(
        "Whom messages are for. <host>:<port> of the listening socket if left out.", static=True
    )
    transport_type = ConfigText(
        "The transport type of messages. With ussd or sms, an application sees what it would see "
        "of such a transport.",
        default="telnet",
        static=True,
    )
    max_line_length = ConfigInt(
        "How long a line may be, in bytes. A client that sends a longer one is told so and "
        "disconnected.",
        default=MAX_LINE_LENGTH,
        static=True,
        lowest=1,
    )
    max_unread = ConfigInt(
        "How many bytes may wait for a client that does not read what is sent to it. The message "
        "that would be too much is refused, and the client is disconnected.",
        default=TelnetConnection.max_unread,
        static=True,
        lowest=1,
    )
    idle_timeout = ConfigFloat(
        "How long a client may be silent, and hear nothing, before it is disconnected, in "
        "seconds. 0 is for ever.",
        default=IDLE_TIMEOUT,
        static=True,
        lowest=0,
        nullable=False,
    )
    broadcast_unknown_addr = ConfigBool(
        "Whether a message for an address that nobody has is shown to all clients, as the old "
        "Vumi did. Everybody then reads what was meant for one.",
        default=False,
        static=True,
    )


class TelnetServerTransport(Transport):
    """A telnet server; a client's address is the ``<host>:<port>`` it comes from."""

    CONFIG_CLASS: ClassVar[Any] = TelnetServerConfig

    #: What the table of all transports says of it.
    catalogue_facts: ClassVar[dict[str, Any]] = {
        "protocol": "telnet",
        "receives": True,
        "sends": True,
        "sessions": True,
        "receipts": False,
    }

    #: What each client's connection becomes.
    protocol: ClassVar[type[TelnetTransportProtocol]] = TelnetTransportProtocol

    #: With more messages than this waiting for the broker, a client is not read from.
    max_unconfirmed = 100

    #: How many seconds a client that is disconnected has to take what was sent to it before.
    close_timeout = 5.0

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        #: The socket that is listened on; ``None`` while the transport isn't up.
        self.telnet_server: IListeningPort | None = None
        #: How many bytes a line may have.
        self.max_line_length = self.get_static_config().max_line_length or MAX_LINE_LENGTH
        #: How many seconds a client may be silent; 0 is for ever.
        self.idle_timeout: float = self.get_static_config().idle_timeout
        self._to_addr = ""
        #: Who is connected, registered or not
        self._connected: set[TelnetTransportProtocol] = set()
        #: address -> who has it
        self._clients: dict[str, TelnetTransportProtocol] = {}
        self._outboxes: Outboxes
        self._all_gone: Deferred[None] | None = None
        self._nameless = count(1)

    # Life

    @deferred
    async def setup_transport(self) -> None:
        config = self.get_static_config()
        # An outbox that was drained takes no more.
        self._outboxes = Outboxes(
            self.publish_message, self._confirmed, self._not_published, self.clock
        )
        factory = ServerFactory.forProtocol(self._make_connection)
        factory.noisy = False
        self.telnet_server = server = await config.twisted_endpoint.listen(factory)
        listening_on = address_text(server.getHost()) or str(server.getHost())
        self._to_addr = config.to_addr or listening_on
        self.log.info("Listening on", listening_on)
        await self.publish_status(
            component="server",
            status="ok",
            type="listening",
            message=f"Listening on {listening_on}",
        )

    def _make_connection(self) -> TelnetConnection:
        connection = TelnetConnection(self.protocol, self)
        connection.max_unread = self.get_static_config().max_unread
        return connection

    @deferred
    async def teardown_transport(self) -> None:
        server, self.telnet_server = self.telnet_server, None
        if server is not None:
            await settle(server.stopListening())
        for client in list(self._connected):
            client.disconnect()
        if self._connected:
            self._all_gone = Deferred()
            await self._all_gone
            self._all_gone = None
        given_up = await self._outboxes.drain(self.drain_timeout, self.clock)
        if given_up:
            self.log.warning(
                "The broker has not confirmed in time what telnet clients have said; messages "
                "given up:",
                given_up,
            )

    # Clients

    def client_connected(self, client: TelnetTransportProtocol) -> None:
        """Somebody has connected. Called by the client."""
        self._connected.add(client)

    def client_disconnected(self, client: TelnetTransportProtocol) -> None:
        """A connection is closed. Called by the client."""
        self._connected.discard(client)
        if self._clients.get(client.from_addr) is client:
            del self._clients[client.from_addr]
            self._publish(client, TransportUserMessage.SESSION_CLOSE, None)
        if self._all_gone is not None and not self._connected:
            self._all_gone.callback(None)

    def peer_address(self, client: TelnetTransportProtocol) -> str:
        """The address a client comes from, or a name of its own if it comes from none."""
        return address_text(client.transport.getPeer()) or f"client-{next(self._nameless)}"

    def is_in_use(self, from_addr: str) -> bool:
        """Whether a client has an address."""
        return from_addr in self._clients

    def register_client(
        self, client: TelnetTransportProtocol, from_addr: str, to_addr: str | None
    ) -> None:
        """A client's session begins. Called by the client.

        :param from_addr: The client's address; nobody else has it.
        :param to_addr: Whom its messages are for; ``None`` is the transport's own address.
        """
        client.from_addr = from_addr
        client.to_addr = to_addr or self._to_addr
        self._clients[from_addr] = client
        self._publish(client, TransportUserMessage.SESSION_NEW, None)

    def handle_input(self, client: TelnetTransportProtocol, text: str) -> None:
        """A registered client has sent a line. Called by the client."""
        self._publish(client, TransportUserMessage.SESSION_RESUME, text)

    # Messages from users

    def _publish(
        self, client: TelnetTransportProtocol, session_event: str, content: str | None
    ) -> None:
        unconfirmed = self._outboxes.put(
            client.from_addr,
            {
                "message_id": self.generate_message_id(),
                "timestamp": utc_now(),
                "from_addr": client.from_addr,
                "to_addr": client.to_addr,
                "session_event": session_event,
                "content": content,
                "transport_type": self.get_static_config().transport_type,
            },
        )
        if unconfirmed > self.max_unconfirmed:
            client.set_paused(True)

    def _confirmed(self, from_addr: str, unconfirmed: int) -> None:
        client = self._clients.get(from_addr)
        if client is not None and unconfirmed <= self.max_unconfirmed // 2:
            client.set_paused(False)

    def _not_published(self, fields: dict[str, Any], error: Exception) -> None:
        """Tell a client, if it is still there, of a line that nobody gets."""
        client = self._clients.get(fields["from_addr"])
        if client is not None and not client.closing and fields["content"] is not None:
            client.send(NOT_TAKEN)

    # Messages to users

    def handle_outbound_message(self, message: TransportUserMessage) -> Deferred[Any]:
        message_id = message["message_id"]
        client = self._clients.get(message["to_addr"])
        if client is None or client.closing:
            if self.get_static_config().broadcast_unknown_addr:
                self._broadcast(f"UNKNOWN ADDR [{message['to_addr']}]: {message['content'] or ''}")
            return self.publish_nack(message_id, "Unknown address.")
        if not client.takes(message["content"]):
            self.log.warning(
                "Telnet client", message["to_addr"], "does not read; it is disconnected"
            )
            client.cut_off()
            return self.publish_nack(message_id, "The client does not read what is sent to it.")
        client.send(message["content"])
        if message["session_event"] == TransportUserMessage.SESSION_CLOSE:
            client.disconnect()
        return self.publish_ack(message_id, message_id)

    def _broadcast(self, text: str) -> None:
        for client in list(self._clients.values()):
            if not client.closing and client.takes(text):
                client.send(text)


class AddressedTelnetServerTransport(TelnetServerTransport):
    """A telnet server that asks each client which addresses its messages are to have.

    The option ``to_addr`` means nothing here.
    """

    protocol = AddressedTelnetTransportProtocol
