"""Transports that are an HTTP server: a request is held until its answer is there.

Knows which request a message came with and how a reply becomes its answer. Knows no provider.

Theory of operation. The network sends a request; :meth:`HttpRpcTransport.receive` makes a message
of it, which is published; the request is *held*. The application's reply names the message it
replies to, whose id is the request's, and :meth:`HttpRpcTransport.make_answer` makes the answer of
it. An ack is published once the answer is written; a reply whose request is gone (answered, timed
out, or its client has hung up) is nacked. If several processes share the transport's name, a reply
may reach one that doesn't hold its request: see :mod:`vumi.transports.httprpc.handover`.

For tests. :attr:`HttpRpcTransport.web_site` is the real :class:`twisted.web.server.Site` once the
transport is set up: give a channel made by its ``buildProtocol()`` bytes to read. With
:attr:`HttpRpcTransport.listen` set to ``False`` before that, no socket is opened. All timers run
on :attr:`~vumi.service.Worker.clock`.
"""

from __future__ import annotations

from inspect import iscoroutine
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from vumi.errors import BrokerClosed
from vumi.msisdn import restore_plus
from vumi.tasks import settle
from vumi.transports.httprpc.answers import Answer, Incoming, Refused
from vumi.transports.httprpc.fields import Fields, read_parameters
from vumi.transports.httprpc.handover import Handover, instance_of
from vumi.transports.httprpc.holding import HttpHolding
from vumi.transports.httprpc.options import STRICT
from vumi.transports.httprpc.resources import HttpRpcResource

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from twisted.web.resource import IResource

    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc.held import HeldRequest

__all__ = ["HttpRpcTransport"]

#: What a nack says when there is no request to answer.
NO_REQUEST = "Could not find original request."
HOLDER_GONE = "Could not find original request: the process that held it is gone."
#: How many unknown parameters are told.
MAX_TOLD_NAMES = 200


class HttpRpcTransport(HttpHolding):
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

    #: What parameters are encoded in. Octets that mean nothing in it become U+FFFD.
    ENCODING = "UTF-8"

    #: Whether a request may wait for a reply, so that replies have to find it.
    holds_requests = True

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        self._handover: Handover | None = None
        self._told_names: set[str] = set()

    # Requests coming in

    def serve(self, hook: Callable[[Incoming], Any]) -> IResource:
        """A resource whose requests are given to a hook of the same kind as :meth:`receive`."""

        def handle(request_id: str, request: Any) -> Any:
            return self._receive(hook, request_id, request)

        return self.get_authenticated_resource(HttpRpcResource(self, handle))

    def handle_raw_inbound_message(self, message_id: str, request: Any) -> Any:
        """Handle one request. Transports for the old Vumi override this.

        Publish a message with the id `message_id`, or answer by :meth:`finish_request`. May return
        a Deferred or be ``async``. Raising answers 500; a :class:`UnicodeDecodeError` 400.
        """
        return self._receive(self.receive, message_id, request)

    def receive(self, incoming: Incoming) -> Any:
        """Make a message of a request. To be overridden; may be ``async``.

        :returns: The message's fields as a dict: it is published, and the request waits for the
            reply. ``message_id``, ``transport_type`` and ``transport_metadata`` have defaults. Or
            an :class:`Answer`: nothing is published, the client gets it at once. Or ``None``: the
            request waits for :meth:`finish_request`.
        :raises Refused: The request is answered with an error, usually 400.
        """
        raise NotImplementedError("Sub-classes should implement handle_raw_inbound_message.")

    def _receive(self, hook: Callable[[Incoming], Any], request_id: str, request: Any) -> Any:
        incoming = Incoming(request_id, request, self)
        received = hook(incoming)
        if iscoroutine(received) or isinstance(received, Deferred):
            return self._received_later(incoming, received)
        return self._received(incoming, received)

    async def _received_later(self, incoming: Incoming, received: Any) -> None:
        await settle(self._received(incoming, await received))

    def _received(self, incoming: Incoming, received: Any) -> Any:
        """Do what a hook said."""
        if isinstance(received, Answer):
            self._statuses.request_parsed()
            self._finish(incoming.id, received)
            return None
        if received is None:
            return None
        self._statuses.request_parsed()
        return self.publish_fields(incoming, received)

    def publish_fields(self, incoming: Incoming, fields: dict[str, Any]) -> Any:
        """Publish the message of a request.

        :returns: A Deferred; if it fails the request is answered 500.
        """
        fields.setdefault("message_id", incoming.id)
        fields.setdefault("transport_type", self._transport_type)
        return self.publish_message(**fields)

    def publish_message(self, **kw: Any) -> Deferred[Any]:
        for name in ("from_addr", "to_addr"):
            address = kw.get(name)
            if isinstance(address, str):
                kw[name] = restore_plus(address)
        held = self._requests.get(kw.get("message_id", ""))
        if held is not None:
            held.to_addr = kw.get("to_addr")
        return super().publish_message(**kw)

    # Parameters

    def read_fields(self, request: Any, fields: Fields) -> dict[str, str]:
        """Read a request's parameters. :meth:`Incoming.values` calls it.

        :raises Refused: They aren't as they should be.
        """
        values, errors = self.get_field_values(request, fields.required, fields.others)
        if errors:
            raise Refused(errors, type="invalid_inbound_fields")
        return values

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
        errors: dict[str, list[str]] = {}
        if unexpected:
            if self.validation_mode == STRICT:
                errors["unexpected_parameter"] = unexpected
            else:
                self._tell_unexpected(unexpected)
        if missing:
            errors["missing_parameter"] = missing
        return values, errors

    def _tell_unexpected(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._told_names and len(self._told_names) < MAX_TOLD_NAMES:
                self._told_names.add(name)
                self.log.warning(
                    "Requests have a parameter that is not known and dropped (told once):",
                    repr(name),
                )

    # Replies

    def add_outbound_handler(
        self,
        handler: Callable[[Any], Any],
        endpoint_name: str | None = None,
        connector: Any = None,
    ) -> None:
        def handle(message: TransportUserMessage) -> Any:
            holder = self._other_holder(message)
            if holder is None:
                return handler(message)
            return self._hand_on(message, holder)

        super().add_outbound_handler(handle, endpoint_name, connector)

    def _other_holder(self, message: TransportUserMessage) -> str | None:
        """The id of another process that holds the request that a message replies to."""
        request_id = message.payload["in_reply_to"]
        if self._handover is None or request_id is None or request_id in self._requests:
            return None
        instance = instance_of(request_id)
        return None if instance == self.instance_id else instance

    async def _hand_on(self, message: TransportUserMessage, holder: str) -> None:
        assert self._handover is not None  # noqa: S101 (looked at by the only caller)
        try:
            taken = await self._handover.hand_on(message, holder)
        except BrokerClosed:
            # The transport stops and has given up waiting. The broker will deliver the reply
            # again: nothing may be said of it.
            await Deferred()
        if not taken:
            await self.publish_nack(message["message_id"], HOLDER_GONE)

    def _answer_here(self, message: TransportUserMessage) -> Any:
        """Handle a reply that another process has handed on."""
        return self.handle_outbound_message(message)

    def handle_outbound_message(self, message: TransportUserMessage) -> Any:
        """Answer the request that a message replies to. Transports for the old Vumi override this.

        An ack is published once the answer is written, a nack if there is no request to answer.
        """
        payload = message.payload
        if self.noisy:
            self.emit(f"HttpRpcTransport consuming {message}")
        request_id = payload["in_reply_to"]
        if not request_id or not (payload["content"] or payload["session_event"] == "close"):
            missing = self.ensure_message_values(message, ["in_reply_to", "content"])
            if missing:
                return self.reject_message(message, missing)
        held = self._requests.get(request_id)
        if held is None:
            return self.publish_nack(
                payload["message_id"], NO_REQUEST, sent_message_id=payload["message_id"]
            )
        answer = self.make_answer(message, held)
        if iscoroutine(answer) or isinstance(answer, Deferred):
            return self._answer_later(message, request_id, answer)
        return self._answer_now(message, request_id, answer)

    async def _answer_later(
        self, message: TransportUserMessage, request_id: str, answer: Any
    ) -> None:
        await self._answer_now(message, request_id, await answer)

    def _answer_now(
        self, message: TransportUserMessage, request_id: str, answer: Answer
    ) -> Deferred[Any]:
        message_id = message.payload["message_id"]
        if self._finish(request_id, answer) is None:
            return self.publish_nack(message_id, NO_REQUEST, sent_message_id=message_id)
        return self.publish_ack(user_message_id=message_id, sent_message_id=message_id)

    def make_answer(self, message: TransportUserMessage, held: HeldRequest) -> Any:
        """Make the answer of a reply. To be overridden; may be ``async``.

        :param message: The reply; its content may be ``None`` if it closes the session.
        :param held: The request.
        :returns: An :class:`Answer`.
        """
        return Answer(message.payload["content"] or "")

    def ensure_message_values(
        self, message: TransportUserMessage, expected_fields: Iterable[str]
    ) -> list[str]:
        """The names of those fields that a message lacks.

        A message that closes a session needs no content.
        """
        closes = message["session_event"] == message.SESSION_CLOSE
        return [
            field
            for field in expected_fields
            if not message.get(field) and not (field == "content" and closes)
        ]

    def reject_message(
        self, message: TransportUserMessage, missing_fields: Iterable[str]
    ) -> Deferred[Any]:
        """Nack a message that lacks fields."""
        return self.publish_nack(
            user_message_id=message["message_id"],
            sent_message_id=message["message_id"],
            reason=f"Missing fields: {', '.join(missing_fields)}",
        )

    # Several processes

    async def _open_handover(self) -> None:
        if self.holds_requests and self.get_static_config().hand_on_replies:
            self._handover = Handover(
                self.broker,
                self.transport_name,
                self.instance_id,
                self._answering(self._answer_here),
                self.amqp_exchange_type,
            )
            await self._handover.open()

    async def _close_handover(self) -> None:
        handover, self._handover = self._handover, None
        if handover is not None:
            await handover.close()
