"""Messages by plain HTTP requests: for programs, tests, and gateways that can send a form.

The protocol is the old Vumi's own.
"""

from vumi.transports.api.api import HttpApiConfig, HttpApiTransport

__all__ = ["HttpApiConfig", "HttpApiTransport"]
