"""A middleware that handles each message once, though the broker may deliver it more than once.

Knows ids of messages and what became of them. Knows nothing of their content.

Theory of operation. For each message there is a key in Redis, by queue and message id::

    (none) ──> claimed by a delivery ── handled, all it led to is confirmed ──> handled
                  │     │
                  │     └─ its handler failed ──> (none)
                  └─ its worker crashed: the claim expires ──> (none)

* No key: the delivery claims the message and goes on.
* *handled*: the delivery is a repetition, and is dropped. The key stays for `expiry` seconds.
* *claimed*: another delivery of the message is being handled somewhere. That may still fail or
  crash, so this one can't be dropped; nor may it be handled at the same time. It waits, and looks
  again, until the key is one of the two above.

A message is marked as handled only when the broker has everything that its handler published: if
the worker crashes before that, the delivery that comes again is the one that counts. A message
that became a dead letter can be retried. So "at least once" holds, whatever fails. "More than
once" is left for a crash between a message's being handled and its being marked, and for a worker
that takes longer than `claim_lifetime` over a message that somebody else has too.

While Redis can't be reached, nobody knows what was handled: messages wait in their queue. One that
was handled and can't be marked is a warning in the log.
"""

from __future__ import annotations

from itertools import count
from typing import Any
from uuid import uuid4

from twisted.internet.task import deferLater

from vumi.config import ConfigInt
from vumi.connectors import DuplicateMessage
from vumi.errors import StoreError
from vumi.middleware.store import StoreMiddleware, StoreMiddlewareConfig

__all__ = ["DeduplicationMiddleware", "DeduplicationMiddlewareConfig"]

HANDLED = "handled"

#: Seconds until a claimed message is looked at again: at first, and at most.
FIRST_WAIT, LONGEST_WAIT = 0.05, 1.0

#: The kinds of messages that have an id, and its field.
ID_FIELDS = {"inbound": "message_id", "outbound": "message_id", "event": "event_id"}

#: Claims a message; gives who has it, which may have been decided before.
CLAIM = """
local owner = redis.call('GET', KEYS[1])
if owner then return owner end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return ARGV[1]
"""

#: Gives a claim back, unless it has become somebody else's.
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class DeduplicationMiddlewareConfig(StoreMiddlewareConfig):
    """Configuration of the deduplication middleware."""

    expiry = ConfigInt(
        "How long a message that was handled is remembered, in seconds. One that is delivered "
        "again later is handled again.",
        default=3600,
        static=True,
        lowest=1,
        nullable=False,
    )
    claim_lifetime = ConfigInt(
        "How long a message may be in hand before another worker that has it too handles it, in "
        "seconds. After a crash, the messages that were in hand wait this long.",
        default=30,
        static=True,
        lowest=1,
        nullable=False,
    )


class DeduplicationMiddleware(StoreMiddleware):
    """Drops messages and events that this worker, or another on the same queue, has handled."""

    CONFIG_CLASS = DeduplicationMiddlewareConfig
    SUB_PREFIX = "deduplication"

    def __init__(self, name: str, config: Any, worker: Any) -> None:
        super().__init__(name, config, worker)
        self._cache_key = f"deduplication.{name}"
        self._expiry, self._claim_lifetime = self.config.expiry, self.config.claim_lifetime
        # Of this process alone, whatever host it runs on.
        self._tokens = (f"{process}:{number}" for process in [uuid4().hex] for number in count(1))

    def setup_store(self) -> None:
        # With a token that is used once, claiming again gives what claiming has given.
        self._claim = self.redis.script(CLAIM, repeatable=True)
        self._release = self.redis.script(RELEASE, repeatable=True)

    def handle_consume_inbound(self, message: Any, connector_name: str) -> Any:
        return self._check("inbound", message, connector_name)

    def handle_consume_outbound(self, message: Any, connector_name: str) -> Any:
        return self._check("outbound", message, connector_name)

    def handle_consume_event(self, event: Any, connector_name: str) -> Any:
        return self._check("event", event, connector_name)

    async def _check(self, kind: str, message: Any, connector_name: str) -> Any:
        message_id = message.get(ID_FIELDS[kind])
        if not message_id:
            return message
        key = f"{connector_name}.{kind}:{message_id}"
        token = next(self._tokens)
        wait = FIRST_WAIT
        while True:
            owner = await self._claim([key], [token, self._claim_lifetime])
            if owner == token:
                message.cache[self._cache_key] = (key, token)
                return message
            if owner == HANDLED:
                raise DuplicateMessage(f"Message {message_id} was handled before.")
            await deferLater(self.timers(), wait, lambda: None)
            wait = min(wait * 2, LONGEST_WAIT)

    async def message_handled(
        self, kind: str, message: Any, connector_name: str, error: BaseException | None
    ) -> None:
        key, token = message.cache.pop(self._cache_key, (None, None))
        if key is None:
            return
        try:
            if error is None:
                await self.redis.setex(key, self._expiry, HANDLED)
            else:
                await self._release([key], [token])
        except StoreError as store_error:
            message_id = message.get(ID_FIELDS[kind])
            self._warn("not marked as handled, or as failed", message_id, store_error)

    def _warn(self, what: str, message_id: str, error: StoreError) -> None:
        self.log.warn(
            "{middleware}: message {message_id} was {what}: {error}",
            event="deduplication-store-error",
            middleware=self.name,
            message_id=message_id,
            what=what,
            error=str(error),
        )
