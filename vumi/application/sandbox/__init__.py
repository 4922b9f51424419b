"""Applications in JavaScript, or any language, each message handled in a sandbox.

Only re-exports. The workers are in :mod:`~vumi.application.sandbox.worker` and
:mod:`~vumi.application.sandbox.javascript`, what programs may ask
for is in :mod:`~vumi.application.sandbox.resources`.
"""

from vumi.application.sandbox.api import SandboxApi
from vumi.application.sandbox.command import SandboxCommand
from vumi.application.sandbox.errors import SandboxError
from vumi.application.sandbox.javascript import (
    JsFileSandbox,
    JsSandbox,
    StandaloneJsFileSandbox,
)
from vumi.application.sandbox.multi_deferred import MultiDeferred
from vumi.application.sandbox.options import (
    JsFileSandboxConfig,
    JsSandboxConfig,
    SandboxConfig,
    StandaloneJsFileSandboxConfig,
)
from vumi.application.sandbox.protocol import SandboxProtocol
from vumi.application.sandbox.resources.base import SandboxResource, SandboxResources
from vumi.application.sandbox.resources.js import JsSandboxResource
from vumi.application.sandbox.resources.log import LoggingResource
from vumi.application.sandbox.rlimiter import SandboxRlimiter
from vumi.application.sandbox.worker import Sandbox

__all__ = [
    "JsFileSandbox",
    "JsFileSandboxConfig",
    "JsSandbox",
    "JsSandboxConfig",
    "JsSandboxResource",
    "LoggingResource",
    "MultiDeferred",
    "Sandbox",
    "SandboxApi",
    "SandboxCommand",
    "SandboxConfig",
    "SandboxError",
    "SandboxProtocol",
    "SandboxResource",
    "SandboxResources",
    "SandboxRlimiter",
    "StandaloneJsFileSandbox",
    "StandaloneJsFileSandboxConfig",
]
