"""The sandbox under the name of its successor package of old: :mod:`vumi.application.sandbox`."""

from vumi.application.sandbox import (
    HttpClientResource,
    JsFileSandbox,
    JsSandbox,
    LoggingResource,
    MetricsResource,
    OutboundResource,
    RedisResource,
    Sandbox,
    SandboxError,
    SandboxResource,
)

__all__ = [
    "HttpClientResource",
    "JsFileSandbox",
    "JsSandbox",
    "LoggingResource",
    "MetricsResource",
    "OutboundResource",
    "RedisResource",
    "Sandbox",
    "SandboxError",
    "SandboxResource",
]
