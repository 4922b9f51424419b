"""Airtel, several African countries: USSD over HTTP GET through Comviva's Flares gateway.

The provider has published no document; this is the protocol as the old Vumi spoke it.
"""

from vumi.transports.airtel.airtel import AirtelUSSDTransport, AirtelUSSDTransportConfig

__all__ = ["AirtelUSSDTransport", "AirtelUSSDTransportConfig"]
