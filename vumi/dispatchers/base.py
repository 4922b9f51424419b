"""The dispatcher and the routers by the names they always had. Only re-exports."""

from vumi.dispatchers.router import BaseDispatchRouter
from vumi.dispatchers.routers.content_keyword import ContentKeywordRouter
from vumi.dispatchers.routers.from_addr import FromAddrMultiplexRouter
from vumi.dispatchers.routers.redirect import RedirectOutboundRouter, RedirectRouter
from vumi.dispatchers.routers.simple import SimpleDispatchRouter
from vumi.dispatchers.routers.to_addr import ToAddrRouter
from vumi.dispatchers.routers.transport_to_transport import TransportToTransportRouter
from vumi.dispatchers.routers.user_grouping import UserGroupingRouter
from vumi.dispatchers.worker import BaseDispatchWorker

__all__ = [
    "BaseDispatchRouter",
    "BaseDispatchWorker",
    "ContentKeywordRouter",
    "FromAddrMultiplexRouter",
    "RedirectOutboundRouter",
    "RedirectRouter",
    "SimpleDispatchRouter",
    "ToAddrRouter",
    "TransportToTransportRouter",
    "UserGroupingRouter",
]
