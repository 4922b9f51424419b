"""Counts about batches and results of searches, kept in Redis. Only re-exports."""

from vumi.components.message_store.cache.batch_figures import MessageStoreCache
from vumi.components.message_store.cache.scripts import EVENT_STATUSES
from vumi.components.message_store.cache.searches import MessageStoreCacheException

__all__ = ["EVENT_STATUSES", "MessageStoreCache", "MessageStoreCacheException"]
