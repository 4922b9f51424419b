"""The messages that workers exchange.

Knows what fields a message has and what makes them valid; their JSON is :mod:`vumi.payload`'s.
Knows nothing of brokers, workers or middleware.

Two writers share a queue while a system moves from an old Vumi to this one, so whatever an old
worker sends is read (dates with or without microseconds, any unknown key) and what is written here
is what an old worker reads. Of a message only the top-level ``timestamp`` becomes a
:class:`~datetime.datetime`; a text that merely looks like a date stays a text.
"""

from __future__ import annotations

from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, Self
from uuid import uuid4

from vumi.errors import InvalidMessage, InvalidMessageField, MissingMessageField
from vumi.payload import (
    VUMI_DATE_FORMAT,
    JSONMessageEncoder,
    Payload,
    copy_payload,
    date_time_decoder,
    decode_payload,
    encode_payload,
    format_vumi_date,
    from_json,
    parse_timestamp,
    parse_vumi_date,
    short_repr,
    to_json,
    utc_now,
)

if TYPE_CHECKING:
    from collections.abc import Callable, ItemsView, Mapping

__all__ = [
    "VUMI_DATE_FORMAT",
    "InvalidMessage",
    "InvalidMessageField",
    "JSONMessageEncoder",
    "Message",
    "MissingMessageField",
    "TransportEvent",
    "TransportMessage",
    "TransportStatus",
    "TransportUserMessage",
    "date_time_decoder",
    "decode_payload",
    "encode_payload",
    "format_vumi_date",
    "from_json",
    "parse_vumi_date",
    "to_json",
    "utc_now",
]


def _is_not_none(value: Any) -> bool:
    return value is not None


# Fields that name something: a person, a message, a transport

_MESSAGE_NAMES = itemgetter(
    "message_id",
    "to_addr",
    "from_addr",
    "group",
    "in_reply_to",
    "transport_name",
    "transport_type",
)
_EVENT_NAMES = itemgetter("user_message_id", "event_id")


def _check_names(payload: Payload, names: itemgetter[Any]) -> None:
    """Check that fields are no object and no list: those are what can't be hashed."""
    values = names(payload)
    try:
        hash(values)
    except TypeError:
        wrong = next((value for value in values if isinstance(value, dict | list)), values)
        raise InvalidMessageField(
            f"An address, id or name is not a text: {short_repr(wrong)}"
        ) from None


# Messages


class Message:
    """A dict of fields that travels as one JSON object.

    :param fields: The message's fields. Names are free, ``self`` and such included.
    """

    _CACHE_ATTRIBUTE = "__cache__"

    payload: Payload

    def __init__(self, /, _process_fields: bool = True, **fields: Any) -> None:
        if _process_fields:
            fields = self.process_fields(fields)
        self.payload = fields
        self.validate_fields()

    def process_fields(self, fields: Payload) -> Payload:
        """Fill in defaults. Called when a message is made, not when one is read.

        :returns: The fields; the same dict may be changed and returned.
        """
        return fields

    def validate_fields(self) -> None:
        """Check the payload. Called when a message is made and when one is read.

        :raises InvalidMessage: Something is missing or wrong.
        """

    def assert_field_present(self, *fields: str) -> None:
        """Check that fields are there; ``None`` counts as there.

        :raises MissingMessageField: For the first that isn't.
        """
        payload = self.payload
        for field in fields:
            if field not in payload:
                raise MissingMessageField(field)

    def assert_field_value(self, field: str, *values: Any) -> None:
        """Check that a field is there and has one of the values.

        :raises MissingMessageField: It isn't there.
        :raises InvalidMessageField: It has another value.
        """
        self.assert_field_present(field)
        if self.payload[field] not in values:
            raise InvalidMessageField(field)

    def to_json(self) -> str:
        """The message as JSON text."""
        return self.to_bytes().decode("utf-8")

    def to_bytes(self) -> bytes:
        """The message as it goes over the wire: UTF-8 JSON, without the scratch cache."""
        payload = self.payload
        if self._CACHE_ATTRIBUTE in payload:
            payload = {k: v for k, v in payload.items() if k != self._CACHE_ATTRIBUTE}
        return encode_payload(payload)

    @classmethod
    def from_json(cls, json_string: bytes | str) -> Self:
        """Read a message. No default is filled in: an id that is missing is an error.

        :param json_string: UTF-8 bytes or text.
        :raises InvalidMessage: It is no message of this class; the words say why.
        """
        return cls._from_payload(decode_payload(json_string))

    @classmethod
    def _from_payload(cls, payload: Payload) -> Self:
        message = cls.__new__(cls)
        message.payload = payload
        timestamp = payload.get("timestamp")
        if isinstance(timestamp, str):
            message._read_timestamp(timestamp)
        message.validate_fields()
        return message

    def _read_timestamp(self, timestamp: str) -> None:
        # A bare Message promises nothing of its fields: what is no date stays as it is.
        try:
            self.payload["timestamp"] = parse_timestamp(timestamp)
        except InvalidMessageField:
            return

    def copy(self) -> Self:
        """An independent copy, made through JSON as a message that travels is."""
        duplicate = self._from_payload(decode_payload(encode_payload(self.payload)))
        return duplicate

    def __str__(self) -> str:
        return f'<Message payload="{self.payload!r}">'

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Message):
            return self.payload == other.payload
        return NotImplemented

    # By identity, as upstream: a message is mutable, but programs do keep them in sets.
    __hash__ = object.__hash__

    def __contains__(self, key: object) -> bool:
        return key in self.payload

    def __getitem__(self, key: str) -> Any:
        return self.payload[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.payload[key] = value

    def get(self, key: str, default: Any = None) -> Any:
        """A field's value, or the default if it isn't there."""
        return self.payload.get(key, default)

    def items(self) -> ItemsView[str, Any]:
        """The fields' names and values."""
        return self.payload.items()

    @property
    def cache(self) -> Payload:
        """Scratch space for middleware and routers within one process; never sent."""
        cache: Payload = self.payload.setdefault(self._CACHE_ATTRIBUTE, {})
        return cache


class TransportMessage(Message):
    """What every message between workers has: version, type, time, metadata, endpoint."""

    MESSAGE_TYPE: ClassVar[str | None] = None
    MESSAGE_VERSION: ClassVar[str] = "20110921"
    DEFAULT_ENDPOINT_NAME: ClassVar[str] = "default"

    #: Fields that must be there, on top of those that this class checks itself.
    REQUIRED_FIELDS: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def generate_id() -> str:
        """A new message id: 32 lower-case hex digits."""
        return uuid4().hex

    def process_fields(self, fields: Payload) -> Payload:
        fields.setdefault("message_version", self.MESSAGE_VERSION)
        fields.setdefault("message_type", self.MESSAGE_TYPE)
        if "timestamp" not in fields:
            fields["timestamp"] = utc_now()
        fields.setdefault("routing_metadata", {})
        fields.setdefault("helper_metadata", {})
        return fields

    def validate_fields(self) -> None:
        payload = self.payload
        if "message_version" not in payload:
            raise MissingMessageField("message_version")
        if payload["message_version"] != self.MESSAGE_VERSION:
            raise InvalidMessageField("message_version")
        for name in ("message_type", "timestamp"):
            if name not in payload:
                raise MissingMessageField(name)
        if payload["message_type"] is None:
            raise InvalidMessageField("message_type")
        timestamp = payload["timestamp"]
        if not isinstance(timestamp, datetime):
            payload["timestamp"] = parse_timestamp(timestamp)
        for name in ("helper_metadata", "routing_metadata"):
            metadata = payload.get(name)
            if metadata is None:
                payload[name] = {}
            elif not isinstance(metadata, dict):
                raise InvalidMessageField(f"{name!r} is not an object: {short_repr(metadata)}")
        endpoint = payload["routing_metadata"].get("endpoint_name")
        if endpoint.__class__ is not str and endpoint is not None:
            raise InvalidMessageField(f"'endpoint_name' is not a text: {short_repr(endpoint)}")
        for name in self.REQUIRED_FIELDS:
            if name not in payload:
                raise MissingMessageField(name)

    def _read_timestamp(self, timestamp: str) -> None:
        self.payload["timestamp"] = parse_timestamp(timestamp)

    @property
    def routing_metadata(self) -> Payload:
        """Where the message is bound for; made if it isn't there."""
        metadata: Payload = self.payload.setdefault("routing_metadata", {})
        return metadata

    @classmethod
    def check_routing_endpoint(cls, endpoint_name: str | None) -> str:
        """The endpoint's name, the default one for ``None``."""
        return cls.DEFAULT_ENDPOINT_NAME if endpoint_name is None else endpoint_name

    def set_routing_endpoint(self, endpoint_name: str | None = None) -> None:
        """Bind the message for an endpoint (``None``: the default one)."""
        self.routing_metadata["endpoint_name"] = self.check_routing_endpoint(endpoint_name)

    def get_routing_endpoint(self) -> str:
        """The endpoint that the message is bound for."""
        return self.check_routing_endpoint(self.routing_metadata.get("endpoint_name"))


class TransportUserMessage(TransportMessage):
    """A text to or from a person."""

    MESSAGE_TYPE = "user_message"

    SESSION_NONE, SESSION_NEW, SESSION_RESUME, SESSION_CLOSE = None, "new", "resume", "close"
    SESSION_EVENTS = frozenset([SESSION_NONE, SESSION_NEW, SESSION_RESUME, SESSION_CLOSE])

    TT_HTTP_API = "http_api"
    TT_IRC = "irc"
    TT_TELNET = "telnet"
    TT_TWITTER = "twitter"
    TT_SMS = "sms"
    TT_USSD = "ussd"
    TT_XMPP = "xmpp"
    TT_MXIT = "mxit"
    TT_WECHAT = "wechat"
    TRANSPORT_TYPES = frozenset(
        [
            TT_HTTP_API,
            TT_IRC,
            TT_TELNET,
            TT_TWITTER,
            TT_SMS,
            TT_USSD,
            TT_XMPP,
            TT_MXIT,
            TT_WECHAT,
        ]
    )

    AT_IRC_NICKNAME = "irc_nickname"
    AT_TWITTER_HANDLE = "twitter_handle"
    AT_MSISDN = "msisdn"
    AT_GTALK_ID = "gtalk_id"
    AT_JABBER_ID = "jabber_id"
    AT_MXIT_ID = "mxit_id"
    AT_WECHAT_ID = "wechat_id"
    ADDRESS_TYPES = frozenset(
        [
            AT_IRC_NICKNAME,
            AT_TWITTER_HANDLE,
            AT_MSISDN,
            AT_GTALK_ID,
            AT_JABBER_ID,
            AT_MXIT_ID,
            AT_WECHAT_ID,
        ]
    )

    REQUIRED_FIELDS = (
        "message_id",
        "to_addr",
        "from_addr",
        "in_reply_to",
        "session_event",
        "content",
        "transport_name",
        "transport_type",
        "transport_metadata",
    )

    def process_fields(self, fields: Payload) -> Payload:
        fields = super().process_fields(fields)
        if "message_id" not in fields:
            fields["message_id"] = self.generate_id()
        fields.setdefault("in_reply_to", None)
        fields.setdefault("session_event", None)
        fields.setdefault("content", None)
        fields.setdefault("transport_metadata", {})
        fields.setdefault("group", None)
        fields.setdefault("provider", None)
        fields.setdefault("to_addr_type", None)
        fields.setdefault("from_addr_type", None)
        return fields

    def validate_fields(self) -> None:
        super().validate_fields()
        payload = self.payload
        payload.setdefault("group", None)
        payload.setdefault("provider", None)
        _check_names(payload, _MESSAGE_NAMES)
        metadata = payload["transport_metadata"]
        if metadata is not None and not isinstance(metadata, dict):
            raise InvalidMessageField(
                f"'transport_metadata' is not an object: {short_repr(metadata)}"
            )
        session_event = payload["session_event"]
        # Compared one by one: a list or dict from the wire can't be looked up in a set.
        if session_event is not None and session_event not in ("new", "resume", "close"):
            raise InvalidMessageField(f"Invalid session_event {short_repr(session_event)}")

    def user(self) -> str | None:
        """The address of the person who sent this."""
        address: str | None = self.payload["from_addr"]
        return address

    def reply(self, content: str | None, continue_session: bool = True, **kw: Any) -> Self:
        """Make a reply to this message.

        :param content: The reply's text.
        :param continue_session: ``False`` closes the session after the reply.
        :param kw: Further fields. ``session_event`` given here wins over `continue_session`.
        :returns: A new message to whom this one came from, bound for the same endpoint. Its
            metadata are copies: changing them leaves this message as it is.
        :raises TypeError: A field that a reply takes from its original was given.
        """
        payload = self.payload
        fields: Payload = {
            "session_event": None if continue_session else self.SESSION_CLOSE,
            "helper_metadata": copy_payload(payload["helper_metadata"]),
            "to_addr_type": payload.get("from_addr_type"),
            "from_addr_type": payload.get("to_addr_type"),
            "provider": payload.get("provider"),
            "transport_name": payload["transport_name"],
        }
        fields.update(kw)
        original: Payload = {
            "to_addr": payload["from_addr"],
            "from_addr": payload["to_addr"],
            "group": payload.get("group"),
            "in_reply_to": payload["message_id"],
            "transport_type": payload["transport_type"],
            "transport_metadata": copy_payload(payload["transport_metadata"]),
        }
        for name, value in original.items():
            if name in kw:
                raise TypeError(f"'{name}' may not be overridden.")
            fields[name] = value
        fields["content"] = content
        reply = type(self)(**fields)
        reply.set_routing_endpoint(self.get_routing_endpoint())
        return reply

    def reply_group(self, *args: Any, **kw: Any) -> Self:
        """Make a reply to the whole group (chat room, channel) that this message came through.

        Takes what :meth:`reply` takes. Without a group it is a plain reply.
        """
        reply = self.reply(*args, **kw)
        if self.payload.get("group") is not None:
            reply["to_addr"] = None
        return reply

    @classmethod
    def send(cls, to_addr: str | None, content: str | None, **kw: Any) -> Self:
        """Make a message that starts a conversation.

        :param to_addr: Whom it is for.
        :param content: The text.
        :param kw: Further fields; addresses, transport and session default to ``None``.
        :raises TypeError: ``in_reply_to`` was given: that is :meth:`reply`.
        """
        if kw.pop("in_reply_to", None) is not None:
            raise TypeError("'in_reply_to' may not be given to send(): use reply().")
        fields: Payload = {
            "from_addr": None,
            "transport_name": None,
            "transport_type": None,
            "session_event": cls.SESSION_NONE,
            **kw,
        }
        return cls(to_addr=to_addr, in_reply_to=None, content=content, **fields)


class TransportEvent(TransportMessage):
    """What became of an outbound message: ack, nack or delivery report."""

    MESSAGE_TYPE = "event"

    DELIVERY_STATUSES = frozenset(["pending", "failed", "delivered"])

    #: event type -> the field it needs -> what a good value is
    EVENT_TYPES: ClassVar[Mapping[str, Mapping[str, Callable[[Any], bool]]]] = {
        "ack": {"sent_message_id": _is_not_none},
        "nack": {"nack_reason": _is_not_none},
        "delivery_report": {
            "delivery_status": lambda v: v in ("pending", "failed", "delivered"),
        },
    }

    REQUIRED_FIELDS = ("user_message_id", "event_id", "event_type")

    def process_fields(self, fields: Payload) -> Payload:
        fields = super().process_fields(fields)
        if "event_id" not in fields:
            fields["event_id"] = self.generate_id()
        return fields

    def validate_fields(self) -> None:
        super().validate_fields()
        payload = self.payload
        _check_names(payload, _EVENT_NAMES)
        event_type = payload["event_type"]
        if not isinstance(event_type, str) or event_type not in self.EVENT_TYPES:
            raise InvalidMessageField(f"Unknown event_type {short_repr(event_type)}")
        for name, is_valid in self.EVENT_TYPES[event_type].items():
            if name not in payload:
                raise MissingMessageField(name)
            if not is_valid(payload[name]):
                raise InvalidMessageField(f"Invalid {name} {short_repr(payload[name])}")

    def status(self) -> str:
        """``ack``, ``nack`` or ``delivery_report.<delivery status>``."""
        event_type: str = self.payload["event_type"]
        if event_type == "delivery_report":
            return f"{event_type}.{self.payload['delivery_status']}"
        return event_type


class TransportStatus(TransportMessage):
    """How a part of a transport is doing: ok, degraded or down."""

    MESSAGE_TYPE = "status_event"

    STATUSES = frozenset(["ok", "degraded", "down"])

    REQUIRED_FIELDS = ("component", "status", "type", "message")

    def process_fields(self, fields: Payload) -> Payload:
        fields = super().process_fields(fields)
        fields.setdefault("reasons", [])
        fields.setdefault("details", {})
        return fields

    def validate_fields(self) -> None:
        super().validate_fields()
        status = self.payload["status"]
        if not isinstance(status, str) or status not in self.STATUSES:
            raise InvalidMessageField(f"Invalid status {short_repr(status)}")
