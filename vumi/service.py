"""The service that every worker is: its broker connection, consumers and publishers.

Knows a service's life (start when the broker is there, stop in order) and turns messages into
bytes and back. Knows nothing of connectors, middleware, transports or applications. The delivery
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

from vumi.broker import Exchange, Publication, Queue, broker_from_options
from vumi.broker.queue_types import (
    DEFAULT_DELIVERY_LIMIT,
    dead_letter_queue,
    queue_arguments,
)
from vumi.delivery import DEFAULT_HANDLER_TIMEOUT, DeliveryFlow, FlowOptions
from vumi.errors import ConfigError, RoutingKeyError, VumiError
from vumi.loading import load_class_by_string
from vumi.message import Message
from vumi.payload import encode_payload
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
DEFAULT_EXCHANGE = "vumi"
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
        except CancelledError:
            return
        except Exception:  # noqa: BLE001 (whatever a worker's start raises is told in one place)
            self._start_failed(Failure())

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
            await _declare_queue(
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
        :returns: The listening port, to be stopped by the caller.
        """
        from vumi.web.site import build_web_site

        site = build_web_site({path: resource for resource, path in resources}, site_class)
        listening: IListeningPort = self.clock.listenTCP(port, site)
        return listening


async def _declare_queue(
    broker: IBroker,
    name: str,
    exchange: str,
    routing_key: str,
    queue_type: str,
    delivery_limit: int,
) -> None:
    """Declare a queue, and first the one that takes what it gives up."""
    if queue_type == "quorum":
        dead = dead_letter_queue(name)
        await broker.declare_queue(
            Queue(dead, exchange, arguments=queue_arguments("quorum", dead))
        )
    arguments = queue_arguments(queue_type, name, delivery_limit)
    await broker.declare_queue(Queue(name, exchange, routing_key, arguments=arguments))


class Consumer:
    """Reads one queue; subclasses override :meth:`consume_message`.

    :param channel: The broker.
    """

    exchange_name: str = DEFAULT_EXCHANGE
    exchange_type: str = "topic"
    durable: bool = True
    queue_name: str = "queue"
    routing_key: str = "routing_key"
    message_class: type[Message] = Message
    start_paused: bool = False
    prefetch_count: int | None = None
    concurrency: int = 1
    handler_timeout: float = DEFAULT_HANDLER_TIMEOUT
    #: A function (or ``staticmethod`` of a class) of a message, the key of its conversation.
    conversation_of: Callable[[Any], Hashable] | None = None

    vumi_options: Mapping[str, Any]
    queue_type: str = "classic"
    delivery_limit: int = DEFAULT_DELIVERY_LIMIT
    scrub: Callable[[str], str] = staticmethod(str)

    def __init__(self, channel: IBroker) -> None:
        self.channel = channel
        self.keep_consuming = False
        self.flow: DeliveryFlow | None = None

    async def declare(self) -> None:
        """Declare the exchange and the queue, and prepare the flow of deliveries."""
        broker = self.channel
        await broker.declare_exchange(
            Exchange(self.exchange_name, self.exchange_type, self.durable)
        )
        await _declare_queue(
            broker,
            self.queue_name,
            self.exchange_name,
            self.routing_key,
            self.queue_type,
            self.delivery_limit,
        )
        self.flow = DeliveryFlow(
            broker,
            self.queue_name,
            self.exchange_name,
            decode=self.message_class.from_json,
            handle=self._handler(),
            conversation_of=self.conversation_of,
            options=FlowOptions(
                concurrency=max(self.concurrency, 1),
                prefetch=self.prefetch_count or 0,
                handler_timeout=self.handler_timeout,
                queue_type=self.queue_type,
            ),
            scrub=self.scrub,
        )

    def _handler(self) -> Callable[[Any], Any]:
        return self.consume_message

    def _declared_flow(self) -> DeliveryFlow:
        if self.flow is None:
            raise VumiError("A consumer is started by Worker.start_consumer().")
        return self.flow

    @property
    def paused(self) -> bool:
        """No message is handed to the handler for now."""
        return self.flow is None or self.flow.paused

    def start(self) -> Deferred[Consumer]:
        """Start to consume, unless :attr:`start_paused` says otherwise."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> Consumer:
        self.keep_consuming = True
        if not self.start_paused:
            await self._declared_flow().resume()
        return self

    def unpause(self) -> Deferred[None]:
        """Hand messages to the handler, at first or again."""
        return Deferred.fromCoroutine(self._declared_flow().resume())

    def pause(self) -> Deferred[None]:
        """Hand over no more; fires when no handler runs."""
        return Deferred.fromCoroutine(self._declared_flow().pause())

    def notify_paused_and_quiet(self) -> Deferred[None]:
        """Fires when no handler runs."""
        return Deferred.fromCoroutine(self._declared_flow().quiet())

    async def drain(self, timeout: float) -> None:
        """Take no more from the queue and finish what is in hand, within `timeout` seconds."""
        if self.flow is not None:
            await self.flow.drain(timeout)

    def stop(self) -> Deferred[bool]:
        """Stop for good, after the handlers that run; what is left goes back to the queue."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> bool:
        self.keep_consuming = False
        if self.flow is not None:
            await self.flow.pause()
            await self.flow.close()
        return self.keep_consuming

    def consume_message(self, message: Any) -> Any:
        """Handle one message. May return a Deferred or a coroutine.

        Raising makes the message a dead letter (queue ``<queue>.dead``), and so does returning
        ``False``: the consumer goes on with the next.
        """
        raise NotImplementedError(f"{type(self).__name__} must override consume_message().")


class DynamicConsumer(Consumer):
    """A consumer that calls a callable.

    :param channel: The broker.
    :param callback: Takes a message.
    """

    def __init__(self, channel: IBroker, callback: Callable[[Any], Any]) -> None:
        super().__init__(channel)
        self.callback = callback

    def _handler(self) -> Callable[[Any], Any]:
        return self.callback

    def consume_message(self, message: Any) -> Any:
        return self.callback(message)


def _check_routing_key(routing_key: str) -> None:
    if routing_key != routing_key.lower():
        raise RoutingKeyError(f"The routing_key: {routing_key} is not all lower case!")


class Publisher:
    """Publishes to one exchange; for subclasses that set the class attributes."""

    exchange_name: str = DEFAULT_EXCHANGE
    exchange_type: str = "topic"
    routing_key: str = "routing_key"
    durable: bool = True
    auto_delete: bool = False
    delivery_mode: int = 2
    mandatory: bool = False

    vumi_options: Mapping[str, Any]

    channel: IBroker

    def start(self, channel: IBroker) -> Any:
        """Get to know the broker. Called once everything is declared; may return a Deferred."""
        self.channel = channel

    def publish_message(self, message: Message, routing_key: str | None = None) -> Publication:
        """Publish a message.

        :returns: A Deferred that fires with the message once the broker has it safe.
        :raises RoutingKeyError: The publisher's own routing key is not all lower case.
        """
        return self._publish(message.to_bytes(), routing_key, message)

    def publish_json(self, data: Any, routing_key: str | None = None) -> Publication:
        """Publish plain data as JSON."""
        return self._publish(encode_payload(data), routing_key, data)

    def publish_raw(self, data: bytes, routing_key: str | None = None) -> Publication:
        """Publish bytes."""
        return self._publish(data, routing_key, data)

    def _publish(self, body: bytes, routing_key: str | None, result: Any) -> Publication:
        if routing_key is None:
            routing_key = self.routing_key
            _check_routing_key(routing_key)
        return self.channel.publish(
            self.exchange_name, routing_key, body, None, self.mandatory, result
        )


class DynamicPublisher:
    """Publishes to one routing key of the exchange ``vumi``.

    :param channel: The broker.
    :param routing_key: Where to; all lower case.
    :raises RoutingKeyError: It isn't.
    """

    exchange_name: str = DEFAULT_EXCHANGE
    exchange_type: str = "topic"
    durable: bool = True
    mandatory: bool = False

    vumi_options: Mapping[str, Any]

    def __init__(self, channel: IBroker, routing_key: str) -> None:
        _check_routing_key(routing_key)
        self.channel = channel
        self.routing_key = routing_key

    def start(self, channel: IBroker) -> None:
        """Called once everything is declared."""

    def publish_message(self, message: Message) -> Publication:
        """Publish a message; fires with it once the broker has it safe."""
        return self.channel.publish(
            self.exchange_name, self.routing_key, message.to_bytes(), None, self.mandatory, message
        )

    def publish_json(self, data: Any) -> Publication:
        """Publish plain data as JSON."""
        return self.channel.publish(
            self.exchange_name,
            self.routing_key,
            encode_payload(data),
            None,
            self.mandatory,
            data,
        )

    def publish_raw(self, data: bytes) -> Publication:
        """Publish bytes."""
        return self.channel.publish(
            self.exchange_name, self.routing_key, data, None, self.mandatory, data
        )


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
        reactor = self._reactor
        if reactor is None:
            from twisted.internet import reactor
        name = worker.config.get("worker_name") or type(worker).__name__
        worker.attach_broker(broker_from_options(self.options, reactor, f"vumi {name}"))
