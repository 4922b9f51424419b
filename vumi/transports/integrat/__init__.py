"""Integrat, South Africa: USSD by Higate's XML, an HTTP POST for each event and each answer.

The provider has published no document; this is the protocol as the old Vumi spoke it.
"""

from vumi.transports.integrat.integrat import IntegratTransport, IntegratTransportConfig

__all__ = ["IntegratTransport", "IntegratTransportConfig"]
