"""Where an option's value comes from when it isn't given itself.

Knows how to build a value from other options; the option that asked cleans it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vumi.config.base import Config, ConfigField

__all__ = [
    "ClientEndpointFallback",
    "FieldFallback",
    "FormatStringFieldFallback",
    "ServerEndpointFallback",
    "SingleFieldFallback",
]


class FieldFallback:
    """A way to build an option's value from others.

    Subclasses set :attr:`required_fields` and override :meth:`build_value`.
    """

    #: The options that must be given (themselves or by their own fallbacks).
    required_fields: Sequence[str] = ()

    def present(self, config: Config) -> bool:
        """Whether all that is needed was given; defaults don't count.

        :raises ConfigError: A needed option is not declared.
        """
        return all(_field(config, name).present(config) for name in self.required_fields)

    def build_value(self, config: Config) -> Any:
        """Build the value. Called only if :meth:`present`.

        :returns: The value as it might have been given; it is cleaned afterwards.
        """
        raise NotImplementedError


class SingleFieldFallback(FieldFallback):
    """Takes the value of another option.

    :param field_name: The other option's name.
    """

    def __init__(self, field_name: str) -> None:
        self.field_name = field_name
        self.required_fields = (field_name,)

    def build_value(self, config: Config) -> Any:
        """The other option's cleaned value."""
        return _value(config, self.field_name)


class FormatStringFieldFallback(FieldFallback):
    """Builds a text from other options with :meth:`str.format`.

    :param format_string: The text, such as ``"http://{host}:{port}/"``.
    :param required_fields: The options that must be given.
    :param optional_fields: Further options used; their defaults will do.
    """

    def __init__(
        self,
        format_string: str,
        required_fields: Iterable[str],
        optional_fields: Iterable[str] = (),
    ) -> None:
        self.format_string = format_string
        self.required_fields = tuple(required_fields)
        self.optional_fields = tuple(optional_fields)

    def build_value(self, config: Config) -> str:
        """The text with the options' cleaned values in it."""
        names = (*self.required_fields, *self.optional_fields)
        return self.format_string.format(**{name: _value(config, name) for name in names})


class ServerEndpointFallback(FieldFallback):
    """Builds a TCP server endpoint from a port and, if there is one, an interface's address.

    :param host_field: The option with the address to listen on; ``None`` means all.
    :param port_field: The option with the port.
    """

    def __init__(self, host_field: str = "host", port_field: str = "port") -> None:
        self.host_field = host_field
        self.port_field = port_field
        self.required_fields = (port_field,)

    def build_value(self, config: Config) -> str:
        """An endpoint string such as ``tcp:port=8080:interface=127.0.0.1``."""
        endpoint = f"tcp:port={_quoted(_value(config, self.port_field))}"
        host = _value(config, self.host_field)
        return endpoint if host is None else f"{endpoint}:interface={_quoted(host)}"


class ClientEndpointFallback(FieldFallback):
    """Builds a TCP client endpoint from a host and a port.

    :param host_field: The option with the host's name or address.
    :param port_field: The option with the port.
    """

    def __init__(self, host_field: str = "host", port_field: str = "port") -> None:
        self.host_field = host_field
        self.port_field = port_field
        self.required_fields = (host_field, port_field)

    def build_value(self, config: Config) -> str:
        """An endpoint string such as ``tcp:host=example.com:port=2775``."""
        host = _quoted(_value(config, self.host_field))
        return f"tcp:host={host}:port={_quoted(_value(config, self.port_field))}"


def _field(config: Config, name: str) -> ConfigField[Any]:
    try:
        return config._fields[name]
    except KeyError:
        raise ConfigError(f"Undefined fallback field: '{name}'") from None


def _value(config: Config, name: str) -> Any:
    _field(config, name)
    # As an attribute: a static configuration then guards its fallbacks too.
    return getattr(config, name)


def _quoted(value: Any) -> str:
    # Imported here: reading a configuration should not load all of Twisted's networking.
    from twisted.internet.endpoints import quoteStringArgument

    # IPv6 addresses have colons, which separate the parts of an endpoint.
    quoted: str = quoteStringArgument(str(value))
    return quoted
