"""The transport that takes messages by plain HTTP requests.

Knows which of a message's fields a request may have. How requests are held and answered is
:mod:`vumi.transports.httprpc`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.config import ConfigBool, ConfigDict, ConfigList
from vumi.errors import InvalidMessage
from vumi.transports.httprpc import (
    Answer,
    Fields,
    HttpRpcTransport,
    HttpRpcTransportConfig,
    Refused,
)

if TYPE_CHECKING:
    from vumi.message import TransportUserMessage
    from vumi.transports.httprpc import Incoming

__all__ = ["HttpApiConfig", "HttpApiTransport"]

#: Fields that a request must have if it may, unless there is a default.
MANDATORY = ("content", "to_addr", "from_addr")
#: Those of them without which there is no message.
NEEDED = ("to_addr", "from_addr")
#: Fields that are no texts, so that no parameter can set them.
NO_TEXTS = frozenset({"transport_metadata", "helper_metadata", "routing_metadata", "timestamp"})


class HttpApiConfig(HttpRpcTransportConfig):
    """Options of the transport for plain HTTP requests."""

    reply_expected = ConfigBool(
        "Whether a request waits for the reply to its message, whose text is then the answer. "
        "Otherwise it is answered with the message's id at once.",
        default=False,
        static=True,
    )
    allowed_fields = ConfigList(
        "The fields of a message that a request may set. content, to_addr and from_addr must be "
        "in it if they may, unless they have a default.",
        default=["content", "to_addr", "from_addr", "group", "session_event"],
        static=True,
    )
    field_defaults = ConfigDict(
        "Values of fields that a request doesn't set, also of those that it may not.",
        default={},
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        given = {*self.allowed_fields, *self.field_defaults}
        missing = [name for name in NEEDED if name not in given]
        if missing:
            self.raise_config_error(
                f"No message has {' and '.join(missing)}: put them into allowed_fields or "
                "field_defaults."
            )
        no_texts = sorted(NO_TEXTS.intersection(self.allowed_fields))
        if no_texts:
            self.raise_config_error(
                f"No parameter can set {' and '.join(no_texts)}: take it out of allowed_fields."
            )
        if self.reply_expected and "message_id" in given:
            self.raise_config_error(
                "With reply_expected a message's id is its request's: message_id can't be set."
            )


class HttpApiTransport(HttpRpcTransport):
    """Takes messages by plain HTTP requests, and answers these with the replies."""

    CONFIG_CLASS: ClassVar[Any] = HttpApiConfig

    transport_type = "http_api"

    def setup_provider(self) -> None:
        config = self.get_static_config()
        # A program's mistakes should be told, whatever the config says.
        self.validation_mode = self.STRICT_MODE
        self.holds_requests = config.reply_expected
        self._defaults: dict[str, Any] = config.field_defaults
        allowed = [str(name) for name in config.allowed_fields]
        required = [name for name in MANDATORY if name in allowed and name not in self._defaults]
        self._fields = Fields(*required, optional=set(allowed) - set(required))

    async def receive(self, incoming: Incoming) -> Answer | None:
        fields = {**self._defaults, **incoming.values(self._fields)}
        fields.setdefault("content", None)
        try:
            message = await self.publish_fields(incoming, fields)
        except (InvalidMessage, TypeError, ValueError) as error:
            raise Refused({"invalid_message": [str(error)]}, type="invalid_message") from error
        if self.holds_requests:
            return None
        return Answer.json({"message_id": message["message_id"]})

    def handle_outbound_message(self, message: TransportUserMessage) -> Any:
        if self.holds_requests:
            return super().handle_outbound_message(message)
        return self.reject(
            message["message_id"],
            "This transport only takes messages: reply_expected is off.",
            sent_message_id=message["message_id"],
        )
