"""The base of all transports.

Knows how a transport stands between a network and the broker, and the promise it gives: each
outbound message is answered by exactly one ack or nack. Knows no network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from vumi.config import ConfigBool, ConfigText
from vumi.connectors import IgnoreMessage
from vumi.errors import HandleLater
from vumi.message import TransportEvent, TransportStatus, TransportUserMessage
from vumi.tasks import deferred, settle, to_wait_for
from vumi.transports.failures import FailureMessage
from vumi.worker import BaseConfig, BaseWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vumi.service import DynamicPublisher

__all__ = ["Transport", "TransportConfig"]


class TransportConfig(BaseConfig):
    """Options that every transport has."""

    transport_name = ConfigText(
        "The name this transport has on the message bus: it publishes to <name>.inbound and "
        "<name>.event and consumes <name>.outbound. Lower case.",
        required=True,
        static=True,
    )
    publish_status = ConfigBool(
        "Whether statuses are published, to <name>.status.status.", default=False, static=True
    )


class Transport(BaseWorker):
    """Connects a network to the message bus.

    Override :meth:`setup_transport`, :meth:`teardown_transport` and
    :meth:`handle_outbound_message`; publish what the network says by :meth:`publish_message`.
    """

    CONFIG_CLASS: ClassVar[Any] = TransportConfig

    #: Handler errors end in a failure message and a nack; ``False``: in a dead letter as well.
    SUPPRESS_FAILURE_EXCEPTIONS = True

    #: ``False``: the subclass calls :meth:`unpause_connectors` itself, when its network is there.
    start_message_consumer = True

    transport_name: str = ""

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        self.failure_publisher: DynamicPublisher | None = None
        #: Ids of the messages being handled -> whether an ack or nack went out
        self._answered: dict[str, bool] = {}

    # Life

    def _validate_config(self) -> Any:
        self.transport_name = self.get_static_config().transport_name
        return super()._validate_config()

    @property
    def status_connector_name(self) -> str:
        """The name of the connector for statuses; their routing key is ``<this>.status``."""
        return f"{self.transport_name}.status"

    @deferred
    async def setup_connectors(self) -> None:
        await self.setup_publish_status_connector(self.status_connector_name)
        await self.setup_ro_connector(self.transport_name)
        self.add_outbound_handler(self.handle_outbound_message)

    @deferred
    async def setup_worker(self) -> None:
        self.failure_publisher = await self.publish_to(f"{self.transport_name}.failures")
        await settle(self.setup_transport())
        if self.start_message_consumer:
            await settle(self.unpause_connectors())

    @deferred
    async def teardown_worker(self) -> None:
        await settle(self.pause_connectors())
        await settle(self.teardown_transport())

    def setup_transport(self) -> Any:
        """Connect to the network. Called before any outbound message; may return a Deferred."""

    def teardown_transport(self) -> Any:
        """Leave the network. Called after the last outbound message; may return a Deferred."""

    # Outbound

    def handle_outbound_message(self, message: TransportUserMessage) -> Any:
        """Send a message to its user, and publish an ack or a nack. To be overridden.

        Raising publishes a failure message (its code is the exception's ``failure_code``, see
        :mod:`vumi.transports.failures`) and a nack, unless the message was answered before. If
        nothing was done with it, raising :class:`~vumi.errors.HandleLater` lets it wait instead.

        :param message: The message.
        :returns: Anything; a Deferred or coroutine is waited for.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must override handle_outbound_message()."
        )

    def add_outbound_handler(
        self,
        handler: Callable[[Any], Any],
        endpoint_name: str | None = None,
        connector: Any = None,
    ) -> None:
        """Have outbound messages for an endpoint handled, with failures dealt with.

        :param endpoint_name: The endpoint; ``None`` is the default one.
        :param connector: The connector; the transport's own if left out.
        """
        if connector is None:
            connector = self.connectors[self.transport_name]
        connector.set_outbound_handler(self._answering(handler), endpoint_name)

    def _answering(self, handler: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Wrap a handler so that a failure is published and answered."""
        answered = self._answered

        def handle(message: Any) -> Any:
            message_id = message.payload["message_id"]
            answered[message_id] = False
            try:
                result = handler(message)
            except (IgnoreMessage, HandleLater):
                # Answered by the connector, or when it is handled again.
                del answered[message_id]
                raise
            except Exception:  # noqa: BLE001 (whatever a transport raises is answered)
                return Deferred.fromCoroutine(self._failed(Failure(), message))
            waiting = to_wait_for(result)
            if waiting is None:
                answered.pop(message_id, None)
                return result
            return waiting.addCallbacks(
                done, failed, callbackArgs=(message,), errbackArgs=(message,)
            )

        def done(result: Any, message: Any) -> Any:
            answered.pop(message.payload["message_id"], None)
            return result

        def failed(failure: Failure, message: Any) -> Any:
            if failure.check(IgnoreMessage, HandleLater):
                answered.pop(message.payload["message_id"], None)
                return failure
            return Deferred.fromCoroutine(self._failed(failure, message))

        return handle

    async def _failed(self, failure: Failure, message: TransportUserMessage) -> None:
        message_id: str = message["message_id"]
        exception = failure.value
        assert exception is not None  # noqa: S101 (a failure always has one)
        traceback = self.scrub(failure.getTraceback())
        if traceback == failure.getTraceback():
            self.log.err(failure, f"Outbound message {message_id} failed")
        else:
            # The failure itself holds a secret: only its cleaned text may be logged.
            self.log.warning("Outbound message", message_id, "failed:", traceback)
        try:
            await self.send_failure(message, exception, traceback)
            if not self._answered.get(message_id, False):
                reason = self.scrub(str(exception)) or type(exception).__name__
                await self.publish_nack(
                    message_id,
                    reason,
                    transport_metadata=message["transport_metadata"],
                    routing_metadata=dict(message.routing_metadata),
                )
        finally:
            self._answered.pop(message_id, None)
        if not self.SUPPRESS_FAILURE_EXCEPTIONS:
            failure.raiseException()

    @deferred
    async def send_failure(
        self, message: TransportUserMessage, exception: BaseException, traceback: str
    ) -> None:
        """Publish a failure message.

        :param message: The outbound message that failed.
        :param exception: Why; its ``failure_code``, if it has one, is the failure's.
        :param traceback: The words for the failure's reason.
        """
        failure_message = FailureMessage(
            message=message.payload,
            failure_code=getattr(exception, "failure_code", None),
            reason=traceback,
        )
        failure_message = await self._middleware_stack.apply_publish(
            "failure", failure_message, self.transport_name
        )
        if self.failure_publisher is not None:
            await self.failure_publisher.publish_message(failure_message)
        await settle(self.failure_published())

    def failure_published(self) -> Any:
        """Called after a failure message was published."""

    # Publishing

    @staticmethod
    def generate_message_id() -> str:
        """A new message id."""
        return TransportUserMessage.generate_id()

    def publish_message(self, **kw: Any) -> Deferred[Any]:
        """Publish a message from a user.

        :param kw: The message's fields. ``transport_name`` and ``transport_metadata`` default.
        :returns: Fires with the message once the broker has it safe.
        :raises InvalidMessage: A field is missing or wrong.
        """
        kw.setdefault("transport_name", self.transport_name)
        kw.setdefault("transport_metadata", {})
        message = TransportUserMessage(**kw)
        published: Deferred[Any] = self.connectors[self.transport_name].publish_inbound(message)
        return published

    def publish_event(self, **kw: Any) -> Deferred[Any]:
        """Publish an event; takes its fields as :meth:`publish_message` does."""
        kw.setdefault("transport_name", self.transport_name)
        kw.setdefault("transport_metadata", {})
        event = TransportEvent(**kw)
        user_message_id = event.payload["user_message_id"]
        if user_message_id in self._answered and event.payload["event_type"] != "delivery_report":
            self._answered[user_message_id] = True
        published: Deferred[Any] = self.connectors[self.transport_name].publish_event(event)
        return published

    def publish_ack(self, user_message_id: str, sent_message_id: str, **kw: Any) -> Deferred[Any]:
        """Tell that the network has taken a message.

        :param user_message_id: The outbound message's id.
        :param sent_message_id: The id it has in the network.
        """
        return self.publish_event(
            event_type="ack",
            user_message_id=user_message_id,
            sent_message_id=sent_message_id,
            **kw,
        )

    def publish_nack(self, user_message_id: str, reason: str, **kw: Any) -> Deferred[Any]:
        """Tell that a message won't be sent, and why."""
        return self.publish_event(
            event_type="nack", user_message_id=user_message_id, nack_reason=reason, **kw
        )

    def publish_delivery_report(
        self, user_message_id: str, delivery_status: str, **kw: Any
    ) -> Deferred[Any]:
        """Tell what became of a message: ``pending``, ``failed`` or ``delivered``."""
        return self.publish_event(
            event_type="delivery_report",
            user_message_id=user_message_id,
            delivery_status=delivery_status,
            **kw,
        )

    def publish_status(self, **kw: Any) -> Deferred[Any]:
        """Publish how a part of the transport is doing, if the config wants statuses.

        :param kw: The status's fields: ``component``, ``status``, ``type``, ``message``, and
            optionally ``reasons`` and ``details``.
        :raises InvalidMessage: A field is missing or wrong, also with statuses off.
        """
        status = TransportStatus(**kw)
        if not self.get_static_config().publish_status:
            self.log.debug("Status not published:", status)
            return succeed(status)
        published: Deferred[Any] = self.connectors[self.status_connector_name].publish_status(
            status
        )
        return published
