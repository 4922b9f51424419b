"""The router that goes by whom a message is for."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.config import ConfigField, ConfigText
from vumi.dispatchers.fields import ConfigNamesMapping
from vumi.dispatchers.router import publish_to_each
from vumi.dispatchers.routers.remembering import RememberingConfig, RememberingRouter
from vumi.dispatchers.routers.simple import (
    SimpleDispatchConfig,
    SimpleDispatchRouter,
    list_table_routes,
)
from vumi.dispatchers.routes import EVENT, INBOUND, Route
from vumi.errors import DispatcherError
from vumi.persist.config import ConfigRedis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vumi.config import Config
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["ToAddrConfig", "ToAddrRouter"]


class ConfigPatterns(ConfigField[dict[str, re.Pattern[str]]]):
    """A mapping of names to regular expressions."""

    field_type = "dict of regexes"

    def clean(self, value: Any) -> dict[str, re.Pattern[str]]:
        """The compiled pattern by name."""
        if not isinstance(value, dict):
            self.raise_config_error("is not a dict.")
        patterns: dict[str, re.Pattern[str]] = {}
        for name, pattern in value.items():
            if not isinstance(pattern, str):
                self.raise_config_error(f"at {name!r} has no text: in YAML, quote it.")
            try:
                patterns[name] = re.compile(pattern)
            except (re.error, OverflowError, RecursionError) as error:
                reason = f"at {name!r} is not a valid regular expression: {error}."
            else:
                continue
            self.raise_config_error(reason)
        return patterns


class ToAddrConfig(RememberingConfig, SimpleDispatchConfig):
    """Options of the router by address."""

    toaddr_mappings = ConfigPatterns(
        "The exposed name -> a regular expression. A message goes to each name whose expression "
        "matches the beginning of its to_addr; end an expression with $ to match all of it.",
        required=True,
        static=True,
    )
    dispatcher_name = ConfigText(
        "The dispatcher's name. What the router keeps in Redis is kept under it; required with "
        "redis_manager.",
        static=True,
    )
    redis_manager = ConfigRedis(
        "How to connect to Redis, where it is remembered who sent a message. Without it, events "
        "can't be given to who sent the message.",
        static=True,
    )
    route_mappings = ConfigNamesMapping(
        "For events about messages that nobody is known to have sent: the transport_name -> the "
        "exposed names that get a copy.",
        default={},
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        if self.redis_manager is not None and self.dispatcher_name is None:
            self.raise_config_error("With 'redis_manager', 'dispatcher_name' is required too.")


class ToAddrRouter(RememberingRouter, SimpleDispatchRouter):
    """Sends messages to exposed names by the address that the user wrote to.

    Events go to who sent the message, if that is remembered (``redis_manager``). Otherwise they go
    by ``route_mappings``; without those to the only exposed name, or to the default one. If there
    are several and no default one, events are dropped.
    """

    CONFIG_CLASS: ClassVar[type[Config] | None] = ToAddrConfig

    def read_options(self, options: Any) -> None:
        super().read_options(options)
        self.remembers = options.redis_manager is not None
        self._patterns: dict[str, re.Pattern[str]] = dict(options.toaddr_mappings or {})

    def find_problems(self) -> Iterator[str]:
        yield from super().find_problems()
        yield from self.unknown_exposed("toaddr_mappings", self._patterns)

    def _transports_without_route(self) -> Iterator[str]:
        return iter(())

    # Life

    def setup_routing(self) -> Any:
        """Connect to Redis, if there is any."""
        if self._drops_events:
            self.log.warn(
                "Events are dropped, as nothing tells whose they are: configure redis_manager and "
                "dispatcher_name to have them given to who sent the message.",
                event="events-dropped",
            )
        return super().setup_routing()

    @property
    def _drops_events(self) -> bool:
        return not (
            self.remembers or self._routes or len(self.exposed_names) == 1 or self.has_default
        )

    # Messages

    def dispatch_inbound_message(self, msg: TransportUserMessage) -> Any:
        to_addr = msg.payload["to_addr"]
        names = [name for name, pattern in self._patterns.items() if pattern.match(to_addr or "")]
        if not names:
            raise DispatcherError(f"'toaddr_mappings' has nothing for to_addr {to_addr!r}.")
        return publish_to_each(self.dispatcher.publish_inbound_message, names, msg)

    def dispatch_outbound_message(self, msg: TransportUserMessage) -> Any:
        transport = self._transport_for(msg)
        publish = partial(self.dispatcher.publish_outbound_message, transport, msg)
        return self.send_remembered(publish, msg) if self.remembers else publish()

    def dispatch_inbound_event(self, msg: TransportEvent) -> Any:
        names = self._routes.get(msg.get("transport_name"), ())
        if not names and not self._routes and len(self.exposed_names) == 1:
            names = self.exposed_names
        publish = self.dispatcher.publish_inbound_event
        if self.remembers:
            return self.event_to_sender(publish, msg, names)
        if names:
            return publish_to_each(publish, names, msg)
        if self._drops_events:
            return None
        raise DispatcherError("Nothing tells whose event it is.")

    # The ways

    def list_routes(self) -> Iterator[Route]:
        for transport in self.transport_names:
            for exposed, pattern in self._patterns.items():
                yield Route(INBOUND, transport, exposed, f"to_addr matches {pattern.pattern}")
        if self.remembers:
            for transport in self.transport_names:
                for exposed in self.exposed_names:
                    yield Route(EVENT, transport, exposed, "about its messages")
        elif self._routes:
            yield from list_table_routes(self, self._routes, (EVENT,))
        elif len(self.exposed_names) == 1:
            for transport in self.transport_names:
                yield Route(EVENT, transport, self.exposed_names[0])
        yield from self._list_outbound_routes()

    def list_notes(self) -> Iterator[str]:
        if self._drops_events:
            yield "Events are dropped."
