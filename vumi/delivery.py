"""How the deliveries of one queue pass through a handler: the delivery promise, in one place.

Knows the broker's interface, and a message only through the callables it is given (`decode`,
`conversation_of`, `handle`). Knows no worker, connector or middleware.

Theory of operation. Every delivery becomes a :class:`_Task` that goes through these states::

    waiting ──> running ──> finished ──> acknowledged
     ▲ │            │           ▲
     │ │            ├─ failed ──┤  (its dead letter is published)
     │ └─ no message at all ────┘
     └── rests ─────┘

* *waiting*: no handler is free, the flow is paused, or an earlier message of the same conversation
  is running. Messages of one conversation stand in a lane, and only the first of a lane may run.
* *running*: the handler was called. A handler that is done when it returns costs no Deferred.
* *finished*: the handler is done. The broker's publish counter is noted: what the handler has
  published has a number up to it. The next of the lane may start; confirmations hold nobody up.
* *acknowledged*: all publishes up to the noted number are confirmed.

* *rests*: the handler has raised :class:`~vumi.errors.HandleLater`: what it needs (the message
  store, say) is away. The message goes back to where it was, made anew from its body, and its lane
  stays blocked. No handler starts for a while, which gets longer each time, until one has
  succeeded. So an outage makes no dead letters, and changes no order.

A lost connection means that the broker delivers again whatever has no acknowledgement. Those
waiting are forgotten, as they will come again. Those running or finished are kept by their body,
as are the last acknowledged ones (an ack may have been lost under way): when the same body comes
again, it takes the place of the first delivery instead of being handled twice. Only messages with
an id are treated so: two without one may well be two that are alike.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vumi.broker.interface import IReceiver
from vumi.dead_letter_writer import DeadLetterWriter, DeadReason
from vumi.errors import (
    BrokerClosed,
    HandleLater,
    HandlerRefused,
    HandlerTimeout,
    IgnoreMessage,
    RoutingLoop,
)
from vumi.lanes import Lanes
from vumi.tasks import (
    Waiters,
    in_background,
    message_in_hand,
    on_outcome,
    take_unheard_failure,
    to_wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from twisted.internet.interfaces import IDelayedCall

    from vumi.broker.interface import Delivery, IBroker, ISubscription

__all__ = ["DeadReason", "DeliveryCounters", "DeliveryFlow", "FlowOptions"]

DEFAULT_CONCURRENCY = 20
DEFAULT_PREFETCH = 100
#: Seconds after which a handler that has not finished is given up.
DEFAULT_HANDLER_TIMEOUT = 600.0
#: Seconds to rest when what messages need is away: at first, and at most.
FIRST_REST, LONGEST_REST = 0.5, 30.0

_REASONS: dict[Any, DeadReason] = {
    HandlerTimeout: DeadReason.TIMEOUT,
    HandlerRefused: DeadReason.REFUSED,
    RoutingLoop: DeadReason.LOOP,
}


@dataclass
class DeliveryCounters:
    """What one queue's flow has counted since it was made.

    :ivar put_off: How often a message was put off, to be handled again after a rest.
    :ivar handler_seconds: The sum of the time from a handler's call to its end, in seconds.
    :ivar in_flight: Deliveries taken and not acknowledged at this moment.
    """

    consumed: int = 0
    handled: int = 0
    failed: int = 0
    dead_lettered: int = 0
    redelivered: int = 0
    repeated: int = 0
    put_off: int = 0
    in_flight: int = 0
    handler_seconds: float = 0.0


@dataclass(frozen=True)
class FlowOptions:
    """How a flow works.

    :param concurrency: How many handlers may run at a time, at least 1.
    :param prefetch: How many unacknowledged deliveries the broker may hand out; 0 is no limit.
    :param handler_timeout: Seconds after which a handler is given up; 0 is never.
    :param queue_type: The type of the dead-letter queue.
    """

    concurrency: int = DEFAULT_CONCURRENCY
    prefetch: int = DEFAULT_PREFETCH
    handler_timeout: float = DEFAULT_HANDLER_TIMEOUT
    queue_type: str = "classic"


@dataclass(slots=True, eq=False)
class _Task:
    """One delivery on its way.

    :ivar mark: The number of the last publish that must be confirmed before it is acknowledged.
    :ivar failed: Publishes of its handler that have failed; ``None`` for none, as nearly always.
    """

    delivery: Delivery
    message: Any
    lane: Hashable
    number: int
    started: float = 0.0
    mark: int = 0
    over: bool = False
    deferred: Deferred[Any] | None = None
    failed: list[Deferred[Any]] | None = None
    failure: Failure | None = None

    def note_failed(self, publishing: Deferred[Any]) -> None:
        """A publish of the handler has failed."""
        if self.failed is None:
            self.failed = []
        self.failed.append(publishing)

    def publish_failure(self) -> Failure | None:
        """Why the message is not handled although its handler is done."""
        while self.failed:
            failure = take_unheard_failure(self.failed.pop(0))
            # What a middleware has dropped was not to be published.
            if failure is not None and not failure.check(IgnoreMessage):
                self.failure = self.failure or failure
        return self.failure


@implementer(IReceiver)
class DeliveryFlow:
    """Runs a handler over the deliveries of one queue.

    :param broker: The connection that the deliveries come from and publishes go to.
    :param queue: The queue's name.
    :param exchange: The exchange of the queue, to which its dead-letter queue is bound too.
    :param decode: Makes a message of a body, or raises :class:`~vumi.errors.InvalidMessage`.
    :param handle: Takes a message; returns a value, a Deferred or a coroutine.
    :param conversation_of: The conversation a message belongs to; ``None`` is of none.
    :param options: See :class:`FlowOptions`.
    :param scrub: Takes secrets out of a text before it goes into a log or a dead letter.
    """

    log = Logger()

    def __init__(
        self,
        broker: IBroker,
        queue: str,
        exchange: str,
        decode: Callable[[bytes], Any],
        handle: Callable[[Any], Any],
        conversation_of: Callable[[Any], Hashable] | None = None,
        options: FlowOptions | None = None,
        scrub: Callable[[str], str] = str,
    ) -> None:
        self.queue = queue
        self.counters = DeliveryCounters()
        self.paused = True
        self._broker = broker
        self._seconds = broker.clock.seconds
        self._decode = decode
        self._handle = handle
        self._options = options or FlowOptions()
        # One at a time is in order anyhow, and then in order of arrival across conversations too.
        self._conversation_of = conversation_of if self._options.concurrency > 1 else None
        self._scrub = scrub
        self._dead_letters = DeadLetterWriter(
            broker, queue, exchange, self._options.queue_type, scrub
        )
        self._subscription: ISubscription | None = None
        self._lanes: Lanes[_Task] = Lanes()
        self._running: set[_Task] = set()
        self._finished: deque[_Task] = deque()
        self._acknowledged: deque[bytes] = deque(maxlen=max(self._options.prefetch, 1))
        self._expected_again: dict[bytes, _Task | None] = {}
        self._quiet_waiters = Waiters()
        self._done_waiters = Waiters()
        self._filling = False
        self._given_up = False
        self._draining = False
        self._rest: IDelayedCall | None = None
        self._next_rest = FIRST_REST
        self._watchdog: IDelayedCall | None = None
        self._stop_listening = broker.on_confirmed(self._confirmed)

    # Life

    async def resume(self) -> None:
        """Let handlers start; on the first call also ask the broker for deliveries."""
        self.paused = False
        if self._subscription is None:
            self._subscription = await self._broker.subscribe(
                self.queue, self, self._options.prefetch
            )
        self._fill()

    async def pause(self) -> None:
        """Let no more handlers start, and wait for those that run."""
        self.paused = True
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until no handler runs, unless draining has given those that run up."""
        if self._running and not self._given_up:
            await self._quiet_waiters.wait()

    async def drain(self, timeout: float) -> None:
        """Ask for no more, finish what is in hand, and see it acknowledged.

        :param timeout: How many seconds at most. What is unfinished then goes back to the broker.
        """
        if self._subscription is None:
            return
        self._draining = True
        await self._subscription.cancel()
        if self._rest is not None:
            # What is put off is not waited for: the broker will deliver it again.
            self._forget_waiting()
        if self.paused or not self.counters.in_flight:
            return
        try:
            await self._done_waiters.wait().addTimeout(timeout, self._broker.clock)
        except DeferredTimeout:
            self._given_up = True
            self.log.warn(
                "{queue}: {count} messages were not finished within {timeout} s; the broker will "
                "deliver them again",
                event="drain-timeout",
                queue=self.queue,
                count=self.counters.in_flight,
                timeout=timeout,
            )

    async def close(self) -> None:
        """Stop for good. What has no acknowledgement goes back to the broker."""
        self.paused = self._draining = True
        self._stop_listening()
        self._dead_letters.close()
        self._lanes.ready.clear()
        for timer in (self._watchdog, self._rest):
            if timer is not None:
                timer.cancel()
        self._watchdog = self._rest = None
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            await subscription.close()

    @property
    def holds_back(self) -> bool:
        """Whether it is paused, so that what it has been handed waits for :meth:`resume`."""
        return self.paused and not self._running and not self._finished

    # From the broker

    def delivered(self, delivery: Delivery) -> None:
        counters = self.counters
        counters.consumed += 1
        counters.in_flight += 1
        if delivery.redelivered:
            counters.redelivered += 1
        try:
            message = self._decode(delivery.body)
            lane = None if self._conversation_of is None else self._conversation_of(message)
            if self._expected_again and self._came_again(delivery, message):
                return
            task = _Task(delivery, message, lane, counters.consumed)
            is_ahead = self._lanes.enter(task)
        except BaseException:  # noqa: BLE001 (however decoding fails: it is a poison message)
            task = _Task(delivery, None, None, counters.consumed)
            self._bury(task, DeadReason.INVALID, Failure())
            return
        if not is_ahead:
            return
        if self.paused or len(self._running) >= self._options.concurrency or self._lanes.ready:
            self._lanes.ready.append(task)
        else:
            self._run(task)

    def interrupted(self) -> None:
        self._forget_waiting()
        self._expected_again = dict.fromkeys(self._acknowledged)
        for task in (*self._running, *self._finished):
            self._expected_again[task.delivery.body] = task
        self._check_done()

    def _forget_waiting(self) -> None:
        """Leave all that waits to the broker, which delivers it again."""
        self.counters.in_flight -= self._lanes.forget(self._running)

    def _came_again(self, delivery: Delivery, message: Any) -> bool:
        """Put a delivery from before a lost connection in the place of its first."""
        if delivery.body not in self._expected_again or not _message_id(message):
            return False
        self.counters.repeated += 1
        self.counters.in_flight -= 1
        task = self._expected_again.pop(delivery.body)
        if task is not None and (task in self._running or task in self._finished):
            task.delivery = delivery
        else:
            assert self._subscription is not None  # noqa: S101 (it made this delivery)
            self._subscription.ack(delivery)
        return True

    # Running handlers

    def _run(self, task: _Task) -> None:
        self._running.add(task)
        task.started = self._seconds()
        token = message_in_hand.set(task)
        try:
            result = self._handle(task.message)
            waiting = to_wait_for(result)
        except BaseException:  # noqa: BLE001 (whatever a handler raises, an exit too, becomes a dead letter)
            self._failed(task, Failure())
            return
        finally:
            message_in_hand.reset(token)
        if waiting is None:
            self._succeeded(task, result)
        else:
            self._wait_for(task, waiting)

    def _wait_for(self, task: _Task, deferred: Deferred[Any]) -> None:
        task.deferred = deferred
        on_outcome(
            deferred,
            lambda result: self._succeeded(task, result),
            lambda failure: self._failed(task, failure),
        )
        if not task.over and self._options.handler_timeout and self._watchdog is None:
            self._watch()

    def _succeeded(self, task: _Task, result: Any) -> None:
        if task.over:
            return
        if result is False:
            self._failed(task, Failure(HandlerRefused("The handler returned False.")))
            return
        self.counters.handled += 1
        self._next_rest = FIRST_REST
        self._end(task)
        self._finish(task)
        self._fill()

    def _failed(self, task: _Task, failure: Failure) -> None:
        if task.over:
            return
        if failure.check(HandleLater):
            self._put_off(task, failure)
            return
        self._end(task)
        self._bury(task, _reason(failure), failure)
        self._fill()

    def _end(self, task: _Task) -> None:
        """The handler is done: its lane and its place are free."""
        task.over = True
        task.deferred = None
        self.counters.handler_seconds += self._seconds() - task.started
        self._stop_running(task)
        self._lanes.leave(task)

    def _stop_running(self, task: _Task) -> None:
        self._running.discard(task)
        if not self._running and self._quiet_waiters:
            self._quiet_waiters.fire()

    def _fill(self) -> None:
        """Start handlers while there are places. A loop, so that no chain of messages recurses."""
        if self._filling:
            return
        self._filling = True
        try:
            while (
                self._lanes.ready
                and not self.paused
                and self._rest is None
                and len(self._running) < self._options.concurrency
            ):
                self._run(self._lanes.ready.popleft())
        finally:
            self._filling = False

    # Handlers that need what is away

    def _put_off(self, task: _Task, failure: Failure) -> None:
        """Let a message wait again, where it was, and let its queue rest."""
        self.counters.put_off += 1
        body = task.delivery.body
        if self._expected_again.get(body) is task:
            # Its connection was lost: the broker delivers it again anyway.
            del self._expected_again[body]
            self._end(task)
            self.counters.in_flight -= 1
        else:
            task.over = True
            self.counters.handler_seconds += self._seconds() - task.started
            # Whatever a middleware has changed in the message it would change twice.
            again = _Task(task.delivery, self._decode(body), task.lane, task.number)
            self._stop_running(task)
            self._lanes.put_back(again)
        if self._draining:
            self._forget_waiting()
        elif self._rest is None:
            self._begin_rest(task, failure)
        self._check_done()

    def _begin_rest(self, task: _Task, failure: Failure) -> None:
        seconds = self._next_rest
        self._next_rest = min(seconds * 2, LONGEST_REST)
        self.log.warn(
            "{queue}: message {message_id} is put off, and all after it; next try in {seconds} s: "
            "{reason}",
            event="put-off",
            queue=self.queue,
            message_id=_message_id(task.message),
            seconds=seconds,
            reason=self._scrub(str(failure.value)),
        )
        self._rest = self._broker.clock.callLater(seconds, self._end_rest)

    def _end_rest(self) -> None:
        self._rest = None
        self._fill()

    # Handlers that take too long

    def _watch(self) -> None:
        period = max(self._options.handler_timeout / 10, 0.01)
        self._watchdog = self._broker.clock.callLater(period, self._check_timeouts)

    def _check_timeouts(self) -> None:
        self._watchdog = None
        timeout = self._options.handler_timeout
        oldest = self._seconds() - timeout
        for task in [task for task in self._running if task.started <= oldest]:
            deferred = task.deferred
            self._failed(
                task,
                Failure(HandlerTimeout(f"The handler did not finish within {timeout:g} s.")),
            )
            if deferred is not None:
                deferred.cancel()
        if self._running and self._watchdog is None:
            self._watch()

    # After the handler

    def _finish(self, task: _Task) -> None:
        mark = self._broker.published
        if self._broker.confirmed >= mark:
            self._acknowledge(task)
        else:
            task.mark = mark
            self._finished.append(task)

    def _confirmed(self) -> None:
        finished = self._finished
        if finished:
            confirmed = self._broker.confirmed
            while finished and finished[0].mark <= confirmed:
                self._acknowledge(finished.popleft())

    def _acknowledge(self, task: _Task) -> None:
        if task.failed is not None and (failure := task.publish_failure()) is not None:
            task.failed = None
            self.counters.handled -= 1
            self._bury(task, DeadReason.FAILED, failure)
            return
        self.counters.in_flight -= 1
        self._acknowledged.append(task.delivery.body)
        if self._subscription is not None:
            self._subscription.ack(task.delivery)
        self._check_done()

    def _check_done(self) -> None:
        if self._done_waiters and not self.counters.in_flight:
            self._done_waiters.fire()

    # Dead letters

    def _bury(self, task: _Task, reason: DeadReason, failure: Failure) -> None:
        self.counters.failed += 1
        in_background(
            self._write_dead_letter(task, reason, failure), self.log, "Publishing a dead letter"
        )

    async def _write_dead_letter(self, task: _Task, reason: DeadReason, failure: Failure) -> None:
        message_id = _message_id(task.message)
        try:
            is_safe = await self._dead_letters.write(task.delivery, reason, failure, message_id)
        except BrokerClosed:
            # It was not acknowledged: the next worker gets it.
            return
        if is_safe:
            self.counters.dead_lettered += 1
            self._finish(task)
        else:
            self._reject(task)

    def _reject(self, task: _Task) -> None:
        self.counters.in_flight -= 1
        if self._subscription is not None:
            self._subscription.reject(task.delivery)
        self._check_done()


def _reason(failure: Failure) -> DeadReason:
    kind = failure.check(*_REASONS)
    return DeadReason.FAILED if kind is None else _REASONS[kind]


def _message_id(message: Any) -> str | None:
    for name in ("message_id", "event_id"):
        with suppress(Exception):  # a message may be anything, and so may be what is in it
            return str(message[name])
    return None
