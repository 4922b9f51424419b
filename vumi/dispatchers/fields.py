"""The types of options that dispatchers have: names of connectors, and mappings to such names.

Knows what can be written where a name is wanted. Knows no router; which names there are, the
dispatcher says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.config import ConfigDict, ConfigField

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ConfigNameMapping", "ConfigNames", "ConfigNamesMapping", "ConfigRoutingTable"]


def name_problem(name: Any) -> str:
    """What is wrong with a connector's name; ``""`` if nothing is."""
    if not isinstance(name, str):
        return f"{name!r} is no text: in YAML, quote it"
    if not name:
        return "a name is empty"
    if name != name.lower():
        return f"{name!r} is not all lower case"
    return ""


class ConfigNames(ConfigField[tuple[str, ...]]):
    """Names of connectors: a list of them, or one by itself."""

    field_type = "list of names"

    def clean(self, value: Any) -> tuple[str, ...]:
        """The names."""
        return names_in(value, self.raise_config_error)


def names_in(value: Any, fail: Callable[[str], Any]) -> tuple[str, ...]:
    """The names in a value: those of a list, each once, or a single one."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        fail("is not a list of names.")
    for name in value:
        if problem := name_problem(name):
            fail(f"is not a list of names: {problem}.")
    return tuple(dict.fromkeys(value))


class ConfigNamesMapping(ConfigField[dict[str, tuple[str, ...]]]):
    """A mapping of texts to names of connectors: a list of them each, or one by itself."""

    field_type = "dict of lists of names"

    def clean(self, value: Any) -> dict[str, tuple[str, ...]]:
        """The names by key."""
        _check_keys(self, value)

        def fail_at(key: str) -> Callable[[str], Any]:
            return lambda words: self.raise_config_error(f"at {key!r} {words}")

        return {key: names_in(names, fail_at(key)) for key, names in value.items()}


class ConfigNameMapping(ConfigField[dict[str, str]]):
    """A mapping of texts to one name of a connector each."""

    field_type = "dict of names"

    def clean(self, value: Any) -> dict[str, str]:
        """The name by key."""
        _check_keys(self, value)
        for key, name in value.items():
            if problem := name_problem(name):
                self.raise_config_error(f"at {key!r} has no name: {problem}.")
        return dict(value)


def _check_keys(field: ConfigField[Any], value: Any) -> None:
    if not isinstance(value, dict):
        field.raise_config_error("is not a dict.")
    for key in value:
        if not isinstance(key, str):
            # 9292, +27831234567 and yes are no texts in YAML.
            field.raise_config_error(f"has a key that is no text, {key!r}: in YAML, quote it.")


class ConfigRoutingTable(ConfigDict):
    """Connector -> endpoint -> a list of the target connector and its endpoint.

    The target may be the connector by itself; its endpoint is then ``default``.
    """

    field_type = "dict of dicts of targets"

    def clean(self, value: Any) -> dict[str, dict[str, tuple[str, str]]]:
        """The table, with each target a pair."""
        _check_keys(self, value)
        table: dict[str, dict[str, tuple[str, str]]] = {}
        for connector, rows in value.items():
            if not isinstance(rows, dict):
                self.raise_config_error(f"at {connector!r} is not a dict of endpoints.")
            table[connector] = {}
            for endpoint, target in rows.items():
                if not isinstance(endpoint, str):
                    self.raise_config_error(
                        f"at {connector!r} has an endpoint that is no text, {endpoint!r}: in "
                        "YAML, quote it."
                    )
                pair = target_in(target)
                if pair is None:
                    self.raise_config_error(
                        f"at {connector!r}, {endpoint!r} is not a list of two, connector and "
                        "endpoint."
                    )
                table[connector][endpoint] = pair
        return table


def target_in(value: Any) -> tuple[str, str] | None:
    """Connector and endpoint that a value names; ``None`` if it doesn't."""
    if isinstance(value, str):
        value = [value, "default"]
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    connector, endpoint = value
    if name_problem(connector) or not isinstance(endpoint, str):
        return None
    return connector, endpoint
