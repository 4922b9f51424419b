"""SMPP 3.4: the protocol of SMS centres (Short Message Peer to Peer Protocol Specification v3.4,
Issue 1.2). The transports here are ESMEs, clients that bind to an operator's SMSC.
"""

from vumi.transports.smpp.config import SmppTransportConfig
from vumi.transports.smpp.old_config import OldSmppTransportConfig
from vumi.transports.smpp.smpp import (
    SmppReceiverTransport,
    SmppTransceiverTransport,
    SmppTransceiverTransportWithOldConfig,
    SmppTransmitterTransport,
    SmppTransport,
)

__all__ = [
    "OldSmppTransportConfig",
    "SmppReceiverTransport",
    "SmppTransceiverTransport",
    "SmppTransceiverTransportWithOldConfig",
    "SmppTransmitterTransport",
    "SmppTransport",
    "SmppTransportConfig",
]
