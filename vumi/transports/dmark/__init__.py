"""Dmark Mobile, Uganda: USSD over HTTP GET, each request answered in JSON with the next menu.

The provider has published no document; this is the protocol as the old Vumi spoke it.
"""

from vumi.transports.dmark.dmark import DmarkUssdTransport, DmarkUssdTransportConfig

__all__ = ["DmarkUssdTransport", "DmarkUssdTransportConfig"]
