"""The workers, where the package of old has them. Only re-exports."""

from vumi.application.sandbox import (
    JsFileSandbox,
    JsFileSandboxConfig,
    JsSandbox,
    JsSandboxConfig,
    JsSandboxResource,
    Sandbox,
    SandboxApi,
    SandboxConfig,
    StandaloneJsFileSandbox,
    StandaloneJsFileSandboxConfig,
)

__all__ = [
    "JsFileSandbox",
    "JsFileSandboxConfig",
    "JsSandbox",
    "JsSandboxConfig",
    "JsSandboxResource",
    "Sandbox",
    "SandboxApi",
    "SandboxConfig",
    "StandaloneJsFileSandbox",
    "StandaloneJsFileSandboxConfig",
]
