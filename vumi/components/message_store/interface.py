"""The seam of the message archive: what a store of messages must be able to do.

Behind it are SQL databases and Riak; above it the API that applications use
(:class:`~vumi.components.message_store.store.MessageStore`), the middleware, search and export.
Knows messages; knows no database, no cache and no worker.

Four things hold for every archive, and its contract suite shows them:

- Writing is idempotent by id: what is stored twice is there once, and batches only ever add up.
- A write's Deferred fires when what was written outlives a crash of this process and of the
  archive's.
- Ids, addresses and texts come back as they were given, whatever characters they have.
- Pages are keyset pages: a continuation names the last entry that was given, so the last page
  costs what the first does, and what is written meanwhile moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from twisted.internet.defer import Deferred

    from vumi.message import TransportEvent, TransportUserMessage

__all__ = [
    "Batch",
    "BatchStats",
    "CurrentTag",
    "Entry",
    "IMessageArchive",
    "Kind",
    "Order",
    "Page",
    "Query",
    "StoredEvent",
    "StoredMessage",
    "Tag",
]

#: Pool and tag.
Tag: TypeAlias = tuple[str, str]


class Kind(Enum):
    """What is kept in an archive."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    EVENT = "event"


class Order(Enum):
    """How a page is ordered. Entries of the same time are ordered by their id."""

    OLDEST_FIRST = "oldest first"
    NEWEST_FIRST = "newest first"


@dataclass(frozen=True, slots=True)
class Batch:
    """A group of messages, such as those of one campaign.

    :param tags: The tags it was started with.
    :param metadata: Texts about it, by name.
    """

    batch_id: str
    tags: tuple[Tag, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CurrentTag:
    """What a tag is used for now.

    :param current_batch: The id of the batch that messages with this tag belong to now.
    """

    tag: Tag
    current_batch: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A user message in the archive.

    :param kind: ``INBOUND`` or ``OUTBOUND``.
    :param batch_ids: The batches it belongs to, sorted.
    """

    kind: Kind
    message: TransportUserMessage
    batch_ids: tuple[str, ...] = ()

    @property
    def message_id(self) -> str:
        """The id that it is kept under."""
        return str(self.message.payload["message_id"])


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in the archive."""

    event: TransportEvent
    batch_ids: tuple[str, ...] = ()

    @property
    def event_id(self) -> str:
        """The id that it is kept under."""
        return str(self.event.payload["event_id"])


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a page: what an index knows without looking at the object.

    :param key: The message's or event's id.
    :param timestamp: When it was made, UTC, without a zone.
    :param term: The user's address (inbound: ``from_addr``; outbound: ``to_addr``; empty if there
        is none) or the event's status: ``ack``, ``nack``, or ``delivery_report.<status>``.
    """

    key: str
    timestamp: datetime
    term: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, and where to go on.

    :param continuation: What to ask the next page with; ``None``: there is no more.
    """

    entries: tuple[Any, ...]
    continuation: str | None = None


@dataclass(frozen=True, slots=True)
class BatchStats:
    """Exact figures of messages of one kind.

    :param unique_addresses: How many users they are from or to; no address does not count.
    """

    total: int
    unique_addresses: int


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for; all that is given must hold.

    :param kinds: Inbound, outbound or both; never events.
    :param address: A user's address, exactly.
    :param batch_id: A batch.
    :param tag: A tag: messages of every batch that was started with it.
    :param start: Not older than this; UTC.
    :param end: Not newer than this; UTC.
    :param text: Words that the content has, all of them; only where ``full_text`` is so.
    :param status: Only outbound messages whose last event is this: ``ack``, ``nack``,
        ``delivered``, ``failed``, ``pending``, or ``none`` for those without an event.
    """

    kinds: frozenset[Kind] = frozenset({Kind.INBOUND, Kind.OUTBOUND})
    address: str | None = None
    batch_id: str | None = None
    tag: Tag | None = None
    start: datetime | None = None
    end: datetime | None = None
    text: str | None = None
    status: str | None = None


class IMessageArchive(Interface):
    """One archive of messages.

    Everything gives a Deferred. Errors of all methods:
    :class:`~vumi.errors.StoreUnavailable` once a bounded number of attempts has failed,
    :class:`~vumi.errors.StoreError` for what the archive refuses: among others a limit below 1, a
    continuation that is cut, changed or another question's, and everything once it is closed.
    """

    address = Attribute("str: Where the archive is, without credentials: fit for a log.")
    full_text = Attribute("bool: Whether ``Query.text`` can be asked for.")

    def open() -> Deferred[None]:
        """Connect, and bring the layout up to date. To be called before all else."""

    def close() -> Deferred[None]:
        """Finish what is being written, and let go. May be called again."""

    # Batches and tags

    def put_batch(batch: Batch) -> Deferred[None]:
        """Keep a batch; one with this id is replaced."""

    def get_batch(batch_id: str) -> Deferred[Batch | None]:
        """Find a batch."""

    def list_batches(limit: int = 1000, continuation: str | None = None) -> Deferred[Page]:
        """A page of :class:`Batch`, ordered by id."""

    def set_current_batch(tags: Sequence[Tag], batch_id: str | None) -> Deferred[None]:
        """Make a batch the one of these tags, or none."""

    def get_current_tag(tag: Tag) -> Deferred[CurrentTag | None]:
        """Find a tag."""

    # Messages and events

    def store_message(
        kind: Kind, message: TransportUserMessage, batch_ids: Collection[str] = ()
    ) -> Deferred[bool]:
        """Keep a message. If it is there its batches are added to, its content is replaced.

        :param batch_ids: Need not be known batches.
        :returns: Fires with whether it is new.
        """

    def store_event(
        event: TransportEvent, batch_ids: Collection[str] | None = None
    ) -> Deferred[StoredEvent]:
        """Keep an event.

        One that comes before its message is kept, and found by :meth:`message_events`; stored
        again it finds its message's batches.

        :param batch_ids: ``None``: those of the outbound message that it is about.
        :returns: Fires with what is in the archive now.
        """

    def get_message(kind: Kind, message_id: str) -> Deferred[StoredMessage | None]:
        """Find a message by its id."""

    def get_messages(kind: Kind, message_ids: Sequence[str]) -> Deferred[list[StoredMessage]]:
        """Find many messages, in the order of the ids; those that are missing are left out."""

    def get_event(event_id: str) -> Deferred[StoredEvent | None]:
        """Find an event by its id."""

    def get_events(event_ids: Sequence[str]) -> Deferred[list[StoredEvent]]:
        """Find many events; as :meth:`get_messages`."""

    # Pages

    def page(
        kind: Kind,
        batch_id: str,
        order: Order = Order.OLDEST_FIRST,
        limit: int = 1000,
        continuation: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Deferred[Page]:
        """A page of :class:`Entry`: a batch's messages or events, by time.

        :param limit: How many at most.
        :param start: Only those not older; UTC.
        :param end: Only those not newer; UTC.
        :raises StoreError: The continuation is none of this page's.
        """

    def message_events(
        message_id: str, limit: int = 1000, continuation: str | None = None
    ) -> Deferred[Page]:
        """A page of :class:`Entry`: the events about one outbound message, oldest first."""

    def search(
        query: Query,
        order: Order = Order.NEWEST_FIRST,
        limit: int = 1000,
        continuation: str | None = None,
    ) -> Deferred[Page]:
        """A page of :class:`StoredMessage` that a query finds.

        :raises StoreError: The archive can't answer this query; its words say which part.
        """

    # Counts

    def count(kind: Kind, batch_id: str | None = None) -> Deferred[int]:
        """How many there are, in one batch or in all."""

    def stats(
        kind: Kind, batch_id: str, start: datetime | None = None, end: datetime | None = None
    ) -> Deferred[BatchStats]:
        """Exact figures of a batch's messages, for ``INBOUND`` or ``OUTBOUND``."""

    def status_counts(batch_id: str) -> Deferred[dict[str, int]]:
        """How many events of each status a batch has.

        :returns: Fires with all of ``ack``, ``nack``, ``delivery_report``,
            ``delivery_report.pending``, ``delivery_report.failed``, ``delivery_report.delivered``
            and ``sent`` (the outbound messages).
        """

    # Erasing

    def delete_before(time: datetime, limit: int = 1000, dry_run: bool = False) -> Deferred[int]:
        """Erase some of the messages and events that are older, oldest first.

        :param limit: How many at most, so that a purge is many short steps.
        :param dry_run: Only count them, without a limit.
        :returns: Fires with how many messages and events were erased; 0: none is left.
        """

    def forget(address: str, limit: int = 1000, dry_run: bool = False) -> Deferred[int]:
        """Erase some of the messages from or to an address, and the events about them.

        Whichever side of the message the address is on. An empty address is refused: it is
        everybody's who has none.

        For all else see :meth:`delete_before`.
        """

    def acquire_lock(name: str, owner: str, seconds: float) -> Deferred[bool]:
        """Take a lock, or prolong one's own, so that only one worker purges.

        :param seconds: For how long at most.
        :returns: Fires with whether it is the owner's now.
        """

    def release_lock(name: str, owner: str) -> Deferred[None]:
        """Let go of a lock, if it is the owner's."""
