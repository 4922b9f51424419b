"""Transports: what speaks to a network of phones on one side and to the broker on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.transports.base import Transport, TransportConfig

if TYPE_CHECKING:
    from vumi.transports.retries import FailureWorker

__all__ = ["FailureWorker", "Transport", "TransportConfig"]

# Not seen by mypy: it knows the name from the import above, and would take every other too.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Imported when asked for: it needs a Redis client, a transport may not.
        if name != "FailureWorker":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from vumi.transports.retries import FailureWorker

        return FailureWorker
