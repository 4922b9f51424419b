"""Transports that are an HTTP server and answer each request with the reply to its message.

Most USSD gateways are reached so. Only re-exports: the transport is in
:mod:`~vumi.transports.httprpc.httprpc`, what provider authors write with in
:mod:`~vumi.transports.httprpc.answers` and :mod:`~vumi.transports.httprpc.fields`.
"""

from vumi.transports.httprpc.answers import Answer, Incoming, Refused
from vumi.transports.httprpc.fields import Fields
from vumi.transports.httprpc.held import HeldRequest
from vumi.transports.httprpc.http_transport import HttpTransport
from vumi.transports.httprpc.httprpc import HttpRpcTransport
from vumi.transports.httprpc.options import HttpRpcTransportConfig
from vumi.transports.httprpc.replies import Replies
from vumi.transports.httprpc.resources import HttpRpcHealthResource, HttpRpcResource

__all__ = [
    "Answer",
    "Fields",
    "HeldRequest",
    "HttpRpcHealthResource",
    "HttpRpcResource",
    "HttpRpcTransport",
    "HttpRpcTransportConfig",
    "HttpTransport",
    "Incoming",
    "Refused",
    "Replies",
]
