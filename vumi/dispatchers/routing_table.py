"""The dispatcher with a table: connector and endpoint -> connector and endpoint.

Knows the table's checks and how a row is found. Looks into no message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.config import ConfigList
from vumi.dispatchers.dispatcher import Dispatcher, DispatcherConfig
from vumi.dispatchers.fields import ConfigRoutingTable, target_in
from vumi.dispatchers.routes import EVENT, INBOUND, OUTBOUND, Route, RoutePlan
from vumi.errors import DispatcherError
from vumi.tasks import hook_result, is_pending

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vumi.config import Config
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["RoutingTableDispatcher", "RoutingTableDispatcherConfig"]

Table = dict[str, dict[str, tuple[str, str]]]


class RoutingTableDispatcherConfig(DispatcherConfig):
    """Options of the dispatcher with a table."""

    routing_table = ConfigRoutingTable(
        "Where messages go: the connector they come in by -> their endpoint -> a list of the "
        "connector they leave by and the endpoint they are then bound for. Both inbound messages "
        "and events go by the rows of transports.",
        required=True,
    )
    default_route = ConfigList(
        "Where inbound messages and events go that the table has no route for: a list of a "
        "connector towards an application and an endpoint. Without one they become dead letters.",
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        if self.default_route is not None and target_in(self.default_route) is None:
            self.raise_config_error(
                "Field 'default_route' is not a list of two, connector and endpoint."
            )


class RoutingTableDispatcher(Dispatcher):
    """Routes messages by a table of connectors and endpoints.

    For a table that depends on the message, override :meth:`~vumi.worker.BaseWorker.get_config`.
    """

    CONFIG_CLASS: ClassVar[type[Config]] = RoutingTableDispatcherConfig

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        self._table: Table | None = None
        super().__init__(options, config)
        if self._fixed_config is not None:
            # Reading the option checks and copies the whole table.
            self._table = self._fixed_config.routing_table or {}
        default = self.get_static_config().default_route
        self._default_route = None if default is None else target_in(default)

    # Config

    def find_problems(self, config: Any) -> Iterator[str]:
        yield from super().find_problems(config)
        transports = set(self.get_configured_ri_connectors())
        applications = set(self.get_configured_ro_connectors())
        for source, rows in (config.routing_table or {}).items():
            if source in transports:
                targets, side = applications, "receive_outbound_connectors"
            elif source in applications:
                targets, side = transports, "receive_inbound_connectors"
            else:
                yield f"Field 'routing_table' has rows for {source!r}, which is no connector."
                continue
            for endpoint, (target, _) in rows.items():
                if target not in targets:
                    yield (
                        f"Field 'routing_table' sends {endpoint!r} of {source!r} to {target!r}, "
                        f"which is none of {side!r}."
                    )
        if config.default_route is not None:
            target, _ = target_in(config.default_route) or ("", "")
            if target not in applications:
                yield (
                    f"Field 'default_route' names {target!r}, which is none of "
                    "'receive_outbound_connectors'."
                )

    def _config_warnings(self) -> list[str]:
        """Also about connectors without a route."""
        return [*super()._config_warnings(), *self._connectors_without_route()]

    def _connectors_without_route(self) -> Iterator[str]:
        if self._table is None:
            return
        if self._default_route is None:
            for name in self.get_configured_ri_connectors():
                if not self._table.get(name):
                    yield (
                        f"Field 'routing_table' has nothing for {name!r}: its inbound messages "
                        "and events become dead letters."
                    )
        for name in self.get_configured_ro_connectors():
            if not self._table.get(name):
                yield (
                    f"Field 'routing_table' has nothing for {name!r}: its outbound messages are "
                    "nacked."
                )

    def route_plan(self) -> RoutePlan:
        """All ways through this dispatcher."""
        if self._table is None:
            return super().route_plan()
        lost = "becomes a dead letter"
        if self._default_route is not None:
            lost = "goes to {}, endpoint {}".format(*self._default_route)
        return RoutePlan(
            type(self).__name__,
            tuple(self.get_configured_ri_connectors()),
            tuple(self.get_configured_ro_connectors()),
            tuple(self._list_routes(self._table)),
            (
                *self._missing_ways_back(self._table),
                f"An inbound message or an event without a route {lost}, an outbound message is "
                "nacked.",
            ),
        )

    def _list_routes(self, table: Table) -> Iterator[Route]:
        transports = set(self.get_configured_ri_connectors())
        for source, rows in table.items():
            for kind in (INBOUND, EVENT) if source in transports else (OUTBOUND,):
                for endpoint, (target, target_endpoint) in rows.items():
                    yield Route(
                        kind,
                        source,
                        target,
                        source_endpoint=endpoint,
                        target_endpoint=target_endpoint,
                    )

    def _missing_ways_back(self, table: Table) -> Iterator[str]:
        transports = set(self.get_configured_ri_connectors())
        ways = {target for source in transports for target in table.get(source, {}).values()}
        for application, endpoint in sorted(ways):
            if endpoint not in table.get(application, {}):
                yield f"Replies of {application}, endpoint {endpoint}, have no route."

    # Messages

    def find_target(self, config: Any, msg: Any, connector_name: str) -> Any:
        """Where a message goes. May return a Deferred or be ``async``.

        :returns: A pair of connector and endpoint; ``None`` if there is no route.
        """
        table = self._table if config is self._fixed_config else config.routing_table
        rows = (table or {}).get(connector_name)
        return None if rows is None else rows.get(msg.get_routing_endpoint())

    def process_inbound(self, config: Any, msg: TransportUserMessage, connector_name: str) -> Any:
        return self._process(INBOUND, config, msg, connector_name)

    def process_outbound(self, config: Any, msg: TransportUserMessage, connector_name: str) -> Any:
        return self._process(OUTBOUND, config, msg, connector_name)

    def process_event(self, config: Any, event: TransportEvent, connector_name: str) -> Any:
        return self._process(EVENT, config, event, connector_name)

    def _process(self, kind: str, config: Any, msg: Any, connector_name: str) -> Any:
        target = self.find_target(config, msg, connector_name)
        if is_pending(target):
            return self._process_later(kind, target, msg, connector_name)
        return self._send(kind, target, msg, connector_name)

    async def _process_later(self, kind: str, finding: Any, msg: Any, connector_name: str) -> Any:
        return await hook_result(self._send(kind, await finding, msg, connector_name))

    def _send(self, kind: str, target: Any, msg: Any, connector_name: str) -> Any:
        if target is None:
            if kind == OUTBOUND or self._default_route is None:
                raise DispatcherError(
                    "No routing information for endpoint "
                    f"{msg.get_routing_endpoint()!r} on {connector_name!r}."
                )
            target = self._default_route
        connector, endpoint = target
        # The methods, as a subclass may override them.
        if kind == INBOUND:
            return self.publish_inbound(msg, connector, endpoint)
        if kind == OUTBOUND:
            return self.publish_outbound(msg, connector, endpoint)
        return self.publish_event(msg, connector, endpoint)
