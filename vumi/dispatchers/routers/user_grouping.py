"""The router that divides users into groups, each with its application."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.dispatchers.fields import ConfigNameMapping, ConfigNamesMapping
from vumi.dispatchers.router import issued
from vumi.dispatchers.routers.remembering import RememberingConfig, RememberingRouter
from vumi.dispatchers.routers.simple import SimpleDispatchConfig, SimpleDispatchRouter
from vumi.dispatchers.routes import EVENT, INBOUND, Route
from vumi.tasks import before_all_else, deferred

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twisted.internet.defer import Deferred

    from vumi.config import Config
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["UserGroupingConfig", "UserGroupingRouter"]


class UserGroupingConfig(RememberingConfig, SimpleDispatchConfig):
    """Options of the router by groups of users."""

    group_mappings = ConfigNameMapping(
        "The name of a group -> the exposed name that its users' messages go to.",
        required=True,
        static=True,
    )
    route_mappings = ConfigNamesMapping(
        "For events about messages that nobody is known to have sent: the transport_name -> the "
        "exposed names that get a copy.",
        default={},
        static=True,
    )


class UserGroupingRouter(RememberingRouter, SimpleDispatchRouter):
    """Puts each new user into the next group in turn, where he stays: for comparing applications.

    Groups take turns in the order of their names. Events go to who sent the message.
    """

    CONFIG_CLASS: ClassVar[type[Config] | None] = UserGroupingConfig

    def read_options(self, options: Any) -> None:
        super().read_options(options)
        #: group -> exposed name
        self.groups: dict[str, str] = dict(options.group_mappings or {})
        self._in_turn = sorted(self.groups)

    def find_problems(self) -> Iterator[str]:
        yield from super().find_problems()
        yield from self.unknown_exposed("group_mappings", self.groups.values())
        if not self.groups:
            yield "Field 'group_mappings' has no groups."

    def _transports_without_route(self) -> Iterator[str]:
        return iter(())

    @deferred
    async def dispatch_inbound_message(self, msg: TransportUserMessage) -> None:
        group = await before_all_else(self.get_group_for_user(msg.user()))
        await issued(self.dispatcher.publish_inbound_message(self.groups[group], msg))

    @deferred
    async def get_group_for_user(self, user_id: str | None) -> str:
        """The group that a user is in; from now on, if he was in none.

        :param user_id: The user's address. Who has none is not remembered.
        """
        if user_id is None:
            return await self.get_next_group()
        key = f"user:{user_id}"
        group = await self.redis.get(key)
        if group in self.groups:
            return str(group)
        if group is not None:
            # It is no group any more.
            await self.redis.delete(key)
        chosen = await self.get_next_group()
        if await self.redis.setnx(key, chosen):
            return chosen
        # Another process was faster.
        group = await self.redis.get(key)
        return str(group) if group in self.groups else chosen

    def get_next_group(self) -> Deferred[str]:
        """The group whose turn it is."""
        counting: Deferred[int] = self.redis.incr("round-robin")
        return counting.addCallback(lambda n: self._in_turn[(n - 1) % len(self._in_turn)])

    def dispatch_outbound_message(self, msg: TransportUserMessage) -> Any:
        transport = self._transport_for(msg)
        publish = partial(self.dispatcher.publish_outbound_message, transport, msg)
        return self.send_remembered(publish, msg)

    def dispatch_inbound_event(self, msg: TransportEvent) -> Any:
        otherwise = self._routes.get(msg.get("transport_name"), ())
        return self.event_to_sender(self.dispatcher.publish_inbound_event, msg, otherwise)

    def list_routes(self) -> Iterator[Route]:
        for transport in self.transport_names:
            for group, exposed in self.groups.items():
                yield Route(INBOUND, transport, exposed, f"users of group {group!r}")
            for exposed in self.exposed_names:
                yield Route(EVENT, transport, exposed, "about its messages")
        yield from self._list_outbound_routes()
