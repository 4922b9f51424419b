"""A consumer of one AMQP queue that outlives its channels and connections.

Knows channels and delivery tags, not how a connection is made (:mod:`vumi.broker.amqp_link`) nor
what the deliveries are for.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from vumi.broker.amqp_link import LinkLost
from vumi.broker.interface import Delivery, ISubscription
from vumi.broker.ledger import AckBatch
from vumi.errors import BrokerError
from vumi.tasks import deferred, in_background

if TYPE_CHECKING:
    from pika.adapters.twisted_connection import TwistedChannel
    from pika.channel import Channel
    from twisted.internet.interfaces import IDelayedCall

    from vumi.broker.amqp import AmqpBroker
    from vumi.broker.amqp_link import Link
    from vumi.broker.interface import Headers, IReceiver

__all__ = ["AmqpSubscription"]

#: Seconds before consuming is tried again after the broker has ended it.
RESUBSCRIBE_DELAY = 1.0
#: Seconds that the broker has to end a subscription. One that lacks memory doesn't read that it
#: should; then the connection is dropped, and what was in hand is delivered again.
END_TIMEOUT = 5.0
#: Has RabbitMQ tell a consumer that its classic queue was deleted. Without it, RabbitMQ tries to
#: consume by itself if a queue of that name is there again, and then loses what that delivers.
#: Other types of queue refuse it. See https://www.rabbitmq.com/docs/consumer-cancel
TELL_OF_DELETION = "x-cancel-on-ha-failover"


@implementer(ISubscription)
class AmqpSubscription:
    """Takes the deliveries of one queue, over a channel of its own."""

    log = Logger()

    def __init__(
        self,
        broker: AmqpBroker,
        queue: str,
        receiver: IReceiver,
        prefetch: int,
        is_classic: bool = True,
    ) -> None:
        self.queue = queue
        self._broker = broker
        self._receiver = receiver
        self._prefetch = prefetch
        self._is_classic = is_classic
        self._link: Link | None = None
        self._channel: Channel | None = None
        self._consumer_tag = ""
        self._acks = AckBatch()
        self._cancelled = False
        self._closed = False
        self._retry: IDelayedCall | None = None

    async def attach(self, link: Link) -> None:
        """Start to consume on a connection."""
        if self._closed:
            return
        opened = await link.open_channel()
        if self._cancelled:
            return
        channel = opened._channel
        self._link, self._channel, self._acks = link, channel, AckBatch()
        opened.on_closed.addBoth(self._channel_closed, channel, link)
        channel.add_on_cancel_callback(lambda _frame: self._cancelled_by_broker(link, opened))
        if self._prefetch:
            channel.basic_qos(prefetch_count=self._prefetch)
        link.read_deliveries(channel, self._on_delivery)
        await self._consume(link, opened)

    async def restore(self, link: Link) -> None:
        """Consume on a new connection. Where the queue can't be consumed, that is tried again."""
        try:
            await self.attach(link)
        except LinkLost:
            raise
        except BrokerError as error:
            self._resubscribe_later(link, error)

    async def _consume(self, link: Link, opened: TwistedChannel) -> None:
        consuming: Deferred[Any] = Deferred()
        opened.on_closed.addBoth(lambda reason: _end(consuming, reason))
        self._consumer_tag = opened._channel.basic_consume(
            self.queue,
            _left_to_pika,
            arguments={TELL_OF_DELETION: True} if self._is_classic else None,
            callback=lambda frame: _end(consuming, frame),
        )
        outcome = await link.answer(consuming)
        if isinstance(outcome, BaseException):
            if link.over:
                raise LinkLost(f"The connection to the broker was lost: {outcome}")
            raise BrokerError(f"Queue {self.queue!r} can't be consumed: {outcome}")

    def _on_delivery(
        self,
        tag: int,
        redelivered: bool,
        exchange: str,
        routing_key: str,
        headers: Headers | None,
        body: bytes,
    ) -> None:
        channel = self._channel
        if self._cancelled:
            # On its way when the consumer was cancelled.
            if channel is not None and channel.is_open:
                channel.basic_reject(tag)
            return
        self._receiver.delivered(
            Delivery(
                body,
                headers=headers,
                exchange=exchange,
                routing_key=routing_key,
                redelivered=redelivered,
                tag=tag,
                source=channel,
            )
        )

    # Acks

    def ack(self, delivery: Delivery) -> None:
        if (
            delivery.source is self._channel
            and self._link is not None
            and self._acks.add(delivery.tag)
        ):
            self._link.flush_later(self.flush)

    def reject(self, delivery: Delivery) -> None:
        channel = self._channel
        if channel is not None and delivery.source is self._channel and channel.is_open:
            self._acks.told(delivery.tag)
            channel.basic_reject(delivery.tag, requeue=False)

    def flush(self) -> None:
        """Send the acks that were collected."""
        channel = self._channel
        if channel is not None and channel.is_open:
            for tag, multiple in self._acks.flush():
                channel.basic_ack(tag, multiple)

    # The end of a channel, and of the subscription

    def interrupted(self) -> None:
        """The connection is gone (called by the broker object)."""
        self._retry_no_more()
        if self._channel is not None:
            self._channel = self._link = None
            self._receiver.interrupted()

    def _channel_closed(self, reason: Any, channel: Channel, its_link: Link) -> None:
        its_link.read_deliveries(channel, None)
        if channel is not self._channel or self._closed:
            return
        link = self._link
        self.interrupted()
        reason = getattr(reason, "value", reason)
        if TELL_OF_DELETION in str(reason):
            # The queue is of another type than it was declared with here.
            self._is_classic = False
        if link is not None and not link.over:
            self._resubscribe_later(link, reason)

    def _cancelled_by_broker(self, link: Link, opened: TwistedChannel) -> None:
        # The queue was deleted, or its node left the cluster. What is in hand goes on: the
        # broker may not have it any more, so acks for it are not needed.
        if opened._channel is self._channel and not self._cancelled:
            self.log.warn(
                "The broker ended consuming from {queue}: the queue was deleted or has moved. It "
                "is declared and consumed again",
                event="broker-consumer-cancelled",
                queue=self.queue,
            )
            in_background(self._consume_again(link, opened), self.log, "Consuming again")

    async def _consume_again(self, link: Link, opened: TwistedChannel) -> None:
        try:
            await self._broker.redeclare(link, self.queue)
            if opened._channel is not self._channel or self._cancelled:
                return
            # On another channel: what RabbitMQ still does on this one about the old queue must not
            # concern the new one of the same name.
            await self.attach(link)
        except BrokerError as error:
            self.log.warn(
                "Queue {queue} could not be consumed again: {error}",
                event="broker-consuming-again-failed",
                queue=self.queue,
                error=error,
            )
        # If it is still the one in use, this leads to _channel_closed, which starts over.
        if opened.is_open:
            _ = opened.close()

    def _resubscribe_later(self, link: Link, reason: object) -> None:
        self.log.warn(
            "The broker ended consuming from {queue}: {reason}. Trying again in {seconds} s",
            event="broker-consumer-ended",
            queue=self.queue,
            reason=reason,
            seconds=RESUBSCRIBE_DELAY,
        )
        self._retry_no_more()
        self._retry = self._broker.clock.callLater(RESUBSCRIBE_DELAY, self._resubscribe, link)

    def _retry_no_more(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _resubscribe(self, link: Link) -> None:
        self._retry = None
        if self._closed or self._cancelled or link.over or self._channel is not None:
            return
        in_background(self._redeclare_and_attach(link), self.log, "Consuming again")

    async def _redeclare_and_attach(self, link: Link) -> None:
        try:
            await self._broker.redeclare(link, self.queue)
            await self.attach(link)
        except BrokerError as error:
            self._resubscribe_later(link, error)

    def cancel(self) -> Deferred[None]:
        self._cancelled = True
        self._retry_no_more()
        return Deferred.fromCoroutine(self._cancel())

    async def _cancel(self) -> None:
        link, channel = self._link, self._channel
        if link is None or channel is None or not channel.is_open:
            return
        cancelled: Deferred[Any] = Deferred()
        channel.add_on_close_callback(lambda *_: _end(cancelled, None))
        channel.basic_cancel(self._consumer_tag, callback=lambda _frame: _end(cancelled, None))
        await self._until(link, cancelled)

    async def _until(self, link: Link, done: Deferred[Any]) -> None:
        """Wait for the broker while a subscription ends. Without an answer it ends too."""
        with suppress(LinkLost):
            await link.answer(done, END_TIMEOUT)

    @deferred
    async def close(self) -> None:
        if not self._cancelled:
            await self.cancel()
        self._closed = True
        self._broker.forget(self)
        self.flush()
        link, channel, self._channel = self._link, self._channel, None
        if link is not None and channel is not None and channel.is_open:
            closed: Deferred[Any] = Deferred()
            channel.add_on_close_callback(lambda *_: _end(closed, None))
            channel.close()
            await self._until(link, closed)


def _left_to_pika(*delivery: object) -> None:
    """Deliveries are read before pika sees them (:class:`~vumi.broker.amqp_frames`)."""
    raise AssertionError("pika was given a delivery")


def _end(deferred: Deferred[Any], result: Any) -> None:
    if not deferred.called:
        deferred.callback(getattr(result, "value", result))
