"""The routers that give messages another way than the one they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.dispatchers.fields import ConfigNameMapping
from vumi.dispatchers.router import BaseDispatchRouter, RouterConfig
from vumi.dispatchers.routers.simple import list_table_routes, table_problems
from vumi.dispatchers.routes import EVENT, INBOUND, OUTBOUND, Route
from vumi.errors import DispatcherError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vumi.config import Config
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["RedirectConfig", "RedirectOutboundRouter", "RedirectRouter"]


class RedirectConfig(RouterConfig):
    """Options of the redirecting router."""

    redirect_outbound = ConfigNameMapping(
        "Of outbound messages: the transport_name in the message -> the transport to use.",
        default={},
        static=True,
    )
    redirect_inbound = ConfigNameMapping(
        "Of inbound messages and events: the transport_name -> the exposed name that gets them, "
        "and that becomes their transport_name.",
        default={},
        static=True,
    )


class RedirectRouter(BaseDispatchRouter):
    """Sends each transport name's messages another way, in both directions."""

    CONFIG_CLASS: ClassVar[type[Config] | None] = RedirectConfig

    def read_options(self, options: Any) -> None:
        super().read_options(options)
        self._inbound: dict[str | None, str] = dict(options.redirect_inbound or {})
        self._outbound: dict[str | None, str] = dict(options.redirect_outbound or {})

    def find_problems(self) -> Iterator[str]:
        yield from super().find_problems()
        inbound = {name: (exposed,) for name, exposed in self._inbound.items()}
        yield from table_problems(self, "redirect_inbound", inbound)
        sources = [name for name in self._outbound if name is not None]
        yield from self.unknown_sources("redirect_outbound", sources, self.exposed_names)
        yield from self.unknown_transports("redirect_outbound", self._outbound.values())

    def dispatch_inbound_message(self, msg: TransportUserMessage) -> Any:
        exposed = self._redirected(msg)
        return self.dispatcher.publish_inbound_message(exposed, msg)

    def dispatch_inbound_event(self, msg: TransportEvent) -> Any:
        exposed = self._redirected(msg)
        return self.dispatcher.publish_inbound_event(exposed, msg)

    def _redirected(self, msg: Any) -> str:
        """Where a message goes; it then bears that name."""
        name = msg.payload.get("transport_name")
        try:
            exposed = self._inbound[name]
        except KeyError:
            raise DispatcherError(f"No redirect_inbound specified for {name}.") from None
        msg["transport_name"] = exposed
        return exposed

    def dispatch_outbound_message(self, msg: TransportUserMessage) -> Any:
        name = msg.payload["transport_name"]
        try:
            transport = self._outbound[name]
        except KeyError:
            raise DispatcherError(f"No redirect_outbound specified for {name}.") from None
        return self.dispatcher.publish_outbound_message(transport, msg)

    def list_routes(self) -> Iterator[Route]:
        inbound = {name: (exposed,) for name, exposed in self._inbound.items()}
        yield from list_table_routes(self, inbound, (INBOUND, EVENT))
        for exposed in self.exposed_names:
            for name, transport in self._outbound.items():
                yield Route(OUTBOUND, exposed, transport, f"transport_name {name!r}")


class RedirectOutboundRouter(RedirectRouter):
    """The old name of :class:`RedirectRouter`."""

    def setup_routing(self) -> Any:
        self.log.warn(
            "RedirectOutboundRouter is the old name of vumi.dispatchers.base.RedirectRouter: "
            "change router_class.",
            event="old-router-name",
        )
        return super().setup_routing()
