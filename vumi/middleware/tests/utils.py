"""A middleware that shows in every message that it has passed. Part of the public test kit."""

from __future__ import annotations

from typing import Any

from vumi.middleware.base import BaseMiddleware

__all__ = ["RecordingMiddleware"]


class RecordingMiddleware(BaseMiddleware):
    """Appends ``(name, kind, connector name)`` to the list ``record`` of each message.

    Once the message has travelled the entries are lists, as JSON has no tuples.
    """

    def _record(self, kind: str, message: Any, connector_name: str) -> Any:
        message.payload.setdefault("record", []).append((self.name, kind, connector_name))
        return message

    def handle_inbound(self, message: Any, connector_name: str) -> Any:
        return self._record("inbound", message, connector_name)

    def handle_outbound(self, message: Any, connector_name: str) -> Any:
        return self._record("outbound", message, connector_name)

    def handle_event(self, event: Any, connector_name: str) -> Any:
        return self._record("event", event, connector_name)

    def handle_failure(self, failure: Any, connector_name: str) -> Any:
        return self._record("failure", failure, connector_name)

    def handle_status(self, status: Any, connector_name: str) -> Any:
        return self._record("status", status, connector_name)
