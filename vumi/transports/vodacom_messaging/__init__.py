"""Vodacom Messaging, South Africa: USSD over HTTP GET, each request answered in XML.

The provider has published no document; this is the protocol as the old Vumi spoke it.
"""

from vumi.transports.vodacom_messaging.vodacom_messaging import (
    VodacomMessagingTransport,
    VodacomMessagingTransportConfig,
)
from vumi.transports.vodacom_messaging.wire import VodacomMessagingResponse

__all__ = [
    "VodacomMessagingResponse",
    "VodacomMessagingTransport",
    "VodacomMessagingTransportConfig",
]
