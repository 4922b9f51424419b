"""The first SMPP transports of the old Vumi, by name and configuration.

Besides the flat configuration they have one thing of their own: the number that a message is
sent from can be chosen by the operator of whom it is for. What they stored in Redis is under other
keys, and is not looked at: delivery reports of messages sent before the move are not understood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.msisdn import get_operator_number
from vumi.transports.smpp.smpp import SmppTransceiverTransportWithOldConfig
from vumi.transports.smpp.transitions import BindType

if TYPE_CHECKING:
    from vumi.message import TransportUserMessage

__all__ = ["SmppRxTransport", "SmppTransport", "SmppTxTransport"]


class SmppTransport(SmppTransceiverTransportWithOldConfig):
    """Sends and receives."""

    def handle_outbound_message(self, message: TransportUserMessage) -> Any:
        """Send a message, from the number that its operator is to see."""
        config = self.get_static_config()
        if config.OPERATOR_PREFIX and isinstance(message["to_addr"], str):
            number = get_operator_number(
                message["to_addr"],
                config.COUNTRY_CODE or "",
                config.OPERATOR_PREFIX,
                config.OPERATOR_NUMBER,
            )
            if number:
                message["from_addr"] = number
        return super().handle_outbound_message(message)


class SmppTxTransport(SmppTransport):
    """Sends only."""

    bind_type: ClassVar[BindType] = BindType.TX


class SmppRxTransport(SmppTransport):
    """Receives only."""

    bind_type: ClassVar[BindType] = BindType.RX
