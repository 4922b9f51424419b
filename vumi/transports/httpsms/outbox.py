"""How messages go out through an API: one after another, again if that may help, ack or nack.

Knows rates, time limits, retries and outcomes. Knows no provider: which requests send a message,
and what their answers say, the transport knows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from vumi.errors import LeaveUnacknowledged, StoreError
from vumi.tasks import settle
from vumi.token_bucket import TokenBucket
from vumi.transports.failures import TemporaryFailure
from vumi.web.outgoing import HttpSender, Outcome, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from vumi.message import TransportUserMessage
    from vumi.transports.httpsms.httpsms import HttpSmsTransport
    from vumi.web.client import HttpResponse
    from vumi.web.outgoing import OutgoingRequest

__all__ = ["Outbox", "Rejected", "TryLater"]

#: Statuses that say that our credentials are wrong.
UNAUTHORIZED = frozenset([401, 403])


class Rejected(RequestFailed):
    """Raised by :meth:`~.HttpSmsTransport.read_response`: the network won't send the message.

    :param reason: What the nack says.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(Outcome.REJECTED, reason)


class TryLater(RequestFailed):
    """Raised by :meth:`~.HttpSmsTransport.read_response`: the network can't send the message now.

    :param reason: What the nack says if it can't later either.
    :param retry_after: The network's wish, in seconds, how long to wait; ``None``: none.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(Outcome.UNAVAILABLE, reason, retry_after=retry_after)


class Outbox:
    """Sends messages; exactly one ack or nack is published for each.

    :param transport: The transport, which makes the requests and reads the answers.
    """

    log = Logger()

    def __init__(self, transport: HttpSmsTransport) -> None:
        self._transport = transport
        config = transport.get_static_config()
        self._timeout: float = config.send_timeout
        self._retries = config.retry_rule
        self._bucket: TokenBucket | None = None
        if config.mt_tps:
            slack = (config.mt_burst - 1) / config.mt_tps
            self._bucket = TokenBucket(config.mt_tps, transport.clock.seconds, slack)
        self._sender = HttpSender(
            transport.broker.clock,
            transport.get_clock(),
            connections=config.send_connections,
            response_limit=config.send_response_limit,
            scrub=transport.scrub,
        )
        self._closed = False
        #: Messages that wait for their turn
        self._waiting: set[Deferred[None]] = set()

    async def close(self) -> None:
        """Give up what is being sent, without a word: the broker delivers it again."""
        self._closed = True
        for waiting in list(self._waiting):
            waiting.cancel()
        await self._sender.close()

    def request(
        self,
        request: OutgoingRequest,
        read: Callable[[HttpResponse], Any] | None = None,
        about: str = "",
    ) -> Deferred[Any]:
        """Ask the network's API. Takes what :meth:`~.HttpSmsTransport.request` takes."""
        # Tests set the factory when they like.
        self._sender.agent_factory = self._transport.agent_factory
        return self._sender.send(
            replace(request, timeout=self._timeout, about=request.about or about),
            self._retries,
            read,
        )

    async def handle(self, message: TransportUserMessage) -> None:
        """Send a message."""
        transport, message_id = self._transport, message["message_id"]
        try:
            if self._bucket is not None:
                await self._turn(self._bucket)
            sent_message_id = await settle(transport.send(message))
        except CancelledError as error:
            if not self._closed:
                raise
            # The transport stops and has given up waiting.
            raise LeaveUnacknowledged("The transport has stopped.") from error
        except RequestFailed as error:
            await self._not_sent(message, error)
            return
        transport.add_status(
            component="outbound",
            status="ok",
            type="message_accepted",
            message="The network accepts messages",
        )
        if sent_message_id is None:
            return
        await self.remember(sent_message_id, message_id)
        await transport.publish_ack(message_id, sent_message_id)

    async def remember(self, sent_message_id: str, message_id: str) -> None:
        """Note what the network calls a message, if the transport has ``remote_ids``.

        If that fails it is logged: the message was sent.
        """
        if self._transport.remote_ids is None:
            return
        try:
            await self._transport.remote_ids.remember(sent_message_id, message_id)
        except StoreError as error:
            self.log.warn(
                "Delivery reports about {message_id} will be lost: {error}",
                event="http-remote-id-lost",
                message_id=message_id,
                error=str(error),
            )

    async def _turn(self, bucket: TokenBucket) -> None:
        """Wait until a message may go out."""
        clock = self._transport.clock
        seconds = bucket.reserve()
        if seconds:
            turn: Deferred[None] = deferLater(clock, seconds)
            self._waiting.add(turn)
            try:
                await turn
            finally:
                self._waiting.discard(turn)

    async def _not_sent(self, message: TransportUserMessage, error: RequestFailed) -> None:
        transport = self._transport
        reason = transport.scrub(transport.explain(message, error))
        if error.outcome is not Outcome.REJECTED:
            transport.add_status(
                component="outbound",
                status="down",
                type=error.outcome.value,
                message="The network's API does not work",
                reasons=[transport.scrub(error.reason)],
            )
            raise TemporaryFailure(reason) from error
        if error.status in UNAUTHORIZED:
            transport.add_status(
                component="outbound",
                status="down",
                type="credentials_refused",
                message="The network refuses the credentials",
            )
        await transport.reject(message["message_id"], reason)
