"""Dead letters, for operators: read, retried, thrown away.

A queue's dead letters are in the queue ``<queue>.dead``, put there by :mod:`vumi.delivery` with
the reason in headers, or by RabbitMQ itself when a quorum queue gives a message up. Knows the
broker's interface and those headers. Knows no command line.

Nothing is taken off the queue before it is safe elsewhere: letters are held unacknowledged while
they are looked at or published again, and what is not acknowledged goes back to its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from zope.interface import implementer

from vumi.broker import IReceiver
from vumi.broker.queue_types import dead_letter_queue
from vumi.dead_letter_writer import DeadReason
from vumi.errors import BrokerClosed, BrokerError, InvalidMessage
from vumi.payload import decode_payload, encode_payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from vumi.broker import Delivery, IBroker, Publication

__all__ = ["DeadLetter", "DeadLetters"]

#: The reason shown for what RabbitMQ itself has put aside.
GIVEN_UP = "delivery-limit"
#: Seconds that the broker has to hand out a letter it said it has.
PATIENCE = 10.0
#: Seconds that the broker has to put letters back into their queue, and between two looks at it.
#: Somebody else may take them meanwhile, so this is short.
GIVE_BACK_PATIENCE, GIVE_BACK_PAUSE = 2.0, 0.02
#: The most that AMQP can be told; 0 is no limit.
MAX_PREFETCH = 65_535


@dataclass(frozen=True)
class DeadLetter:
    """One dead letter.

    :ivar number: Its place in the queue, from 1.
    :ivar message_id: The message's id, if it has one.
    :ivar reason: Why it is dead, one of a few words (``handler-failed`` ...).
    :ivar error: What went wrong, in one line.
    :ivar traceback: Where, if a handler failed.
    :ivar queue: The queue that it was taken from.
    :ivar first_seen: When it died first, ISO 8601, UTC.
    :ivar last_seen: When it died last.
    :ivar count: How often it has died.
    """

    number: int
    body: bytes
    message_id: str | None
    reason: str
    error: str
    traceback: str
    queue: str
    first_seen: str
    last_seen: str
    count: int

    @classmethod
    def from_delivery(cls, delivery: Delivery, number: int, queue: str) -> DeadLetter:
        """Read a letter from what the broker hands out.

        :param queue: The queue it died in, unless the letter says so.
        """
        headers = delivery.headers
        death = _death(headers.get("x-death"))
        when = _text(death.get("time"))

        def text(name: str, otherwise: str) -> str:
            return _text(headers.get(name), otherwise)

        return cls(
            number=number,
            body=delivery.body,
            message_id=_message_id(delivery.body),
            reason=text("x-vumi-reason", GIVEN_UP if death else "unknown"),
            error=text("x-vumi-error", _text(death.get("reason"))),
            traceback=text("x-vumi-traceback", ""),
            queue=text("x-vumi-queue", queue),
            first_seen=text("x-vumi-first-seen", when),
            last_seen=text("x-vumi-last-seen", when),
            count=_count(headers.get("x-vumi-count"), death.get("count")),
        )

    def fresh_body(self) -> bytes:
        """The body to be handled again: one that went round counts its dispatchers anew."""
        if self.reason != DeadReason.LOOP.value:
            return self.body
        try:
            payload = decode_payload(self.body)
            del payload["routing_metadata"]["hops"]
        except (InvalidMessage, KeyError, TypeError):
            # It is not what its header says.
            return self.body
        return encode_payload(payload)

    def headers(self) -> dict[str, Any]:
        """The headers that tell its history, with the types that they should have."""
        return {
            "x-vumi-reason": self.reason,
            "x-vumi-error": self.error,
            "x-vumi-traceback": self.traceback,
            "x-vumi-queue": self.queue,
            "x-vumi-first-seen": self.first_seen,
            "x-vumi-last-seen": self.last_seen,
            "x-vumi-count": self.count,
        }

    def is_called(self, name: str) -> bool:
        """Whether it is meant by a message id or by its number in the queue."""
        return name in (self.message_id, str(self.number))


def _death(header: Any) -> dict[str, Any]:
    """RabbitMQ's newest note about a letter; empty if the header is not a list of notes."""
    notes = header if isinstance(header, list | tuple) else [header]
    return next((note for note in notes if isinstance(note, dict)), {})


def _text(value: Any, otherwise: str = "") -> str:
    """A header as a text. Anybody can publish to a queue: a header may have any type."""
    if value is None:
        return otherwise
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _count(*values: Any) -> int:
    """The first count that is one; 1 if none is."""
    for value in values:
        # Not a text of digits: int() of a long one raises, and no writer of these sends one.
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return 1


def _message_id(body: bytes) -> str | None:
    try:
        payload = decode_payload(body)
    except InvalidMessage:
        return None
    message_id = payload.get("message_id") or payload.get("event_id")
    return None if message_id is None else str(message_id)


@implementer(IReceiver)
class _Holder:
    """Takes letters in hand, as many as asked for."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._wanted = 0
        self._waiter: Deferred[None] | None = None

    def delivered(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._check()

    def interrupted(self) -> None:
        if self._waiter is not None and not self._waiter.called:
            self._waiter.errback(BrokerError("The connection to the broker was lost: try again."))

    def until(self, number: int) -> Deferred[None]:
        self._wanted = number
        self._waiter = Deferred()
        self._check()
        return self._waiter

    def _check(self) -> None:
        if (
            self._waiter is not None
            and not self._waiter.called
            and len(self.deliveries) >= self._wanted
        ):
            self._waiter.callback(None)


class DeadLetters:
    """The dead letters of one queue.

    :param broker: A connection, started.
    :param queue: The queue's name, with or without ``.dead``.
    """

    def __init__(self, broker: IBroker, queue: str) -> None:
        self.queue = queue.removesuffix(".dead")
        self.name = dead_letter_queue(self.queue)
        self._broker = broker

    async def count(self) -> int:
        """How many there are.

        :raises BrokerError: The queue has never had any: there is no queue for them.
        """
        depth = await self._broker.depth(self.name)
        if depth is None:
            raise BrokerError(
                f"There is no queue {self.name!r}: {self.queue!r} has had no dead letter yet, or "
                "is the name wrong?"
            )
        return depth

    async def read(self, limit: int = 100) -> list[DeadLetter]:
        """The first letters; they stay where they are.

        :param limit: How many at most.
        """
        letters: list[DeadLetter] = []

        async def keep(letter: DeadLetter, delivery: Delivery) -> bool:
            letters.append(letter)
            return False

        await self._each(keep, limit)
        return letters

    async def retry(
        self,
        chosen: Callable[[DeadLetter], bool] = lambda letter: True,
        progress: Callable[[int], None] = lambda done: None,
        refused: Callable[[DeadLetter, BrokerError], None] | None = None,
    ) -> int:
        """Put letters back on the queue that they died in, to be handled again.

        Their headers go along, so that a letter that dies again says how often it has.

        :param chosen: Which.
        :param progress: Called with 1 after each letter looked at.
        :param refused: Called with each letter that can't be published, and why; it stays where
            it is, and the next one is tried. Without it, the first one ends the work.
        :returns: How many were put back.
        :raises BrokerError: A letter can't be published, and there is no `refused`.
        """

        async def put_back(letter: DeadLetter, delivery: Delivery) -> bool:
            progress(1)
            if not chosen(letter):
                return False
            try:
                await self._put_back(letter, delivery)
            except BrokerClosed:
                raise
            except BrokerError as error:
                if refused is None:
                    raise
                refused(letter, error)
                return False
            return True

        return await self._each(put_back)

    async def _put_back(self, letter: DeadLetter, delivery: Delivery) -> None:
        # Not to the queue that a header names: anybody may have written that.
        try:
            publishing = self._publish(
                letter,
                {name: value for name, value in delivery.headers.items() if name != "x-death"},
            )
        except BrokerError:
            # Headers of other programs that AMQP can't carry a second time.
            publishing = self._publish(letter, letter.headers())
        await publishing

    def _publish(self, letter: DeadLetter, headers: dict[str, Any]) -> Publication:
        body = letter.fresh_body()
        return self._broker.publish("", self.queue, body, headers=headers, mandatory=True)

    async def purge(
        self,
        chosen: Callable[[DeadLetter], bool] = lambda letter: True,
        progress: Callable[[int], None] = lambda done: None,
    ) -> int:
        """Throw letters away for good. Takes what :meth:`retry` takes."""

        async def drop(letter: DeadLetter, delivery: Delivery) -> bool:
            progress(1)
            return chosen(letter)

        return await self._each(drop)

    async def _each(self, deal_with: Callable[..., Any], limit: int | None = None) -> int:
        """Hold each letter that is there now in turn; acknowledge those that are dealt with."""
        there = await self.count()
        number = there if limit is None else min(there, limit)
        if not number:
            return 0
        holder = _Holder()
        subscription = await self._broker.subscribe(
            self.name, holder, prefetch=number if number <= MAX_PREFETCH else 0
        )
        done = 0
        try:
            for index in range(number):
                await holder.until(index + 1).addTimeout(PATIENCE, self._broker.clock)
                delivery = holder.deliveries[index]
                letter = DeadLetter.from_delivery(delivery, index + 1, self.queue)
                if await deal_with(letter, delivery):
                    subscription.ack(delivery)
                    done += 1
        finally:
            await subscription.close()
            await self._given_back(len(holder.deliveries) - done)
        return done

    async def _given_back(self, number: int) -> None:
        """Wait until letters that were held are in the queue again.

        RabbitMQ says that a channel is closed before its queues have taken back what it held. A
        queue that is looked at then seems to be empty.
        """
        clock: Any = self._broker.clock
        deadline = clock.seconds() + GIVE_BACK_PATIENCE
        while number and clock.seconds() < deadline:
            depth = await self._broker.depth(self.name)
            if depth is None or depth >= number:
                return
            await deferLater(clock, GIVE_BACK_PAUSE)
