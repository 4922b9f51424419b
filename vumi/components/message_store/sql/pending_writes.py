"""What is to be written, as it waits to be: messages, events, and steps of another kind.

Made in the reactor's thread, where a message is taken as it is at that moment; written by
:mod:`~vumi.components.message_store.sql.writes`. Knows messages and columns; no connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.components.message_store.interface import Kind, StoredEvent
from vumi.components.message_store.sql.schema import (
    KIND_NUMBERS,
    from_column,
    to_column,
    to_micros,
)
from vumi.components.message_store.tokenize import searchable
from vumi.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sqlalchemy import Connection

    from vumi.components.message_store.sql.database import Row
    from vumi.message import Message, TransportEvent, TransportUserMessage

__all__ = ["EventWork", "MessageWork", "Step", "user_message_number"]


def user_message_number(kind: Kind) -> int:
    """The number of a kind of user messages.

    :raises StoreError: It is the events' kind.
    """
    if kind is Kind.EVENT:
        raise StoreError("An event is not a message: use store_event().")
    return KIND_NUMBERS[kind]


def _encoded(message: Message) -> str:
    try:
        return message.to_json()
    except TypeError as error:
        raise StoreError(f"A message that is not plain data can't be kept: {error}.") from error


def _address(value: Any) -> str:
    return "" if value is None else to_column(str(value))


class MessageWork:
    """A message that is to be kept.

    :raises StoreError: It can't be.
    """

    __slots__ = ("batches", "content", "is_new", "key", "row", "weight")

    def __init__(
        self, kind: Kind, message: TransportUserMessage, batch_ids: Collection[str]
    ) -> None:
        number = user_message_number(kind)
        payload = message.payload
        encoded = _encoded(message)
        user, other = payload["from_addr"], payload["to_addr"]
        if kind is Kind.OUTBOUND:
            user, other = other, user
        self.key = (number, to_column(str(payload["message_id"])))
        self.batches = [to_column(batch_id) for batch_id in batch_ids]
        self.content = payload["content"]
        self.weight = len(encoded)
        #: Whether an attempt has found it new. If that attempt's commit got lost on its way back,
        #: the next attempt finds it there: put there by us.
        self.is_new = False
        self.row: Row = {
            "kind": number,
            "message_id": self.key[1],
            "timestamp": to_micros(payload["timestamp"]),
            "address": _address(user),
            "other_address": _address(other),
            "payload": encoded,
        }

    def __str__(self) -> str:
        return f"message {from_column(self.key[1])!r}"

    def full_row(self) -> Row:
        """The row but for its batches; the words are found out now."""
        return {**self.row, "words": searchable(self.content)}


class EventWork:
    """An event that is to be kept.

    :param batch_ids: ``None``: its message's.
    :raises StoreError: It can't be.
    """

    __slots__ = ("batches", "event", "key", "row", "weight")

    def __init__(self, event: TransportEvent, batch_ids: Collection[str] | None) -> None:
        payload = event.payload
        encoded = _encoded(event)
        self.event = event
        self.key = to_column(str(payload["event_id"]))
        self.batches = None if batch_ids is None else [to_column(each) for each in batch_ids]
        self.weight = len(encoded)
        self.row: Row = {
            "event_id": self.key,
            "message_id": to_column(str(payload["user_message_id"])),
            "timestamp": to_micros(payload["timestamp"]),
            "status": event.status(),
            "payload": encoded,
        }

    def __str__(self) -> str:
        return f"event {from_column(self.key)!r}"

    def stored(self, batches: Collection[str]) -> StoredEvent:
        """What it is in the archive."""
        return StoredEvent(self.event, tuple(sorted(from_column(each) for each in batches)))


class Step:
    """Anything else that is to be done in a transaction.

    :param what: What it is, for an error.
    :param function: Called with the connection and the arguments; may be called again.
    """

    __slots__ = ("args", "function", "weight", "what")

    def __init__(self, what: str, function: Callable[..., Any], *args: Any) -> None:
        self.what = what
        self.function = function
        self.args = args
        self.weight = 1

    def __str__(self) -> str:
        return self.what

    def __call__(self, connection: Connection) -> Any:
        """Do it."""
        return self.function(connection, *self.args)
