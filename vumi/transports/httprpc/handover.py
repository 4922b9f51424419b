"""Several processes under one name: replies get to the process that holds their request.

Knows the broker and whole messages. Knows no HTTP: whoever answers requests is a callable.

Theory of operation. Processes that run under one transport name share its outbound queue, so a
reply may reach any of them; but only the one that holds the request can answer it. Each process
(an *instance*) has an id, which is the first part of the ids of its requests, hence of the
messages they bring, and hence of what replies have as ``in_reply_to``. And each has a queue of its
own, ``<transport>.outbound.<instance id>``, which the broker deletes when the instance goes.

::

    the broker ── reply ──> another instance          the holder
                                  │  1. the reply ────────> │ answers the request,
                                  │                         │ publishes the ack, confirmed
                                  │ <──────────── 2. "done" │
               <── acknowledged ──┘

The delivery is acknowledged only after the holder has said that it is done, so a reply survives
the end of either process, and of the broker:

* There is no queue for the holder (the publish comes back): it is gone. The reply is nacked.
* No "done" within :data:`REPEAT_AFTER` seconds: the reply is handed on again. The holder knows
  what it has done already, and says so again.
* This process ends: the broker delivers the reply to another one, which hands it on.

When the connection to the broker has only just come back, the holder's may not have yet: for
:data:`GRACE` seconds a missing queue is then waited for.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from vumi.broker import Exchange, IReceiver, Queue
from vumi.errors import BrokerClosed, InvalidMessage, Unroutable
from vumi.message import TransportUserMessage
from vumi.payload import short_repr
from vumi.publishers import DEFAULT_EXCHANGE
from vumi.tasks import in_background, on_outcome, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

    from vumi.broker import Delivery, IBroker, ISubscription, Publication

__all__ = ["Handover", "instance_of", "new_instance_id"]

#: How many characters of a request's id are its instance's.
INSTANCE_CHARACTERS = 12
#: Seconds after which a reply is handed on again.
REPEAT_AFTER = 2.0
#: Seconds after which a holder that has a queue but says nothing is given up.
GIVE_UP_AFTER = 60.0
#: Seconds after a new connection to the broker in which others may not be back yet.
GRACE = 10.0
#: How many replies that were done are remembered.
REMEMBERED = 10_000

#: What is in the queues: a reply and who hands it on; or the id of a reply that is done.
MESSAGE = b'{"from":"%b","message":%b}'
DONE = b"done:"
_ENVELOPE = re.compile(rb'\{"from":"([0-9a-f]{12})","message":(.*)\}\Z', re.DOTALL)
_NOBODY_THERE = (Unroutable, BrokerClosed)
_REQUEST_ID = re.compile(r"[0-9a-f]{32}\Z")


def new_instance_id() -> str:
    """An id for a process."""
    return TransportUserMessage.generate_id()[:INSTANCE_CHARACTERS]


def instance_of(request_id: Any) -> str | None:
    """The id of the process that has made a request's id; ``None`` if none of ours can have."""
    if isinstance(request_id, str) and _REQUEST_ID.match(request_id):
        return request_id[:INSTANCE_CHARACTERS]
    return None


@implementer(IReceiver)
class Handover:
    """One instance's end.

    :param broker: The connection to the broker.
    :param transport_name: The name that the instances share.
    :param instance_id: This one's id.
    :param answer: Takes a reply to one of this instance's requests; what it returns is waited for.
        Whatever it publishes is confirmed when that is over.
    :param exchange_type: What the exchange is declared as.
    """

    log = Logger()

    def __init__(
        self,
        broker: IBroker,
        transport_name: str,
        instance_id: str,
        answer: Callable[[TransportUserMessage], Any],
        exchange_type: str = "topic",
    ) -> None:
        self.instance_id = instance_id
        self._broker = broker
        self._queue_prefix = f"{transport_name}.outbound."
        self._answer = answer
        self._exchange_type = exchange_type
        self._subscription: ISubscription | None = None
        #: Ids of replies handed on -> fires when the holder is done
        self._handed_on: dict[str, Deferred[None]] = {}
        #: What waits for others to come back
        self._pauses: set[Deferred[None]] = set()
        #: Ids of replies taken from others -> whether the answer was given
        self._taken: OrderedDict[str, bool] = OrderedDict()
        self._was_interrupted = False
        self._reconnected_at = float("-inf")

    def queue_of(self, instance_id: str) -> str:
        """The name of an instance's queue."""
        return self._queue_prefix + instance_id

    # Life

    async def open(self) -> None:
        """Declare the queue and take what comes."""
        queue = self.queue_of(self.instance_id)
        await self._broker.declare_exchange(Exchange(DEFAULT_EXCHANGE, self._exchange_type))
        await self._broker.declare_queue(Queue(queue, DEFAULT_EXCHANGE, auto_delete=True))
        self._subscription = await self._broker.subscribe(queue, self, prefetch=0)

    async def close(self) -> None:
        """Take no more; the broker deletes the queue. What waits for others is given up."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()
        for waiting in [*self._handed_on.values(), *self._pauses]:
            waiting.cancel()

    # Handing on

    async def hand_on(self, message: TransportUserMessage, holder: str) -> bool:
        """Give a reply to the instance that holds its request.

        :param message: The reply, as it came out of the middleware.
        :param holder: The instance's id.
        :returns: Whether it was taken; if not, the holder is gone.
        :raises BrokerClosed: This end was closed meanwhile.
        """
        message_id: str = message.payload["message_id"]
        envelope = MESSAGE % (self.instance_id.encode("ascii"), message.to_bytes())
        clock = self._broker.clock
        silent_since = clock.seconds()
        publication: Publication | None = None
        try:
            while True:
                done = self._handed_on[message_id] = Deferred()
                if publication is None:
                    publication = self._publish(self.queue_of(holder), envelope)
                on_outcome(publication, lambda _: None, partial(_fail, done))
                try:
                    await done.addTimeout(REPEAT_AFTER, clock)
                except Unroutable:
                    if not self._others_may_be_late():
                        return False
                    await self._pause(1.0)
                    publication = None
                except DeferredTimeout:
                    if not publication.safe:
                        # It waits for the broker.
                        silent_since = clock.seconds()
                        continue
                    if clock.seconds() - silent_since >= GIVE_UP_AFTER:
                        return False
                    publication = None
                    self.log.warn(
                        "Process {holder} is silent about reply {message_id}: it is handed on "
                        "again",
                        event="httprpc-handed-on-again",
                        holder=holder,
                        message_id=message_id,
                    )
                else:
                    return True
        except CancelledError:
            raise BrokerClosed("The transport was stopped.") from None
        finally:
            self._handed_on.pop(message_id, None)

    async def _pause(self, seconds: float) -> None:
        pause: Deferred[None] = deferLater(self._broker.clock, seconds)
        self._pauses.add(pause)
        try:
            await pause
        finally:
            self._pauses.discard(pause)

    def _publish(self, queue: str, body: bytes) -> Publication:
        return self._broker.publish(DEFAULT_EXCHANGE, queue, body, mandatory=True, retry=False)

    def _others_may_be_late(self) -> bool:
        """Whether others may not be connected again since the broker was away."""
        now: float = self._broker.clock.seconds()
        if self._was_interrupted:
            self._was_interrupted = False
            self._reconnected_at = now
        return now - self._reconnected_at < GRACE

    # From the broker

    def delivered(self, delivery: Delivery) -> None:
        # At once: it is the delivery of the reply itself that counts, and that is not ours.
        if self._subscription is not None:
            self._subscription.ack(delivery)
        body = delivery.body
        try:
            if body.startswith(DONE):
                self._is_done(body[len(DONE) :].decode("utf-8"))
                return
            envelope = _ENVELOPE.match(body)
            if envelope is None:
                raise InvalidMessage(f"not by a transport: {short_repr(body)}")
            message = TransportUserMessage.from_json(envelope[2])
        except (InvalidMessage, UnicodeDecodeError) as error:
            self.log.error(
                "{queue}: a message that can't be understood was dropped: {error}",
                event="httprpc-handover-garbage",
                queue=self.queue_of(self.instance_id),
                error=str(error),
            )
            return
        sender = envelope[1].decode("ascii")
        message_id = message.payload["message_id"]
        if message_id not in self._taken:
            self._taken[message_id] = False
            while len(self._taken) > REMEMBERED:
                self._taken.popitem(last=False)
            in_background(self._take(message, sender), self.log, f"Reply {message_id}")
        elif self._taken[message_id]:
            self._say_done(message_id, sender)

    def interrupted(self) -> None:
        self._was_interrupted = True

    def _is_done(self, message_id: str) -> None:
        done = self._handed_on.get(message_id)
        if done is not None and not done.called:
            done.callback(None)

    async def _take(self, message: TransportUserMessage, sender: str) -> None:
        message_id = message.payload["message_id"]
        try:
            await settle(self._answer(message))
        except BaseException:
            # To be tried again when it is handed on again.
            self._taken.pop(message_id, None)
            raise
        self._taken[message_id] = True
        self._say_done(message_id, sender)

    def _say_done(self, message_id: str, sender: str) -> None:
        publication = self._publish(self.queue_of(sender), DONE + message_id.encode("utf-8"))
        # Whoever handed it on is gone: the reply then comes again, by somebody else.
        on_outcome(publication, lambda _: None, lambda failure: failure.trap(*_NOBODY_THERE))


def _fail(done: Deferred[None], failure: Failure) -> None:
    if not done.called:
        done.errback(failure)
