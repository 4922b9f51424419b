"""Applications: what holds the conversation with a user.

What needs more than an application needs by itself (an HTTP client, Redis) is imported when
somebody asks for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vumi.application.base import ApplicationConfig, ApplicationWorker

if TYPE_CHECKING:
    from vumi.application.http_relay import HTTPRelayApplication
    from vumi.application.session import SessionManager

__all__ = ["ApplicationConfig", "ApplicationWorker", "HTTPRelayApplication", "SessionManager"]

# name -> the module that it lives in
_HOMES = {
    "HTTPRelayApplication": "vumi.application.http_relay",
    "SessionManager": "vumi.application.session",
}

# Not seen by mypy: it knows the names from the imports above, and would take every other too.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(home), name)
