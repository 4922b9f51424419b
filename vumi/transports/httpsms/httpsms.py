"""Transports that get messages by HTTP requests and send them by requests to an API.

Knows how a message goes out (rate, time limit, retries, ack or nack) and that a request which
brings one is answered when the broker has it safe. Knows no provider.

For tests. Requests go out through an agent made by :attr:`HttpSmsTransport.agent_factory`, and
come in through :attr:`~vumi.transports.httprpc.HttpRpcTransport.web_site`.
"""

from __future__ import annotations

from dataclasses import replace
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from vumi.errors import StoreError
from vumi.tasks import settle
from vumi.transports.failures import TemporaryFailure
from vumi.transports.httprpc import Answer, HttpRpcTransport
from vumi.transports.httpsms.options import HttpSmsTransportConfig
from vumi.transports.httpsms.receipts import DeliveryReport
from vumi.transports.httpsms.throttle import TokenBucket
from vumi.web.outgoing import HttpSender, Outcome, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc import Incoming
    from vumi.transports.httpsms.receipts import RemoteIds
    from vumi.web.client import HttpResponse
    from vumi.web.outgoing import OutgoingRequest

__all__ = ["HttpSmsTransport", "Rejected", "TryLater"]

#: Statuses that say that our credentials are wrong.
UNAUTHORIZED = frozenset([401, 403])


class Rejected(RequestFailed):
    """Raised by :meth:`HttpSmsTransport.read_response`: the network won't send the message.

    :param reason: What the nack says.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(Outcome.REJECTED, reason)


class TryLater(RequestFailed):
    """Raised by :meth:`HttpSmsTransport.read_response`: the network can't send the message now.

    :param reason: What the nack says if it can't later either.
    :param retry_after: The network's wish, in seconds, how long to wait; ``None``: none.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(Outcome.UNAVAILABLE, reason, retry_after=retry_after)


class HttpSmsTransport(HttpRpcTransport):
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

    #: No request waits for a reply.
    holds_requests = False

    #: Makes the agent of requests that go out, called with the reactor and ``pool``; ``None``:
    #: Twisted's Agent.
    agent_factory: Callable[..., Any] | None = None

    #: Which message a delivery report with the network's own id means. Set it in
    #: :meth:`setup_provider` if the network has no other way to tell.
    remote_ids: RemoteIds | None = None

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        self._sender: HttpSender | None = None
        self._bucket: TokenBucket | None = None
        #: Messages that wait for their turn
        self._waiting: set[Deferred[None]] = set()

    # Life

    async def _open(self) -> None:
        config = self.get_static_config()
        self._sender = HttpSender(
            self.broker.clock,
            self.get_clock(),
            connections=config.send_connections,
            response_limit=config.send_response_limit,
            scrub=self.scrub,
        )
        self._retries = config.retry_rule
        self._bucket = TokenBucket(config.mt_tps, config.mt_burst) if config.mt_tps else None
        await super()._open()

    async def _close(self) -> None:
        await super()._close()
        sender, self._sender = self._sender, None
        for waiting in list(self._waiting):
            waiting.cancel()
        if sender is not None:
            await sender.close()

    # Messages coming in

    def publish_fields(self, incoming: Incoming, fields: Any) -> Any:
        """Publish what a request has brought, and answer it when the broker has that safe.

        :param fields: What :meth:`receive` has returned: the fields of a message, a
            :class:`DeliveryReport`, or a list of these.
        """
        return Deferred.fromCoroutine(self._publish_all(incoming, fields))

    async def _publish_all(self, incoming: Incoming, received: Any) -> None:
        items = received if isinstance(received, list) else [received]
        messages: list[Any] = []
        publishing: list[Deferred[Any]] = []
        for item in items:
            if isinstance(item, DeliveryReport):
                publishing.extend(await self._publish_report(item))
            else:
                # With one message it has the request's id.
                if len(items) == 1:
                    item.setdefault("message_id", incoming.id)
                item.setdefault("transport_type", self._transport_type)
                published = self.publish_message(**item)
                messages.append(published)
                publishing.append(published)
        published_messages = [await published for published in messages]
        for published in publishing:
            await published
        self._finish(incoming.id, self.make_acknowledgement(incoming, published_messages))

    async def _publish_report(self, report: DeliveryReport) -> list[Deferred[Any]]:
        message_id = report.user_message_id
        if message_id is None and report.sent_message_id is not None and self.remote_ids:
            message_id = await self.remote_ids.message_id_of(report.sent_message_id)
        if not message_id:
            self.log.info(
                "A delivery report is about a message that is not known (any more):",
                report.sent_message_id,
            )
            return []
        return [self.publish_delivery_report(message_id, report.delivery_status, **report.fields)]

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
        return Deferred.fromCoroutine(self._handle_outbound(message))

    async def _handle_outbound(self, message: TransportUserMessage) -> None:
        message_id = message["message_id"]
        if self.noisy:
            self.emit(f"Sending {message}")
        try:
            if self._bucket is not None:
                await self._turn(self._bucket)
            sent_message_id = await settle(self.send(message))
        except CancelledError:
            if self._sender is not None:
                raise
            # The transport stops and has given up waiting. The broker will deliver the message
            # again: nothing may be said of it.
            await Deferred()
        except RequestFailed as error:
            await self._not_sent(message, error)
            return
        self.add_status(
            component="outbound",
            status="ok",
            type="message_accepted",
            message="The network accepts messages",
        )
        if sent_message_id is None:
            return
        await self.remember(sent_message_id, message_id)
        await self.publish_ack(message_id, sent_message_id)

    async def remember(self, sent_message_id: str, message_id: str) -> None:
        """Note what the network calls a message, if :attr:`remote_ids` is set.

        Called for what :meth:`send` gives. If that fails it is logged: the message was sent.
        """
        if self.remote_ids is None:
            return
        try:
            await self.remote_ids.remember(sent_message_id, message_id)
        except StoreError as error:
            self.log.warning("Delivery reports about", message_id, "will be lost:", error)

    async def _turn(self, bucket: TokenBucket) -> None:
        """Wait until a message may go out."""
        seconds = bucket.take(self.clock.seconds())
        if seconds:
            turn: Deferred[None] = deferLater(self.clock, seconds)
            self._waiting.add(turn)
            try:
                await turn
            finally:
                self._waiting.discard(turn)

    async def _not_sent(self, message: TransportUserMessage, error: RequestFailed) -> None:
        reason = self.scrub(self.explain(message, error))
        if error.outcome is not Outcome.REJECTED:
            self.add_status(
                component="outbound",
                status="down",
                type=error.outcome.value,
                message="The network's API does not work",
                reasons=[self.scrub(error.reason)],
            )
            raise TemporaryFailure(reason) from error
        if error.status in UNAUTHORIZED:
            self.add_status(
                component="outbound",
                status="down",
                type="credentials_refused",
                message="The network refuses the credentials",
            )
        await self.publish_nack(message["message_id"], reason)

    def send(self, message: TransportUserMessage) -> Any:
        """Send a message to the network. Override it if one request is not enough.

        :returns: What the network calls the message, for the ack; ``None`` if the ack or nack was
            published already.
        :raises RequestFailed: It was not sent.
        """
        return Deferred.fromCoroutine(self._send_one(message))

    async def _send_one(self, message: TransportUserMessage) -> Any:
        request = self.make_request(message)
        if iscoroutine(request) or isinstance(request, Deferred):
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
        if self._sender is None:
            raise TemporaryFailure("The transport is not up.")
        # Tests set the factory when they like.
        self._sender.agent_factory = self.agent_factory
        timeout = self.get_static_config().send_timeout
        return self._sender.send(
            replace(request, timeout=timeout, about=request.about or about), self._retries, read
        )

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
