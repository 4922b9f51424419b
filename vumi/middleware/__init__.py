"""Middleware: what every message of a worker passes on its way in and out.

Those that keep something in Redis are imported when somebody asks for them: a worker without them
needs no Redis client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vumi.middleware.address_translator import AddressTranslationMiddleware
from vumi.middleware.base import (
    ApplicationMiddleware,
    BaseMiddleware,
    BaseMiddlewareConfig,
    MiddlewareError,
    MiddlewareStack,
    TransportMiddleware,
    create_middlewares_from_config,
    setup_middlewares_from_config,
)
from vumi.middleware.logging import LoggingMiddleware
from vumi.middleware.provider_setter import (
    AddressPrefixProviderSettingMiddleware,
    StaticProviderSettingMiddleware,
)
from vumi.middleware.tagger import TaggingMiddleware

if TYPE_CHECKING:
    from vumi.middleware.deduplication import DeduplicationMiddleware
    from vumi.middleware.message_storing import StoringMiddleware
    from vumi.middleware.opt_out import OptOutMiddleware
    from vumi.middleware.rate_limit import RateLimitMiddleware
    from vumi.middleware.session_length import SessionLengthMiddleware

__all__ = [
    "AddressPrefixProviderSettingMiddleware",
    "AddressTranslationMiddleware",
    "ApplicationMiddleware",
    "BaseMiddleware",
    "BaseMiddlewareConfig",
    "DeduplicationMiddleware",
    "LoggingMiddleware",
    "MiddlewareError",
    "MiddlewareStack",
    "OptOutMiddleware",
    "RateLimitMiddleware",
    "SessionLengthMiddleware",
    "StaticProviderSettingMiddleware",
    "StoringMiddleware",
    "TaggingMiddleware",
    "TransportMiddleware",
    "create_middlewares_from_config",
    "setup_middlewares_from_config",
]

# name -> the module that it lives in
_HOMES = {
    "DeduplicationMiddleware": "vumi.middleware.deduplication",
    "OptOutMiddleware": "vumi.middleware.opt_out",
    "RateLimitMiddleware": "vumi.middleware.rate_limit",
    "SessionLengthMiddleware": "vumi.middleware.session_length",
    "StoringMiddleware": "vumi.middleware.message_storing",
}

# Not seen by mypy: it knows the names from the imports above, and would take every other too.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(home), name)
