"""The first form of metric messages. Nothing in vumi makes them any more; old programs may."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from vumi.message import Message as VumiMessage
from vumi.payload import utc_now

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VERSION", "Message", "MetricsMessage"]

VERSION = "20110707"
_FIELDS = frozenset(
    ["message_version", "message_type", "source_name", "source_id", "payload", "timestamp"]
)


class Message:
    """A message of this form; not a :class:`vumi.message.Message`.

    :param message_type: What kind of message.
    :param source_name: What kind of thing sends it.
    :param source_id: Which one.
    :param payload: What it says, plain data.
    :param timestamp: Naive UTC; now if left out.
    """

    def __init__(
        self,
        message_type: str,
        source_name: str,
        source_id: str,
        payload: Any,
        timestamp: datetime | None = None,
    ) -> None:
        self.message_type = message_type
        self.source_name = source_name
        self.source_id = source_id
        self.payload = payload
        self.timestamp = utc_now() if timestamp is None else timestamp
        self.process_payload()

    def process_payload(self) -> None:
        """Check and read the payload. For subclasses."""

    def to_dict(self) -> dict[str, Any]:
        """The message as plain data; the time as six numbers."""
        return {
            "message_version": VERSION,
            "message_type": self.message_type,
            "source_name": self.source_name,
            "source_id": self.source_id,
            "payload": self.payload,
            "timestamp": list(self.timestamp.timetuple()[:6]),
        }

    def to_vumi_message(self) -> VumiMessage:
        """The message within one that workers can exchange."""
        return VumiMessage(**self.to_dict())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """A message of plain data.

        :raises ValueError: The version is another one, or a field is missing, unknown or empty.
        """
        if data.get("message_version") != VERSION:
            raise ValueError(f"not a message of version {VERSION}")
        missing, unknown = sorted(_FIELDS - set(data)), sorted(set(data) - _FIELDS)
        if missing or unknown:
            raise ValueError(f"missing fields {missing}, unknown fields {unknown}")
        if not data["timestamp"]:
            raise ValueError("the timestamp is empty")
        try:
            timestamp = datetime(*data["timestamp"])
        except TypeError as error:
            raise ValueError(f"not a timestamp: {data['timestamp']!r}") from error
        return cls(
            data["message_type"],
            data["source_name"],
            data["source_id"],
            data["payload"],
            timestamp,
        )

    @classmethod
    def from_vumi_message(cls, message: VumiMessage) -> Self:
        """The message within one that workers exchange."""
        return cls.from_dict(message.payload)


class MetricsMessage(Message):
    """Metrics: a list of dicts with ``name``, ``count``, perhaps ``time``; other keys are tags.

    :ivar metrics: Name -> list of count, time (or ``None``) and tags.
    """

    MESSAGE_TYPE = "metrics"

    def process_payload(self) -> None:
        if self.message_type != self.MESSAGE_TYPE:
            raise ValueError(f"not a message of type {self.MESSAGE_TYPE}: {self.message_type!r}")
        self.metrics: dict[str, list[tuple[Any, Any, dict[str, Any]]]] = {}
        for item in self.payload:
            tags = dict(item)
            name, count, time = tags.pop("name"), tags.pop("count"), tags.pop("time", None)
            self.metrics.setdefault(name, []).append((count, time, tags))
