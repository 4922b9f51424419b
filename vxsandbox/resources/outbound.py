"""The resource, where the package of old has it. Only re-exports."""

from vumi.application.sandbox import (
    OutboundResource,
)

__all__ = [
    "OutboundResource",
]
