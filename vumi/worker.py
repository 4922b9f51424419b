"""The base of workers that have a declared config, middleware, connectors and heartbeats.

Knows the order in which a worker's parts come up and go down. Knows no transport and no
application.

Up: heartbeat, middleware, connectors, then the worker's own set-up. Down: the connectors take no
more and finish what is in hand, then everything in the opposite order; what never came up is not
torn down.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred, succeed

from vumi.blinkenlights.heartbeat.publisher import HeartBeatMessage, HeartBeatPublisher
from vumi.broker.queue_types import DEFAULT_DELIVERY_LIMIT, QUEUE_TYPES
from vumi.config import (
    Config,
    ConfigChoice,
    ConfigError,
    ConfigFloat,
    ConfigInt,
    ConfigList,
    ConfigText,
    config_hints,
    redacted,
)
from vumi.connectors import (
    PublishStatusConnector,
    ReceiveInboundConnector,
    ReceiveOutboundConnector,
    ReceiveStatusConnector,
)
from vumi.delivery import DEFAULT_CONCURRENCY, DEFAULT_HANDLER_TIMEOUT, DEFAULT_PREFETCH
from vumi.errors import DuplicateConnectorError
from vumi.log import WrappingLogger
from vumi.middleware.base import (
    MiddlewareStack,
    create_middlewares_from_config,
    middleware_hints,
    setup_middlewares_from_config,
)
from vumi.process_reactor import process_reactor, run_now
from vumi.service import DEFAULT_DRAIN_TIMEOUT, Worker
from vumi.tasks import deferred, settle
from vumi.utils import generate_worker_id
from vumi.yamlconfig import yaml_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vumi.config import ConfigContext
    from vumi.connectors import BaseConnector
    from vumi.middleware.base import BaseMiddleware

__all__ = ["BaseConfig", "BaseWorker", "then_call"]

#: How long an asynchronous check of a configuration may take, in seconds.
CHECK_TIMEOUT = 30

EXCHANGE_TYPES = ("topic", "direct")


def then_call(d: Deferred[Any], func: Callable[..., Any], *args: Any, **kw: Any) -> Deferred[Any]:
    """Have a function called after a Deferred, whatever that one gives."""
    return d.addCallback(lambda _result: func(*args, **kw))


class BaseConfig(Config):
    """Options that every worker has."""

    worker_class = ConfigText(
        "The dotted path of the class that this configuration is for. Commands that are given a "
        "file and no class read it: vumi check, vumi run, vumi routes, twistd vumi_worker.",
        static=True,
    )
    worker_name = ConfigText(
        "The worker's name in logs and heartbeats. Heartbeats are published only if it is given.",
        static=True,
    )
    amqp_prefetch_count = ConfigInt(
        "How many messages of one queue the broker hands out before they are acknowledged, "
        "those waiting for confirmations included. Null is no limit.",
        default=DEFAULT_PREFETCH,
        static=True,
        lowest=0,
        highest=65535,
    )
    worker_concurrency = ConfigInt(
        "How many messages of one queue are handled at a time. Those of one conversation are "
        "always handled in order. 1 is strictly one after another.",
        default=DEFAULT_CONCURRENCY,
        static=True,
        lowest=1,
    )
    handler_timeout = ConfigFloat(
        "How long the handling of one message may take, in seconds. The message then becomes a "
        "dead letter. 0 is no limit.",
        default=DEFAULT_HANDLER_TIMEOUT,
        static=True,
        lowest=0,
    )
    drain_timeout = ConfigFloat(
        "How long a worker that is told to stop may go on with the messages in hand, in seconds.",
        default=DEFAULT_DRAIN_TIMEOUT,
        static=True,
        lowest=0,
    )
    amqp_exchange_type = ConfigChoice(
        "The type that the exchange 'vumi' is declared with: topic or direct. One that exists "
        "with the other type is used as it is.",
        choices=EXCHANGE_TYPES,
        default="topic",
        nullable=False,
        static=True,
    )
    amqp_queue_type = ConfigChoice(
        "The type that queues are declared with: classic or quorum (replicated over a RabbitMQ "
        "cluster). A queue that exists with the other type is used as it is.",
        choices=QUEUE_TYPES,
        default="classic",
        nullable=False,
        static=True,
    )
    amqp_delivery_limit = ConfigInt(
        "How often a quorum queue delivers a message that is never acknowledged, as it may be "
        "crashing its workers, before it becomes a dead letter.",
        default=DEFAULT_DELIVERY_LIMIT,
        static=True,
    )
    middleware = ConfigList(
        "The middlewares that messages pass, the closest to the queue first: a list of single-key "
        "mappings of a name to a class path, or to a mapping with class, consume_priority and "
        "publish_priority. Each is configured by the section of its name.",
        static=True,
    )


class BaseWorker(Worker):
    """A worker with connectors, middleware and a declared config.

    :param options: The command line's options.
    :param config: The worker's configuration.
    :raises ConfigError: The configuration has problems; all of them are told at once.
    """

    CONFIG_CLASS: ClassVar[type[Config]] = BaseConfig

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        self.connectors: dict[str, Any] = {}
        self.middlewares: list[BaseMiddleware] = []
        self._middleware_stack = MiddlewareStack([])
        self._hb_pub: HeartBeatPublisher | None = None
        self._set_up: list[str] = []
        self._static_config: Any = self.CONFIG_CLASS(self.config, static=True)
        self._apply_static_config(self._static_config)
        worker_name = self.config.get("worker_name")
        self.log = WrappingLogger(system=worker_name) if worker_name else WrappingLogger()
        self._worker_id: str | None = None
        if worker_name:
            system_id = options.get("system-id") or "global"
            self._worker_id = generate_worker_id(system_id, worker_name)

    def _apply_static_config(self, config: Any) -> None:
        def option(name: str, default: Any) -> Any:
            value = getattr(config, name, default)
            return default if value is None else value

        self.worker_concurrency: int = option("worker_concurrency", DEFAULT_CONCURRENCY)
        self.handler_timeout: float = option("handler_timeout", DEFAULT_HANDLER_TIMEOUT)
        self.drain_timeout: float = option("drain_timeout", DEFAULT_DRAIN_TIMEOUT)
        self.amqp_prefetch_count: int | None = getattr(
            config, "amqp_prefetch_count", DEFAULT_PREFETCH
        )
        self.amqp_exchange_type = option("amqp_exchange_type", "topic")
        self.amqp_queue_type = option("amqp_queue_type", "classic")
        self.amqp_delivery_limit = option("amqp_delivery_limit", DEFAULT_DELIVERY_LIMIT)

    # Config

    def get_static_config(self) -> Any:
        """The options that are the same for all messages."""
        return self._static_config

    def get_config(self, msg: Any, ctxt: ConfigContext | None = None) -> Deferred[Any]:
        """The options for one message.

        Override it to look up options by message, user or account.

        :param msg: The message, or ``None`` when there is none.
        :param ctxt: Whatever else the look-up may depend on.
        """
        return succeed(self.CONFIG_CLASS(self.config))

    def scrub(self, text: str) -> str:
        scrubbed: str = self._static_config.scrub(text)
        return scrubbed

    @classmethod
    def check_config(cls, config: dict[str, Any]) -> list[str]:
        """Check a configuration without starting anything.

        :returns: What looks wrong but is no error (unknown options), one sentence each.
        :raises ConfigError: What is wrong, all of it.
        """
        problems: list[str] = []
        worker = None
        try:
            worker = cls({}, dict(config))
            run_now(settle(worker._validate_config()), CHECK_TIMEOUT)
        except ConfigError as error:
            problems.extend(error.problems)
        except TimeoutError:
            # With a running reactor nothing can be waited for here: startWorker() does.
            if not process_reactor().running:
                problems.append(
                    f"validate_config() was not done within {CHECK_TIMEOUT} s: nothing can be "
                    "said about the configuration."
                )
        try:
            create_middlewares_from_config(worker, config)
        except ConfigError as error:
            problems.extend(error.problems)
        if problems or worker is None:
            raise ConfigError(problems=problems)
        return worker._config_warnings()

    @classmethod
    def config_warnings(cls, config: Mapping[str, Any]) -> list[str]:
        """Sentences about options that are unknown or null, or probably not what was meant."""
        return [*config_hints(cls.CONFIG_CLASS, config), *middleware_hints(config)]

    def _config_warnings(self) -> list[str]:
        """The same, of a worker that was made. For subclasses that know more then."""
        return self.config_warnings(self.config)

    # Life

    @deferred
    async def startWorker(self) -> None:
        """Bring everything up, in order."""
        shown = redacted(self._static_config, self.config)
        kind = type(self).__name__
        self.log.info("Starting a worker of the class", kind, "with", yaml_line(shown))
        for warning in self._config_warnings():
            self.log.warning(warning)
        await settle(self._validate_config())
        for part in ("heartbeat", "middleware", "connectors"):
            # These can be torn down also when they came up only in part.
            self._set_up.append(part)
            await settle(getattr(self, f"setup_{part}")())
        await settle(self.setup_worker())
        self._set_up.append("worker")

    def whereabouts(self) -> str:
        """With whom the worker talks: its connectors and the broker."""
        names = [name for name in self.connectors if not name.endswith(".status")]
        words = super().whereabouts()
        return f"connected to {', '.join(names)}, {words}" if names else words

    def stopWorker(self) -> Deferred[None]:
        """Take everything down, in the opposite order, whatever fails on the way."""
        self.log.info("Stopping a worker of the class", type(self).__name__)
        return Deferred.fromCoroutine(self._stop_worker())

    async def _stop_worker(self) -> None:
        await self.drain_connectors()
        failure: BaseException | None = None
        while self._set_up:
            part = self._set_up.pop()
            try:
                await settle(getattr(self, f"teardown_{part}")())
            except Exception as error:  # noqa: BLE001 (the rest must be torn down all the same)
                self.log.err(error, f"Tearing down the {part} failed")
                failure = error
        if failure is not None:
            raise failure

    def _validate_config(self) -> Any:
        return self.validate_config()

    def validate_config(self) -> Any:
        """Check what declarations can't say. Called before anything is set up.

        Raise :class:`~vumi.errors.ConfigError` if something is wrong.
        """

    def setup_connectors(self) -> Any:
        """Set up the connectors. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__} must override setup_connectors().")

    def setup_worker(self) -> Any:
        """The last step of starting: unpause the connectors when ready. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__} must override setup_worker().")

    def teardown_worker(self) -> Any:
        """The first step of stopping. Called only if :meth:`setup_worker` was done."""

    # Middleware

    @deferred
    async def setup_middleware(self) -> None:
        """Make the middlewares that the config lists and set them up."""
        self.middlewares = await setup_middlewares_from_config(self, self.config)
        self._middleware_stack = MiddlewareStack(self.middlewares)

    def teardown_middleware(self) -> Deferred[None]:
        """Tear the middlewares down, each once."""
        return self._middleware_stack.teardown()

    # Connectors

    def setup_connector(
        self, connector_cls: type[BaseConnector], connector_name: str, middleware: bool = False
    ) -> Deferred[Any]:
        """Make a connector and set it up; it starts paused.

        :param middleware: Whether messages pass the worker's middleware.
        :raises DuplicateConnectorError: There is one of that name.
        """
        if connector_name in self.connectors:
            raise DuplicateConnectorError(
                f"A connector of the name {connector_name!r} was set up already."
            )
        connector = connector_cls(
            self,
            connector_name,
            prefetch_count=self.amqp_prefetch_count,
            middlewares=self._middleware_stack if middleware else None,
        )
        self.connectors[connector_name] = connector
        return connector.setup().addCallback(lambda _: connector)

    def setup_ri_connector(self, connector_name: str, middleware: bool = True) -> Deferred[Any]:
        """A connector that receives inbound messages and events."""
        return self.setup_connector(ReceiveInboundConnector, connector_name, middleware)

    def setup_ro_connector(self, connector_name: str, middleware: bool = True) -> Deferred[Any]:
        """A connector that receives outbound messages."""
        return self.setup_connector(ReceiveOutboundConnector, connector_name, middleware)

    def setup_publish_status_connector(
        self, connector_name: str, middleware: bool = True
    ) -> Deferred[Any]:
        """A connector that publishes statuses."""
        return self.setup_connector(PublishStatusConnector, connector_name, middleware)

    def setup_receive_status_connector(
        self, connector_name: str, middleware: bool = True
    ) -> Deferred[Any]:
        """A connector that receives statuses."""
        return self.setup_connector(ReceiveStatusConnector, connector_name, middleware)

    def teardown_connector(self, connector_name: str) -> Deferred[None]:
        """Stop one connector and forget it."""
        return self.connectors.pop(connector_name).teardown()  # type: ignore[no-any-return]  # Any

    @deferred
    async def teardown_connectors(self) -> None:
        """Stop all connectors and forget them."""
        while self.connectors:
            await self.teardown_connector(next(iter(self.connectors)))

    def pause_connectors(self) -> Deferred[None]:
        """Let no more handlers start; fires when none runs."""
        return Deferred.fromCoroutine(self._each_connector("pause"))

    def unpause_connectors(self) -> Deferred[None]:
        """Let messages come."""
        return Deferred.fromCoroutine(self._each_connector("unpause"))

    async def _each_connector(self, method: str) -> None:
        for waiting in [getattr(connector, method)() for connector in self.connectors.values()]:
            await waiting

    async def drain_connectors(self) -> None:
        """Take no more from the queues and finish what is in hand, within the drain timeout."""
        draining = [
            Deferred.fromCoroutine(connector.drain(self.drain_timeout))
            for connector in self.connectors.values()
        ]
        for drained in draining:
            await drained

    # Heartbeats

    @deferred
    async def setup_heartbeat(self) -> None:
        """Start to publish heartbeats, if the worker has a name."""
        if self._worker_id is not None:
            self._hb_pub = await self.start_publisher(
                HeartBeatPublisher, self._gen_heartbeat_attrs
            )

    def teardown_heartbeat(self) -> None:
        """Publish no more heartbeats."""
        if self._hb_pub is not None:
            self._hb_pub.stop()
            self._hb_pub = None

    def _gen_heartbeat_attrs(self) -> dict[str, Any]:
        return {
            "version": HeartBeatMessage.VERSION_20130319,
            "worker_id": self._worker_id,
            "system_id": self.options.get("system-id") or "global",
            "worker_name": self.config["worker_name"],
            "hostname": socket.gethostname(),
            "timestamp": time.time(),
            "pid": os.getpid(),
            **self.custom_heartbeat_attrs(),
        }

    def custom_heartbeat_attrs(self) -> dict[str, Any]:
        """Further fields for the heartbeats."""
        return {}
