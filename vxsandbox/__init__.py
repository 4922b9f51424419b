"""The sandbox under the name of its successor package of old: :mod:`vumi.application.sandbox`."""

from vumi.application.sandbox import (
    JsFileSandbox,
    JsSandbox,
    LoggingResource,
    Sandbox,
    SandboxError,
    SandboxResource,
)

__all__ = [
    "JsFileSandbox",
    "JsSandbox",
    "LoggingResource",
    "Sandbox",
    "SandboxError",
    "SandboxResource",
]
