"""A middleware that exchanges users' addresses for others.

For testing an application with addresses that a network doesn't know, for instance. Knows nothing
of what an address means.
"""

from __future__ import annotations

from typing import Any

from vumi.config import ConfigDict
from vumi.errors import ConfigError
from vumi.middleware.base import BaseMiddleware, BaseMiddlewareConfig

__all__ = ["AddressTranslationMiddleware", "AddressTranslationMiddlewareConfig"]


class AddressTranslationMiddlewareConfig(BaseMiddlewareConfig):
    """Configuration of the address translation middleware."""

    outbound_map = ConfigDict(
        "The address that the application sends to -> the one that the message is sent to. In "
        "messages from users it is exchanged the other way round, so no two may lead to the same. "
        "Addresses that are not in it stay.",
        required=True,
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        outward: dict[str, str] = {}
        problems = []
        for before, after in (self.outbound_map or {}).items():
            if not (_is_address(before) and _is_address(after)):
                problems.append(
                    f"Field 'outbound_map' must map texts to texts, not {before!r} to {after!r}."
                )
            elif str(after) in outward:
                problems.append(
                    f"Field 'outbound_map' leads two addresses to {after!r}: "
                    f"{outward[str(after)]!r} and {before!r}."
                )
            else:
                outward[str(after)] = before
        if problems:
            raise ConfigError(problems=problems)


def _is_address(value: Any) -> bool:
    # YAML reads digits without quotes as a number.
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))


class AddressTranslationMiddleware(BaseMiddleware):
    """Exchanges ``to_addr`` of messages to users, and back ``from_addr`` of those from users."""

    CONFIG_CLASS = AddressTranslationMiddlewareConfig

    def __init__(self, name: str, config: Any, worker: Any) -> None:
        super().__init__(name, config, worker)
        outbound_map = self.config.outbound_map or {}
        self._outbound = {str(before): str(after) for before, after in outbound_map.items()}
        self._inbound = {after: before for before, after in self._outbound.items()}

    def handle_outbound(self, message: Any, connector_name: str) -> Any:
        message["to_addr"] = self._outbound.get(message["to_addr"], message["to_addr"])
        return message

    def handle_inbound(self, message: Any, connector_name: str) -> Any:
        message["from_addr"] = self._inbound.get(message["from_addr"], message["from_addr"])
        return message
