"""The router that goes by a message's transport name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.dispatchers.fields import ConfigNameMapping, ConfigNamesMapping
from vumi.dispatchers.router import BaseDispatchRouter, RouterConfig, publish_to_each
from vumi.dispatchers.routes import EVENT, INBOUND, OUTBOUND, Route
from vumi.errors import DispatcherError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vumi.config import Config
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = [
    "SimpleDispatchConfig",
    "SimpleDispatchRouter",
    "list_table_routes",
    "table_problems",
]


class SimpleDispatchConfig(RouterConfig):
    """Options of the simple router."""

    route_mappings = ConfigNamesMapping(
        "Of inbound messages and events: the transport_name -> the exposed names that get a copy. "
        "An empty list drops them.",
        required=True,
        static=True,
    )
    transport_mappings = ConfigNameMapping(
        "Of outbound messages: the transport_name in the message -> the transport to use. A name "
        "that is not mapped is that of the transport itself.",
        default={},
        static=True,
    )


class SimpleDispatchRouter(BaseDispatchRouter):
    """Sends what comes from a transport to fixed exposed names, and answers back to it."""

    CONFIG_CLASS: ClassVar[type[Config] | None] = SimpleDispatchConfig

    def read_options(self, options: Any) -> None:
        super().read_options(options)
        self._routes: dict[str | None, tuple[str, ...]] = dict(options.route_mappings or {})
        self._mapped: dict[str, str] = dict(options.transport_mappings or {})
        #: transport_name in an outbound message -> transport
        self._outbound: dict[str | None, str] = {name: name for name in self.transport_names}
        self._outbound.update(self._mapped)

    def find_problems(self) -> Iterator[str]:
        yield from super().find_problems()
        yield from table_problems(self, "route_mappings", self._routes, self._mapped)
        yield from self.unknown_transports("transport_mappings", self._mapped.values())

    def find_warnings(self) -> Iterator[str]:
        yield from super().find_warnings()
        yield from self._transports_without_route()

    def _transports_without_route(self) -> Iterator[str]:
        if self.has_default:
            return
        for name in self.transport_names:
            # What comes through one that is mapped to bears other names.
            if name not in self._routes and name not in self._mapped.values():
                yield (
                    f"Field 'route_mappings' has nothing for {name!r}: its inbound messages and "
                    "events become dead letters."
                )

    def dispatch_inbound_message(self, msg: TransportUserMessage) -> Any:
        names = self._exposed_for(msg.payload["transport_name"])
        return publish_to_each(self.dispatcher.publish_inbound_message, names, msg)

    def dispatch_inbound_event(self, msg: TransportEvent) -> Any:
        names = self._exposed_for(msg.payload.get("transport_name"))
        return publish_to_each(self.dispatcher.publish_inbound_event, names, msg)

    def _exposed_for(self, transport_name: str | None) -> tuple[str, ...]:
        try:
            return self._routes[transport_name]
        except KeyError:
            raise DispatcherError(
                f"'route_mappings' has nothing for transport_name {transport_name!r}."
            ) from None

    def dispatch_outbound_message(self, msg: TransportUserMessage) -> Any:
        return self.dispatcher.publish_outbound_message(self._transport_for(msg), msg)

    def _transport_for(self, msg: TransportUserMessage) -> str:
        name = msg.payload["transport_name"]
        try:
            return self._outbound[name]
        except KeyError:
            raise DispatcherError(f"Unknown transport_name: {name}.") from None

    def list_routes(self) -> Iterator[Route]:
        yield from list_table_routes(self, self._routes, (INBOUND, EVENT))
        yield from self._list_outbound_routes()

    def _list_outbound_routes(self) -> Iterator[Route]:
        for exposed in self.exposed_names:
            for name, transport in self._outbound.items():
                yield Route(OUTBOUND, exposed, transport, f"transport_name {name!r}")


def table_problems(
    router: BaseDispatchRouter,
    option: str,
    table: Mapping[Any, Iterable[str]],
    more_sources: Iterable[str] = (),
) -> Iterator[str]:
    """What is wrong with a table of transport names and the exposed names that they lead to."""
    yield from router.unknown_sources(option, table, tuple(more_sources))
    targets = (name for names in table.values() for name in names)
    yield from router.unknown_exposed(option, targets)


def list_table_routes(
    router: BaseDispatchRouter, table: Mapping[Any, Iterable[str]], kinds: Iterable[str]
) -> Iterator[Route]:
    """The ways that a table of transport names and targets means."""
    for kind in kinds:
        for name, targets in table.items():
            is_here = name in router.transport_names
            sources = (name,) if is_here else router.transport_names
            when = "" if is_here else f"transport_name {name!r}"
            for source in sources:
                for target in targets or ("",):
                    yield Route(kind, source, target, when)
