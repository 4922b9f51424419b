"""What sandboxed programs can ask for, one module for each resource. Only re-exports."""

from vumi.application.sandbox.command import SandboxCommand
from vumi.application.sandbox.resources.base import SandboxResource, SandboxResources
from vumi.application.sandbox.resources.js import JsSandboxResource
from vumi.application.sandbox.resources.log import LoggingResource

__all__ = [
    "JsSandboxResource",
    "LoggingResource",
    "SandboxCommand",
    "SandboxResource",
    "SandboxResources",
]
