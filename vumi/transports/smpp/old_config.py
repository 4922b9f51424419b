"""The flat configuration of older SMPP transports: all options at the top.

Knows which options belong to which processor now. The values are checked where they belong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.config import ConfigDict, ConfigText
from vumi.transports.smpp.config import SmppTransportConfig
from vumi.transports.smpp.processors import (
    DeliverShortMessageProcessorConfig,
    DeliveryReportProcessorConfig,
    SubmitShortMessageProcessorConfig,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vumi.config import Config

__all__ = ["OldSmppTransportConfig", "nested_config"]

_OWNERS: Mapping[str, type[Config]] = {
    "delivery_report_processor_config": DeliveryReportProcessorConfig,
    "deliver_short_message_processor_config": DeliverShortMessageProcessorConfig,
    "submit_short_message_processor_config": SubmitShortMessageProcessorConfig,
}

#: What the old style can't choose.
_PROCESSORS = (
    "delivery_report_processor",
    "deliver_short_message_processor",
    "submit_short_message_processor",
)


class OldSmppTransportConfig(
    SmppTransportConfig,
    DeliveryReportProcessorConfig,
    DeliverShortMessageProcessorConfig,
    SubmitShortMessageProcessorConfig,
):
    """Options of the SMPP transports and of their processors, all at the top."""

    COUNTRY_CODE = ConfigText(
        "The country of numbers in national form, for OPERATOR_PREFIX.", static=True
    )
    OPERATOR_PREFIX = ConfigDict(
        "Which operator numbers belong to: a mapping of their beginnings to names. Only the "
        "transports in vumi.transports.smpp.deprecated look at it.",
        default={},
        static=True,
    )
    OPERATOR_NUMBER = ConfigDict(
        "From which number messages are sent to an operator's customers: a mapping of the names "
        "to numbers. Only the transports in vumi.transports.smpp.deprecated look at it.",
        default={},
        static=True,
    )


def nested_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Move what is at the top of an old configuration to where it belongs now.

    :param config: The old one; not changed. What is where it belongs already wins.
    """
    moved = {name: value for name, value in config.items() if name not in _PROCESSORS}
    for section, owner in _OWNERS.items():
        options = {name: moved.pop(name) for name in owner._field_names if name in moved}
        given = moved.get(section)
        if options:
            moved[section] = {**options, **given} if isinstance(given, dict) else options
    return moved
