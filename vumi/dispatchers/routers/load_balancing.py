"""The router that spreads outbound messages over transports."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.config import ConfigBool, SingleFieldFallback
from vumi.dispatchers.router import BaseDispatchRouter, RouterConfig
from vumi.dispatchers.routers.from_addr import one_exposed_name
from vumi.dispatchers.routes import EVENT, INBOUND, OUTBOUND, Route

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vumi.config import Config
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["LoadBalancingConfig", "LoadBalancingRouter"]


class LoadBalancingConfig(RouterConfig):
    """Options of the load balancer."""

    reply_affinity = ConfigBool(
        "Whether replies go to the transport that the message replied to came from.",
        default=True,
        static=True,
    )
    rewrite_transport_names = ConfigBool(
        "Whether messages from users and events get the exposed name as their transport_name, and "
        "messages to users that of the transport chosen.",
        default=True,
        static=True,
        fallbacks=[SingleFieldFallback("rewrite_transport_name")],
    )
    rewrite_transport_name = ConfigBool(
        "Another spelling of rewrite_transport_names.", static=True
    )


class LoadBalancingRouter(BaseDispatchRouter):
    """Gives outbound messages to its transports in turn; a reply goes where it came from.

    There must be exactly one exposed name. Whose turn it is, each process knows for itself. Where
    a message came from is kept in its ``helper_metadata``, which replies keep.
    """

    CONFIG_CLASS: ClassVar[type[Config] | None] = LoadBalancingConfig

    def read_options(self, options: Any) -> None:
        super().read_options(options)
        self.reply_affinity: bool = options.reply_affinity
        self.rewrite_transport_names: bool = options.rewrite_transport_names
        self._turns: Iterator[str] = cycle(self.transport_names)

    def find_problems(self) -> Iterator[str]:
        yield from super().find_problems()
        yield from one_exposed_name(self)
        if not self.transport_names:
            yield f"At least one transport name is needed for {type(self).__name__}."

    def dispatch_inbound_message(self, msg: TransportUserMessage) -> Any:
        [exposed] = self.exposed_names
        if self.reply_affinity:
            self._came_from(msg, make=True).append(msg["transport_name"])
        if self.rewrite_transport_names:
            msg["transport_name"] = exposed
        return self.dispatcher.publish_inbound_message(exposed, msg)

    def dispatch_inbound_event(self, msg: TransportEvent) -> Any:
        [exposed] = self.exposed_names
        if self.rewrite_transport_names:
            msg["transport_name"] = exposed
        return self.dispatcher.publish_inbound_event(exposed, msg)

    def dispatch_outbound_message(self, msg: TransportUserMessage) -> Any:
        transport = None
        if self.reply_affinity and msg.payload["in_reply_to"]:
            transport = self._where_it_came_from(msg)
        if transport is None:
            transport = next(self._turns)
        if self.rewrite_transport_names:
            msg["transport_name"] = transport
        return self.dispatcher.publish_outbound_message(transport, msg)

    def _where_it_came_from(self, msg: TransportUserMessage) -> str | None:
        came_from = self._came_from(msg)
        name = came_from.pop() if came_from else None
        if name in self.transport_names:
            return str(name)
        self.log.warn(
            "Reply {message_id}: whether it came from one of the transports is not known "
            "({transport_name!r}); the next one in turn gets it",
            event="no-reply-affinity",
            message_id=msg["message_id"],
            transport_name=name,
        )
        return None

    @staticmethod
    def _came_from(msg: TransportUserMessage, make: bool = False) -> list[Any]:
        """The transports that a message came through, the last one last.

        :param make: Make the list if it isn't there, or is something else.
        """
        metadata = msg["helper_metadata"]
        section = metadata.get("load_balancer")
        if not isinstance(section, dict):
            section = {}
            if make:
                metadata["load_balancer"] = section
        names = section.get("transport_names")
        if not isinstance(names, list):
            names = []
            if make:
                section["transport_names"] = names
        return names

    def list_routes(self) -> Iterator[Route]:
        for exposed in self.exposed_names:
            for kind in (INBOUND, EVENT):
                for transport in self.transport_names:
                    yield Route(kind, transport, exposed)
            for transport in self.transport_names:
                yield Route(OUTBOUND, exposed, transport, "in turn")

    def list_notes(self) -> Iterator[str]:
        if self.reply_affinity:
            yield "A reply goes to the transport that its message came from."
