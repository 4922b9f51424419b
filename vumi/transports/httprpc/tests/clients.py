"""Clients of a transport's site that need no sockets, and transports to talk to."""

from __future__ import annotations

from http.client import HTTPMessage, HTTPResponse
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from vumi.tests.helpers import VumiTestCase
from vumi.transports.httprpc import Fields, HttpRpcTransport
from vumi.transports.tests.helpers import TransportHelper

__all__ = ["Client", "EchoTransport", "HttpTestCase", "Response", "add_transport"]


class Response:
    """What came back."""

    def __init__(self, code: int, headers: HTTPMessage, body: bytes) -> None:
        self.code = code
        self.headers = headers
        self.body = body


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> BytesIO:
        return BytesIO(self._data)


class Client:
    """One connection to a site."""

    def __init__(self, site: Any) -> None:
        self.wire = StringTransport()
        self.channel = site.buildProtocol(None)
        self.channel.makeConnection(self.wire)
        self._method = "GET"

    def send(
        self,
        path: str,
        method: str = "GET",
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        parameters: dict[str, str] | None = None,
    ) -> Client:
        """Send a request."""
        self._method = method
        if parameters:
            path += f"?{urlencode(parameters)}"
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.wire.clear()
        self.channel.dataReceived("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return self

    @property
    def is_answered(self) -> bool:
        return bool(self.wire.value())

    @property
    def response(self) -> Response:
        """The answer, which must be there."""
        assert self.is_answered, "there is no answer"
        reader = HTTPResponse(_Socket(self.wire.value()), method=self._method)  # type: ignore[arg-type]  # all that it uses of a socket
        reader.begin()
        return Response(reader.status, reader.headers, reader.read())

    def hang_up(self) -> None:
        """Close the connection from this side."""
        self.channel.connectionLost(Failure(ConnectionDone()))


class EchoTransport(HttpRpcTransport):
    """A USSD gateway that sends whom, to whom and what."""

    transport_type = "ussd"

    FIELDS = Fields("from", "to", "text", optional=["network"], ignored=["date"])

    def receive(self, incoming: Any) -> Any:
        values = incoming.values(self.FIELDS)
        return {
            "from_addr": values["from"],
            "to_addr": values["to"],
            "content": values["text"],
            "session_event": "resume",
            "provider": values.get("network"),
        }


async def add_transport(
    case: VumiTestCase,
    transport_class: type[Any],
    clock: Any = None,
    helper: Any = None,
    **config: Any,
) -> tuple[Any, Any]:
    """Start a transport that doesn't listen.

    :returns: The :class:`TransportHelper` and the transport.
    """
    if helper is None:
        helper = case.add_helper(TransportHelper(transport_class))
    transport = await helper.get_transport(
        {"web_path": "/ussd", **config}, cls=transport_class, start=False
    )
    transport.listen = False
    if clock is not None:
        transport.clock = clock
    await transport.startWorker()
    return helper, transport


class HttpTestCase(VumiTestCase):
    """Tests with one transport, on a clock."""

    transport_class: type[Any] = EchoTransport
    helper: Any
    transport: Any

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()

    async def start(self, transport_class: type[Any] | None = None, **config: Any) -> Any:
        self.helper, self.transport = await add_transport(
            self, transport_class or self.transport_class, self.clock, **config
        )
        return self.transport

    def client(self) -> Client:
        return Client(self.transport.web_site)

    def ask(self, text: str = "hi", **kw: str) -> Client:
        """Send a good request."""
        parameters = {"from": "+27831", "to": "*120#", "text": text, **kw}
        return self.client().send("/ussd", parameters=parameters)

    async def only_message(self) -> Any:
        """The only message that was published."""
        [message] = await self.helper.wait_for_dispatched_inbound(1)
        return message

    async def reply(self, message: Any, content: str | None = "hello", **kw: Any) -> Any:
        return await self.helper.make_dispatch_reply(message, content, **kw)

    def events(self) -> list[tuple[str, str | None]]:
        """Type and nack reason of the events that were published."""
        return [
            (event["event_type"], event.get("nack_reason"))
            for event in self.helper.get_dispatched_events()
        ]
