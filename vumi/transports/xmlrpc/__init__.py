"""Transports that are an XML-RPC server. Only re-exports, from
:mod:`~vumi.transports.xmlrpc.xmlrpc` and :mod:`~vumi.transports.xmlrpc.wire`.
"""

from vumi.transports.xmlrpc.wire import Fault
from vumi.transports.xmlrpc.xmlrpc import XmlRpcCall, XmlRpcTransport

__all__ = ["Fault", "XmlRpcCall", "XmlRpcTransport"]
