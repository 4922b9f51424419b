"""Clickatell, worldwide: SMS by its platform's API (HTTP and JSON), or by its old HTTP API.

Follows the provider's documents: "SMS Platform: HTTP" for
:class:`~vumi.transports.clickatell.ClickatellTransport`, "HTTP API Specification v2" for
:class:`~vumi.transports.clickatell.ClickatellLegacyTransport`.
"""

from vumi.transports.clickatell.clickatell import ClickatellTransport, ClickatellTransportConfig
from vumi.transports.clickatell.legacy import (
    ClickatellLegacyTransport,
    ClickatellLegacyTransportConfig,
)

__all__ = [
    "ClickatellLegacyTransport",
    "ClickatellLegacyTransportConfig",
    "ClickatellTransport",
    "ClickatellTransportConfig",
]
