"""Replies that become the answers of requests that wait for them.

Knows messages, held requests, and that a reply may belong to another process
(:mod:`vumi.transports.httprpc.handover`). Knows no provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.errors import BrokerClosed, LeaveUnacknowledged
from vumi.tasks import before_all_else, is_pending
from vumi.transports.httprpc.handover import Handover, instance_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.internet.defer import Deferred

    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc.answers import Answer
    from vumi.transports.httprpc.http_transport import HttpTransport

__all__ = ["Replies", "missing_values"]

#: What a nack says when there is no request to answer.
NO_REQUEST = "Could not find original request."
HOLDER_GONE = "Could not find original request: the process that held it is gone."


def missing_values(message: TransportUserMessage, expected_fields: Iterable[str]) -> list[str]:
    """The names of those fields that a message lacks.

    One that closes a session needs no content.
    """
    closes = message["session_event"] == message.SESSION_CLOSE
    return [
        field
        for field in expected_fields
        if not message.get(field) and not (field == "content" and closes)
    ]


class Replies:
    """Answers requests with replies. An ack follows once the answer is written, otherwise a nack.

    :param transport: The transport, which holds the requests.
    :param make_answer: Makes the answer of a reply; takes the reply and its request. May be
        ``async``.
    """

    def __init__(
        self,
        transport: HttpTransport,
        make_answer: Callable[[TransportUserMessage, Any], Any],
    ) -> None:
        self._transport = transport
        self._make_answer = make_answer
        self._handover: Handover | None = None

    # Life

    async def open(self, answer: Callable[[Any], Any]) -> None:
        """Take replies that other processes hand on.

        :param answer: Handles one, and publishes its ack or nack, come what may.
        """
        transport = self._transport
        self._handover = Handover(
            transport.broker,
            transport.transport_name,
            transport.instance_id,
            answer,
            transport.amqp_exchange_type,
        )
        await self._handover.open()

    async def close(self) -> None:
        """Take no more."""
        handover, self._handover = self._handover, None
        if handover is not None:
            await handover.close()

    # Replies

    def routed(self, handler: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A handler of outbound messages that hands on those that belong to another process."""

        def handle(message: TransportUserMessage) -> Any:
            holder = self._other_holder(message)
            if holder is None:
                return handler(message)
            return self._hand_on(message, holder)

        return handle

    def _other_holder(self, message: TransportUserMessage) -> str | None:
        """The id of another process that holds the request that a message replies to."""
        request_id = message.payload["in_reply_to"]
        if (
            self._handover is None
            or request_id is None
            or request_id in self._transport.held_requests
        ):
            return None
        instance = instance_of(request_id)
        return None if instance == self._transport.instance_id else instance

    async def _hand_on(self, message: TransportUserMessage, holder: str) -> None:
        assert self._handover is not None  # noqa: S101 (looked at by the only caller)
        try:
            taken = await self._handover.hand_on(message, holder)
        except BrokerClosed as error:
            # The transport stops and has given up waiting.
            raise LeaveUnacknowledged("The transport has stopped.") from error
        if not taken:
            await self._transport.reject(message["message_id"], HOLDER_GONE, "no_request")

    def answer(self, message: TransportUserMessage) -> Any:
        """Answer the request that a message replies to."""
        payload = message.payload
        request_id = payload["in_reply_to"]
        if not request_id or not (payload["content"] or payload["session_event"] == "close"):
            missing = missing_values(message, ["in_reply_to", "content"])
            if missing:
                return self.reject(message, missing)
        held = self._transport.held_requests.get(request_id)
        if held is None:
            return self._no_request(payload["message_id"])
        answer = self._make_answer(message, held)
        if is_pending(answer):
            return self._answer_later(message, request_id, answer)
        return self._answer_now(message, request_id, answer)

    async def _answer_later(
        self, message: TransportUserMessage, request_id: str, answer: Any
    ) -> None:
        # Nothing is answered yet: without its session store the reply waits.
        await self._answer_now(message, request_id, await before_all_else(answer))

    def _answer_now(
        self, message: TransportUserMessage, request_id: str, answer: Answer
    ) -> Deferred[Any]:
        message_id = message.payload["message_id"]
        if self._transport.finish(request_id, answer) is None:
            return self._no_request(message_id)
        return self._transport.publish_ack(user_message_id=message_id, sent_message_id=message_id)

    def _no_request(self, message_id: str) -> Deferred[Any]:
        return self._transport.reject(
            message_id, NO_REQUEST, "no_request", sent_message_id=message_id
        )

    def reject(
        self, message: TransportUserMessage, missing_fields: Iterable[str]
    ) -> Deferred[Any]:
        """Nack a message that lacks fields."""
        message_id = message["message_id"]
        reason = f"Missing fields: {', '.join(missing_fields)}"
        return self._transport.reject(message_id, reason, "incomplete", sent_message_id=message_id)
