"""Connectors: the routes of one name's messages into and out of a worker.

Knows the routing keys of each kind of message, endpoints, middleware chains and what becomes of a
message that is refused. Knows no transport and no application.

The way in: decode → consume middleware → the handler for the message's endpoint. The way out: set
the endpoint → publish middleware → encode. Where neither middleware nor handler has to be waited
for, neither way makes a Deferred but the one of the publish itself.
"""

from __future__ import annotations

from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, ClassVar, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from vumi.errors import (
    DuplicateMessage,
    HandleLater,
    HandlerRefused,
    IgnoreMessage,
    InvalidEndpoint,
    StoreUnavailable,
)
from vumi.message import (
    TransportEvent,
    TransportMessage,
    TransportStatus,
    TransportUserMessage,
)
from vumi.middleware.aftermath import Aftermath
from vumi.middleware.base import MiddlewareStack
from vumi.tasks import deferred, hook_result, message_in_hand, to_wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from vumi.message import Message
    from vumi.middleware.base import BaseMiddleware, Chain
    from vumi.service import Consumer, DynamicPublisher

    Handler = Callable[[Any], Any]

__all__ = [
    "BaseConnector",
    "DuplicateMessage",
    "IgnoreMessage",
    "PublishStatusConnector",
    "ReceiveInboundConnector",
    "ReceiveOutboundConnector",
    "ReceiveStatusConnector",
]

DEFAULT_ENDPOINT = TransportMessage.DEFAULT_ENDPOINT_NAME


def inbound_conversation(message: Message) -> Hashable:
    """The conversation of a message from a user: who sent it, and in which group."""
    payload = message.payload
    return (payload["from_addr"], payload.get("group"))


def outbound_conversation(message: Message) -> Hashable:
    """The conversation of a message to a user: whom it is for, and in which group."""
    payload = message.payload
    return (payload["to_addr"], payload.get("group"))


def event_conversation(event: Message) -> Hashable:
    """The conversation of an event: the outbound message it is about."""
    key: Hashable = event.payload["user_message_id"]
    return key


class _Inlet:
    """One kind of message coming in: its consumer, middleware and handlers by endpoint."""

    def __init__(self, connector: BaseConnector, kind: str, chain: Chain) -> None:
        self.kind = kind
        self._connector = connector
        self._name = connector.name
        self._chain = chain
        self.aftermath: Aftermath | None = None
        self.consumer: Consumer | None = None
        self.handlers: dict[str, Handler] = {}
        self.default_handler: Handler = self._no_handler

    def start(self) -> Handler:
        """What takes this kind's messages; what it returns is waited for."""
        hooks = self._connector._middlewares.handled_hooks()
        if hooks:
            # Before the consumer: it then learns of confirmations before a message is acked.
            self.aftermath = Aftermath(self._connector.worker.broker, hooks, self.kind, self._name)
            return self._handle_and_tell
        return self._handle if self._chain else self._pass_on

    async def _handle_and_tell(self, message: Any) -> Any:
        """Handle a message, and have its outcome told."""
        assert self.aftermath is not None  # noqa: S101 (it was made before this was returned)
        try:
            result = await hook_result(self._handle(message))
        except Exception as error:
            self.aftermath.failed(message, error)
            raise
        if result is False:
            self.aftermath.failed(message, HandlerRefused("The handler returned False."))
        else:
            self.aftermath.handled(message)
        return result

    def _handle(self, message: Any) -> Any:
        """Have a message pass the middleware."""
        try:
            processed = self._chain(message, self._name)
        except Exception:  # noqa: BLE001 (it is raised again, or one that stands for it)
            return self._not_passed(Failure(), message)
        if not iscoroutine(processed):
            return self._pass_on(processed)
        return Deferred.fromCoroutine(processed).addCallbacks(
            self._pass_on, self._not_passed, errbackArgs=(message,)
        )

    def _not_passed(self, failure: Failure, message: Any) -> Any:
        if failure.check(StoreUnavailable):
            # No handler has seen the message, so it can wait.
            raise HandleLater(str(failure.value)) from failure.value
        return self._ignore_failure(failure, message)

    def _pass_on(self, message: Any) -> Any:
        """Call the handler for a message."""
        handler = self.handlers.get(message.get_routing_endpoint(), self.default_handler)
        try:
            result = handler(message)
        except IgnoreMessage as error:
            return self._ignore(message, error)
        waiting = to_wait_for(result)
        return result if waiting is None else waiting.addErrback(self._ignore_failure, message)

    def _ignore_failure(self, failure: Failure, message: Any) -> Any:
        failure.trap(IgnoreMessage)
        return self._ignore(message, cast("BaseException", failure.value))

    def _ignore(self, message: Any, error: BaseException) -> Any:
        return self._connector._ignore_message(self.kind, message, error)

    def _no_handler(self, message: Any) -> Any:
        return self._connector._no_handler(self.kind, message)


class BaseConnector:
    """The consumers and publishers of one name.

    :param worker: Whom it belongs to.
    :param connector_name: The name; routing keys are ``<name>.<kind>``.
    :param prefetch_count: Unacknowledged deliveries at most, per consumer; ``None`` is no limit.
    :param middlewares: Those that messages pass; a :class:`MiddlewareStack` is shared as it is.
    """

    log = Logger()

    #: kind -> class of the messages that are consumed, and the key of their conversation
    CONSUMES: ClassVar[dict[str, tuple[type[TransportMessage], Any]]] = {}
    #: kinds of messages that are published
    PUBLISHES: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        worker: Any,
        connector_name: str,
        prefetch_count: int | None = None,
        middlewares: Sequence[BaseMiddleware] | MiddlewareStack | None = None,
    ) -> None:
        self.name = connector_name
        self.worker = worker
        self._prefetch_count = prefetch_count
        if isinstance(middlewares, MiddlewareStack):
            self._middlewares, self._owns_middlewares = middlewares, False
        else:
            self._middlewares, self._owns_middlewares = MiddlewareStack(middlewares or []), True
        self._inlets: dict[str, _Inlet] = {
            kind: _Inlet(self, kind, self._middlewares.chain("consume", kind))
            for kind in self.CONSUMES
        }
        self._outlets: dict[str, Chain] = {
            kind: self._middlewares.chain("publish", kind) for kind in self.PUBLISHES
        }
        self._publishers: dict[str, DynamicPublisher] = {}

    # Life

    @deferred
    async def setup(self) -> None:
        """Declare and start everything; consumers start paused."""
        for kind in self.PUBLISHES:
            self._publishers[kind] = await self.worker.publish_to(f"{self.name}.{kind}")
        for kind, (message_class, conversation_of) in self.CONSUMES.items():
            inlet = self._inlets[kind]
            inlet.consumer = await self.worker.consume(
                f"{self.name}.{kind}",
                inlet.start(),
                message_class=message_class,
                paused=True,
                prefetch_count=self._prefetch_count,
                concurrency=getattr(self.worker, "worker_concurrency", 1),
                conversation_of=conversation_of,
                handler_timeout=getattr(self.worker, "handler_timeout", 0),
            )

    @deferred
    async def teardown(self) -> None:
        """Stop the consumers after their running handlers."""
        for consumer in self._consumers():
            await consumer.stop()
        for inlet in self._inlets.values():
            if inlet.aftermath is not None:
                await inlet.aftermath.close()
        if self._owns_middlewares:
            await self._middlewares.teardown()

    def _consumers(self) -> list[Consumer]:
        return [inlet.consumer for inlet in self._inlets.values() if inlet.consumer is not None]

    @property
    def paused(self) -> bool:
        """All consumers are paused (or there are none)."""
        return all(consumer.paused for consumer in self._consumers())

    @deferred
    async def pause(self) -> None:
        """Let no more handlers start; fires when none runs."""
        pausing = [consumer.pause() for consumer in self._consumers()]
        for paused in pausing:
            await paused

    @deferred
    async def unpause(self) -> None:
        """Let messages come."""
        unpausing = [consumer.unpause() for consumer in self._consumers()]
        for unpaused in unpausing:
            await unpaused

    async def drain(self, timeout: float) -> None:
        """Take no more from the queues and finish what is in hand, within `timeout` seconds."""
        draining = [
            Deferred.fromCoroutine(consumer.drain(timeout)) for consumer in self._consumers()
        ]
        for drained in draining:
            await drained

    # Messages

    def _set_handler(self, kind: str, handler: Handler, endpoint_name: str | None) -> None:
        if endpoint_name is None:
            endpoint_name = DEFAULT_ENDPOINT
        self._inlets[kind].handlers[endpoint_name] = handler

    def _set_default_handler(self, kind: str, handler: Handler) -> None:
        self._inlets[kind].default_handler = handler

    def _publish_message(
        self, kind: str, message: Any, endpoint_name: str | None = None
    ) -> Deferred[Any]:
        """Publish a message through the middleware.

        :param endpoint_name: Set on the message if given.
        :returns: Fires with the message as published, once the broker has it safe.
        """
        if endpoint_name is not None:
            message.set_routing_endpoint(endpoint_name)
        publisher = self._publishers[kind]
        chain = self._outlets[kind]
        if chain:
            message = chain(message, self.name)
            if iscoroutine(message):
                return self._publish_later(publisher, message)
        return publisher.publish_message(message)

    def _publish_later(self, publisher: DynamicPublisher, processing: Any) -> Deferred[Any]:
        """Publish a message that the middleware is not done with."""
        # The publish counts from now on: a handler that doesn't wait for it is covered too.
        broker = self.worker.broker
        reservation = broker.reserve()
        handled = message_in_hand.get()

        async def publish() -> Any:
            publication = publisher.publish_message(await processing)
            broker.release(reservation)
            return await publication

        def failed(failure: Failure) -> Failure:
            if handled is not None:
                handled.note_failed(publishing)
            broker.release(reservation)
            return failure

        publishing = Deferred.fromCoroutine(publish())
        return publishing.addErrback(failed)

    def _ignore_message(self, kind: str, message: Any, error: BaseException) -> Any:
        self.log.debug(
            "{connector}: ignoring {kind} message {message_id}: {reason}",
            event="message-ignored",
            connector=self.name,
            kind=kind,
            message_id=message.get("message_id") or message.get("event_id"),
            reason=str(error),
        )
        return None

    def _no_handler(self, kind: str, message: Any) -> Any:
        raise InvalidEndpoint(
            f"No {kind} handler for endpoint {message.get_routing_endpoint()!r} of {self.name!r}."
        )


class ReceiveInboundConnector(BaseConnector):
    """What an application has: inbound messages and events come in, outbound messages go out."""

    CONSUMES: ClassVar = {
        "inbound": (TransportUserMessage, inbound_conversation),
        "event": (TransportEvent, event_conversation),
    }
    PUBLISHES = ("outbound",)

    def set_inbound_handler(self, handler: Handler, endpoint_name: str | None = None) -> None:
        """Have inbound messages for one endpoint handled (``None``: the default one)."""
        self._set_handler("inbound", handler, endpoint_name)

    def set_default_inbound_handler(self, handler: Handler) -> None:
        """Have inbound messages for all other endpoints handled."""
        self._set_default_handler("inbound", handler)

    def set_event_handler(self, handler: Handler, endpoint_name: str | None = None) -> None:
        """Have events for one endpoint handled (``None``: the default one)."""
        self._set_handler("event", handler, endpoint_name)

    def set_default_event_handler(self, handler: Handler) -> None:
        """Have events for all other endpoints handled."""
        self._set_default_handler("event", handler)

    def publish_outbound(self, msg: Any, endpoint_name: str | None = None) -> Deferred[Any]:
        """Publish a message to a user; fires with it once it is safe."""
        return self._publish_message("outbound", msg, endpoint_name)


class ReceiveOutboundConnector(BaseConnector):
    """What a transport has: outbound messages come in, inbound messages and events go out."""

    CONSUMES: ClassVar = {"outbound": (TransportUserMessage, outbound_conversation)}
    PUBLISHES = ("inbound", "event")

    def set_outbound_handler(self, handler: Handler, endpoint_name: str | None = None) -> None:
        """Have outbound messages for one endpoint handled (``None``: the default one)."""
        self._set_handler("outbound", handler, endpoint_name)

    def set_default_outbound_handler(self, handler: Handler) -> None:
        """Have outbound messages for all other endpoints handled."""
        self._set_default_handler("outbound", handler)

    def publish_inbound(self, msg: Any, endpoint_name: str | None = None) -> Deferred[Any]:
        """Publish a message from a user; fires with it once it is safe."""
        return self._publish_message("inbound", msg, endpoint_name)

    def publish_event(self, msg: Any, endpoint_name: str | None = None) -> Deferred[Any]:
        """Publish an event; fires with it once it is safe."""
        return self._publish_message("event", msg, endpoint_name)

    def _ignore_message(self, kind: str, message: Any, error: BaseException) -> Any:
        super()._ignore_message(kind, message, error)
        return self._nack(message, str(error)) if getattr(error, "nack", True) else None

    def _no_handler(self, kind: str, message: Any) -> Any:
        endpoint = message.get_routing_endpoint()
        self.log.warn(
            "{connector}: outbound message {message_id} is for endpoint {endpoint!r}, which "
            "nobody handles; it is nacked",
            event="no-handler",
            connector=self.name,
            message_id=message["message_id"],
            endpoint=endpoint,
        )
        return self._nack(message, f"No handler for endpoint {endpoint!r}.")

    def _nack(self, message: Any, reason: str) -> Deferred[Any]:
        event = TransportEvent(
            event_type="nack",
            user_message_id=message["message_id"],
            nack_reason=reason,
            transport_name=message["transport_name"],
            transport_type=message["transport_type"],
            transport_metadata=message["transport_metadata"],
        )
        return self.publish_event(event, message.get_routing_endpoint())


class PublishStatusConnector(BaseConnector):
    """Publishes statuses."""

    PUBLISHES = ("status",)

    def publish_status(self, msg: Any) -> Deferred[Any]:
        """Publish a status; fires with it once it is safe."""
        return self._publish_message("status", msg)


class ReceiveStatusConnector(BaseConnector):
    """Consumes statuses."""

    CONSUMES: ClassVar = {"status": (TransportStatus, None)}

    def set_status_handler(self, handler: Handler) -> None:
        """Have all statuses handled."""
        self._set_default_handler("status", handler)
