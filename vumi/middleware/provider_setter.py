"""Middlewares that set a message's ``provider``: the network operator of its user.

Knows addresses by their prefixes only.
"""

from __future__ import annotations

from typing import Any

from vumi import log
from vumi.config import ConfigDict, ConfigText
from vumi.errors import VumiError
from vumi.middleware.base import BaseMiddleware, BaseMiddlewareConfig
from vumi.msisdn import normalize_msisdn

__all__ = [
    "AddressPrefixProviderSettingMiddleware",
    "AddressPrefixProviderSettingMiddlewareConfig",
    "ProviderSettingMiddlewareError",
    "StaticProviderSettingMiddleware",
    "StaticProviderSettingMiddlewareConfig",
]


class ProviderSettingMiddlewareError(VumiError):
    """A message has no address to tell the provider by."""


class StaticProviderSettingMiddlewareConfig(BaseMiddlewareConfig):
    """Configuration of the static provider setting middleware."""

    provider = ConfigText("The provider of all messages.", required=True, static=True)


class StaticProviderSettingMiddleware(BaseMiddleware):
    """Sets one provider for all messages, also for those that have one."""

    CONFIG_CLASS = StaticProviderSettingMiddlewareConfig

    def __init__(self, name: str, config: Any, worker: Any) -> None:
        super().__init__(name, config, worker)
        self._provider = self.config.provider

    def handle_inbound(self, message: Any, connector_name: str) -> Any:
        message["provider"] = self._provider
        return message

    def handle_outbound(self, message: Any, connector_name: str) -> Any:
        return self.handle_inbound(message, connector_name)


class AddressPrefixProviderSettingMiddlewareConfig(BaseMiddlewareConfig):
    """Configuration of the address prefix provider setting middleware."""

    provider_prefixes = ConfigDict(
        "Prefix of the user's address -> provider. The longest prefix that fits is taken.",
        required=True,
        static=True,
    )
    normalize_msisdn = ConfigDict(
        "How addresses are written before prefixes are looked for; the message keeps its own. "
        "``country_code``: the country of numbers in national form, required. ``strip_plus``: "
        "whether the leading + is taken off, default false. Without this section addresses are "
        "taken as they are.",
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        if self.provider_prefixes is None:
            self.raise_config_error("Field 'provider_prefixes' must not be null.")
        if self.normalize_msisdn is not None and not self.normalize_msisdn.get("country_code"):
            self.raise_config_error(
                "Option 'normalize_msisdn' does not contain the `country_code` key."
            )


class AddressPrefixProviderSettingMiddleware(BaseMiddleware):
    """Sets the provider by the prefix of the user's address, in messages that have none.

    Where no prefix fits it is set to ``None``.
    """

    CONFIG_CLASS = AddressPrefixProviderSettingMiddlewareConfig

    def __init__(self, name: str, config: Any, worker: Any) -> None:
        super().__init__(name, config, worker)
        # Digits without quotes are numbers in YAML.
        prefixes = {str(key): value for key, value in self.config.provider_prefixes.items()}
        self._prefixes = sorted(prefixes.items(), key=lambda item: len(item[0]), reverse=True)
        normalize = self.config.normalize_msisdn
        self._country_code = None if normalize is None else str(normalize["country_code"])
        self._strip_plus = bool(normalize and normalize.get("strip_plus"))

    def handle_inbound(self, message: Any, connector_name: str) -> Any:
        return self._set_provider(message, "from_addr")

    def handle_outbound(self, message: Any, connector_name: str) -> Any:
        return self._set_provider(message, "to_addr")

    def _set_provider(self, message: Any, field: str) -> Any:
        if message.get("provider") is None:
            message["provider"] = self._provider_of(message[field], message)
        return message

    def _provider_of(self, address: str | None, message: Any) -> str | None:
        if address is None:
            log.err(
                ProviderSettingMiddlewareError(
                    f"Message {message['message_id']} has no address to set the provider by."
                )
            )
            return None
        if self._country_code is not None:
            address = normalize_msisdn(address, country_code=self._country_code)
        if self._strip_plus:
            address = address.removeprefix("+")
        for prefix, provider in self._prefixes:
            if address.startswith(prefix):
                return str(provider)
        return None
