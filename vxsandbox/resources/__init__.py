"""The resources, where the package of old has them. Only re-exports."""

from vumi.application.sandbox import (
    LoggingResource,
    SandboxCommand,
    SandboxResource,
    SandboxResources,
)

__all__ = ["LoggingResource", "SandboxCommand", "SandboxResource", "SandboxResources"]
