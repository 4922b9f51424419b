"""Apposit, Ethiopia: SMS by HTTP forms, both ways.

The provider has published no document; this is the protocol as the old Vumi spoke it.
"""

from vumi.transports.apposit.apposit import AppositTransport, AppositTransportConfig

__all__ = ["AppositTransport", "AppositTransportConfig"]
