"""The resource, where the package of old has it. Only re-exports."""

from vumi.application.sandbox import (
    FileConfigResource,
)

__all__ = [
    "FileConfigResource",
]
