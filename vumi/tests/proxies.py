"""How a test helper offers the methods of the helpers that it is made of."""

from __future__ import annotations

from typing import Any, Final, TypeVar

__all__ = ["DEFAULT", "generate_proxies", "proxyable"]

F = TypeVar("F")


class _Default:
    def __repr__(self) -> str:
        return "DEFAULT"


#: An argument that was not given: the helper's own default is meant, which ``None`` is not.
#: Any, because it stands where texts and dicts are expected.
DEFAULT: Final[Any] = _Default()


def proxyable(func: F) -> F:
    """Mark a method as one that :func:`generate_proxies` passes on."""
    func.proxyable = True  # type: ignore[attr-defined]  # functions take any attribute
    return func


def generate_proxies(target: object, source: object) -> None:
    """Give an object all those attributes of another one that are marked :func:`proxyable`.

    :raises AttributeError: The target has an attribute of such a name already.
    """
    for name in dir(source):
        attribute = getattr(source, name)
        if not getattr(attribute, "proxyable", False):
            continue
        if hasattr(target, name):
            raise AttributeError(f"Attribute already exists: {name}")
        setattr(target, name, attribute)
