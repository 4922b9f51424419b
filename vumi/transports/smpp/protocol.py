"""The ESME's protocol under the old Vumi's path; it lives in :mod:`vumi.transports.smpp.esme`."""

from vumi.transports.smpp.esme import EsmeProtocol, EsmeProtocolError, EsmeProtocolFactory

__all__ = ["EsmeProtocol", "EsmeProtocolError", "EsmeProtocolFactory"]
