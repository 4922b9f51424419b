"""An application and the handset's network, connected as they are in production.

Knows how both are started and stopped, the broker in this process between them, and where dead
letters go. Knows no phones.

Both are real workers with real connectors, each with a connection of its own to one
:class:`~vumi.broker.MemoryBroker`. The only thing that a server would add is distance.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger
from zope.interface import implementer

from vumi.broker import Exchange, IReceiver, MemoryBroker, Queue
from vumi.broker.queue_types import dead_letter_queue
from vumi.deadletters import DeadLetter
from vumi.errors import VumiError
from vumi.handset.network import HandsetTransport
from vumi.handset.phones import HandsetError
from vumi.publishers import DEFAULT_EXCHANGE
from vumi.tasks import in_background

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.interfaces import IReactorTime

    from vumi.broker import Delivery
    from vumi.message import TransportUserMessage
    from vumi.service import Worker

__all__ = ["Switchboard"]

#: Seconds that a worker has to stop. One whose handler never ends would take all the time.
STOP_TIMEOUT = 3.0


class Switchboard:
    """Runs an application and connects it to a network of phones.

    :param application_class: The application.
    :param config: Its configuration, with a ``transport_name``.
    :param clock: Twisted's reactor.
    :param transport_type: What kind of network it is: ``ussd``, ``sms`` ...
    :param to_addr: The address that phones send to.
    :raises ConfigError: Something is wrong with the configuration; all of it.
    """

    log = Logger()

    def __init__(
        self,
        application_class: type[Any],
        config: Mapping[str, Any],
        clock: IReactorTime,
        transport_type: str,
        to_addr: str,
    ) -> None:
        self.transport_type = transport_type
        #: Called with each message for a phone; gives the reason if it is refused.
        self.deliver: Callable[[TransportUserMessage], str | None] = lambda message: None
        #: Called with each dead letter.
        self.died: Callable[[DeadLetter], None] = lambda letter: None
        self._to_addr = to_addr
        self._name: str = config["transport_name"]
        self._broker = MemoryBroker(clock)
        self._watching = self._broker.connect()
        self._transport = HandsetTransport({}, {"transport_name": self._name})
        self._transport.deliver = lambda message: self.deliver(message)
        self.application: Worker = application_class({}, dict(config))
        self._running: list[Worker] = []
        for worker in (self._transport, self.application):
            worker.attach_broker(self._broker.connect())

    # Life

    async def start(self) -> None:
        """Start both; waits until they run.

        :raises VumiError: One of them can't start.
        """
        await self._watching.start()
        await self._watch_dead_letters()
        for worker in (self._transport, self.application):
            self._running.append(worker)
            await _start(worker)

    async def stop(self) -> None:
        """Stop both, the application first. What has not ended after some seconds is left."""
        while self._running:
            await self._stop(self._running.pop())
        await self._watching.stop()

    async def _stop(self, worker: Worker) -> None:
        # Not the stopping itself is given up: cancelled, it would only complain.
        ended: Deferred[None] = Deferred()

        def end(result: Any) -> Any:
            if not ended.called:
                ended.callback(None)
            return result

        in_background(worker.stopService().addBoth(end), self.log, "Stopping a worker")
        with suppress(DeferredTimeout):
            await ended.addTimeout(STOP_TIMEOUT, self._broker.clock)

    async def _watch_dead_letters(self) -> None:
        await self._watching.declare_exchange(Exchange(DEFAULT_EXCHANGE))
        for kind in ("inbound", "event"):
            queue = f"{self._name}.{kind}"
            dead = dead_letter_queue(queue)
            await self._watching.declare_queue(Queue(dead))
            watcher = _Watcher(queue, lambda letter: self.died(letter))
            watcher.subscription = await self._watching.subscribe(dead, watcher)

    # Messages

    def send(
        self, from_addr: str, session_event: str | None, content: str | None
    ) -> Deferred[Any]:
        """Have a phone send a message; fires once the broker has it."""
        return self._transport.publish_message(
            from_addr=from_addr,
            to_addr=self._to_addr,
            session_event=session_event,
            content=content,
            transport_type=self.transport_type,
        )

    def report(self, message_id: str, status: str) -> Deferred[Any]:
        """Publish a delivery report; fires once the broker has it.

        :param message_id: The id of a message that a phone got.
        :param status: ``delivered``, ``failed`` or ``pending``.
        """
        return self._transport.publish_delivery_report(message_id, status)

    def quiet(self) -> Deferred[None]:
        """Fires once all that was sent is handled, and so is all that it led to."""
        return self._broker.when_idle()


@implementer(IReceiver)
class _Watcher:
    """Takes dead letters off their queue as they come."""

    subscription: Any

    def __init__(self, queue: str, died: Callable[[DeadLetter], None]) -> None:
        self._queue = queue
        self._died = died
        self._number = 0

    def delivered(self, delivery: Delivery) -> None:
        self._number += 1
        self._died(DeadLetter.from_delivery(delivery, self._number, self._queue))
        self.subscription.ack(delivery)

    def interrupted(self) -> None:
        """Nothing comes between us and a broker in the same process."""


async def _start(worker: Worker) -> None:
    """Start a worker as a service, and wait until it runs.

    :raises VumiError: It can't start; the worker has logged why.
    """
    failures: list[Any] = []
    up: Deferred[None] = Deferred()
    worker.on_failure(failures.append)
    worker.startService()
    starting = worker._starting
    assert starting is not None  # noqa: S101 (that is what starting a service makes)

    def started(result: Any) -> Any:
        up.callback(None)
        return result

    _ = starting.addBoth(started)
    await up
    if failures:
        error = failures[0].value
        if isinstance(error, VumiError):
            raise error
        raise HandsetError(
            f"{type(worker).__name__} could not start: {type(error).__name__}: {error}"
        ) from error
