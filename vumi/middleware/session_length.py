"""A middleware that notes in each message when its session began and ended.

Knows session events and where in a message the times go. What anybody makes of them (billing, for
instance) is not known here.

The time that a session began is kept in Redis from the message with the event ``new`` to the one
with ``close``, or until nothing was heard for `timeout` seconds.
"""

from __future__ import annotations

from typing import Any

from vumi import log
from vumi.config import (
    ConfigChoice,
    ConfigInt,
    ConfigText,
)
from vumi.errors import StoreError, VumiError
from vumi.message import TransportUserMessage
from vumi.middleware.store import StoreMiddleware, StoreMiddlewareConfig
from vumi.middleware.tagger import TaggingMiddleware

__all__ = [
    "SessionLengthMiddleware",
    "SessionLengthMiddlewareConfig",
    "SessionLengthMiddlewareError",
]

NAMESPACE_TYPES = ("transport_name", "tag")

#: Gives the value and lets it stay for some more seconds.
REFRESH = "local v = redis.call('GET', KEYS[1]) redis.call('EXPIRE', KEYS[1], ARGV[1]) return v"

#: Gives the value and deletes it.
TAKE = "local v = redis.call('GET', KEYS[1]) redis.call('DEL', KEYS[1]) return v"


class SessionLengthMiddlewareError(VumiError):
    """A message lacks what its session is known by."""


class SessionLengthMiddlewareConfig(StoreMiddlewareConfig):
    """Configuration of the session length middleware."""

    timeout = ConfigInt(
        "After how many seconds without a message the beginning of a session is forgotten.",
        default=600,
        static=True,
        lowest=1,
        nullable=False,
    )
    namespace_type = ConfigChoice(
        "What sessions of one user are told apart by: ``transport_name``, or ``tag``, the "
        "message's tag (list the tagging middleware so that messages from users pass it first).",
        default="transport_name",
        static=True,
        choices=NAMESPACE_TYPES,
        nullable=False,
    )
    field_name = ConfigText(
        "Where in ``helper_metadata`` the times go, as ``session_start`` and ``session_end``: in "
        "seconds since 1970.",
        default="session",
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        if not self.field_name:
            self.raise_config_error("Field 'field_name' must not be empty.")


class SessionLengthMiddleware(StoreMiddleware):
    """Notes when sessions begin and end.

    A message that lacks an address or what its namespace is goes on as it is, with an error in
    the log. While the store is away, messages wait in their queue. What a worker publishes goes on
    as it is, with an error in the log: it has no queue to wait in.
    """

    CONFIG_CLASS = SessionLengthMiddlewareConfig

    def __init__(self, name: str, config: Any, worker: Any) -> None:
        super().__init__(name, config, worker)
        self._timeout, self._field_name = self.config.timeout, self.config.field_name
        self._namespace_type = self.config.namespace_type

    def setup_store(self) -> None:
        self._refresh = self.redis.script(REFRESH, repeatable=True)
        self._take = self.redis.script(TAKE)

    def handle_inbound(self, message: Any, connector_name: str) -> Any:
        return self._note(message, "from_addr")

    def handle_outbound(self, message: Any, connector_name: str) -> Any:
        return self._note(message, "to_addr")

    def handle_publish_inbound(self, message: Any, connector_name: str) -> Any:
        return self._note_if_possible(message, "from_addr")

    def handle_publish_outbound(self, message: Any, connector_name: str) -> Any:
        return self._note_if_possible(message, "to_addr")

    async def _note_if_possible(self, message: Any, address_field: str) -> Any:
        try:
            return await self._note(message, address_field)
        except StoreError as error:
            log.err(error, f"Session length of message {message['message_id']} not noted")
            return message

    async def _note(self, message: Any, address_field: str) -> Any:
        namespace, address = self._namespace(message), message[address_field]
        if namespace is None or address is None:
            what = address_field if address is None else self._namespace_type
            log.err(
                SessionLengthMiddlewareError(
                    f"Session length of message {message['message_id']} not noted: it has no "
                    f"{what}."
                )
            )
            return message
        times = message["helper_metadata"].setdefault(self._field_name, {})
        key = f"{namespace}:{address}:session_created"
        await self._steps(message["session_event"])(times, key)
        return message

    def _namespace(self, message: Any) -> str | None:
        if self._namespace_type == "tag":
            tag = TaggingMiddleware.map_msg_to_tag(message)
            return None if tag is None else ":".join(tag)
        name: str | None = message["transport_name"]
        return name

    def _steps(self, session_event: str | None) -> Any:
        if session_event == TransportUserMessage.SESSION_NEW:
            return self._begin
        if session_event == TransportUserMessage.SESSION_CLOSE:
            return self._end
        return self._go_on

    async def _begin(self, times: dict[str, Any], key: str) -> None:
        # There already if another middleware, or this one on the way in, has noted it.
        if "session_start" not in times:
            times["session_start"] = self.unix_time()
            await self.redis.setex(key, self._timeout, repr(times["session_start"]))

    async def _end(self, times: dict[str, Any], key: str) -> None:
        times.setdefault("session_end", self.unix_time())
        # Deleted also if the start is known, as it is in every reply: it has its original's.
        _set_start(times, await self._take([key]))

    async def _go_on(self, times: dict[str, Any], key: str) -> None:
        _set_start(times, await self._refresh([key], [self._timeout]))


def _set_start(times: dict[str, Any], start: str | None) -> None:
    if start is not None and "session_start" not in times:
        times["session_start"] = float(start)
