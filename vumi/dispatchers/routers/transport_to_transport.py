"""The router that joins transports to transports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.dispatchers.fields import ConfigNamesMapping
from vumi.dispatchers.router import BaseDispatchRouter, RouterConfig, publish_to_each
from vumi.dispatchers.routers.simple import list_table_routes
from vumi.dispatchers.routes import INBOUND
from vumi.errors import DispatcherError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vumi.config import Config
    from vumi.dispatchers.routes import Route
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["TransportToTransportConfig", "TransportToTransportRouter"]


class TransportToTransportConfig(RouterConfig):
    """Options of the router between transports."""

    route_mappings = ConfigNamesMapping(
        "The transport_name of an inbound message -> the transports that send a copy out. An "
        "empty list drops it.",
        required=True,
        static=True,
    )


class TransportToTransportRouter(BaseDispatchRouter):
    """Sends what comes in by one transport out by others. Events end here."""

    CONFIG_CLASS: ClassVar[type[Config] | None] = TransportToTransportConfig

    def read_options(self, options: Any) -> None:
        super().read_options(options)
        self._routes: dict[str | None, tuple[str, ...]] = dict(options.route_mappings or {})

    def find_problems(self) -> Iterator[str]:
        yield from super().find_problems()
        yield from self.unknown_sources("route_mappings", self._routes)  # type: ignore[arg-type]  # texts
        targets = (name for names in self._routes.values() for name in names)
        yield from self.unknown_transports("route_mappings", targets)

    def dispatch_inbound_message(self, msg: TransportUserMessage) -> Any:
        name = msg.payload["transport_name"]
        try:
            targets = self._routes[name]
        except KeyError:
            raise DispatcherError(
                f"'route_mappings' has nothing for transport_name {name!r}."
            ) from None
        return publish_to_each(self.dispatcher.publish_outbound_message, targets, msg)

    def dispatch_inbound_event(self, msg: TransportEvent) -> None:
        """Nobody waits for it."""

    def dispatch_outbound_message(self, msg: TransportUserMessage) -> Any:
        raise DispatcherError("This dispatcher takes no messages from applications.")

    def list_routes(self) -> Iterator[Route]:
        return list_table_routes(self, self._routes, (INBOUND,))

    def list_notes(self) -> Iterator[str]:
        yield "Events are dropped."
