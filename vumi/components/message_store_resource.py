"""The old path of :mod:`vumi.components.message_store.http.resource`."""

from vumi.components.message_store.http.resource import (
    BatchResource,
    EventResource,
    InboundResource,
    MessageStoreProxyResource,
    MessageStoreResource,
    MessageStoreResourceWorker,
    OutboundResource,
    ParameterError,
    SearchResource,
)

__all__ = [
    "BatchResource",
    "EventResource",
    "InboundResource",
    "MessageStoreProxyResource",
    "MessageStoreResource",
    "MessageStoreResourceWorker",
    "OutboundResource",
    "ParameterError",
    "SearchResource",
]
