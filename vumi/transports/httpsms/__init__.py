"""Transports that get messages by HTTP requests and send them by requests to an API.

Most SMS gateways are reached so. Only re-exports: the transport is in
:mod:`~vumi.transports.httpsms.httpsms`, the usual forms of requests in
:mod:`~vumi.transports.httpsms.requests`.
"""

from vumi.transports.httpsms.httpsms import HttpSmsTransport
from vumi.transports.httpsms.options import HttpSmsTransportConfig
from vumi.transports.httpsms.outbox import Rejected, TryLater
from vumi.transports.httpsms.receipts import DeliveryReport, RemoteIds
from vumi.transports.httpsms.requests import form_request, json_request, query_request

__all__ = [
    "DeliveryReport",
    "HttpSmsTransport",
    "HttpSmsTransportConfig",
    "Rejected",
    "RemoteIds",
    "TryLater",
    "form_request",
    "json_request",
    "query_request",
]
