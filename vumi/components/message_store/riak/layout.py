"""How messages, events, batches and tags are in Riak: objects of JSON, and secondary indexes.

Pure: values to bodies and index entries, and back. The layout is the old Vumi's, of its last
versions (5 of messages, 2 of events): its archives are read, all older versions too, and what is
written here old workers read. Beside the old indexes there are some of our own (``timestamps``,
``addresses`` and such), which old workers don't know, and drop from what they save again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from vumi.components.message_store.interface import (
    Batch,
    CurrentTag,
    Kind,
    StoredEvent,
    StoredMessage,
)
from vumi.components.message_store.riak.terms import (
    Index,
    compound_term,
    exact_term,
    is_digest,
    object_key,
    reverse_timestamp,
    second_of,
)
from vumi.errors import InvalidMessage, StoreError
from vumi.message import TransportEvent, TransportUserMessage
from vumi.payload import decode_payload, encode_payload, format_vumi_date

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vumi.message import Message

__all__ = [
    "BUCKETS",
    "ArchiveRecord",
    "Draft",
    "batch_record",
    "event_draft",
    "message_draft",
    "read_batch",
    "read_event",
    "read_message",
    "read_tag",
    "tag_key",
    "tag_record",
    "user_address",
]

#: The old Vumi's models, each a bucket of that name after the prefix.
BUCKETS = {
    Kind.INBOUND: "inboundmessage",
    Kind.OUTBOUND: "outboundmessage",
    Kind.EVENT: "event",
}
MESSAGE_VERSION = 5
EVENT_VERSION = 2

#: Riak answers with all terms of one index in one line, and Twisted reads lines up to 16,384.
_MAX_TERMS_OF_INDEX = 15_500


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """What is put under a key.

    :param indexes: Index and term, as they go into headers; sorted.
    """

    body: bytes
    indexes: tuple[tuple[str, str], ...] = ()


# Messages and events, on their way in


@dataclass(frozen=True, slots=True)
class Draft:
    """A message or event that is encoded, but for the batches, which may become more.

    :param fields: JSON: an object of all but ``batches``.
    :param timestamp: A Vumi date.
    :param term: The user's address or the status, for the compound indexes.
    :param indexes: Those entries that have nothing to do with batches.
    """

    kind: Kind
    key: str
    fields: bytes
    timestamp: str
    term: str
    indexes: tuple[tuple[str, str], ...]

    def record(self, batch_ids: Iterable[str]) -> ArchiveRecord:
        """What is put for it.

        :raises StoreError: The indexes are too much for Riak.
        """
        batches = sorted(batch_ids)
        reverse = reverse_timestamp(second_of(self.timestamp))
        is_event = self.kind is Kind.EVENT
        forward_index = Index.BATCH_STATUSES if is_event else Index.BATCH_ADDRESSES
        reverse_index = Index.BATCH_STATUSES_REVERSE if is_event else Index.BATCH_ADDRESSES_REVERSE
        indexes = list(self.indexes)
        for batch_id in batches:
            indexes.append((Index.BATCHES, exact_term(batch_id)))
            for name, time in ((forward_index, self.timestamp), (reverse_index, reverse)):
                indexes.append((name, compound_term(batch_id, time, self.term)))
        _check_size(self.key, indexes)
        # The fields are an object with something in it.
        body = self.fields[:-1] + b',"batches":' + encode_payload(batches) + b"}"
        return ArchiveRecord(body, tuple(sorted(indexes)))


def _check_size(key: str, indexes: list[tuple[str, str]]) -> None:
    sizes: dict[str, int] = {}
    for name, term in indexes:
        sizes[name] = sizes.get(name, 0) + len(term) + 2
    if any(size > _MAX_TERMS_OF_INDEX for size in sizes.values()):
        raise StoreError(
            f"{key[:100]!r} can't be stored in Riak: it is in too many batches, or has too many "
            "tags, for the indexes of one object."
        )


def message_draft(kind: Kind, message: TransportUserMessage) -> Draft:
    """Encode a message.

    :raises StoreError: It can't be encoded.
    """
    payload = message.payload
    user = user_address(kind, message)
    other = payload["to_addr" if kind is Kind.INBOUND else "from_addr"]
    timestamp = format_vumi_date(payload["timestamp"])
    term = "" if user is None else user
    indexes = [(Index.TIMESTAMPS, f"${timestamp}$")]
    if user is not None:
        indexes.append((Index.ADDRESSES, compound_term(term, timestamp, "")))
    if other is not None:
        indexes.append((Index.OTHER_ADDRESSES, exact_term(str(other))))
    return Draft(
        kind,
        str(payload["message_id"]),
        _encoded({"$VERSION": MESSAGE_VERSION}, "msg", message, timestamp),
        timestamp,
        term,
        tuple(indexes),
    )


def user_address(kind: Kind, message: TransportUserMessage) -> str | None:
    """The address of the person that a message is from or to."""
    address = message.payload["from_addr" if kind is Kind.INBOUND else "to_addr"]
    return None if address is None else str(address)


def event_draft(event: TransportEvent) -> Draft:
    """Encode an event.

    :raises StoreError: It can't be encoded.
    """
    payload = event.payload
    message_id = str(payload["user_message_id"])
    timestamp = format_vumi_date(payload["timestamp"])
    status = event.status()
    return Draft(
        Kind.EVENT,
        str(payload["event_id"]),
        _encoded({"$VERSION": EVENT_VERSION, "message": message_id}, "event", event, timestamp),
        timestamp,
        status,
        (
            (Index.MESSAGE, exact_term(message_id)),
            (Index.MESSAGE_STATUS, compound_term(message_id, timestamp, status)),
            (Index.TIMESTAMPS, f"${timestamp}$"),
        ),
    )


def _encoded(head: dict[str, Any], field: str, message: Message, timestamp: str) -> bytes:
    for key, value in message.payload.items():
        if key != "__cache__":
            head[f"{field}.{key}"] = value
    head[f"{field}.timestamp"] = timestamp
    try:
        return encode_payload(head)
    except TypeError as error:
        raise StoreError(f"This message can't be stored: {error}") from error


# Messages and events, on their way out

M = TypeVar("M", TransportUserMessage, TransportEvent)


def read_message(kind: Kind, key: str, body: bytes) -> StoredMessage:
    """Read a stored message of any version.

    :raises StoreError: It is none.
    """
    data = _decoded(key, body, MESSAGE_VERSION)
    if data.get("$VERSION") is None:
        # Before there could be several.
        batch_id = data.get("batch")
        batch_ids: tuple[str, ...] = () if batch_id is None else (str(batch_id),)
    else:
        batch_ids = _batch_ids(data)
    return StoredMessage(kind, _message(TransportUserMessage, "msg", key, data), batch_ids)


def read_event(key: str, body: bytes) -> StoredEvent:
    """Read a stored event of any version.

    :raises StoreError: It is none.
    """
    data = _decoded(key, body, EVENT_VERSION)
    return StoredEvent(_message(TransportEvent, "event", key, data), _batch_ids(data))


def _decoded(key: str, body: bytes, version: int = 0) -> dict[str, Any]:
    try:
        data = decode_payload(body)
    except InvalidMessage as error:
        raise StoreError(f"What Riak has at {key!r} is not the archive's: {error}") from error
    found = data.get("$VERSION")
    # The first versions had no number.
    if found is not None and found not in range(version + 1):
        raise StoreError(
            f"What Riak has at {key!r} is of version {found!r}: this Vumi reads up to {version}."
        )
    return data


def _message(message_class: type[M], field: str, key: str, data: dict[str, Any]) -> M:
    begin = f"{field}."
    fields = {name[len(begin) :]: value for name, value in data.items() if name.startswith(begin)}
    try:
        return message_class(_process_fields=False, **fields)
    except InvalidMessage as error:
        raise StoreError(f"What Riak has at {key!r} is not a message: {error}") from error


def _batch_ids(data: dict[str, Any]) -> tuple[str, ...]:
    return tuple(sorted({str(batch_id) for batch_id in data.get("batches") or ()}))


# Batches and tags


def batch_record(batch: Batch) -> ArchiveRecord:
    """What is put for a batch."""
    tags = [list(tag) for tag in batch.tags]
    data = {"$VERSION": None, "tags": tags, **_prefixed(batch.metadata)}
    if is_digest(object_key(batch.batch_id)):
        # The key does not say it.
        data["batch_id"] = batch.batch_id
    indexes = [(Index.TAGS, exact_term(tag_key(tag))) for tag in dict.fromkeys(batch.tags)]
    _check_size(batch.batch_id, indexes)
    return ArchiveRecord(encode_payload(data), tuple(sorted(indexes)))


def read_batch(batch_id: str, body: bytes) -> Batch:
    """Read a batch.

    :raises StoreError: It is none.
    """
    data = _decoded(batch_id, body)
    try:
        tags = tuple((str(pool), str(tag)) for pool, tag in data.get("tags") or ())
    except (TypeError, ValueError) as error:
        raise StoreError(f"What Riak has at {batch_id!r} is not a batch.") from error
    return Batch(str(data.get("batch_id", batch_id)), tags, _unprefixed(data))


def tag_key(tag: tuple[str, str]) -> str:
    """The id that a tag is kept under."""
    return f"{tag[0]}:{tag[1]}"


def tag_record(current: CurrentTag) -> ArchiveRecord:
    """What is put for a tag."""
    data = {
        "$VERSION": None,
        "current_batch": current.current_batch,
        "tag": list(current.tag),
        **_prefixed(current.metadata),
    }
    indexes = []
    if current.current_batch is not None:
        indexes.append((Index.CURRENT_BATCH, exact_term(current.current_batch)))
    return ArchiveRecord(encode_payload(data), tuple(indexes))


def read_tag(tag: tuple[str, str], body: bytes) -> CurrentTag:
    """Read a tag.

    :raises StoreError: It is none.
    """
    data = _decoded(tag_key(tag), body)
    batch_id = data.get("current_batch")
    return CurrentTag(tag, None if batch_id is None else str(batch_id), _unprefixed(data))


def _prefixed(metadata: Any) -> dict[str, str]:
    return {f"metadata.{name}": value for name, value in metadata.items()}


def _unprefixed(data: dict[str, Any]) -> dict[str, str]:
    begin = "metadata."
    return {name[len(begin) :]: value for name, value in data.items() if name.startswith(begin)}
