"""Configurations: declared options, checked whole, documented from their declarations.

Only re-exports: options and configurations are in :mod:`~vumi.config.base`, the types of options
in :mod:`~vumi.config.fields`.
"""

from vumi.config.base import Config, ConfigContext, ConfigField, IConfigData
from vumi.config.docs import describe, field_table_rst
from vumi.config.fallbacks import (
    ClientEndpointFallback,
    FieldFallback,
    FormatStringFieldFallback,
    ServerEndpointFallback,
    SingleFieldFallback,
)
from vumi.config.fields import (
    ConfigBool,
    ConfigClassName,
    ConfigClientEndpoint,
    ConfigDict,
    ConfigFloat,
    ConfigInt,
    ConfigList,
    ConfigRegex,
    ConfigRiak,
    ConfigServerEndpoint,
    ConfigText,
    ConfigUrl,
)
from vumi.config.hints import UnknownKey, null_required_fields, unknown_keys
from vumi.config.redact import redacted
from vumi.errors import ConfigError

__all__ = [
    "ClientEndpointFallback",
    "Config",
    "ConfigBool",
    "ConfigClassName",
    "ConfigClientEndpoint",
    "ConfigContext",
    "ConfigDict",
    "ConfigError",
    "ConfigField",
    "ConfigFloat",
    "ConfigInt",
    "ConfigList",
    "ConfigRegex",
    "ConfigRiak",
    "ConfigServerEndpoint",
    "ConfigText",
    "ConfigUrl",
    "FieldFallback",
    "FormatStringFieldFallback",
    "IConfigData",
    "ServerEndpointFallback",
    "SingleFieldFallback",
    "UnknownKey",
    "describe",
    "field_table_rst",
    "null_required_fields",
    "redacted",
    "unknown_keys",
]
