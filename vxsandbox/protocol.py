"""The protocol, where the package of old has it. Only re-exports."""

from vumi.application.sandbox import MultiDeferred, SandboxProtocol

__all__ = ["MultiDeferred", "SandboxProtocol"]
