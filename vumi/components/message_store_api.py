"""The old path of :mod:`vumi.components.message_store.http.api`."""

from vumi.components.message_store.http.api import (
    BatchResource,
    MatchResource,
    MessageStoreAPI,
    MessageStoreAPIWorker,
)

__all__ = ["BatchResource", "MatchResource", "MessageStoreAPI", "MessageStoreAPIWorker"]
