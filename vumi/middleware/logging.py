"""A middleware that writes every message to the log."""

from __future__ import annotations

from typing import Any

from vumi import log
from vumi.config import ConfigError, ConfigText
from vumi.middleware.base import BaseMiddleware, BaseMiddlewareConfig

__all__ = ["LoggingMiddleware", "LoggingMiddlewareConfig"]

LEVELS = ("debug", "info", "warning", "error", "critical")


class LoggingMiddlewareConfig(BaseMiddlewareConfig):
    """Configuration of the logging middleware."""

    log_level = ConfigText(
        f"The level that messages are logged at: one of {', '.join(LEVELS)}.",
        default="info",
        static=True,
    )
    failure_log_level = ConfigText(
        "The level that failure messages are logged at.", default="error", static=True
    )

    def post_validate(self) -> None:
        for name in ("log_level", "failure_log_level"):
            level = getattr(self, name)
            if level not in LEVELS:
                raise ConfigError(
                    f"Field '{name}' is not a log level: {level!r} is none of {', '.join(LEVELS)}."
                )


class LoggingMiddleware(BaseMiddleware):
    """Logs each message as ``Processed <kind> message for <connector>: <JSON>``.

    Operators' tools read these lines; the words before the JSON stay as they are.
    """

    CONFIG_CLASS = LoggingMiddlewareConfig

    def setup_middleware(self) -> None:
        self._log = getattr(log, self.config.log_level)
        self._log_failure = getattr(log, self.config.failure_log_level)

    def _write(self, kind: str, logger: Any, message: Any, connector_name: str) -> Any:
        logger(f"Processed {kind} message for {connector_name}: {message.to_json()}")
        return message

    def handle_inbound(self, message: Any, connector_name: str) -> Any:
        return self._write("inbound", self._log, message, connector_name)

    def handle_outbound(self, message: Any, connector_name: str) -> Any:
        return self._write("outbound", self._log, message, connector_name)

    def handle_event(self, event: Any, connector_name: str) -> Any:
        return self._write("event", self._log, event, connector_name)

    def handle_failure(self, failure: Any, connector_name: str) -> Any:
        return self._write("failure", self._log_failure, failure, connector_name)

    def handle_status(self, status: Any, connector_name: str) -> Any:
        return self._write("status", self._log, status, connector_name)
