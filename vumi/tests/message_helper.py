"""Making messages for tests, and handing them to workers as if they came over the broker.

Part of the public test kit, which :mod:`vumi.tests.helpers` offers whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from vumi.message import TransportEvent, TransportStatus, TransportUserMessage
from vumi.tests.case import IHelper
from vumi.tests.proxies import DEFAULT, proxyable

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from vumi.message import Message
    from vumi.tests.worker_helper import WorkerHelper

__all__ = ["MessageDispatchHelper", "MessageHelper"]


def _given(value: Any, default: Any) -> Any:
    return default if value is DEFAULT else value


@implementer(IHelper)
class MessageHelper:
    """Makes messages between one person and one transport.

    :param transport_name: For the messages' ``transport_name``.
    :param transport_type: For their ``transport_type``.
    :param mobile_addr: The person's address.
    :param transport_addr: The address the person writes to.
    """

    def __init__(
        self,
        transport_name: str = "sphex",
        transport_type: str = "sms",
        mobile_addr: str = "+41791234567",
        transport_addr: str = "9292",
    ) -> None:
        self.transport_name = transport_name
        self.transport_type = transport_type
        self.mobile_addr = mobile_addr
        self.transport_addr = transport_addr

    def setup(self) -> None:
        """Nothing to do."""

    def cleanup(self) -> None:
        """Nothing to do."""

    @proxyable
    def make_inbound(
        self,
        content: str | None,
        from_addr: str | None = DEFAULT,
        to_addr: str | None = DEFAULT,
        **kw: Any,
    ) -> TransportUserMessage:
        """Make a message from the person; `kw` is as in :meth:`make_user_message`."""
        return self.make_user_message(
            content,
            _given(from_addr, self.mobile_addr),
            _given(to_addr, self.transport_addr),
            **kw,
        )

    @proxyable
    def make_outbound(
        self,
        content: str | None,
        from_addr: str | None = DEFAULT,
        to_addr: str | None = DEFAULT,
        **kw: Any,
    ) -> TransportUserMessage:
        """Make a message to the person; `kw` is as in :meth:`make_user_message`."""
        return self.make_user_message(
            content,
            _given(from_addr, self.transport_addr),
            _given(to_addr, self.mobile_addr),
            **kw,
        )

    @proxyable
    def make_user_message(
        self,
        content: str | None,
        from_addr: str | None,
        to_addr: str | None,
        group: str | None = None,
        session_event: str | None = None,
        transport_type: str | None = DEFAULT,
        transport_name: str | None = DEFAULT,
        transport_metadata: dict[str, Any] = DEFAULT,
        helper_metadata: dict[str, Any] = DEFAULT,
        endpoint: str | None = DEFAULT,
        **kw: Any,
    ) -> TransportUserMessage:
        """Make a message.

        :param endpoint: The endpoint it is bound for; set only if given.
        :param kw: Further fields, such as ``message_id`` and ``in_reply_to``.
        """
        message = TransportUserMessage(
            content=content,
            from_addr=from_addr,
            to_addr=to_addr,
            group=group,
            session_event=session_event,
            transport_type=_given(transport_type, self.transport_type),
            transport_name=_given(transport_name, self.transport_name),
            transport_metadata=_given(transport_metadata, {}),
            helper_metadata=_given(helper_metadata, {}),
            **kw,
        )
        if endpoint is not DEFAULT:
            message.set_routing_endpoint(endpoint)
        return message

    @proxyable
    def make_event(
        self,
        event_type: str,
        user_message_id: str,
        transport_type: str | None = DEFAULT,
        transport_name: str | None = DEFAULT,
        transport_metadata: dict[str, Any] = DEFAULT,
        endpoint: str | None = DEFAULT,
        **kw: Any,
    ) -> TransportEvent:
        """Make an event.

        :param event_type: ``ack``, ``nack`` or ``delivery_report``.
        :param user_message_id: The id of the message it is about.
        :param endpoint: The endpoint it is bound for; set only if given.
        :param kw: Further fields, those that the type of event needs included.
        """
        event = TransportEvent(
            event_type=event_type,
            user_message_id=user_message_id,
            transport_type=_given(transport_type, self.transport_type),
            transport_name=_given(transport_name, self.transport_name),
            transport_metadata=_given(transport_metadata, {}),
            **kw,
        )
        if endpoint is not DEFAULT:
            event.set_routing_endpoint(endpoint)
        return event

    def _outbound_id(self, msg: TransportUserMessage | None, event_type: str) -> str:
        if msg is None:
            msg = self.make_outbound(f"for {event_type}")
        message_id: str = msg["message_id"]
        return message_id

    @proxyable
    def make_ack(
        self,
        msg: TransportUserMessage | None = None,
        sent_message_id: str = DEFAULT,
        **kw: Any,
    ) -> TransportEvent:
        """Make an ack.

        :param msg: The outbound message it is about; some message if left out.
        :param sent_message_id: The id in the network; the message's own if left out.
        """
        message_id = self._outbound_id(msg, "ack")
        return self.make_event(
            "ack", message_id, sent_message_id=_given(sent_message_id, message_id), **kw
        )

    @proxyable
    def make_nack(
        self,
        msg: TransportUserMessage | None = None,
        nack_reason: str = DEFAULT,
        **kw: Any,
    ) -> TransportEvent:
        """Make a nack; the reason is ``sunspots`` if left out."""
        return self.make_event(
            "nack",
            self._outbound_id(msg, "nack"),
            nack_reason=_given(nack_reason, "sunspots"),
            **kw,
        )

    @proxyable
    def make_delivery_report(
        self,
        msg: TransportUserMessage | None = None,
        delivery_status: str = DEFAULT,
        **kw: Any,
    ) -> TransportEvent:
        """Make a delivery report; the status is ``delivered`` if left out."""
        return self.make_event(
            "delivery_report",
            self._outbound_id(msg, "delivery_report"),
            delivery_status=_given(delivery_status, "delivered"),
            **kw,
        )

    @proxyable
    def make_reply(
        self, msg: TransportUserMessage, content: str | None, **kw: Any
    ) -> TransportUserMessage:
        """Make a reply; `kw` is as in :meth:`~vumi.message.TransportUserMessage.reply`."""
        return msg.reply(content, **kw)

    @proxyable
    def make_status(self, **kw: Any) -> TransportStatus:
        """Make a status; all its fields have to be given."""
        return TransportStatus(**kw)


@implementer(IHelper)
class MessageDispatchHelper:
    """Makes messages and hands them to the workers.

    Each method takes what the :class:`MessageHelper`'s ``make_*`` method takes. The Deferred it
    returns fires with the message, when it was handled and so was everything it led to (see
    :meth:`~vumi.tests.fake_amqp.FakeAMQPBroker.kick_delivery`).

    :param msg_helper: Makes the messages.
    :param worker_helper: Hands them over.
    """

    def __init__(self, msg_helper: MessageHelper, worker_helper: WorkerHelper) -> None:
        self.msg_helper = msg_helper
        self.worker_helper = worker_helper
        #: Dispatches by what was made.
        self._dispatchers: dict[str, Callable[[Any], Deferred[Any]]] = {
            "inbound": worker_helper.dispatch_inbound,
            "outbound": worker_helper.dispatch_outbound,
            "event": worker_helper.dispatch_event,
            "status": worker_helper.dispatch_status,
        }

    def setup(self) -> None:
        """Nothing to do."""

    def cleanup(self) -> None:
        """Nothing to do."""

    def _dispatch(self, kind: str, message: Message) -> Deferred[Any]:
        return self._dispatchers[kind](message).addCallback(lambda _: message)

    @proxyable
    def make_dispatch_inbound(self, *args: Any, **kw: Any) -> Deferred[TransportUserMessage]:
        """A message from the person arrives; see :meth:`MessageHelper.make_inbound`."""
        return self._dispatch("inbound", self.msg_helper.make_inbound(*args, **kw))

    @proxyable
    def make_dispatch_outbound(self, *args: Any, **kw: Any) -> Deferred[TransportUserMessage]:
        """A message to the person arrives; see :meth:`MessageHelper.make_outbound`."""
        return self._dispatch("outbound", self.msg_helper.make_outbound(*args, **kw))

    @proxyable
    def make_dispatch_ack(self, *args: Any, **kw: Any) -> Deferred[TransportEvent]:
        """An ack arrives; see :meth:`MessageHelper.make_ack`."""
        return self._dispatch("event", self.msg_helper.make_ack(*args, **kw))

    @proxyable
    def make_dispatch_nack(self, *args: Any, **kw: Any) -> Deferred[TransportEvent]:
        """A nack arrives; see :meth:`MessageHelper.make_nack`."""
        return self._dispatch("event", self.msg_helper.make_nack(*args, **kw))

    @proxyable
    def make_dispatch_delivery_report(self, *args: Any, **kw: Any) -> Deferred[TransportEvent]:
        """A delivery report arrives; see :meth:`MessageHelper.make_delivery_report`."""
        return self._dispatch("event", self.msg_helper.make_delivery_report(*args, **kw))

    @proxyable
    def make_dispatch_reply(self, *args: Any, **kw: Any) -> Deferred[TransportUserMessage]:
        """A reply arrives, at the transport; see :meth:`MessageHelper.make_reply`."""
        return self._dispatch("outbound", self.msg_helper.make_reply(*args, **kw))

    @proxyable
    def make_dispatch_status(self, *args: Any, **kw: Any) -> Deferred[TransportStatus]:
        """A status arrives; see :meth:`MessageHelper.make_status`."""
        return self._dispatch("status", self.msg_helper.make_status(*args, **kw))
