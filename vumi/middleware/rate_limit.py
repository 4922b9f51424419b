"""A middleware that holds messages to users back to a rate, or refuses those beyond it.

Knows how many messages may pass. Knows nothing of why.

Theory of operation. A token bucket holds `burst` tokens and is filled up at `rate` tokens a
second; each message takes one. In Redis it is one number, the time at which the bucket will be
full (the "theoretical arrival time" of the generic cell rate algorithm, ITU-T I.371): a message
moves it on by the time that one token takes. A message may pass when that time is at most `burst`
tokens away. One script looks and takes, by Redis's own clock, so the limit is one for all workers
that share the key. A message that has to wait has its token already; messages therefore pass in
the order in which they asked.

While Redis can't be reached, messages that would have to be counted wait in their queue. What a
worker publishes passes uncounted, with a warning in the log: it has no queue to wait in.
"""

from __future__ import annotations

import math
from typing import Any

from twisted.internet.task import deferLater

from vumi.config import ConfigChoice, ConfigFloat, ConfigInt
from vumi.connectors import IgnoreMessage
from vumi.errors import StoreError
from vumi.middleware.passes import first_pass
from vumi.middleware.store import StoreMiddleware, StoreMiddlewareConfig

__all__ = ["RateLimitMiddleware", "RateLimitMiddlewareConfig"]

PER = ("transport", "user")
OVER_LIMIT = ("delay", "nack")

#: Takes a token; gives the seconds until the message may pass, as text. If that is longer than the
#: message would wait, no token is taken.
#: Arguments: seconds per token, tokens in a full bucket, seconds that the message would wait.
TAKE = """
local interval, burst, patience = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local wait = math.max(full_at - now - (burst - 1) * interval, 0)
if wait <= patience then
    full_at = full_at + interval
    local lifetime = math.ceil((full_at - now) * 1000)
    redis.call('SET', KEYS[1], string.format('%.6f', full_at), 'PX', lifetime)
end
return string.format('%.6f', wait)
"""


class RateLimitMiddlewareConfig(StoreMiddlewareConfig):
    """Configuration of the rate limit middleware."""

    rate = ConfigFloat(
        "How many messages may pass in a second.",
        required=True,
        static=True,
        above=0,
        nullable=False,
    )
    burst = ConfigInt(
        "How many messages may pass at once after a time without any. By default as many as in "
        "a second, at least one.",
        static=True,
        lowest=1,
    )
    per = ConfigChoice(
        "What has a limit of its own: each ``transport``, or each ``user`` of a connector.",
        default="transport",
        static=True,
        choices=PER,
        nullable=False,
    )
    over_limit = ConfigChoice(
        "What becomes of a message over the limit: ``delay`` has it wait, ``nack`` refuses it.",
        default="delay",
        static=True,
        choices=OVER_LIMIT,
        nullable=False,
    )
    max_delay = ConfigFloat(
        "How long a message may have to wait, in seconds; one that would have to wait longer is "
        "refused. Keep it well below the worker's ``handler_timeout``.",
        default=60,
        static=True,
        lowest=0,
        nullable=False,
    )


class RateLimitMiddleware(StoreMiddleware):
    """Lets messages to users pass at a rate at most.

    Each message counts once, also in a dispatcher, where it passes twice.
    """

    CONFIG_CLASS = RateLimitMiddlewareConfig
    SUB_PREFIX = "rate_limit"

    def __init__(self, name: str, config: Any, worker: Any) -> None:
        super().__init__(name, config, worker)
        rate = self.config.rate
        burst = self.config.burst or max(math.floor(rate), 1)
        patience = self.config.max_delay if self.config.over_limit == "delay" else 0
        self._arguments = [1 / rate, burst, patience]
        self._patience = patience
        self._per, self._rate = self.config.per, rate

    def setup_store(self) -> None:
        self._take = self.redis.script(TAKE)

    def handle_outbound(self, message: Any, connector_name: str) -> Any:
        key = self._key(message, connector_name)
        if key is None or not first_pass(self.name, message):
            return message
        return self._limit(message, key)

    def handle_publish_outbound(self, message: Any, connector_name: str) -> Any:
        key = self._key(message, connector_name)
        if key is None or not first_pass(self.name, message):
            return message
        return self._limit_or_warn(message, key)

    def _key(self, message: Any, connector_name: str) -> str | None:
        if self._per == "transport":
            return f"transport:{message['transport_name'] or connector_name}"
        user = message["to_addr"]
        if user is None:
            user = message.get("group")
        return None if user is None else f"user:{connector_name}:{user}"

    async def _limit_or_warn(self, message: Any, key: str) -> Any:
        try:
            return await self._limit(message, key)
        except StoreError as error:
            self.log.warn(
                "{middleware}: message {message_id} was not counted: {error}",
                event="rate-limit-store-error",
                middleware=self.name,
                message_id=message["message_id"],
                error=str(error),
            )
            return message

    async def _limit(self, message: Any, key: str) -> Any:
        wait = float(await self._take([key], self._arguments))
        if wait > self._patience:
            raise IgnoreMessage(
                f"Over the limit of {self._rate:g} messages a second for this {self._per}; it may "
                f"be sent in {math.ceil(wait)} s."
            )
        if wait > 0:
            await deferLater(self.timers(), wait, lambda: None)
        return message
