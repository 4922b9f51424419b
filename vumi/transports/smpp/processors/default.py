"""The processors that are used unless the configuration says otherwise, under one roof."""

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
