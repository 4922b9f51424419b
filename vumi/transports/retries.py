"""Sends failed outbound messages again: the worker that reads a transport's failures.

Knows failure messages and where to keep them; knows no transport. Import it from
:mod:`vumi.transports`.

How it works: a failure that is temporary is kept in the key-value store and put into a *bucket*,
the set of all that is due at one time. Every few seconds the buckets that are due are emptied. A
key is not taken out but moved to a later bucket (a lease), its message published and confirmed,
and only then forgotten: a crash in between means that it is sent again, never that it is lost.
Several workers may share the keys, for each move is one script.
"""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from twisted.internet.task import LoopingCall

from vumi.config import ConfigFloat, ConfigInt, ConfigText
from vumi.message import TransportUserMessage
from vumi.persist.config import ConfigRedis
from vumi.persist.txredis_manager import TxRedisManager
from vumi.tasks import deferred, settle
from vumi.transports.failures import FailureMessage
from vumi.worker import BaseConfig, BaseWorker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.internet.defer import Deferred

__all__ = ["FailureWorker", "FailureWorkerConfig"]

KEYS = "failure_keys"
TIMES = "retry_timestamps"
BUCKETS = "retry_keys"

#: How many failures to send at most in one run of the loop, so that it comes to an end.
AT_A_TIME = 1000

# Keys: failure keys, failure. Arguments: key, message, reason, delay or '', seconds to live or 0.
# Two keys that are known are looked at each time, and forgotten if what they name has expired: so
# their set does not grow for ever.
STORE = """
redis.call('HSET', KEYS[2], 'message', ARGV[2], 'reason', ARGV[3], 'retry_delay', ARGV[4])
redis.call('SADD', KEYS[1], ARGV[1])
if ARGV[5] ~= '0' then redis.call('EXPIRE', KEYS[2], ARGV[5]) end
local head = string.sub(KEYS[2], 1, #KEYS[2] - #ARGV[1])
for _, known in ipairs(redis.call('SRANDMEMBER', KEYS[1], 2)) do
    if redis.call('EXISTS', head .. known) == 0 then redis.call('SREM', KEYS[1], known) end
end
"""

# Keys: times, buckets. Arguments: key, bucket, its time.
SCHEDULE = """
redis.call('SADD', KEYS[2] .. '.' .. ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2])
"""

# Keys: times, buckets. Arguments: the time now as text, the bucket to move to, its time. Gives a
# key that is due.
CLAIM = """
while true do
    local due = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
    if not due or due > ARGV[1] then return false end
    local bucket = KEYS[2] .. '.' .. due
    local key = redis.call('SPOP', bucket)
    if redis.call('EXISTS', bucket) == 0 then redis.call('ZREM', KEYS[1], due) end
    if key then
        redis.call('SADD', KEYS[2] .. '.' .. ARGV[2], key)
        redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2])
        return key
    end
end
"""

# Keys: times, buckets, failure keys, failure. Arguments: key, bucket.
FORGET = """
local bucket = KEYS[2] .. '.' .. ARGV[2]
redis.call('SREM', bucket, ARGV[1])
if redis.call('EXISTS', bucket) == 0 then redis.call('ZREM', KEYS[1], ARGV[2]) end
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('DEL', KEYS[4])
"""


def _text(when: float) -> str:
    """A time as buckets are named: UTC, ISO 8601, whole seconds."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class FailureWorkerConfig(BaseConfig):
    """Options of the worker that sends failed messages again."""

    transport_name = ConfigText(
        "The transport whose failures these are.", required=True, static=True
    )
    retry_routing_key = ConfigText(
        "Where to publish a message to be sent again; %(transport_name)s and other options of "
        "this worker are filled in.",
        default="%(transport_name)s.outbound",
        static=True,
    )
    failures_routing_key = ConfigText(
        "Where failures come from, written likewise.",
        default="%(transport_name)s.failures",
        static=True,
    )
    redis_manager = ConfigRedis("Where failures are kept.", default={}, static=True)
    retry_granularity = ConfigInt(
        "What times are rounded up to, in seconds.", default=5, static=True
    )
    retry_delivery_period = ConfigFloat(
        "How often to look for what is due, in seconds. 0: never, another worker does.",
        default=3,
        static=True,
    )
    retry_initial_delay = ConfigFloat(
        "How long to wait before the first retry, in seconds.", default=1, static=True
    )
    retry_delay_factor = ConfigFloat(
        "How many times longer to wait before each further one.", default=3, static=True
    )
    retry_max_delay = ConfigFloat("The longest wait, in seconds.", default=3600, static=True)
    max_retries = ConfigInt(
        "How often one message is sent again at most; what fails still is kept as permanent "
        "failures are. 0: for ever.",
        default=200,
        static=True,
    )
    failure_lifetime = ConfigInt(
        "How long a failure that is not sent again is kept, in seconds. 0: for ever.",
        default=30 * 86400,
        static=True,
    )

    def post_validate(self) -> None:
        for name in ("retry_granularity", "retry_delay_factor"):
            if getattr(self, name) <= 0:
                self.raise_config_error(f"{name} must be more than 0.")
        for name in ("retry_routing_key", "failures_routing_key"):
            try:
                getattr(self, name) % self._config_data
            except (KeyError, ValueError, TypeError) as error:
                self.raise_config_error(f"{name} can't be filled in: {error!r}.")


class FailureWorker(BaseWorker):
    """Reads a transport's failures, and publishes the temporary ones again later.

    Override :meth:`handle_failure` to decide otherwise.
    """

    CONFIG_CLASS: ClassVar[Any] = FailureWorkerConfig

    #: Seconds until a message that was being sent when a worker died is sent again.
    LEASE = 60

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        self.redis: Any = None
        self.retry_publisher: Any = None
        self._manager: Any = None
        self._loop: LoopingCall | None = None
        self._looping: Deferred[Any] | None = None

    def setup_connectors(self) -> None:
        """There are none: failures are no user messages."""

    @deferred
    async def setup_worker(self) -> None:
        config = self.get_static_config()
        self._manager = await TxRedisManager.from_config(config.redis_manager)
        self.redis = self._manager.sub_manager(f"failures:{config.transport_name}")
        self._store = self.redis.script(STORE, repeatable=True)
        self._schedule = self.redis.script(SCHEDULE, repeatable=True)
        self._claim = self.redis.script(CLAIM)
        self._forget = self.redis.script(FORGET, repeatable=True)
        self.retry_publisher = await self.publish_to(config.retry_routing_key % self.config)
        _ = await self.consume(
            config.failures_routing_key % self.config,
            self.process_message,
            message_class=FailureMessage,
        )
        if config.retry_delivery_period > 0:
            self._loop = LoopingCall(self._deliver)
            self._loop.clock = self.clock
            self._looping = self._loop.start(config.retry_delivery_period, now=False)

    @deferred
    async def teardown_worker(self) -> None:
        loop, looping = self._loop, self._looping
        self._loop = self._looping = None
        if loop is not None and looping is not None:
            loop.stop()
            # What is being sent is sent to the end.
            await looping
        manager, self._manager = self._manager, None
        if manager is not None:
            await manager.close_manager()

    def unix_time(self) -> float:
        """The time now, in seconds since 1970. For tests to override."""
        return time.time()

    # Failures come in

    def process_message(self, failure_message: FailureMessage) -> Any:
        """Called with each failure message."""
        return self.handle_failure(
            failure_message["message"],
            failure_message["failure_code"],
            failure_message["reason"],
        )

    def handle_failure(
        self, message: dict[str, Any], failure_code: str | None, failure_reason: str
    ) -> Any:
        """Decide about a failure: send the message again later, or only keep it.

        :param message: The outbound message's payload.
        :param failure_code: ``temporary``, ``permanent`` or ``None``.
        :returns: A Deferred that fires when the failure is safe.
        """
        if failure_code == FailureMessage.FC_TEMPORARY:
            return self.do_retry(message, failure_reason)
        return self.store_failure(message, failure_reason)

    def do_retry(self, message: dict[str, Any], reason: str) -> Deferred[str]:
        """Keep a message and have it sent again, unless that was done often enough."""
        message = self.update_retry_metadata(message)
        metadata = message["retry_metadata"]
        limit = self.get_static_config().max_retries
        if limit and metadata["retries"] > limit:
            self.log.warning(
                "Message", message.get("message_id"), "failed", limit, "times; not sent again"
            )
            return self.store_failure(message, reason)
        return self.store_failure(message, reason, metadata["delay"])

    def update_retry_metadata(self, message: dict[str, Any]) -> dict[str, Any]:
        """A copy of a payload whose ``retry_metadata`` counts one more retry."""
        metadata = dict(message.get("retry_metadata") or {})
        metadata["retries"] = metadata.get("retries", 0) + 1
        metadata["delay"] = self.next_retry_delay(metadata.get("delay", 0))
        return {**message, "retry_metadata": metadata}

    def next_retry_delay(self, delay: float) -> float:
        """How long to wait after having waited this long, both in seconds."""
        config = self.get_static_config()
        if not delay:
            return float(config.retry_initial_delay)
        return float(min(delay * config.retry_delay_factor, config.retry_max_delay))

    # What is kept

    @deferred
    async def store_failure(
        self, message: dict[str, Any], reason: str, retry_delay: float | None = None
    ) -> str:
        """Keep a failure.

        :param retry_delay: Seconds after which to send the message again; ``None``: never.
        :returns: Fires with the failure's key.
        """
        key = f"failure.{_text(self.unix_time())}.{uuid4().hex}"
        kept = retry_delay is None
        await self._store(
            [KEYS, key],
            [
                key,
                TransportUserMessage(_process_fields=False, **message).to_json(),
                reason,
                "" if retry_delay is None else str(retry_delay),
                self.get_static_config().failure_lifetime if kept else 0,
            ],
        )
        if retry_delay is not None:
            await self.store_retry(key, retry_delay)
        return key

    def store_retry(
        self, failure_key: str, retry_delay: float, now: float | None = None
    ) -> Deferred[Any]:
        """Have a failure that is kept sent again.

        :param now: Seconds since 1970 that the delay counts from.
        """
        bucket, when = self._bucket(retry_delay, now)
        scheduled: Deferred[Any] = self._schedule([TIMES, BUCKETS], [failure_key, bucket, when])
        return scheduled

    def get_next_write_timestamp(self, delta: float, now: float | None = None) -> str:
        """The bucket of what is due in some seconds: the next one after that time."""
        return self._bucket(delta, now)[0]

    def _bucket(self, delta: float, now: float | None = None) -> tuple[str, int]:
        step = self.get_static_config().retry_granularity
        due = (self.unix_time() if now is None else now) + delta
        when = (math.floor(due / step) + 1) * step
        return _text(when), when

    def get_failure(self, failure_key: str) -> Deferred[dict[str, str]]:
        """What is kept of a failure: ``message``, ``reason`` and ``retry_delay``; or nothing."""
        kept: Deferred[dict[str, str]] = self.redis.hgetall(failure_key)
        return kept

    def get_failure_keys(self) -> Deferred[set[str]]:
        """The keys of failures; those of some that have expired may be among them."""
        keys: Deferred[set[str]] = self.redis.smembers(KEYS)
        return keys

    # Sending again

    async def _deliver(self) -> None:
        try:
            await self.deliver_retries()
        except Exception as error:  # noqa: BLE001 (the loop goes on; nothing that failed is lost)
            self.log.err(error, "Failed messages could not be sent again; trying later")

    @deferred
    async def deliver_retries(self) -> int:
        """Send all that is due again.

        :returns: Fires with how many that were.
        """
        for sent in range(AT_A_TIME):
            bucket, when = self._bucket(self.LEASE)
            key = await self._claim([TIMES, BUCKETS], [_text(self.unix_time()), bucket, when])
            if key is None:
                return sent
            await self.deliver_retry(key, self.retry_publisher)
            await self._forget([TIMES, BUCKETS, KEYS, key], [key, bucket])
        return AT_A_TIME

    @deferred
    async def deliver_retry(self, retry_key: str, publisher: Any) -> None:
        """Publish the message of one failure.

        :returns: Fires once the broker has it safe.
        """
        failure = await self.get_failure(retry_key)
        if "message" not in failure:
            self.log.warning("Nothing is kept of failure", retry_key, "any more; not sent again")
            return
        payload = json.loads(failure["message"])
        message = TransportUserMessage(_process_fields=False, **payload)
        await settle(publisher.publish_message(message))
