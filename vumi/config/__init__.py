"""Configurations: declared options, checked whole, documented from their declarations.

Only re-exports: options and configurations are in :mod:`~vumi.config.base`, the types of options
in :mod:`~vumi.config.fields` and :mod:`~vumi.config.numbers`.
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
    ConfigChoice,
    ConfigClassName,
    ConfigClientEndpoint,
    ConfigDict,
    ConfigList,
    ConfigRegex,
    ConfigRiak,
    ConfigServerEndpoint,
    ConfigText,
    ConfigUrl,
)
from vumi.config.hints import UnknownKey, null_required_fields, unknown_keys
from vumi.config.numbers import (
    Bounds,
    ConfigCount,
    ConfigFloat,
    ConfigInt,
    ConfigPort,
    ConfigSeconds,
)
from vumi.config.redact import redacted
from vumi.errors import ConfigError

__all__ = [
    "Bounds",
    "ClientEndpointFallback",
    "Config",
    "ConfigBool",
    "ConfigChoice",
    "ConfigClassName",
    "ConfigClientEndpoint",
    "ConfigContext",
    "ConfigCount",
    "ConfigDict",
    "ConfigError",
    "ConfigField",
    "ConfigFloat",
    "ConfigInt",
    "ConfigList",
    "ConfigPort",
    "ConfigRegex",
    "ConfigRiak",
    "ConfigSeconds",
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
