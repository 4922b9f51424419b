"""Delivery reports, as the SMPP specification has them.

Knows where in a PDU a report is and what its words mean to applications. Which message it is about
only the transport knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.logger import Logger
from zope.interface import implementer

from vumi.config import Config, ConfigBool, ConfigDict, ConfigRegex
from vumi.transports.smpp.constants import EsmClass, Tag
from vumi.transports.smpp.iprocessors import IDeliveryReportProcessor
from vumi.transports.smpp.receipts import (
    DEFAULT_RECEIPT_REGEX,
    DEFAULT_STATUS_MAPPING,
    Receipt,
    find_receipt,
    state_name,
    vumi_status,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.internet.defer import Deferred

__all__ = ["DeliveryReportProcessor", "DeliveryReportProcessorConfig"]


class _StatusMapping(ConfigDict):
    def clean(self, value: Any) -> dict[str, Any]:
        mapping = {str(state): status for state, status in super().clean(value).items()}
        if set(mapping.values()) - {"pending", "failed", "delivered"}:
            self.raise_config_error("has a status that is none of pending, failed, delivered.")
        return mapping


class DeliveryReportProcessorConfig(Config):
    """Options for delivery reports."""

    delivery_report_regex = ConfigRegex(
        "How a delivery report looks that is a text. It is searched for; its groups id and stat "
        "are taken.",
        default=DEFAULT_RECEIPT_REGEX,
        static=True,
    )
    delivery_report_status_mapping = _StatusMapping(
        "What each word for a state means: pending, failed or delivered. Others are pending. If "
        "given, it replaces the default as a whole.",
        default=dict(DEFAULT_STATUS_MAPPING),
        static=True,
    )
    delivery_report_use_esm_class = ConfigBool(
        "Whether a text is a delivery report only if its esm_class says so. If not, the texts of "
        "all messages are searched.",
        default=True,
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        for name in ("delivery_report_regex", "delivery_report_status_mapping"):
            if getattr(self, name) is None:
                self.raise_config_error(f"Field '{name}' must not be null.")
        missing = {"id", "stat"} - self.delivery_report_regex.groupindex.keys()
        if missing:
            self.raise_config_error(
                f"Field 'delivery_report_regex' lacks the groups {', '.join(sorted(missing))}."
            )


@implementer(IDeliveryReportProcessor)
class DeliveryReportProcessor:
    """Recognises reports by their parameters, or by their text.

    :param transport: Is told of reports by its ``handle_delivery_report``.
    :param config: The options, see :class:`DeliveryReportProcessorConfig`.
    """

    CONFIG_CLASS: ClassVar[Any] = DeliveryReportProcessorConfig

    log = Logger()

    def __init__(self, transport: Any, config: Mapping[str, Any]) -> None:
        self.transport = transport
        self.config: Any = self.CONFIG_CLASS(config, static=True)
        self._regex = self.config.delivery_report_regex
        self._mapping = self.config.delivery_report_status_mapping
        self._use_esm_class = self.config.delivery_report_use_esm_class

    def handle_delivery_report_pdu(self, pdu: Any) -> Any:
        """Take a PDU that has the parameters of a report, or is one by its esm_class."""
        remote_id = pdu.tlv_text(Tag.receipted_message_id)
        state = pdu.tlv_int(Tag.message_state)
        if remote_id and state is not None:
            return self._handle(Receipt(remote_id, state_name(state)))
        if not self._use_esm_class or not pdu.esm_class & EsmClass.TYPE_MASK:
            return False
        payload = pdu.tlv(Tag.message_payload) or getattr(pdu, "short_message", b"")
        text = payload.decode("latin-1")
        receipt = find_receipt(self._regex, text)
        if receipt is None:
            self.log.warn(
                "A delivery report is not understood, and taken nevertheless: {text!r}",
                event="report-not-understood",
                text=text,
            )
            return True
        return self._handle(receipt)

    def handle_delivery_report_content(self, content: str) -> Any:
        """Take a text that looks like a report, unless it's the esm_class that says so."""
        if self._use_esm_class:
            return False
        receipt = find_receipt(self._regex, content or "")
        return False if receipt is None else self._handle(receipt)

    def _handle(self, receipt: Receipt) -> Deferred[bool]:
        handled: Deferred[Any] = self.transport.handle_delivery_report(
            receipted_message_id=receipt.remote_id,
            delivery_status=vumi_status(self._mapping, receipt.state),
            smpp_delivery_status=receipt.state,
        )
        return handled.addCallback(lambda _: True)
