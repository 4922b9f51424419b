"""Running workers in a test: starting them, handing them messages, looking at what they publish.

Part of the public test kit, which :mod:`vumi.tests.helpers` offers whole. Knows the fake broker
and a worker's life; knows no kind of worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from zope.interface import implementer

from vumi.message import TransportEvent, TransportStatus, TransportUserMessage
from vumi.tasks import settle
from vumi.tests.case import IHelper
from vumi.tests.fake_amqp import FakeAMQClient, FakeAMQPBroker
from vumi.tests.proxies import proxyable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vumi.message import Message
    from vumi.service import Worker

__all__ = ["WorkerHelper"]

W = TypeVar("W", bound="Worker")
M = TypeVar("M", bound="Message")

METRICS_EXCHANGE = "vumi.metrics"
METRICS_KEY = "vumi.metrics"


@implementer(IHelper)
class WorkerHelper:
    """Starts workers on a broker in memory, and cleans up after them.

    :param connector_name: Whose messages are meant where no connector is named.
    :param broker: The broker; a new one if left out.
    :param status_connector_name: The same as `connector_name`, for statuses.
    """

    def __init__(
        self,
        connector_name: str | None = None,
        broker: FakeAMQPBroker | None = None,
        status_connector_name: str | None = None,
    ) -> None:
        self.broker = FakeAMQPBroker() if broker is None else broker
        self._connector_name = connector_name
        self._status_connector_name = status_connector_name
        self._workers: list[Worker] = []

    def setup(self) -> None:
        """Nothing to do."""

    def cleanup(self) -> Deferred[None]:
        """Wait until no work is left, and stop all workers."""
        return Deferred.fromCoroutine(self._cleanup())

    async def _cleanup(self) -> None:
        await self.broker.wait_delivery()
        failure: BaseException | None = None
        while self._workers:
            try:
                await _stop(self._workers.pop())
            except Exception as error:  # noqa: BLE001 (the others must be stopped all the same)
                failure = failure or error
        # What the workers gave back to the broker on their way out makes it look around once more.
        await self.broker.wait_delivery()
        if failure is not None:
            raise failure

    # Workers

    @classmethod
    def get_fake_amq_client(cls, broker: FakeAMQPBroker | None = None) -> FakeAMQClient:
        """A connection to a broker, or to a new one."""
        return FakeAMQClient(broker=broker)

    @classmethod
    def get_worker_raw(
        cls,
        worker_class: type[W],
        config: Mapping[str, Any] | None,
        broker: FakeAMQPBroker | None = None,
    ) -> W:
        """Make a worker, and neither start it nor clean up after it.

        :param config: The worker gets a copy, in which it has a ``worker_name``, so that its
            heartbeats are part of the test.
        :param broker: What it is connected to; a new broker if left out.
        """
        worker = worker_class({}, {"worker_name": "unnamed", **(config or {})})
        # The worker's own: it closes the connection when it stops.
        worker.attach_broker(cls.get_fake_amq_client(broker))
        return worker

    @proxyable
    def get_worker(
        self, worker_class: type[W], config: Mapping[str, Any] | None, start: bool = True
    ) -> Deferred[W]:
        """Make a worker, which is stopped after the test.

        :param start: Whether to start it: its :meth:`startWorker` is called and waited for.
        :returns: Fires with the worker.
        :raises ConfigError: The config is wrong (as the Deferred's failure).
        """
        return Deferred.fromCoroutine(self._get_worker(worker_class, config, start))

    async def _get_worker(
        self, worker_class: type[W], config: Mapping[str, Any] | None, start: bool
    ) -> W:
        worker = self.get_worker_raw(worker_class, config, self.broker)
        self._workers.append(worker)
        if start:
            await settle(worker.startWorker())
        return worker

    @proxyable
    def cleanup_worker(self, worker: Worker) -> Deferred[None]:
        """Stop a worker now instead of after the test."""
        if worker in self._workers:
            self._workers.remove(worker)
        return Deferred.fromCoroutine(_stop(worker))

    # What was published

    def _key(self, connector_name: str | None, name: str) -> str:
        if connector_name is None:
            connector_name = self._connector_name
        if connector_name is None:
            raise ValueError(
                "Which connector is meant? Name it here (connector_name=...) or when the "
                "WorkerHelper is made."
            )
        return f"{connector_name}.{name}"

    def _status_key(self, connector_name: str | None) -> str:
        return self._key(connector_name or self._status_connector_name, "status")

    @proxyable
    def get_dispatched(
        self, connector_name: str | None, name: str, message_class: type[M]
    ) -> list[M]:
        """What was published to ``<connector>.<name>``, in order.

        What the test itself has dispatched to that key is included.
        """
        return self._get(self._key(connector_name, name), message_class)

    def _get(self, routing_key: str, message_class: type[M]) -> list[M]:
        contents = self.broker.get_dispatched("vumi", routing_key)
        return [message_class.from_json(content.body) for content in contents]

    @proxyable
    def get_dispatched_inbound(
        self, connector_name: str | None = None
    ) -> list[TransportUserMessage]:
        """The inbound messages that were published."""
        return self._get(self._key(connector_name, "inbound"), TransportUserMessage)

    @proxyable
    def get_dispatched_outbound(
        self, connector_name: str | None = None
    ) -> list[TransportUserMessage]:
        """The outbound messages that were published."""
        return self._get(self._key(connector_name, "outbound"), TransportUserMessage)

    @proxyable
    def get_dispatched_events(self, connector_name: str | None = None) -> list[TransportEvent]:
        """The events that were published."""
        return self._get(self._key(connector_name, "event"), TransportEvent)

    @proxyable
    def get_dispatched_statuses(self, connector_name: str | None = None) -> list[TransportStatus]:
        """The statuses that were published."""
        return self._get(self._status_key(connector_name), TransportStatus)

    # Waiting for what is published

    def _wait_for(
        self, routing_key: str, message_class: type[M], amount: int | None
    ) -> Deferred[list[M]]:
        reached: Deferred[Any]
        if amount is None:
            reached = self.broker.kick_delivery()
        else:
            reached = self.broker.wait_messages("vumi", routing_key, amount)
        return reached.addCallback(lambda _: self._get(routing_key, message_class))

    @proxyable
    def wait_for_dispatched_inbound(
        self, amount: int | None = None, connector_name: str | None = None
    ) -> Deferred[list[TransportUserMessage]]:
        """Wait for inbound messages.

        :param amount: Until at least so many were published; until no work is left, if left out.
        :returns: Fires with all that were published.
        """
        return self._wait_for(self._key(connector_name, "inbound"), TransportUserMessage, amount)

    @proxyable
    def wait_for_dispatched_outbound(
        self, amount: int | None = None, connector_name: str | None = None
    ) -> Deferred[list[TransportUserMessage]]:
        """Wait for outbound messages; as :meth:`wait_for_dispatched_inbound`."""
        return self._wait_for(self._key(connector_name, "outbound"), TransportUserMessage, amount)

    @proxyable
    def wait_for_dispatched_events(
        self, amount: int | None = None, connector_name: str | None = None
    ) -> Deferred[list[TransportEvent]]:
        """Wait for events; as :meth:`wait_for_dispatched_inbound`."""
        return self._wait_for(self._key(connector_name, "event"), TransportEvent, amount)

    @proxyable
    def wait_for_dispatched_statuses(
        self, amount: int | None = None, connector_name: str | None = None
    ) -> Deferred[list[TransportStatus]]:
        """Wait for statuses; as :meth:`wait_for_dispatched_inbound`."""
        return self._wait_for(self._status_key(connector_name), TransportStatus, amount)

    # Forgetting what was published

    @proxyable
    def clear_all_dispatched(self) -> None:
        """Forget all messages, events, statuses, failures and metrics that were published."""
        self.broker.clear_messages("vumi")
        self.broker.clear_messages(METRICS_EXCHANGE)

    @proxyable
    def clear_dispatched_inbound(self, connector_name: str | None = None) -> None:
        """Forget the inbound messages that were published."""
        self.broker.clear_messages("vumi", self._key(connector_name, "inbound"))

    @proxyable
    def clear_dispatched_outbound(self, connector_name: str | None = None) -> None:
        """Forget the outbound messages that were published."""
        self.broker.clear_messages("vumi", self._key(connector_name, "outbound"))

    @proxyable
    def clear_dispatched_events(self, connector_name: str | None = None) -> None:
        """Forget the events that were published."""
        self.broker.clear_messages("vumi", self._key(connector_name, "event"))

    @proxyable
    def clear_dispatched_statuses(self, connector_name: str | None = None) -> None:
        """Forget the statuses that were published."""
        self.broker.clear_messages("vumi", self._status_key(connector_name))

    # Handing messages to workers

    @proxyable
    def dispatch_raw(
        self, routing_key: str, message: Message, exchange: str = "vumi"
    ) -> Deferred[None]:
        """Publish a message.

        :param exchange: A worker must have declared it.
        :returns: Fires when the message was handled and so was everything it led to.
        """
        self.broker.publish_message(exchange, routing_key, message)
        return self.kick_delivery()

    @proxyable
    def dispatch_inbound(
        self, message: TransportUserMessage, connector_name: str | None = None
    ) -> Deferred[None]:
        """Publish an inbound message; as :meth:`dispatch_raw`."""
        return self.dispatch_raw(self._key(connector_name, "inbound"), message)

    @proxyable
    def dispatch_outbound(
        self, message: TransportUserMessage, connector_name: str | None = None
    ) -> Deferred[None]:
        """Publish an outbound message; as :meth:`dispatch_raw`."""
        return self.dispatch_raw(self._key(connector_name, "outbound"), message)

    @proxyable
    def dispatch_event(
        self, message: TransportEvent, connector_name: str | None = None
    ) -> Deferred[None]:
        """Publish an event; as :meth:`dispatch_raw`."""
        return self.dispatch_raw(self._key(connector_name, "event"), message)

    @proxyable
    def dispatch_status(
        self, message: TransportStatus, connector_name: str | None = None
    ) -> Deferred[None]:
        """Publish a status; as :meth:`dispatch_raw`."""
        return self.dispatch_raw(self._status_key(connector_name), message)

    @proxyable
    def kick_delivery(self) -> Deferred[None]:
        """See :meth:`~vumi.tests.fake_amqp.FakeAMQPBroker.kick_delivery`."""
        return self.broker.kick_delivery()

    # Metrics

    @proxyable
    def get_dispatched_metrics(self) -> list[list[Any]]:
        """The metrics that were published: for each message the list of its datapoints."""
        messages = self.broker.get_messages(METRICS_EXCHANGE, METRICS_KEY)
        return [message["datapoints"] for message in messages]

    @proxyable
    def wait_for_dispatched_metrics(self) -> Deferred[list[list[Any]]]:
        """Wait until no work is left; fires with the metrics that were published."""
        return self.kick_delivery().addCallback(lambda _: self.get_dispatched_metrics())

    @proxyable
    def clear_dispatched_metrics(self) -> None:
        """Forget the metrics that were published."""
        self.broker.clear_messages(METRICS_EXCHANGE, METRICS_KEY)


async def _stop(worker: Worker) -> None:
    """Stop a worker, whether it was started as a service or by its own method alone."""
    try:
        if not worker.running:
            await settle(worker.stopWorker())
            for service in list(worker):
                # The test never got it going, so it may not know how to stop.
                if not service.running:
                    await settle(service.disownServiceParent())
    finally:
        await worker.stopService()
