"""The old path of :mod:`vumi.components.message_store.cache`."""

from vumi.components.message_store.cache import MessageStoreCache, MessageStoreCacheException

__all__ = ["MessageStoreCache", "MessageStoreCacheException"]
