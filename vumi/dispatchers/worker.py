"""The dispatcher that has a router decide: between transports and the names it exposes.

Knows the connectors on both sides and what becomes of a message that has no route. Knows no way
of routing: that is the router's, see :mod:`vumi.dispatchers.router`.

The way of a message: consume middleware → the router → publish middleware. Where none of them has
to be waited for, no Deferred is made but those of the publishes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.logger import Logger

from vumi.config import (
    Config,
    ConfigClassName,
    ConfigError,
    ConfigText,
    config_hints,
    null_required_fields,
    value_hints,
)
from vumi.connectors import IgnoreMessage
from vumi.dispatchers.fields import ConfigNames
from vumi.dispatchers.hops import count_hop
from vumi.dispatchers.router import BaseDispatchRouter
from vumi.dispatchers.routes import EVENT, INBOUND, OUTBOUND, RoutePlan
from vumi.errors import DispatcherError
from vumi.loading import load_class_by_string
from vumi.middleware.base import middleware_hints
from vumi.tasks import deferred, settle, to_wait_for
from vumi.worker import BaseConfig, BaseWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from vumi.message import Message, TransportEvent, TransportUserMessage

__all__ = ["BaseDispatchWorker", "DispatchWorkerConfig"]


class ConnectorNames(Config):
    """The names on both sides of a dispatcher."""

    transport_names = ConfigNames(
        "The transports: of each, <name>.inbound and <name>.event are consumed, and "
        "<name>.outbound is published to. Lower case.",
        default=[],
        static=True,
    )
    exposed_names = ConfigNames(
        "The names that applications have as their transport_name: of each, <name>.outbound is "
        "consumed, and <name>.inbound and <name>.event are published to. Lower case.",
        default=[],
        static=True,
    )
    foreign_transport_names = ConfigNames(
        "Transports behind another dispatcher: no connector here has their names, but messages "
        "carry them, so mappings may name them.",
        default=[],
        static=True,
    )


class DispatchWorkerConfig(ConnectorNames, BaseConfig):
    """Options of every dispatcher with a router. The router has further ones."""

    dispatcher_name = ConfigText(
        "The dispatcher's name. What its router keeps in Redis is kept under it.", static=True
    )
    router_class = ConfigClassName(
        "The router's class, a dotted path. Its options stand next to these.",
        required=True,
        static=True,
    )
    default_exposed_name = ConfigText(
        "The exposed name for inbound messages and events that have no route. Without one they "
        "become dead letters.",
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        problems = [
            f"Fields 'transport_names' and 'exposed_names' both have {name!r}: messages would go "
            "round in a circle."
            for name in self.transport_names or ()
            if name in (self.exposed_names or ())
        ]
        default = self.default_exposed_name
        if default is not None and default not in (self.exposed_names or ()):
            problems.append(
                f"Field 'default_exposed_name' names {default!r}, which is none of "
                "'exposed_names'."
            )
        router_class: Any = self.router_class
        if not (isinstance(router_class, type) and issubclass(router_class, BaseDispatchRouter)):
            problems.append("Field 'router_class' is not the class of a router.")
        if problems:
            raise ConfigError(problems=problems)


class BaseDispatchWorker(BaseWorker):
    """Routes messages between transports and applications, as its router says.

    :param options: The command line's options.
    :param config: The configuration, the router's options included.
    :raises ConfigError: There are problems with it; all of them are told at once.

    :ivar transport_names: The transports' connectors, in the order of the config.
    :ivar exposed_names: The applications' connectors.
    :ivar default_exposed_name: Where inbound messages and events without a route go.
    :ivar unrouted: How many messages had no route, by kind: inbound, outbound, event.

    While the worker runs there are also, each by name, what publishes and consumes without any
    middleware: ``transport_publisher``, ``exposed_publisher``, ``exposed_event_publisher``,
    ``transport_consumer``, ``transport_event_consumer``, ``exposed_consumer``.
    """

    CONFIG_CLASS: ClassVar[type[Config]] = DispatchWorkerConfig

    _routing_log = Logger()

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        try:
            super().__init__(options, config)
        except ConfigError as error:
            problems = (*error.problems, *_router_problems(config or {}))
            raise ConfigError(problems=dict.fromkeys(problems)) from error
        static = self.get_static_config()
        self.transport_names: list[str] = list(static.transport_names or ())
        self.exposed_names: list[str] = list(static.exposed_names or ())
        self.foreign_transport_names: list[str] = list(static.foreign_transport_names or ())
        self.unrouted = {INBOUND: 0, OUTBOUND: 0, EVENT: 0}
        self.transport_publisher: dict[str, Any] = {}
        self.exposed_publisher: dict[str, Any] = {}
        self.exposed_event_publisher: dict[str, Any] = {}
        self.transport_consumer: dict[str, Any] = {}
        self.transport_event_consumer: dict[str, Any] = {}
        self.exposed_consumer: dict[str, Any] = {}
        self.default_exposed_name: str | None = static.default_exposed_name
        self._router: BaseDispatchRouter = static.router_class(self, self.config)
        self._outbound_routes = {
            name: partial(self._router.dispatch_outbound_from, name) for name in self.exposed_names
        }

    # Config

    @classmethod
    def config_warnings(cls, config: Mapping[str, Any]) -> list[str]:
        """Sentences about options that are unknown or null, and routes that make no sense."""
        router_class = _find_router_class(config)
        declared = getattr(router_class, "CONFIG_CLASS", None)
        if declared is None:
            # The router does not declare its options, so any may be one.
            return null_required_fields(cls.CONFIG_CLASS, config)
        return [
            *config_hints(cls.CONFIG_CLASS, config, declared._fields),
            *null_required_fields(declared, config),
            *value_hints(declared, config),
            *middleware_hints(config),
        ]

    def _config_warnings(self) -> list[str]:
        """Also about routes that make no sense."""
        found = super()._config_warnings()
        declares = getattr(type(self._router), "CONFIG_CLASS", None) is not None
        return [*found, *self._router.find_warnings()] if declares else found

    def route_plan(self) -> RoutePlan:
        """All ways through this dispatcher."""
        router = self._router
        routes = router.list_routes()
        notes = [*router.list_notes()]
        if routes is None:
            notes.append(f"{type(router).__name__} decides by its code.")
        if self.default_exposed_name is not None:
            lost = f"goes to {self.default_exposed_name}"
        else:
            lost = "becomes a dead letter"
        notes.append(
            f"An inbound message or an event without a route {lost}, an outbound message is "
            "nacked."
        )
        return RoutePlan(
            type(router).__name__,
            tuple(self.transport_names),
            tuple(self.exposed_names),
            tuple(routes or ()),
            tuple(notes),
        )

    # Life

    @deferred
    async def setup_connectors(self) -> None:
        for name in self.transport_names:
            connector = await self.setup_ri_connector(name)
            connector.set_default_inbound_handler(partial(self.dispatch_inbound_message, name))
            connector.set_default_event_handler(partial(self.dispatch_inbound_event, name))
            self.transport_publisher[name] = connector._publishers["outbound"]
            self.transport_consumer[name] = connector._inlets["inbound"].consumer
            self.transport_event_consumer[name] = connector._inlets["event"].consumer
        for name in self.exposed_names:
            connector = await self.setup_ro_connector(name)
            connector.set_default_outbound_handler(partial(self.dispatch_outbound_message, name))
            self.exposed_publisher[name] = connector._publishers["inbound"]
            self.exposed_event_publisher[name] = connector._publishers["event"]
            self.exposed_consumer[name] = connector._inlets["outbound"].consumer

    @deferred
    async def setup_worker(self) -> None:
        await settle(self._router.setup_routing())
        await settle(self.unpause_connectors())

    @deferred
    async def teardown_worker(self) -> None:
        await settle(self.pause_connectors())
        await settle(self._router.teardown_routing())

    # Messages coming in

    def dispatch_inbound_message(self, endpoint: str, msg: TransportUserMessage) -> Any:
        """A message from a user has come from a transport. Override it to see all of them.

        :param endpoint: The transport's name.
        """
        return self._route(INBOUND, endpoint, self._router.dispatch_inbound_message, msg)

    def dispatch_inbound_event(self, endpoint: str, msg: TransportEvent) -> Any:
        """An event has come from a transport; as :meth:`dispatch_inbound_message`."""
        payload = msg.payload
        if payload.get("transport_name") is None:
            # Some that an old Vumi makes have none.
            payload["transport_name"] = endpoint
        return self._route(EVENT, endpoint, self._router.dispatch_inbound_event, msg)

    def dispatch_outbound_message(self, endpoint: str, msg: TransportUserMessage) -> Any:
        """A message to a user has come from an application. Override it to see all of them.

        :param endpoint: The exposed name it has come by.
        """
        return self._route(OUTBOUND, endpoint, self._outbound_routes[endpoint], msg)

    def _route(self, kind: str, endpoint: str, route: Callable[[Any], Any], msg: Any) -> Any:
        count_hop(msg)
        try:
            result = route(msg)
        except DispatcherError as error:
            return self._no_route(kind, endpoint, msg, error)
        waiting = to_wait_for(result)
        if waiting is None:
            return result
        return waiting.addErrback(self._routing_failed, kind, endpoint, msg)

    def _routing_failed(self, failure: Failure, kind: str, endpoint: str, msg: Message) -> Any:
        failure.trap(DispatcherError)
        return self._no_route(kind, endpoint, msg, failure.value)

    def _no_route(self, kind: str, endpoint: str, msg: Any, error: Any) -> Any:
        self.unrouted[kind] += 1
        default = self.default_exposed_name
        if kind != OUTBOUND and default is None:
            # The consumer logs it, and makes it a dead letter.
            raise error
        fate = "it is nacked" if kind == OUTBOUND else f"it goes to {default}"
        self._routing_log.warn(
            "{endpoint}: no route for {kind} message {message_id}; {fate}: {reason}",
            event="no-route",
            endpoint=endpoint,
            kind=kind,
            message_id=msg.get("message_id") or msg.get("event_id"),
            fate=fate,
            reason=str(error),
        )
        if default is None or kind == OUTBOUND:
            # The connector nacks it, to whom it came from.
            raise IgnoreMessage(str(error)) from error
        publish = self.publish_inbound_message if kind == INBOUND else self.publish_inbound_event
        return publish(default, msg)

    # Messages going out

    def publish_inbound_message(self, endpoint: str, msg: TransportUserMessage) -> Deferred[Any]:
        """Send a message from a user on to an application.

        :param endpoint: The exposed name.
        :returns: Fires with the message once the broker has it safe. You need not wait for it.
        :raises DispatcherError: There is no such exposed name.
        """
        return self._exposed(endpoint).publish_inbound(msg)  # type: ignore[no-any-return]  # Any

    def publish_inbound_event(self, endpoint: str, msg: TransportEvent) -> Deferred[Any]:
        """Send an event on to an application; as :meth:`publish_inbound_message`."""
        return self._exposed(endpoint).publish_event(msg)  # type: ignore[no-any-return]  # Any

    def publish_outbound_message(self, endpoint: str, msg: TransportUserMessage) -> Deferred[Any]:
        """Send a message to a user on to a transport.

        :param endpoint: The transport's name.
        :returns: Fires with the message once the broker has it safe. You need not wait for it.
        :raises DispatcherError: There is no such transport.
        """
        if endpoint not in self.transport_publisher:
            raise DispatcherError(f"{endpoint!r} is not one of the dispatcher's transports.")
        return self.connectors[endpoint].publish_outbound(msg)  # type: ignore[no-any-return]  # Any

    def _exposed(self, endpoint: Any) -> Any:
        if endpoint not in self.exposed_publisher:
            raise DispatcherError(f"{endpoint!r} is not one of the dispatcher's exposed names.")
        return self.connectors[endpoint]


def _find_router_class(config: Mapping[str, Any]) -> Any:
    """The class that the configuration names; ``None`` if there is none."""
    path = config.get("router_class")
    if not isinstance(path, str):
        return path
    try:
        return load_class_by_string(path)
    except Exception:  # noqa: BLE001 (importing runs code, which may raise anything)
        return None


def _router_problems(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What is wrong with the router's options, when the dispatcher's are wrong already."""
    router_class = _find_router_class(config)
    if not (isinstance(router_class, type) and issubclass(router_class, BaseDispatchRouter)):
        return ()
    try:
        names = ConnectorNames(config, static=True)
    except ConfigError:
        # Which names a mapping may have is not known, then.
        if router_class.CONFIG_CLASS is None:
            return ()
        return _problems_of(router_class.CONFIG_CLASS, config, static=True)
    return _problems_of(router_class, names, config)


def _problems_of(factory: Callable[..., Any], *args: Any, **kw: Any) -> tuple[str, ...]:
    try:
        factory(*args, **kw)
    except ConfigError as error:
        return error.problems
    return ()
