"""A middleware that stores all messages and events in the message store.

Knows when a message is stored, and what becomes of it while the store is away. What a store is,
:mod:`vumi.components.message_store` knows.

Theory of operation. Everything is stored before it goes on, so before it is acknowledged to
its sender. The store itself tries for a while; when it has failed it matters what the
message is waited for by:

* *received from the broker*: the error goes on. No handler has seen the message, so it stays
  unacknowledged and is handled again later, with all after it (:class:`~vumi.errors.HandleLater`).
* *from a user, about to be published*: the error goes on. A transport tells its network, which
  sends the message again; a dispatcher's message stays unacknowledged, as above.
* *to a user, or an event, about to be published*: somebody has done something of which this is
  the result, and would do it again if told of an error: a second SMS, say. So it waits here until
  the store is back. Meanwhile what was received stays unacknowledged too.

What is published of one conversation is stored one after another, so that none overtakes another
that waits.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from vumi.components.message_store.config import MessageStoreOptions
from vumi.components.message_store.erasing import Purge
from vumi.components.message_store.store import MessageStore
from vumi.config import ConfigBool
from vumi.connectors import event_conversation, inbound_conversation, outbound_conversation
from vumi.errors import HandleLater, StoreUnavailable
from vumi.middleware.base import BaseMiddleware, BaseMiddlewareConfig
from vumi.middleware.tagger import TaggingMiddleware
from vumi.named_locks import NamedLocks
from vumi.tasks import deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

__all__ = ["StoringMiddleware", "StoringMiddlewareConfig"]

#: Seconds until a store that is away is tried again: at first, and at most.
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0


class StoringMiddlewareConfig(MessageStoreOptions, BaseMiddlewareConfig):
    """Configuration of the storing middleware."""

    store_on_consume = ConfigBool(
        "Whether messages and events are stored also when they are received, not only when they "
        "are published. In a dispatcher, where all that is received is published, once is enough.",
        default=True,
        static=True,
    )


class StoringMiddleware(BaseMiddleware):
    """Stores all messages and events that pass, before they go on.

    A message with a tag belongs to the batch that the tag is used for now.

    :ivar store: The :class:`~vumi.components.message_store.MessageStore`, once the middleware is
        set up.
    :ivar clock: For tests: what has ``callLater``. By default the worker's.
    """

    CONFIG_CLASS = StoringMiddlewareConfig

    log = Logger()

    def __init__(self, name: str, config: Mapping[str, Any], worker: Any) -> None:
        super().__init__(name, config, worker)
        self.store: Any = None
        self.clock: Any = None
        self._store_on_consume: bool = self.config.store_on_consume
        self._purge: Purge | None = None
        self._waits: set[Deferred[None]] = set()
        #: Messages of one conversation are stored one after another.
        self._turns = NamedLocks()

    # Life

    @deferred
    async def setup_middleware(self) -> None:
        options = self.config.store_options()
        self.store = await MessageStore.from_config(options)
        keep_for = options.get("keep_for")
        if keep_for is not None:
            self._purge = Purge(self.store.archive, int(keep_for), self._timers())
            self._purge.start()

    @deferred
    async def teardown_middleware(self) -> None:
        for wait in list(self._waits):
            wait.cancel()
        purge, self._purge = self._purge, None
        if purge is not None:
            await purge.stop()
        store, self.store = self.store, None
        if store is not None:
            await store.close()

    def _timers(self) -> Any:
        return self.worker.clock if self.clock is None else self.clock

    # Messages

    def handle_consume_inbound(self, message: Any, connector_name: str) -> Any:
        return self._inbound(message) if self._store_on_consume else message

    def handle_publish_inbound(self, message: Any, connector_name: str) -> Any:
        return self._in_turn(inbound_conversation(message), self._inbound, message)

    def handle_consume_outbound(self, message: Any, connector_name: str) -> Any:
        return self._outbound(message) if self._store_on_consume else message

    def handle_publish_outbound(self, message: Any, connector_name: str) -> Any:
        return self._in_turn(
            outbound_conversation(message), self._patiently, message, self._outbound
        )

    def handle_consume_event(self, event: Any, connector_name: str) -> Any:
        return self._event(event) if self._store_on_consume else event

    def handle_publish_event(self, event: Any, connector_name: str) -> Any:
        return self._in_turn(event_conversation(event), self._patiently, event, self._event)

    async def _inbound(self, message: Any) -> Any:
        tag = TaggingMiddleware.map_msg_to_tag(message)
        try:
            await self.store.add_inbound_message(message, tag=tag)
        except StoreUnavailable as error:
            raise _not_stored(error) from error
        return message

    async def _outbound(self, message: Any) -> Any:
        tag = TaggingMiddleware.map_msg_to_tag(message)
        try:
            await self.store.add_outbound_message(message, tag=tag)
        except StoreUnavailable as error:
            raise _not_stored(error) from error
        return message

    async def _event(self, event: Any) -> Any:
        metadata = event.get("transport_metadata") or {}
        # Some transports of the old Vumi put a datetime there, which other programs can't read.
        if isinstance(metadata.get("date"), datetime):
            metadata["date"] = metadata["date"].isoformat()
        try:
            await self.store.add_event(event)
        except StoreUnavailable as error:
            raise _not_stored(error) from error
        return event

    # In order

    async def _in_turn(
        self, conversation: Hashable, store: Callable[..., Any], message: Any, *args: Any
    ) -> Any:
        async with self._turns.hold((message.payload["message_type"], conversation)):
            return await store(message, *args)

    # While the store is away

    async def _patiently(self, message: Any, store: Callable[[Any], Any]) -> Any:
        wait = FIRST_WAIT
        while True:
            try:
                return await store(message)
            except HandleLater as error:
                self.log.warn(
                    "{middleware}: {message_id} is not stored yet, and waits; next try in "
                    "{seconds} s: {error}",
                    event="storing-waits",
                    middleware=self.name,
                    message_id=message.get("message_id") or message.get("event_id"),
                    seconds=wait,
                    error=str(error),
                )
            await self._pause(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def _pause(self, seconds: float) -> None:
        waiting: Deferred[None] = deferLater(self._timers(), seconds, lambda: None)
        self._waits.add(waiting)
        try:
            await waiting
        except CancelledError:
            # Of what was received nothing is acknowledged: it will be delivered again.
            raise HandleLater("The worker stops before the message could be stored.") from None
        finally:
            self._waits.discard(waiting)


def _not_stored(error: StoreUnavailable) -> HandleLater:
    return HandleLater(f"The message is not stored: {error}")
