"""The dispatchers that go by endpoints, by the names they always had. Only re-exports."""

from vumi.dispatchers.dispatcher import Dispatcher, DispatcherConfig
from vumi.dispatchers.routing_table import RoutingTableDispatcher, RoutingTableDispatcherConfig

__all__ = [
    "Dispatcher",
    "DispatcherConfig",
    "RoutingTableDispatcher",
    "RoutingTableDispatcherConfig",
]
