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
    ConfigEncoding,
    ConfigList,
    ConfigRegex,
    ConfigRiak,
    ConfigServerEndpoint,
    ConfigText,
    ConfigUrl,
)
from vumi.config.hints import (
    UnknownKey,
    config_hints,
    null_required_fields,
    unknown_keys,
    value_hints,
)
from vumi.config.numbers import (
    Bounds,
    ConfigCount,
    ConfigFloat,
    ConfigInt,
    ConfigPort,
    ConfigSeconds,
)
from vumi.config.redact import redacted
from vumi.config.sections import ConfigSection, ConfigSectionList, ConfigSectionMap
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
    "ConfigEncoding",
    "ConfigError",
    "ConfigField",
    "ConfigFloat",
    "ConfigInt",
    "ConfigList",
    "ConfigPort",
    "ConfigRegex",
    "ConfigRiak",
    "ConfigSeconds",
    "ConfigSection",
    "ConfigSectionList",
    "ConfigSectionMap",
    "ConfigServerEndpoint",
    "ConfigText",
    "ConfigUrl",
    "FieldFallback",
    "FormatStringFieldFallback",
    "IConfigData",
    "ServerEndpointFallback",
    "SingleFieldFallback",
    "UnknownKey",
    "config_hints",
    "describe",
    "field_table_rst",
    "null_required_fields",
    "redacted",
    "unknown_keys",
    "value_hints",
]
