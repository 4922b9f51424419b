"""The types of options.

Knows what each type accepts and what programs get for it; how values are found is
:mod:`vumi.config.base`'s. No error quotes the value: it may be a secret.
"""

from __future__ import annotations

import re
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import ParseResult, urlparse

from vumi.codecs import is_encoding
from vumi.config.base import ConfigField
from vumi.config.tree import copy_tree
from vumi.process_reactor import process_reactor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

__all__ = [
    "ConfigBool",
    "ConfigChoice",
    "ConfigClassName",
    "ConfigClientEndpoint",
    "ConfigDict",
    "ConfigEncoding",
    "ConfigList",
    "ConfigRegex",
    "ConfigRiak",
    "ConfigServerEndpoint",
    "ConfigText",
    "ConfigUrl",
]


# Plain values


class ConfigText(ConfigField[str]):
    """A text. Numbers are refused: in YAML, quote them."""

    field_type = "str"

    def clean(self, value: Any) -> str:
        """The text as it is."""
        if not isinstance(value, str):
            self.raise_config_error("is not unicode.")
        return value

    def hints(self, value: Any) -> Iterator[str]:
        """What YAML may have made of a text."""
        if isinstance(value, bool):
            yield (
                f"Option {self.name!r} is a text: YAML makes true or false of yes, no, on and "
                "off. Put it in quotes."
            )
        elif isinstance(value, int | float):
            yield (
                f"Option {self.name!r} is a text: YAML makes a number of digits. Put it in quotes."
            )


class ConfigEncoding(ConfigText):
    """The name of an encoding: ``gsm0338``, ``ucs2`` or one of Python's.

    :param others: Further names, which the program that reads the option knows.
    """

    def __init__(self, doc: str, *args: Any, others: Iterable[str] = (), **kw: Any) -> None:
        super().__init__(doc, *args, **kw)
        self.others = tuple(others)

    def clean(self, value: Any) -> str:
        """The name."""
        name = super().clean(value)
        if name not in self.others and not is_encoding(name):
            self.raise_config_error(f"is not the name of an encoding: {name!r}.")
        return name


class ConfigChoice(ConfigText):
    """One of some words.

    :param choices: The words.
    """

    def __init__(self, doc: str, choices: Iterable[str], **kw: Any) -> None:
        super().__init__(doc, **kw)
        self.choices = tuple(choices)

    def clean(self, value: Any) -> str:
        """The word."""
        word = super().clean(value)
        if word not in self.choices:
            known = ", ".join(self.choices)
            near = get_close_matches(word.lower(), self.choices, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            self.raise_config_error(f"must be one of {known}.{hint}")
        return word

    def value_rule(self) -> str:
        """The words."""
        return f"one of {', '.join(self.choices)}"


class ConfigBool(ConfigField[bool]):
    """Yes or no. Of texts ``false``, ``0`` and the empty one mean no, every other yes."""

    field_type = "bool"

    def clean(self, value: Any) -> bool:
        """Whether the value means yes."""
        if isinstance(value, str):
            return value.strip().lower() not in ("false", "0", "")
        return bool(value)

    def hints(self, value: Any) -> Iterator[str]:
        """A value that is neither yes nor no, and counts as one of them."""
        if isinstance(value, str) and value.strip().lower() in ("true", "false", "0", "1", "yes"):
            return
        if not isinstance(value, bool) and value not in (0, 1):
            meant = "true" if self.clean(value) else "false"
            yield (
                f"Option {self.name!r} is neither true nor false, and counts as {meant}. Write "
                "true or false, without quotes."
            )


class ConfigList(ConfigField[list[Any]]):
    """A list (or tuple) of anything."""

    field_type = "list"

    def clean(self, value: Any) -> list[Any]:
        """A deep copy, as a list."""
        if not isinstance(value, list | tuple):
            self.raise_config_error("is not a list.")
        return list(copy_tree(value))


class ConfigDict(ConfigField[dict[str, Any]]):
    """A mapping of anything."""

    field_type = "dict"

    def clean(self, value: Any) -> dict[str, Any]:
        """A deep copy."""
        if not isinstance(value, dict):
            self.raise_config_error("is not a dict.")
        copied: dict[str, Any] = copy_tree(value)
        return copied


class ConfigRiak(ConfigDict):
    """The options of a Riak store: a mapping with at least ``bucket_prefix``."""

    field_type = "riak"

    def clean(self, value: Any) -> dict[str, Any]:
        """A deep copy."""
        cleaned = super().clean(value)
        if "bucket_prefix" not in cleaned:
            self.raise_config_error("does not contain the `bucket_prefix` key.")
        return cleaned


class ConfigUrl(ConfigField[ParseResult]):
    """A URL."""

    field_type = "URL"

    def clean(self, value: Any) -> ParseResult:
        """The URL's parts, as :func:`urllib.parse.urlparse` gives them."""
        if isinstance(value, str):
            with suppress(ValueError):
                return urlparse(value)
        self.raise_config_error("is not a URL string.")


class ConfigRegex(ConfigField[re.Pattern[str]]):
    """A regular expression."""

    field_type = "regex"

    def clean(self, value: Any) -> re.Pattern[str]:
        """The compiled pattern."""
        if not isinstance(value, str):
            self.raise_config_error("is not unicode.")
        try:
            return re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            reason = str(error)
        self.raise_config_error(f"is not a valid regular expression: {reason}.")


# Code


class ConfigClassName(ConfigField[type[Any]]):
    """A class (or whatever makes the objects) by its dotted path.

    :param implements: The zope interface that it must implement.
    """

    field_type = "Class"

    def __init__(
        self,
        doc: str,
        required: bool = False,
        default: Any = None,
        static: bool = False,
        implements: Any = None,
        *,
        secret: bool = False,
    ) -> None:
        super().__init__(doc, required, default, static, secret=secret)
        self.interface = implements

    def clean(self, value: Any) -> type[Any]:
        """The class; it is imported. A class given as an object is taken as it is."""
        found = value if isinstance(value, type) else self._load(value)
        if self.interface is not None and not self._implements(found):
            self.raise_config_error(f"does not implement {self.interface.__identifier__}.")
        return found

    def _load(self, path: Any) -> type[Any]:
        if not isinstance(path, str):
            self.raise_config_error("is not the dotted path of a class.")
        module_name, _, name = path.rpartition(".")
        if module_name.startswith("."):
            self.raise_config_error("is not a full dotted path.")
        try:
            module = import_module(module_name)
        except (ValueError, ImportError) as error:
            self.raise_config_error(str(error))
        except Exception as error:  # noqa: BLE001 (importing runs code, which may raise anything)
            self.raise_config_error(f"could not be imported: {type(error).__name__}: {error}")
        found: Any = getattr(module, name, None)
        if found is None:
            self.raise_config_error(f"names what module {module_name!r} does not have: {name!r}.")
        loaded: type[Any] = found
        return loaded

    def _implements(self, found: Any) -> bool:
        try:
            return bool(self.interface.implementedBy(found))
        except TypeError:
            # Not even something that could implement an interface.
            return False


# Endpoints


class ConfigServerEndpoint(ConfigField["IStreamServerEndpoint"]):
    """Where to listen: a Twisted server endpoint string, or an endpoint."""

    field_type = "twisted_endpoint"

    def clean(self, value: Any) -> IStreamServerEndpoint:
        """The endpoint."""
        from twisted.internet.endpoints import serverFromString
        from twisted.internet.interfaces import IStreamServerEndpoint

        if IStreamServerEndpoint.providedBy(value):
            passed: IStreamServerEndpoint = value
            return passed
        if isinstance(value, str):
            try:
                endpoint: IStreamServerEndpoint = serverFromString(process_reactor(), value)
                return endpoint
            except Exception:  # noqa: BLE001 (a plugin parses the string and may raise anything)
                self.raise_config_error("is not a valid server endpoint")
        self.raise_config_error("is not a valid server endpoint")


class ConfigClientEndpoint(ConfigField["IStreamClientEndpoint"]):
    """Where to connect to: a Twisted client endpoint string, or an endpoint."""

    field_type = "twisted_endpoint"

    def clean(self, value: Any) -> IStreamClientEndpoint:
        """The endpoint."""
        from twisted.internet.endpoints import clientFromString
        from twisted.internet.interfaces import IStreamClientEndpoint

        if IStreamClientEndpoint.providedBy(value):
            passed: IStreamClientEndpoint = value
            return passed
        if isinstance(value, str):
            try:
                endpoint: IStreamClientEndpoint = clientFromString(process_reactor(), value)
                return endpoint
            except Exception:  # noqa: BLE001 (a plugin parses the string and may raise anything)
                self.raise_config_error("is not a valid client endpoint")
        self.raise_config_error("is not a valid client endpoint")
