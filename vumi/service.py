"""The service that every worker is: its broker connection, consumers and publishers.

Knows a service's life: start when the broker is there, stop in order. Consumers and publishers
live in modules of their own (:mod:`vumi.consumers`, :mod:`vumi.publishers`) and are found here
too, as ever. Knows nothing of connectors, middleware, transports or applications. The delivery
promise is kept by :mod:`vumi.delivery`, lost connections are dealt with by :mod:`vumi.broker`.

What was called a *channel* in the old Vumi's signatures is an :class:`~vumi.broker.IBroker` here.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.failure import Failure

from vumi.broker import Exchange, broker_from_options
from vumi.broker.queue_types import DEFAULT_DELIVERY_LIMIT
from vumi.consumers import Consumer, DynamicConsumer, declare_queue
from vumi.delivery import DEFAULT_HANDLER_TIMEOUT
from vumi.errors import ConfigError, RoutingKeyError, VumiError
from vumi.loading import load_class_by_string
from vumi.message import Message
from vumi.process_reactor import process_reactor
from vumi.publishers import DEFAULT_EXCHANGE, DynamicPublisher, Publisher
from vumi.tasks import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from twisted.internet.interfaces import IListeningPort
    from twisted.web.resource import IResource

    from vumi.broker import IBroker

__all__ = [
    "Consumer",
    "DynamicConsumer",
    "DynamicPublisher",
    "Publisher",
    "RoutingKeyError",
    "Worker",
    "WorkerCreator",
]

#: Routing keys with these endings have one reader for sure: their queue is declared by whoever
#: publishes too, so that nothing is lost because the reader has not started yet.
PEER_QUEUE_ENDINGS = (".inbound", ".outbound", ".event")
#: Seconds that a plain worker's consumers have to finish what is in hand when it stops. Below the
#: ten after which supervisord kills.
DEFAULT_DRAIN_TIMEOUT = 8.0


class Worker(MultiService):
    """A service with a broker connection; subclasses override :meth:`startWorker`.

    :param options: The command line's options.
    :param config: The worker's configuration.
    """

    log: Any = Logger()
    # Subclasses and programs set `log` to what they like.
    _service_log = Logger()

    #: How exchanges and queues are declared.
    amqp_exchange_type: str = "topic"
    amqp_queue_type: str = "classic"
    amqp_delivery_limit: int = DEFAULT_DELIVERY_LIMIT

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.options = options
        self.config: dict[str, Any] = {} if config is None else config
        self._broker: IBroker | None = None
        self._owns_broker = False
        self._starting: Deferred[None] | None = None
        self._worker_begun = False
        self._consumers: list[Consumer] = []
        self._failure_listeners: list[Callable[[Failure], None]] = []

    # The broker

    def attach_broker(self, broker: IBroker, owned: bool = True) -> None:
        """Give the worker its connection.

        :param owned: The worker opens and closes it; a shared one is left alone.
        """
        self._broker = broker
        self._owns_broker = owned

    @property
    def broker(self) -> IBroker:
        """The connection to the broker."""
        if self._broker is None:
            raise VumiError(f"{type(self).__name__} has no broker: make it by a WorkerCreator.")
        return self._broker

    @property
    def clock(self) -> Any:
        """Twisted's reactor (a Clock in tests)."""
        return self.broker.clock

    # Life

    def startService(self) -> None:
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        try:
            if self._owns_broker:
                await self.broker.start()
            self._worker_begun = True
            await settle(self.startWorker())
            self.tell_ready()
        except CancelledError:
            return
        except Exception:  # noqa: BLE001 (whatever a worker's start raises is told in one place)
            self._start_failed(Failure())

    def tell_ready(self) -> None:
        """Log that the worker has started. Called once."""
        kind = type(self).__name__
        name = self.config.get("worker_name") or self.name
        self._service_log.info(
            "{worker} is ready: {where}.",
            event="worker-ready",
            worker=f"{name} ({kind})" if name else kind,
            where=self.whereabouts(),
        )

    def whereabouts(self) -> str:
        """With whom the worker talks, for the line that says it is ready."""
        address = getattr(self.broker, "address", None)
        return f"broker {address}" if address else "broker in this process"

    def _start_failed(self, failure: Failure) -> None:
        what = self.name or type(self).__name__
        if failure.check(VumiError, CannotListenError, OSError):
            self._service_log.critical(
                "{worker} could not start: {reason}",
                event="worker-start-failed",
                worker=what,
                reason=self.scrub(str(failure.value)) or failure.type,
            )
        else:
            self._service_log.failure(
                "{worker} could not start",
                failure=failure,
                event="worker-start-failed",
                worker=what,
            )
        for listener in self._failure_listeners:
            listener(failure)

    def on_failure(self, listener: Callable[[Failure], None]) -> None:
        """Have a callable called if the worker can't start."""
        self._failure_listeners.append(listener)

    def stopService(self) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._stop(bool(self.running)))

    async def _stop(self, was_running: bool) -> None:
        self.running = 0
        if self._starting is not None and not self._starting.called:
            self._starting.cancel()
        try:
            if was_running and self._worker_begun:
                self._worker_begun = False
                await settle(self.stopWorker())
        finally:
            try:
                await self._stop_consumers()
                if self._owns_broker and self._broker is not None:
                    await self._broker.stop()
            finally:
                await settle(super().stopService())

    async def _stop_consumers(self) -> None:
        for consumer in list(self._consumers):
            await consumer.drain(DEFAULT_DRAIN_TIMEOUT)
        for consumer in list(self._consumers):
            await consumer.stop()

    def startWorker(self) -> Any:
        """Start the work. Called once, when the broker is there; may return a Deferred."""
        raise VumiError(f"{type(self).__name__} must override startWorker().")

    def stopWorker(self) -> Any:
        """Stop the work. Called if it was started; may return a Deferred."""

    # Consuming and publishing

    def routing_key_to_class_name(self, routing_key: str) -> str:
        """``sms_out.inbound`` -> ``Sms_outInbound``."""
        return "".join(part.capitalize() for part in routing_key.split("."))

    def consume(
        self,
        routing_key: str,
        callback: Callable[[Any], Any],
        queue_name: str | None = None,
        exchange_name: str = DEFAULT_EXCHANGE,
        exchange_type: str | None = None,
        durable: bool = True,
        message_class: type[Message] | None = None,
        paused: bool = False,
        prefetch_count: int | None = None,
        concurrency: int = 1,
        conversation_of: Callable[[Any], Hashable] | None = None,
        handler_timeout: float = DEFAULT_HANDLER_TIMEOUT,
    ) -> Deferred[DynamicConsumer]:
        """Have a callable called with every message of a queue.

        :param routing_key: What the queue is bound with.
        :param callback: Takes a message; may return a Deferred or a coroutine. The message is
            acknowledged once it is done and all that it published is confirmed.
        :param queue_name: The queue; named like the routing key if left out.
        :param message_class: What the body is read as; :class:`~vumi.message.Message` if left out.
        :param paused: Call nothing before :meth:`Consumer.unpause`.
        :param prefetch_count: Unacknowledged deliveries at most; ``None`` is no limit.
        :param concurrency: How many callbacks may run at a time; 1 is one after another.
        :param conversation_of: With a concurrency over 1, the key of the conversation that a
            message belongs to: those of one are handled in order.
        :param handler_timeout: Seconds after which a callback is given up; 0 is never.
        """
        attributes = {
            "exchange_name": exchange_name,
            "exchange_type": exchange_type or self.amqp_exchange_type,
            "durable": durable,
            "queue_name": queue_name or routing_key,
            "routing_key": routing_key,
            "message_class": message_class or Message,
            "start_paused": paused,
            "prefetch_count": prefetch_count,
            "concurrency": concurrency,
            "handler_timeout": handler_timeout,
            "conversation_of": staticmethod(conversation_of) if conversation_of else None,
        }
        name = f"{self.routing_key_to_class_name(routing_key)}DynamicConsumer"
        consumer_class = type(name, (DynamicConsumer,), attributes)
        return cast("Deferred[DynamicConsumer]", self.start_consumer(consumer_class, callback))

    def start_consumer(
        self, consumer_class: type[Consumer], *args: Any, **kw: Any
    ) -> Deferred[Consumer]:
        """Make a consumer (``consumer_class(broker, *args, **kw)``), declare what it reads from,
        and start it.
        """
        return Deferred.fromCoroutine(self._start_consumer(consumer_class, args, kw))

    async def _start_consumer(
        self, consumer_class: type[Consumer], args: Iterable[Any], kw: Mapping[str, Any]
    ) -> Consumer:
        consumer = consumer_class(self.broker, *args, **kw)
        consumer.vumi_options = self.options
        consumer.queue_type = self.amqp_queue_type
        consumer.delivery_limit = self.amqp_delivery_limit
        consumer.scrub = self.scrub
        await consumer.declare()
        self._consumers.append(consumer)
        await settle(consumer.start())
        return consumer

    def scrub(self, text: str) -> str:
        """Take the worker's secrets out of a text that goes into a log or a dead letter."""
        return text

    def publish_to(self, routing_key: str) -> Deferred[DynamicPublisher]:
        """A publisher for one routing key."""
        return cast(
            "Deferred[DynamicPublisher]", self.start_publisher(DynamicPublisher, routing_key)
        )

    def start_publisher(
        self, publisher_class: type[Publisher] | type[DynamicPublisher], *args: Any, **kw: Any
    ) -> Deferred[Any]:
        """Make a publisher, declare what it publishes to, and start it."""
        return Deferred.fromCoroutine(self._start_publisher(publisher_class, args, kw))

    async def _start_publisher(
        self, publisher_class: Any, args: Iterable[Any], kw: Mapping[str, Any]
    ) -> Any:
        if issubclass(publisher_class, DynamicPublisher):
            publisher = publisher_class(self.broker, *args, **kw)
        else:
            publisher = publisher_class(*args, **kw)
        publisher.vumi_options = self.options
        broker = self.broker
        exchange_type = publisher.exchange_type
        if publisher.exchange_name == DEFAULT_EXCHANGE:
            exchange_type = self.amqp_exchange_type
        await broker.declare_exchange(
            Exchange(publisher.exchange_name, exchange_type, publisher.durable)
        )
        if publisher.exchange_name == DEFAULT_EXCHANGE and publisher.routing_key.endswith(
            PEER_QUEUE_ENDINGS
        ):
            publisher.mandatory = True
            await declare_queue(
                broker,
                publisher.routing_key,
                publisher.exchange_name,
                publisher.routing_key,
                self.amqp_queue_type,
                self.amqp_delivery_limit,
            )
        await settle(publisher.start(broker))
        return publisher

    def start_web_resources(
        self,
        resources: Iterable[tuple[IResource, str]],
        port: int,
        site_class: Any = None,
    ) -> IListeningPort:
        """Serve web resources.

        :param resources: Pairs of a resource and the path it is served at.
        :param port: The TCP port, on all interfaces; 0 is any free one.
        :param site_class: Makes the site of its root resource; default:
            :class:`~vumi.web.server.BoundedSite`, fit for the outside world.
        :returns: The listening port, to be stopped by the caller.
        """
        from vumi.web.server import BoundedSite
        from vumi.web.site import build_web_site

        pages = {path: resource for resource, path in resources}
        if site_class is None:
            site: Any = BoundedSite.of(pages, self.clock)
        else:
            site = build_web_site(pages, site_class)
        listening: IListeningPort = self.clock.listenTCP(port, site)
        return listening


class WorkerCreator:
    """Makes workers and gives each its broker connection.

    :param vumi_options: The command line's options; see
        :func:`vumi.broker.broker_from_options` for those about the broker.
    :param reactor: Twisted's reactor, the global one if left out.
    :param broker: A connection that all workers made here share; each gets its own if left out.
    """

    def __init__(
        self, vumi_options: Mapping[str, Any], reactor: Any = None, broker: IBroker | None = None
    ) -> None:
        self.options = vumi_options
        self._reactor = reactor
        self._shared_broker = broker

    def create_worker(
        self,
        worker_class: str,
        config: dict[str, Any],
        timeout: float = 30,
        bindAddress: Any = None,
    ) -> Worker:
        """Make a worker of the class with this dotted path.

        :raises ConfigError: There is no such class, it is no worker, or the config is wrong.
        """
        try:
            cls = load_class_by_string(worker_class)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(f"Worker class {worker_class!r} can't be loaded: {error}") from error
        if not (isinstance(cls, type) and issubclass(cls, Worker)):
            raise ConfigError(f"{worker_class!r} is not a worker class.")
        return self.create_worker_by_class(cls, config, timeout, bindAddress)

    def create_worker_by_class(
        self,
        worker_class: type[Worker],
        config: dict[str, Any],
        timeout: float = 30,
        bindAddress: Any = None,
    ) -> Worker:
        """Make a worker of a class.

        :raises ConfigError: The config is wrong.
        """
        worker = worker_class(deepcopy(dict(self.options)), config)
        self._connect(worker, timeout, bindAddress)
        return worker

    def _connect(self, worker: Worker, timeout: float, bindAddress: Any) -> None:
        if self._shared_broker is not None:
            worker.attach_broker(self._shared_broker, owned=False)
            return
        reactor = process_reactor() if self._reactor is None else self._reactor
        name = worker.config.get("worker_name") or type(worker).__name__
        worker.attach_broker(broker_from_options(self.options, reactor, f"vumi {name}"))
