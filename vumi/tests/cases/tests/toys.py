"""A small transport to try the cases on: it is as good as its switches let it be."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from vumi.config import ConfigBool, ConfigInt, ConfigText
from vumi.tasks import in_background
from vumi.transports.base import Transport, TransportConfig
from vumi.web.outgoing import HttpSender, OutgoingRequest
from vumi.web.site import build_web_site


class ToyConfig(TransportConfig):
    """Options of the toy."""

    web_path = ConfigText("Where requests come.", required=True, static=True)
    web_port = ConfigInt("The port.", default=0, static=True)
    api_url = ConfigText("Where messages go.", required=True, static=True)
    api_key = ConfigText("The key.", required=True, static=True, secret=True)
    fault = ConfigText("What it does wrong.", default="", static=True)
    greets = ConfigBool("Whether it says hello.", default=False, static=True)


def _use_a_socket() -> None:
    with suppress(OSError), socket.socket() as stray:
        stray.connect(("192.0.2.1", 80))


def _look_up() -> None:
    with suppress(OSError):
        socket.getaddrinfo("api.example", 80)


def _connect() -> None:
    from twisted.internet import reactor

    running: Any = reactor
    running.connectTCP("192.0.2.1", 80, ClientFactory())


#: Faults that would leave the process.
STRAYS = {"socket": _use_a_socket, "lookup": _look_up, "endpoint": _connect}


class _Health(Resource):
    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return b"OK"


class _Inbound(Resource):
    isLeaf = True

    def __init__(self, toy: ToyTransport) -> None:
        super().__init__()
        self.toy = toy

    def render(self, request: Any) -> Any:
        if request.method not in (b"GET", b"POST"):
            request.setResponseCode(405)
            return b"no such method"
        try:
            values = {
                name: request.args[name.encode()][0].decode("utf-8") for name in ("from", "text")
            }
        except (KeyError, UnicodeError):
            request.setResponseCode(400)
            return b"wrong"
        self.toy.take(request, values)
        return NOT_DONE_YET


class ToyTransport(Transport):
    """Holds a request until the reply comes; sends other messages by an API."""

    CONFIG_CLASS: ClassVar[Any] = ToyConfig
    transport_type = "ussd"

    def setup_transport(self) -> None:
        config = self.get_static_config()
        self.fault = config.fault
        self.held: dict[str, Any] = {}
        self.sender = HttpSender(self.clock, self.clock)
        resources: dict[str, Any] = {config.web_path: _Inbound(self)}
        if self.fault != "no health":
            resources["health"] = _Health()
        self.web_site = build_web_site(resources)
        self.port = self.clock.listenTCP(config.web_port, self.web_site)
        if self.fault == "timer":
            self.clock.callLater(3600, self.forgotten)

    def forgotten(self) -> None:
        """Called too late."""

    def teardown_transport(self) -> Any:
        for request in self.held.values():
            request.setResponseCode(503)
            request.finish()
        if self.fault != "port":
            self.port.stopListening()
        if self.fault != "pool":
            return Deferred.fromCoroutine(self.sender.close())
        return None

    def take(self, request: Any, values: dict[str, str]) -> None:
        """A request that is good."""
        config = self.get_static_config()
        if self.fault == "log":
            self.log.info("key", config.api_key)
        if self.fault == "error":
            self.log.err(ValueError("something"), "went wrong")
        if self.fault == "crash" and not values["text"].isalnum():
            raise ZeroDivisionError
        message_id = self.generate_message_id()
        self.held[message_id] = request
        request.notifyFinish().addErrback(lambda _: self.held.pop(message_id, None))
        published = self.publish_message(
            message_id=message_id,
            from_addr=values["from"],
            to_addr="*120#",
            content=values["text"],
            session_event="new",
            transport_type="ussd",
            transport_metadata={"toy": {"first": True}},
        )
        in_background(published, self._service_log, "Publishing")

    async def handle_outbound_message(self, message: Any) -> None:
        if message["in_reply_to"] is None:
            await self.send(message)
            return
        request = self.held.pop(message["in_reply_to"], None)
        if request is None:
            await self.publish_nack(message["message_id"], "Gone.")
            return
        request.setHeader(b"Content-Type", b"application/json")
        end = message["session_event"] == "close"
        request.write(json.dumps({"say": message["content"], "end": end}).encode())
        request.finish()
        await self.publish_ack(message["message_id"], message["message_id"])
        if self.fault == "twice":
            await self.publish_nack(message["message_id"], "Or not.")

    async def send(self, message: Any) -> None:
        """By the API."""
        config = self.get_static_config()
        body = json.dumps({"to": message["to_addr"], "text": message["content"]}).encode()
        headers = {"Authorization": config.api_key, "Content-Type": "application/json"}
        request = OutgoingRequest("POST", f"{config.api_url}?a=b", body, headers, timeout=10)
        if self.fault in STRAYS:
            STRAYS[self.fault]()
        response = await self.sender.send(request)
        if self.fault == "silent":
            return
        try:
            remote_id = json.loads(response.delivered_body)["id"]
        except (ValueError, TypeError, KeyError):
            await self.publish_nack(message["message_id"], "No id.")
            return
        await self.publish_ack(message["message_id"], remote_id)
