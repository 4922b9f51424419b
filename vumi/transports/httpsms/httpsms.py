"""Transports that get messages by HTTP requests and send them by requests to an API.

Knows which hooks a provider's transport has. How messages go out is
:mod:`vumi.transports.httpsms.outbox`'s, what becomes of those that come in
:mod:`vumi.transports.httpsms.inbox`'s. Knows no provider.

For tests. Requests go out through an agent made by :attr:`HttpSmsTransport.agent_factory`, and
come in through :attr:`~vumi.transports.httprpc.HttpTransport.web_site`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred

from vumi.tasks import is_pending
from vumi.transports.failures import TemporaryFailure
from vumi.transports.httprpc import Answer, HttpTransport
from vumi.transports.httpsms.inbox import Inbox
from vumi.transports.httpsms.options import HttpSmsTransportConfig
from vumi.transports.httpsms.outbox import Outbox, Rejected, TryLater

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc import Incoming
    from vumi.transports.httpsms.receipts import RemoteIds
    from vumi.web.client import HttpResponse
    from vumi.web.outgoing import OutgoingRequest, RequestFailed

__all__ = ["HttpSmsTransport"]


class HttpSmsTransport(HttpTransport):
    """Gets messages by HTTP requests, and sends each by a request to the network's API.

    A provider's transport overrides :meth:`receive` for what comes in and :meth:`make_request` and
    :meth:`read_response` for what goes out:

    .. code-block:: python

        class PigeonSmsTransport(HttpSmsTransport):
            CONFIG_CLASS = PigeonSmsConfig
            FIELDS = Fields("from", "to", "text")

            def receive(self, incoming):
                values = incoming.values(self.FIELDS)
                return {
                    "from_addr": values["from"],
                    "to_addr": values["to"],
                    "content": values["text"],
                }

            def make_request(self, message):
                config = self.get_static_config()
                return form_request(
                    config.outbound_url,
                    {"key": config.api_key, "to": message["to_addr"], "text": message["content"]},
                )

            def read_response(self, message, response):
                answer = json.loads(response.delivered_body)
                if answer["error"]:
                    raise Rejected(answer["error"])
                return answer["id"]
    """

    CONFIG_CLASS: ClassVar[Any] = HttpSmsTransportConfig

    transport_type = "sms"

    #: Makes the agent of requests that go out, called with the reactor and ``pool``; ``None``:
    #: Twisted's Agent.
    agent_factory: Callable[..., Any] | None = None

    #: Which message a delivery report with the network's own id means. Set it in
    #: :meth:`setup_provider` if the network has no other way to tell.
    remote_ids: RemoteIds | None = None

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        self._inbox = Inbox(self)
        self._outbox: Outbox | None = None

    async def _open(self) -> None:
        # A provider may ask its API for something as soon as it is set up.
        self._outbox = Outbox(self)
        await super()._open()

    async def _close(self) -> None:
        await super()._close()
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            await outbox.close()

    # Messages coming in

    def publish_fields(self, incoming: Incoming, fields: Any) -> Any:
        """Publish what a request has brought, and answer it when the broker has that safe.

        :param fields: What :meth:`receive` has returned: the fields of a message, a
            :class:`DeliveryReport`, or a list of these. An item that makes no message costs only
            itself.
        """
        return Deferred.fromCoroutine(self._inbox.publish(incoming, fields))

    def make_acknowledgement(
        self, incoming: Incoming, messages: list[TransportUserMessage]
    ) -> Answer:
        """The answer to a request whose messages are published. To be overridden.

        :param messages: The messages, without delivery reports.
        :returns: By default JSON with the ``message_id`` of a single message; otherwise nothing.
        """
        if len(messages) == 1:
            return Answer.json({"message_id": messages[0]["message_id"]})
        return Answer()

    # Messages going out

    def handle_outbound_message(self, message: TransportUserMessage) -> Any:
        """Send a message; exactly one ack or nack is published."""
        if self.noisy:
            self.emit(f"Sending {message}")
        return Deferred.fromCoroutine(self._up().handle(message))

    def _up(self) -> Outbox:
        if self._outbox is None:
            raise TemporaryFailure("The transport is not up.")
        return self._outbox

    def send(self, message: TransportUserMessage) -> Any:
        """Send a message to the network. Override it if one request is not enough.

        :returns: What the network calls the message, for the ack; ``None`` if the ack or nack was
            published already.
        :raises RequestFailed: It was not sent.
        """
        return Deferred.fromCoroutine(self._send_one(message))

    async def _send_one(self, message: TransportUserMessage) -> Any:
        request = self.make_request(message)
        if is_pending(request):
            request = await request
        return await self.request(
            request,
            lambda response: self.read_response(message, response),
            about=f"message {message['message_id']}",
        )

    def request(
        self,
        request: OutgoingRequest,
        read: Callable[[HttpResponse], Any] | None = None,
        about: str = "",
    ) -> Deferred[Any]:
        """Ask the network's API, as often as the config says.

        :param request: Made by :func:`~vumi.transports.httpsms.form_request` or its like.
        :param read: See :meth:`vumi.web.outgoing.HttpSender.send`.
        :param about: What it is about, for the log.
        :raises RequestFailed: It was not accepted.
        """
        return self._up().request(request, read, about)

    def make_request(self, message: TransportUserMessage) -> Any:
        """The request that sends a message. To be overridden; may be ``async``.

        :returns: A :class:`~vumi.web.outgoing.OutgoingRequest`.
        :raises Rejected: The message can't be sent, ever.
        """
        raise NotImplementedError(f"{type(self).__name__} must override make_request().")

    def read_response(self, message: TransportUserMessage, response: HttpResponse) -> str:
        """Read the answer to :meth:`make_request`, with a status from 200 to 299.

        :returns: What the network calls the message; by default its own id.
        :raises Rejected: The answer says no.
        :raises TryLater: The answer says that the network can't now.
        """
        message_id: str = message["message_id"]
        return message_id

    def explain(self, message: TransportUserMessage, error: RequestFailed) -> str:
        """What the nack says of a message that was not sent. To be overridden.

        :param error: Its ``response`` has the answer's body, if there was one, and its ``status``
            the status.
        """
        return error.reason if isinstance(error, Rejected | TryLater) else str(error)
