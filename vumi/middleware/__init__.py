"""Middleware: what every message of a worker passes on its way in and out."""

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

__all__ = [
    "ApplicationMiddleware",
    "BaseMiddleware",
    "BaseMiddlewareConfig",
    "LoggingMiddleware",
    "MiddlewareError",
    "MiddlewareStack",
    "TransportMiddleware",
    "create_middlewares_from_config",
    "setup_middlewares_from_config",
]
