"""The old place of the limiter; it is :mod:`vumi.application.sandbox.rlimiter`'s."""

from vumi.application.sandbox.rlimiter import SandboxRlimiter

__all__ = ["SandboxRlimiter"]
