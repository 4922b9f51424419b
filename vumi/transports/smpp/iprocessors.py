"""What a transport asks of its processors: the parts that know one operator's ways.

Each method may return a value, a Deferred or a coroutine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import Interface

from vumi.errors import VumiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vumi.message import TransportUserMessage

__all__ = [
    "DecodingError",
    "IDeliverShortMessageProcessor",
    "IDeliveryReportProcessor",
    "ISubmitShortMessageProcessor",
]


class DecodingError(VumiError):
    """What was received can't be read; it is refused with ``deliver_sm_decoding_error``."""


class IDeliveryReportProcessor(Interface):
    """Recognises delivery reports and publishes them.

    Made with the transport and the options (a dict) of ``delivery_report_processor_config``.
    """

    def handle_delivery_report_pdu(pdu: Any) -> Any:
        """Take a PDU if it is a delivery report as such.

        :param pdu: A deliver_sm or data_sm.
        :returns: Whether it is one and was dealt with.
        """

    def handle_delivery_report_content(content: str) -> Any:
        """Take the text of a message if it is a delivery report.

        :returns: Whether it is one and was dealt with.
        """


class IDeliverShortMessageProcessor(Interface):
    """Makes messages of PDUs and publishes them.

    Made with the transport and the options (a dict) of ``deliver_short_message_processor_config``.
    """

    def handle_multipart_pdu(pdu: Any) -> Any:
        """Take a PDU if it is one part of several.

        :returns: Whether it is.
        """

    def handle_ussd_pdu(pdu: Any) -> Any:
        """Take a PDU if it belongs to a USSD session.

        :returns: Whether it does.
        """

    def decode_pdus(pdus: Sequence[Any]) -> list[str]:
        """The texts of PDUs.

        :raises DecodingError: One can't be understood.
        """

    def handle_short_message_pdu(pdu: Any) -> Any:
        """Take a PDU that is nothing else: an SMS.

        :returns: ``True``.
        """


class ISubmitShortMessageProcessor(Interface):
    """Makes PDUs of messages and has them sent.

    Made with the transport and the options (a dict) of ``submit_short_message_processor_config``.
    """

    def handle_outbound_message(message: TransportUserMessage, service: Any) -> Any:
        """Send a message.

        :param message: The message.
        :param service: The :class:`~vumi.transports.smpp.service.SmppService`.
        :returns: Is waited for. Raising nacks the message.
        """
