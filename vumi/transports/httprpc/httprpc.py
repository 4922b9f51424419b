"""Transports that are an HTTP server: a request is held until its answer is there.

Knows which request a message came with and how a reply becomes its answer. Knows no provider.

Theory of operation. The network sends a request; :meth:`HttpRpcTransport.receive` makes a message
of it, which is published; the request is *held*. The application's reply names the message it
replies to, whose id is the request's, and :meth:`HttpRpcTransport.make_answer` makes the answer of
it. An ack is published once the answer is written; a reply whose request is gone (answered, timed
out, or its client has hung up) is nacked. If several processes share the transport's name, a reply
may reach one that doesn't hold its request: see :mod:`vumi.transports.httprpc.handover`.

How requests come in is :mod:`vumi.transports.httprpc.http_transport`'s; what becomes of replies is
:mod:`vumi.transports.httprpc.replies`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.transports.httprpc.answers import Answer
from vumi.transports.httprpc.fields import parameter_errors, read_parameters
from vumi.transports.httprpc.http_transport import HttpTransport
from vumi.transports.httprpc.replies import Replies, missing_values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from twisted.internet.defer import Deferred

    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc.held import HeldRequest

__all__ = ["HttpRpcTransport"]


class HttpRpcTransport(HttpTransport):
    """An HTTP server that answers each request with the reply to the message that it brought.

    A provider's transport declares its options (:attr:`CONFIG_CLASS`), what its requests have
    (:class:`~vumi.transports.httprpc.Fields`), and overrides :meth:`receive` and, where an answer
    is more than the text, :meth:`make_answer`:

    .. code-block:: python

        class WeatherUssdTransport(HttpRpcTransport):
            transport_type = "ussd"
            FIELDS = Fields("session", "phone", "code", "text")

            async def receive(self, incoming):
                values = incoming.values(self.FIELDS)
                return {
                    "from_addr": values["phone"],
                    "to_addr": values["code"],
                    "content": values["text"],
                    "session_event": "resume",
                    "transport_metadata": {"weather": {"session": values["session"]}},
                }

            def make_answer(self, message, held):
                more = "0" if message["session_event"] == "close" else "1"
                return Answer(message["content"], headers={"X-More": more})

    Transports made for the old Vumi override :meth:`handle_raw_inbound_message` and
    :meth:`handle_outbound_message` instead, and do all by themselves.
    """

    #: Whether a request may wait for a reply, so that replies have to find it.
    holds_requests = True

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        self._replies = Replies(self, lambda message, held: self.make_answer(message, held))

    async def _open_replies(self) -> None:
        if self.holds_requests and self.get_static_config().hand_on_replies:
            # Not the bound method: tests and old transports replace it.
            await self._replies.open(
                self._answering(lambda message: self.handle_outbound_message(message))
            )

    async def _close_replies(self) -> None:
        await self._replies.close()

    def add_outbound_handler(
        self,
        handler: Callable[[Any], Any],
        endpoint_name: str | None = None,
        connector: Any = None,
    ) -> None:
        super().add_outbound_handler(self._replies.routed(handler), endpoint_name, connector)

    # Replies

    def handle_outbound_message(self, message: TransportUserMessage) -> Any:
        """Answer the request that a message replies to. Transports for the old Vumi override this.

        An ack is published once the answer is written, a nack if there is no request to answer.
        """
        if self.noisy:
            self.emit(f"HttpRpcTransport consuming {message}")
        return self._replies.answer(message)

    def make_answer(self, message: TransportUserMessage, held: HeldRequest) -> Any:
        """Make the answer of a reply. To be overridden; may be ``async``.

        :param message: The reply; its content may be ``None`` if it closes the session.
        :param held: The request.
        :returns: An :class:`Answer`.
        """
        return Answer(message.payload["content"] or "")

    # How the answers' times count. Transports for the old Vumi override these.

    def _tell_response_time(self, held: HeldRequest, seconds: float) -> None:
        if seconds > self.response_time_down:
            self.on_down_response_time(held.id, seconds)
        elif seconds > self.response_time_degraded:
            self.on_degraded_response_time(held.id, seconds)
        else:
            self.on_good_response_time(held.id, seconds)

    def on_good_response_time(self, message_id: str, time: float) -> Any:
        """A request is about to be answered in time.

        :param time: How long it has waited, in seconds.
        """
        self._count_response(message_id, time)

    def on_degraded_response_time(self, message_id: str, time: float) -> Any:
        """A request is about to be answered late: after ``response_time_degraded``."""
        self._count_response(message_id, time)

    def on_down_response_time(self, message_id: str, time: float) -> Any:
        """A request is about to be answered very late: after ``response_time_down``."""
        self._count_response(message_id, time)

    def _count_response(self, message_id: str, time: float) -> None:
        held = self.held_requests.get(message_id)
        if held is not None:
            super()._tell_response_time(held, time)

    # For transports of the old Vumi, which do all by themselves

    def get_field_values(
        self,
        request: Any,
        expected_fields: Collection[str],
        ignored_fields: Collection[str] = frozenset(),
    ) -> tuple[dict[str, str], dict[str, list[str]]]:
        """Read a request's parameters: the first value of each.

        :param expected_fields: Names that must be there.
        :param ignored_fields: Names that may be there.
        :returns: Name to text, of both; and the errors, to be answered as JSON: the names under
            ``missing_parameter`` and, with ``validation_mode: strict``, ``unexpected_parameter``.
        """
        values, unexpected, missing = read_parameters(
            request.args, expected_fields, ignored_fields, self.ENCODING
        )
        if unexpected and self.validation_mode != self.STRICT_MODE:
            self.unexpected_names.tell(unexpected)
            unexpected = []
        return values, parameter_errors(unexpected, missing)

    def get_request(self, request_id: str) -> Any:
        """Twisted's object of a request; ``None`` if it isn't held (any more)."""
        held = self.held_requests.get(request_id)
        return None if held is None else held.request

    def get_request_to_addr(self, request_id: str) -> str | None:
        """Whom the message of a request is for."""
        held = self.held_requests.get(request_id)
        return None if held is None else held.to_addr

    def set_request_to_addr(self, request_id: str, to_addr: str | None) -> None:
        """Note whom the message of a request is for."""
        held = self.held_requests.get(request_id)
        if held is not None:
            held.to_addr = to_addr

    def remove_request(self, request_id: str) -> None:
        """Forget a request without answering it."""
        self.held_requests.remove(request_id)

    def finish_request(
        self,
        request_id: str,
        data: str | bytes,
        code: int = 200,
        headers: Mapping[str, str | Sequence[str]] | None = None,
    ) -> str | None:
        """Answer a request.

        :param data: The body; a text goes out as UTF-8.
        :param code: The HTTP status.
        :param headers: Name to a value or a list of values.
        :returns: A name for the answer, ``host:port:id`` with the client's address; ``None`` if
            the request isn't held (any more): the answer has reached nobody.
        """
        request = self.finish(request_id, Answer(data, code, headers))
        if request is None:
            return None
        return f"{request.client.host}:{request.client.port}:{self.generate_message_id()}"

    def ensure_message_values(
        self, message: TransportUserMessage, expected_fields: Iterable[str]
    ) -> list[str]:
        """The names of those fields that a message lacks.

        A message that closes a session needs no content.
        """
        return missing_values(message, expected_fields)

    def reject_message(
        self, message: TransportUserMessage, missing_fields: Iterable[str]
    ) -> Deferred[Any]:
        """Nack a message that lacks fields."""
        return self._replies.reject(message, missing_fields)
