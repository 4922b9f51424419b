"""Dispatchers: what routes messages between transports and applications.

There are two kinds. A :class:`BaseDispatchWorker` has a router look at a message and decide. A
:class:`~vumi.dispatchers.endpoint_dispatchers.RoutingTableDispatcher` goes by connectors and
endpoints alone.
"""

from vumi.dispatchers.base import (
    BaseDispatchRouter,
    BaseDispatchWorker,
    ContentKeywordRouter,
    FromAddrMultiplexRouter,
    RedirectOutboundRouter,
    RedirectRouter,
    SimpleDispatchRouter,
    ToAddrRouter,
    TransportToTransportRouter,
    UserGroupingRouter,
)
from vumi.dispatchers.endpoint_dispatchers import Dispatcher, RoutingTableDispatcher
from vumi.dispatchers.load_balancer import LoadBalancingRouter

__all__ = [
    "BaseDispatchRouter",
    "BaseDispatchWorker",
    "ContentKeywordRouter",
    "Dispatcher",
    "FromAddrMultiplexRouter",
    "LoadBalancingRouter",
    "RedirectOutboundRouter",
    "RedirectRouter",
    "RoutingTableDispatcher",
    "SimpleDispatchRouter",
    "ToAddrRouter",
    "TransportToTransportRouter",
    "UserGroupingRouter",
]
