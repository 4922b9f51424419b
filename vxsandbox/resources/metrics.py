"""The resource, where the package of old has it. Only re-exports."""

from vumi.application.sandbox import (
    MetricsResource,
)

__all__ = [
    "MetricsResource",
]
