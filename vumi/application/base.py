"""The base of all applications.

Knows which hook gets which message and event, and how to answer. Knows no transport: a message's
``transport_type`` is all an application learns of it.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.python.failure import Failure

from vumi.config import ConfigDict, ConfigText
from vumi.connectors import IgnoreMessage
from vumi.errors import HandleLater, HandlerRefused, InvalidEndpoint, StoreUnavailable
from vumi.message import TransportUserMessage
from vumi.tasks import deferred, on_outcome, settle, to_wait_for
from vumi.worker import BaseConfig, BaseWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from twisted.internet.defer import Deferred

    from vumi.message import TransportEvent

__all__ = [
    "SESSION_CLOSE",
    "SESSION_NEW",
    "SESSION_RESUME",
    "ApplicationConfig",
    "ApplicationWorker",
]

SESSION_NEW = TransportUserMessage.SESSION_NEW
SESSION_RESUME = TransportUserMessage.SESSION_RESUME
SESSION_CLOSE = TransportUserMessage.SESSION_CLOSE


class ApplicationConfig(BaseConfig):
    """Options that every application has."""

    transport_name = ConfigText(
        "The name of the transport (or of a dispatcher's exposed end) to talk through: consumes "
        "<name>.inbound and <name>.event and publishes to <name>.outbound. Lower case.",
        required=True,
        static=True,
    )
    send_to = ConfigDict(
        "Endpoint name -> message fields that send_to() fills in, such as transport_name, "
        "transport_type and from_addr.",
        default={},
        static=True,
    )
    error_reply = ConfigText(
        "What a user is told, and his session closed with, if his message made the application "
        "fail and was not answered yet. Nothing if left out.",
        static=True,
    )


class ApplicationWorker(BaseWorker):
    """Holds conversations with users.

    Override the hooks you need: :meth:`consume_user_message` for messages, :meth:`new_session` and
    :meth:`close_session` for the beginning and end of sessions, :meth:`consume_ack`,
    :meth:`consume_nack` and :meth:`consume_delivery_report` for what became of what you sent, and
    :meth:`setup_application` and :meth:`teardown_application` around all of it.

    A hook may be a plain method, one under ``inlineCallbacks``, or ``async def``. A message is
    acknowledged once its hook is done and everything it has sent is confirmed by the broker. If
    the hook raises, the message becomes a dead letter and the next one is taken; the user is told
    the option ``error_reply``, unless the hook has replied before. If it raises
    :class:`~vumi.errors.StoreUnavailable` before it has sent anything, the message waits and is
    handled again when the store is back (:class:`~vumi.errors.HandleLater`).
    """

    CONFIG_CLASS: ClassVar[Any] = ApplicationConfig

    #: Endpoints that :meth:`send_to` may send to; ``None`` is any.
    ALLOWED_ENDPOINTS: ClassVar[Collection[str] | None] = frozenset(["default"])

    #: ``False``: the subclass calls :meth:`unpause_connectors` itself.
    UNPAUSE_CONNECTORS = True

    transport_name: str = ""

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        #: Ids of the messages in hand -> whether they were replied to.
        self._in_hand: dict[str, bool] = {}
        #: How many messages were sent that are no replies to one of those.
        self._sent_unasked = 0
        self._error_reply: str | None = None
        super().__init__(options, config)

    # Life

    def _validate_config(self) -> Any:
        config = self.get_static_config()
        self.transport_name = config.transport_name
        # A subclass's option of that name may depend on the message: it then sees to it itself.
        option = getattr(type(config), "error_reply", None)
        self._error_reply = config.error_reply if option is not None and option.static else None
        return super()._validate_config()

    @deferred
    async def setup_connectors(self) -> None:
        connector = await self.setup_ri_connector(self.transport_name)
        # Looked up at each call: programs replace these on the object.
        connector.set_default_inbound_handler(self._take)
        connector.set_default_event_handler(self._take_event)

    @deferred
    async def setup_worker(self) -> None:
        self._session_handlers: dict[str | None, Callable[[Any], Any]] = {
            SESSION_NEW: self.new_session,
            SESSION_CLOSE: self.close_session,
        }
        self._event_handlers: dict[str, Callable[[Any], Any]] = {
            "ack": self.consume_ack,
            "nack": self.consume_nack,
            "delivery_report": self.consume_delivery_report,
        }
        await settle(self.setup_application())
        if self.UNPAUSE_CONNECTORS:
            await settle(self.unpause_connectors())

    @deferred
    async def teardown_worker(self) -> None:
        await settle(self.pause_connectors())
        await settle(self.teardown_application())

    def setup_application(self) -> Any:
        """Called before the first message; may return a Deferred or be ``async``."""

    def teardown_application(self) -> Any:
        """Called after the last message; may return a Deferred or be ``async``."""

    # Messages and events coming in

    def _take(self, message: TransportUserMessage) -> Any:
        """Have a message handled, and see to it that its user is not left without a word.

        Makes no Deferred where the hook makes none.
        """
        message_id: str = message.payload["message_id"]
        sent_before = self._sent_unasked
        self._in_hand[message_id] = False
        try:
            result = self.dispatch_user_message(message)
        except Exception:  # noqa: BLE001 (it is raised again, or one that stands for it)
            return self._failed(Failure(), message, sent_before)
        waiting = to_wait_for(result)
        if waiting is None:
            return self._handled(result, message)
        return waiting.addCallbacks(
            self._handled, self._failed, (message,), {}, (message, sent_before)
        )

    def _handled(self, result: Any, message: TransportUserMessage) -> Any:
        if result is False:
            self._apologise_for(HandlerRefused(), message)
        self._in_hand.pop(message.payload["message_id"], None)
        return result

    def _failed(self, failure: Failure, message: TransportUserMessage, sent_before: int) -> Any:
        """A hook has failed.

        :raises HandleLater: It lacked its store, and nothing was sent: the message can wait.
        """
        replied = self._in_hand.get(message.payload["message_id"], False)
        if failure.check(StoreUnavailable) and not replied and self._sent_unasked == sent_before:
            self._in_hand.pop(message.payload["message_id"], None)
            raise HandleLater(str(failure.value)) from failure.value
        self._apologise_for(failure.value, message)
        self._in_hand.pop(message.payload["message_id"], None)
        failure.raiseException()

    def _take_event(self, event: TransportEvent) -> Any:
        """Have an event handled; without the store that its hook needs it waits."""
        sent_before = self._sent_unasked
        try:
            result = self.dispatch_event(event)
        except StoreUnavailable:
            return self._event_failed(Failure(), sent_before)
        waiting = to_wait_for(result)
        return result if waiting is None else waiting.addErrback(self._event_failed, sent_before)

    def _event_failed(self, failure: Failure, sent_before: int) -> Any:
        if failure.check(StoreUnavailable) and self._sent_unasked == sent_before:
            raise HandleLater(str(failure.value)) from failure.value
        failure.raiseException()

    def _apologise_for(self, error: BaseException | None, message: TransportUserMessage) -> None:
        """Tell a user that something went wrong, unless he was answered or has left."""
        if (
            not self._error_reply
            or self._in_hand.get(message.payload["message_id"], False)
            or message.payload["session_event"] == SESSION_CLOSE
            or isinstance(error, HandleLater | IgnoreMessage)
        ):
            return
        # Not waited for: the dead letter is not done before the broker has it.
        try:
            replied = self.reply_to(message, self._error_reply, continue_session=False)
        except Exception:  # noqa: BLE001 (the error that is told is the hook's)
            self.log.err(Failure(), "The error_reply could not be sent")
            return
        on_outcome(
            replied,
            lambda _: None,
            lambda failure: self.log.err(failure, "The error_reply could not be sent"),
        )

    def dispatch_user_message(self, message: TransportUserMessage) -> Any:
        """Hand a message to its hook, by its session event. Override it to see all of them."""
        handler = self._session_handlers.get(message.payload["session_event"])
        return (handler or self.consume_user_message)(message)

    def dispatch_event(self, event: TransportEvent) -> Any:
        """Hand an event to its hook, by its type. Override it to see all of them."""
        handler = self._event_handlers.get(event.payload["event_type"])
        return (handler or self.consume_unknown_event)(event)

    def consume_user_message(self, message: TransportUserMessage) -> Any:
        """A message without a session, or one that goes on with a session."""

    def new_session(self, message: TransportUserMessage) -> Any:
        """The first message of a session; by default treated as any other message."""
        return self.consume_user_message(message)

    def close_session(self, message: TransportUserMessage) -> Any:
        """The user or the network has ended the session: it can't be replied to."""

    def consume_ack(self, event: TransportEvent) -> Any:
        """The network has taken a message."""

    def consume_nack(self, event: TransportEvent) -> Any:
        """A message won't be sent."""

    def consume_delivery_report(self, event: TransportEvent) -> Any:
        """The network tells whether a message has reached its user."""

    def consume_unknown_event(self, event: TransportEvent) -> Any:
        """An event of another type."""
        self.log.warning("Unknown event type in message", event)

    # Messages going out

    def _publish_message(
        self, message: TransportUserMessage, endpoint_name: str | None = None
    ) -> Deferred[Any]:
        in_reply_to = message.payload.get("in_reply_to")
        if in_reply_to in self._in_hand:
            self._in_hand[in_reply_to] = True
        else:
            self._sent_unasked += 1
        connector = self.connectors[self.transport_name]
        published: Deferred[Any] = connector.publish_outbound(message, endpoint_name)
        return published

    def reply_to(
        self,
        original_message: TransportUserMessage,
        content: str | None,
        continue_session: bool = True,
        **kws: Any,
    ) -> Deferred[Any]:
        """Reply to a message.

        :param original_message: The message to reply to.
        :param content: The text.
        :param continue_session: ``False`` ends the session with this reply.
        :param kws: Further fields of the reply.
        :returns: Fires with the reply once the broker has it safe. You need not wait for it.
        """
        reply = original_message.reply(content, continue_session, **kws)
        return self._publish_message(reply)

    def reply_to_group(
        self,
        original_message: TransportUserMessage,
        content: str | None,
        continue_session: bool = True,
        **kws: Any,
    ) -> Deferred[Any]:
        """Reply to the whole group that a message came through. See :meth:`reply_to`."""
        reply = original_message.reply_group(content, continue_session, **kws)
        return self._publish_message(reply)

    def send_to(
        self, to_addr: str | None, content: str | None, endpoint: str | None = None, **kw: Any
    ) -> Deferred[Any]:
        """Send a message that is no reply.

        :param to_addr: Whom it is for.
        :param content: The text.
        :param endpoint: Where to; the default endpoint if left out. The config's ``send_to``
            section of that name gives the message's fields.
        :param kw: Fields that win over those of the config.
        :returns: Fires with the message once the broker has it safe.
        :raises InvalidEndpoint: The endpoint is none of :attr:`ALLOWED_ENDPOINTS`.
        """
        if endpoint is None:
            endpoint = "default"
        self.check_endpoint(self.ALLOWED_ENDPOINTS, endpoint)
        fields = deepcopy(self.get_static_config().send_to.get(endpoint) or {})
        fields.update(kw)
        message = TransportUserMessage.send(to_addr, content, **fields)
        return self._publish_message(message, endpoint_name=endpoint)

    @staticmethod
    def check_endpoint(allowed_endpoints: Collection[str] | None, endpoint: str | None) -> None:
        """Check that an endpoint may be sent to.

        :raises InvalidEndpoint: It may not.
        """
        if allowed_endpoints is None:
            return
        if endpoint is None:
            endpoint = "default"
        if endpoint not in allowed_endpoints:
            raise InvalidEndpoint(
                f"Endpoint {endpoint!r} is not allowed; allowed are "
                f"{', '.join(sorted(allowed_endpoints)) or 'none'}."
            )
