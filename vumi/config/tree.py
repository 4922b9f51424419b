"""Copies of nested plain data, as YAML and JSON give it.

Knows containers and leaves; knows nothing of options or secrets. A YAML anchor may make data hold
itself, so a copier remembers what it has copied: the copy then holds itself too.
"""

from __future__ import annotations

import copy
from typing import Any

__all__ = ["TreeCopier", "copy_tree"]


class TreeCopier:
    """Copies one tree: dicts, lists, tuples and sets anew, leaves as :meth:`leaf` says.

    A copier serves one tree only; make a new one for the next.
    """

    def __init__(self) -> None:
        self._copies: dict[int, Any] = {}

    def copy(self, value: Any) -> Any:
        """The copy of one value and all that it holds."""
        if value is None or isinstance(value, str | bytes | bool | int | float):
            return self.leaf(value)
        if self.is_opaque(value):
            return self.leaf(value)
        if id(value) in self._copies:
            return self._copies[id(value)]
        if isinstance(value, dict):
            mapping: dict[Any, Any] = {}
            self._copies[id(value)] = mapping
            for key, item in value.items():
                new_key, new_item = self.entry(key, item)
                mapping[new_key] = new_item
            return mapping
        if isinstance(value, list):
            items: list[Any] = []
            self._copies[id(value)] = items
            items.extend(self.copy(item) for item in value)
            return items
        if type(value) in (tuple, set, frozenset):
            return type(value)(self.copy(item) for item in value)
        return self.leaf(value)

    def is_opaque(self, value: Any) -> bool:
        """Whether a value is a leaf although it may be a container."""
        return False

    def entry(self, key: Any, value: Any) -> tuple[Any, Any]:
        """The copy of one entry of a dict."""
        return key, self.copy(value)

    def leaf(self, value: Any) -> Any:
        """The copy of what is no container; the thing itself here."""
        return value


class _DeepCopier(TreeCopier):
    """Leaves stay the same objects, unless they say themselves how they are copied.

    So an object that a program put into its configuration (a fake Redis that a test shares with
    a worker) is shared, and one that can't be copied (a lock, a socket) is no error.
    """

    def is_opaque(self, value: Any) -> bool:
        return hasattr(type(value), "__deepcopy__")

    def leaf(self, value: Any) -> Any:
        return copy.deepcopy(value) if self.is_opaque(value) else value


def copy_tree(value: Any) -> Any:
    """A copy of nested data in which no container is shared with the original."""
    return _DeepCopier().copy(value)
