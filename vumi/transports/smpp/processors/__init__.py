"""Processors: what knows one operator's ways. Here are those that fit most."""

from vumi.transports.smpp.processors.deliver import (
    DeliverShortMessageProcessor,
    DeliverShortMessageProcessorConfig,
)
from vumi.transports.smpp.processors.reports import (
    DeliveryReportProcessor,
    DeliveryReportProcessorConfig,
)
from vumi.transports.smpp.processors.submit import (
    SubmitShortMessageProcessor,
    SubmitShortMessageProcessorConfig,
)

__all__ = [
    "DeliverShortMessageProcessor",
    "DeliverShortMessageProcessorConfig",
    "DeliveryReportProcessor",
    "DeliveryReportProcessorConfig",
    "SubmitShortMessageProcessor",
    "SubmitShortMessageProcessorConfig",
]
