"""The application that hands messages to a web service and sends what it answers.

Knows what is relayed and what of an answer becomes a reply. How a request is sent, and sent
again, is :mod:`vumi.web.outgoing`'s. Messages wait in their queue while the service is slow: no
more than ``worker_concurrency`` are with it at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred

from vumi.application.base import ApplicationWorker
from vumi.application.relay_options import (
    ConfigHttpMethod,
    ConfigHttpUrl,
    RelayConfig,
    make_request,
    make_sender,
)
from vumi.config import ConfigBool, ConfigText, SingleFieldFallback
from vumi.errors import ConfigError
from vumi.tasks import deferred
from vumi.web.outgoing import Outcome, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from urllib.parse import ParseResult

    from vumi.message import TransportEvent, TransportMessage, TransportUserMessage
    from vumi.web.client import HttpResponse
    from vumi.web.outgoing import OutgoingRequest

__all__ = ["HTTPRelayApplication", "HTTPRelayConfig", "HTTPRelayError"]


class HTTPRelayError(ConfigError):
    """The relay is asked for a way to log in that it does not know."""


class _EventUrl(ConfigHttpUrl):
    def __init__(self, doc: str) -> None:
        super().__init__(doc, static=True, fallbacks=[SingleFieldFallback("url")])


class HTTPRelayConfig(RelayConfig):
    """Options of the HTTP relay."""

    url = ConfigHttpUrl("Where messages are sent to.", required=True, static=True)
    event_url = _EventUrl("Where events are sent to.")
    http_method = ConfigHttpMethod("The method of requests.", default="POST", static=True)
    auth_method = ConfigText(
        "How to log in at the service; there is 'basic' only.", default="basic", static=True
    )
    username = ConfigText(
        "The user name to log in with. If it is empty, nobody logs in.", default=""
    )
    password = ConfigText("The password.", default="", secret=True)
    relay_nack = ConfigBool(
        "Whether events that tell that a message won't be sent (nacks) are relayed too. Acks and "
        "delivery reports always are.",
        default=False,
        static=True,
    )
    relay_close = ConfigBool(
        "Whether messages that tell that a session is over are relayed too. They can't be "
        "answered.",
        default=False,
        static=True,
    )


class HTTPRelayApplication(ApplicationWorker):
    """Sends each message to a web service, and what it answers to the user.

    A message that the service does not take, after the retries, becomes a dead letter.
    """

    CONFIG_CLASS: ClassVar[Any] = HTTPRelayConfig

    #: An answer with this header, and a body, is a reply for the user.
    reply_header = "X-Vumi-HTTPRelay-Reply"
    #: The header's value that means so, in lower case.
    reply_header_value = "true"

    #: For tests: makes the HTTP agent, called with the reactor and ``pool``.
    agent_factory: Callable[..., Any] | None = None

    def validate_config(self) -> None:
        auth_method = self.get_static_config().auth_method
        if auth_method != "basic":
            raise HTTPRelayError(
                f"Field 'auth_method' must be 'basic', there is no other: {auth_method!r}."
            )

    def setup_application(self) -> None:
        self._sender = make_sender(self)

    def teardown_application(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._sender.close())

    # Messages

    @deferred
    async def consume_user_message(self, message: TransportUserMessage) -> None:
        config = await self.get_config(message)
        request = self._request(config, config.url, message, f"message {message['message_id']}")
        response = await self._send(config, request)
        content = self._reply_of(response, request)
        if content:
            await self.reply_to(message, content)

    def _reply_of(self, response: HttpResponse, request: OutgoingRequest) -> str | None:
        """The text for the user in an answer; ``None`` if it has none."""
        values = response.headers.getRawHeaders(self.reply_header, [""])
        if str(values[0]).strip().lower() != self.reply_header_value:
            return None
        charset = response.charset or "utf-8"
        try:
            return response.delivered_body.decode(charset).removeprefix("\ufeff").strip()
        except (LookupError, UnicodeError) as error:
            raise RequestFailed(
                Outcome.GARBLED,
                f"gave a reply that is no text in {charset[:20]!r}: the user gets none",
                request.target,
                response.code,
            ) from error

    def close_session(self, message: TransportUserMessage) -> Deferred[Any] | None:
        if not self.get_static_config().relay_close:
            return None
        return Deferred.fromCoroutine(self._relay_closed(message))

    async def _relay_closed(self, message: TransportUserMessage) -> None:
        config = await self.get_config(message)
        about = f"end of session, message {message['message_id']}"
        await self._send(config, self._request(config, config.url, message, about))

    # Events

    def consume_ack(self, event: TransportEvent) -> Deferred[None]:
        return self.relay_event(event)

    def consume_delivery_report(self, event: TransportEvent) -> Deferred[None]:
        return self.relay_event(event)

    def consume_nack(self, event: TransportEvent) -> Deferred[None] | None:
        return self.relay_event(event) if self.get_static_config().relay_nack else None

    @deferred
    async def relay_event(self, event: TransportEvent) -> None:
        """Send an event to the service; what it answers makes no difference.

        :raises RequestFailed: The service has not taken it.
        """
        config = await self.get_config(event)
        about = f"event {event['event_id']} of message {event['user_message_id']}"
        await self._send(config, self._request(config, config.event_url, event, about))

    # Both

    def _request(
        self, config: HTTPRelayConfig, url: ParseResult, message: TransportMessage, about: str
    ) -> OutgoingRequest:
        login = (config.username, config.password or "") if config.username else None
        return make_request(config, config.http_method, url, message.to_bytes(), login, about)

    async def _send(self, config: HTTPRelayConfig, request: OutgoingRequest) -> HttpResponse:
        self._sender.agent_factory = self.agent_factory
        return await self._sender.send(request, config.retry_rule)
