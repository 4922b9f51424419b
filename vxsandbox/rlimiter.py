"""The limiter, where the package of old has it. Only re-exports."""

from vumi.application.sandbox import SandboxRlimiter

__all__ = ["SandboxRlimiter"]
