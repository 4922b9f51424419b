"""Telnet (RFC 854): a server for trying out applications from a terminal.

Each client is a user; a line is a message, the connection is the session.
"""

from vumi.transports.telnet.telnet import (
    AddressedTelnetServerTransport,
    TelnetServerConfig,
    TelnetServerTransport,
)

__all__ = ["AddressedTelnetServerTransport", "TelnetServerConfig", "TelnetServerTransport"]
