"""The transports under the old Vumi's path; they live in :mod:`vumi.transports.smpp.smpp`."""

from vumi.transports.smpp.correlation import SmppMessageDataStash
from vumi.transports.smpp.smpp import (
    SmppReceiverTransport,
    SmppTransceiverTransport,
    SmppTransceiverTransportWithOldConfig,
    SmppTransmitterTransport,
    SmppTransport,
)

__all__ = [
    "SmppMessageDataStash",
    "SmppReceiverTransport",
    "SmppTransceiverTransport",
    "SmppTransceiverTransportWithOldConfig",
    "SmppTransmitterTransport",
    "SmppTransport",
]
