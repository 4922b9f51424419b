"""The resources, where the package of old has them. Only re-exports."""

from vumi.application.sandbox import (
    HttpClientResource,
    LoggingResource,
    MetricsResource,
    OutboundResource,
    RedisResource,
    SandboxCommand,
    SandboxResource,
    SandboxResources,
)

__all__ = [
    "HttpClientResource",
    "LoggingResource",
    "MetricsResource",
    "OutboundResource",
    "RedisResource",
    "SandboxCommand",
    "SandboxResource",
    "SandboxResources",
]
