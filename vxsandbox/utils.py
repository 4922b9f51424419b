"""Odds and ends, where the package of old has them. Only re-exports."""

from vumi.application.sandbox import SandboxError

__all__ = ["SandboxError", "find_nodejs_or_skip_test"]  # noqa: F822 (by __getattr__)


def __getattr__(name: str) -> object:
    # Test code, which a worker that is running must not import.
    if name == "find_nodejs_or_skip_test":
        from vumi.application.tests.helpers import find_nodejs_or_skip_test

        return find_nodejs_or_skip_test
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
