"""The base of routers that remember in Redis who sent a message.

An event tells the id of the message that it is about, and not who sent that: the router has to
remember. Knows the layout of that memory, which is the old Vumi's: under
``<redis prefix>:<dispatcher_name>``, a hash ``session:message:<message id>`` with the fields
``name`` (the exposed name) and ``created_at`` (seconds since 1970).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.config import ConfigInt, ConfigText
from vumi.dispatchers.router import (
    BaseDispatchRouter,
    RouterConfig,
    issued,
    publish_to_each,
)
from vumi.errors import DispatcherError
from vumi.persist.config import ConfigRedis
from vumi.tasks import before_all_else, deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vumi.config import Config
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["RememberingConfig", "RememberingRouter"]

#: Seconds: a week.
DEFAULT_EXPIRY = 604_800

REMEMBER = """
redis.call('HSET', KEYS[1], 'name', ARGV[1], 'created_at', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
"""


class RememberingConfig(RouterConfig):
    """Options of routers that remember."""

    dispatcher_name = ConfigText(
        "The dispatcher's name. What the router keeps in Redis is kept under it.",
        required=True,
        static=True,
    )
    redis_manager = ConfigRedis("How to connect to Redis.", default={}, static=True)
    expire_routing_memory = ConfigInt(
        "How long it is remembered who sent a message, in seconds. An event that comes later has "
        "no route.",
        default=DEFAULT_EXPIRY,
        static=True,
        lowest=1,
    )


class RememberingRouter(BaseDispatchRouter):
    """Remembers which exposed name each outbound message came by.

    :ivar redis: The keys under the dispatcher's name; ``None`` while the router isn't set up.
    """

    CONFIG_CLASS: ClassVar[type[Config] | None] = RememberingConfig

    #: In a message's scratch cache: the exposed name it came by.
    _SENDER = "exposed_name"

    #: Whether anything is remembered at all.
    remembers = True

    #: Gives the seconds since 1970.
    seconds = staticmethod(time.time)

    redis: Any = None
    _manager: Any = None
    _remember: Any = None

    def read_options(self, options: Any) -> None:
        super().read_options(options)
        self._expiry: int = options.expire_routing_memory or DEFAULT_EXPIRY

    @deferred
    async def setup_routing(self) -> None:
        """Connect to Redis. A subclass that overrides this must call it."""
        if not self.remembers:
            return
        # Here, so that other routers need no Redis client.
        from vumi.persist.txredis_manager import TxRedisManager

        self._manager = await TxRedisManager.from_config(self.options.redis_manager or {})
        self.redis = self._manager.sub_manager(self.options.dispatcher_name)
        # As a whole, so that nothing is remembered for ever.
        self._remember = self.redis.script(REMEMBER, repeatable=True)

    @deferred
    async def teardown_routing(self) -> None:
        """Let go of Redis. A subclass that overrides this must call it."""
        manager, self._manager, self.redis, self._remember = self._manager, None, None, None
        if manager is not None:
            await manager.close_manager()

    def dispatch_outbound_from(self, exposed_name: str, msg: TransportUserMessage) -> Any:
        if self.remembers:
            # The message carries it: what comes between here and remember() may be a subclass's.
            msg.cache[self._SENDER] = exposed_name
        return self.dispatch_outbound_message(msg)

    def sender_of(self, msg: TransportUserMessage) -> str | None:
        """The exposed name that an outbound message came by."""
        name: str | None = msg.cache.get(self._SENDER, msg["transport_name"])
        return name

    def get_message_key(self, message_id: str) -> str:
        """What a message is remembered by."""
        return f"message:{message_id}"

    async def remember(self, msg: TransportUserMessage) -> None:
        """Keep who sent a message. Call it before the message is published: acks are fast."""
        key = f"session:{self.get_message_key(msg['message_id'])}"
        values = (self.sender_of(msg) or "", repr(self.seconds()), self._expiry)
        await self._remember([key], values)

    async def recall(self, message_id: str) -> str:
        """Who sent a message.

        :returns: The exposed name.
        :raises DispatcherError: It is not known, or is none of the exposed names any more.
        """
        name = await self.redis.hget(f"session:{self.get_message_key(message_id)}", "name")
        if name is None:
            raise DispatcherError(f"Nobody is known to have sent message {message_id}.")
        if name not in self.exposed_names:
            raise DispatcherError(
                f"Message {message_id} came from {name!r}, which is no exposed name."
            )
        return str(name)

    @deferred
    async def send_remembered(self, publish: Callable[[], Any], msg: TransportUserMessage) -> None:
        """Keep who sent a message, then publish it."""
        await before_all_else(self.remember(msg))
        await issued(publish())

    @deferred
    async def event_to_sender(
        self,
        publish: Callable[[str, Any], Any],
        msg: TransportEvent,
        otherwise: Sequence[str] = (),
    ) -> None:
        """Publish an event to who sent the message that it is about.

        :param publish: Takes an exposed name and an event.
        :param otherwise: The exposed names that get it if that is not known.
        :raises DispatcherError: It is not known, and there are none.
        """
        try:
            names: Sequence[str] = (await before_all_else(self.recall(msg["user_message_id"])),)
        except DispatcherError:
            if not otherwise:
                raise
            names = otherwise
        await issued(publish_to_each(publish, names, msg))
