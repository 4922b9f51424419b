"""Any network with an HTTP API, by options: SMS, USSD or chat, without a line of code.

Requests, answers, messages and delivery reports are described in the configuration. The design is
that of the generic channel ("External API") which many gateways are connected to RapidPro by.
"""

from vumi.transports.external.external import ExternalTransport
from vumi.transports.external.options import ExternalTransportConfig

__all__ = ["ExternalTransport", "ExternalTransportConfig"]
