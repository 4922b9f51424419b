"""The router that makes one of many transports, by the address that answers are sent from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.dispatchers.fields import ConfigNameMapping
from vumi.dispatchers.router import BaseDispatchRouter, RouterConfig
from vumi.dispatchers.routes import EVENT, INBOUND, OUTBOUND, Route
from vumi.errors import DispatcherError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vumi.config import Config
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["FromAddrMultiplexConfig", "FromAddrMultiplexRouter"]


class FromAddrMultiplexConfig(RouterConfig):
    """Options of the router by sending address."""

    fromaddr_mappings = ConfigNameMapping(
        "The from_addr of an outbound message -> the transport to send it by.",
        required=True,
        static=True,
    )


class FromAddrMultiplexRouter(BaseDispatchRouter):
    """Makes many transports look like one; answers leave by the transport of their ``from_addr``.

    There must be exactly one exposed name. It becomes the ``transport_name`` of whatever an
    application gets; a transport gets its own.
    """

    CONFIG_CLASS: ClassVar[type[Config] | None] = FromAddrMultiplexConfig

    def read_options(self, options: Any) -> None:
        super().read_options(options)
        self._transports: dict[str | None, str] = dict(options.fromaddr_mappings or {})

    def find_problems(self) -> Iterator[str]:
        yield from super().find_problems()
        yield from one_exposed_name(self)
        yield from self.unknown_transports("fromaddr_mappings", self._transports.values())

    def dispatch_inbound_message(self, msg: TransportUserMessage) -> Any:
        [exposed] = self.exposed_names
        msg["transport_name"] = exposed
        return self.dispatcher.publish_inbound_message(exposed, msg)

    def dispatch_inbound_event(self, msg: TransportEvent) -> Any:
        [exposed] = self.exposed_names
        msg["transport_name"] = exposed
        return self.dispatcher.publish_inbound_event(exposed, msg)

    def dispatch_outbound_message(self, msg: TransportUserMessage) -> Any:
        from_addr = msg.payload["from_addr"]
        try:
            transport = self._transports[from_addr]
        except KeyError:
            raise DispatcherError(
                f"'fromaddr_mappings' has nothing for from_addr {from_addr!r}."
            ) from None
        msg["transport_name"] = transport
        return self.dispatcher.publish_outbound_message(transport, msg)

    def list_routes(self) -> Iterator[Route]:
        for exposed in self.exposed_names:
            for kind in (INBOUND, EVENT):
                for transport in self.transport_names:
                    yield Route(kind, transport, exposed)
            for from_addr, transport in self._transports.items():
                yield Route(OUTBOUND, exposed, transport, f"from_addr {from_addr!r}")


def one_exposed_name(router: BaseDispatchRouter) -> Iterator[str]:
    """A problem unless a router's dispatcher has exactly one exposed name."""
    count = len(router.exposed_names)
    if count != 1:
        yield f"Only one exposed name allowed for {type(router).__name__}, not {count or 'none'}."
