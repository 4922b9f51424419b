"""What in raw configuration data is probably a mistake, though it can be loaded.

Knows names; what a value should look like, its option says. Old files must load, so nothing here
is an error by itself: the caller decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vumi.config.base import Config

__all__ = ["UnknownKey", "config_hints", "null_required_fields", "unknown_keys"]

#: How alike a name must be to be suggested: 1 is equal. "web_pth" is near "web_path", "host"
#: is not near "port".
_LIKENESS = 0.7


@dataclass(frozen=True)
class UnknownKey:
    """An option that nobody declared.

    :param key: The option's name as it was given.
    :param suggestion: The known name nearest to it, or ``None`` if none is near.
    """

    key: str
    suggestion: str | None = None

    def sentence(self) -> str:
        """What to tell the user."""
        if self.suggestion is None:
            return f"Unknown option {self.key!r}."
        return f"Unknown option {self.key!r}. Did you mean {self.suggestion!r}?"


def config_hints(
    config_class: type[Config], data: Mapping[Any, Any], extra: Iterable[str] = ()
) -> list[str]:
    """A sentence for everything that is probably a mistake, also in sections.

    :param extra: Further known names, as for :func:`unknown_keys`.
    """
    return [
        *(unknown.sentence() for unknown in unknown_keys(config_class, data, extra)),
        *null_required_fields(config_class, data),
        *value_hints(config_class, data),
    ]


def value_hints(config_class: type[Config], data: Mapping[Any, Any]) -> Iterator[str]:
    """A sentence for each value that is probably not what was meant."""
    if not isinstance(data, Mapping):
        return
    for field in config_class._fields.values():
        value = data.get(field.name)
        if value is not None:
            yield from field.hints(value)


def unknown_keys(
    config_class: type[Config], data: Mapping[Any, Any], extra: Iterable[str] = ()
) -> list[UnknownKey]:
    """The top-level options that are not known, in the order of the data.

    Known are the fields of the class and the names of the middlewares in ``middleware``, each of
    which has its section.

    :param extra: Further known names, such as ``middleware`` itself where it is no field.
    """
    if not isinstance(data, Mapping):
        # The configuration itself says that it must be one.
        return []
    fields = (field.name for field in config_class._fields.values())
    known = {*fields, *_middleware_names(data), *extra}
    by_spelling = {_spelling(name): name for name in sorted(known)}
    unknown = []
    for key in data:
        if key in known:
            continue
        near = get_close_matches(_spelling(str(key)), by_spelling, n=1, cutoff=_LIKENESS)
        unknown.append(UnknownKey(str(key), by_spelling[near[0]] if near else None))
    return unknown


def _spelling(name: str) -> str:
    # "Transport-Name" and "transportName" differ from "transport_name" in style only.
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def _middleware_names(data: Mapping[Any, Any]) -> Iterator[str]:
    entries = data.get("middleware")
    if not isinstance(entries, list | tuple):
        return
    for entry in entries:
        if isinstance(entry, dict):
            yield from (name for name in entry if isinstance(name, str))


def null_required_fields(config_class: type[Config], data: Mapping[Any, Any]) -> list[str]:
    """A sentence for each required option that is given as null.

    Null counts as given, as it always has; it is rarely what was meant.
    """
    if not isinstance(data, Mapping):
        return []
    return [
        f"Option {field.name!r} is required but is null."
        for field in config_class._fields.values()
        if field.required and field.name in data and data[field.name] is None
    ]
