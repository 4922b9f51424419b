"""The message store: all messages sent and received.

What programs use is :class:`MessageStore`; what it keeps messages in is an archive, which a URL
says: :func:`~vumi.components.message_store.config.open_archive`. Only re-exports.
"""

from vumi.components.message_store.base import from_reverse_timestamp, to_reverse_timestamp
from vumi.components.message_store.cache import MessageStoreCache
from vumi.components.message_store.interface import (
    Batch,
    CurrentTag,
    IMessageArchive,
    Kind,
    Order,
    Query,
    StoredEvent,
    StoredMessage,
)
from vumi.components.message_store.pages import IndexPage
from vumi.components.message_store.store import MessageStore

#: The old Vumi's names of what is in the store.
InboundMessage = OutboundMessage = StoredMessage
Event = StoredEvent

__all__ = [
    "Batch",
    "CurrentTag",
    "Event",
    "IMessageArchive",
    "InboundMessage",
    "IndexPage",
    "Kind",
    "MessageStore",
    "MessageStoreCache",
    "Order",
    "OutboundMessage",
    "Query",
    "StoredEvent",
    "StoredMessage",
    "from_reverse_timestamp",
    "to_reverse_timestamp",
]
