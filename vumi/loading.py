"""Python objects by their dotted path, as configuration files name them.

Knows how to import; knows nothing of what the objects are for. Loading runs the module's code:
paths come from whoever runs the worker, never from a message.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["import_module", "load_class", "load_class_by_string"]


def import_module(name: str) -> ModuleType:
    """Import a module by its absolute dotted name and return it.

    :raises ImportError: There is no such module, or it failed to import another one.
    """
    return importlib.import_module(name)


def load_class(module_name: str, class_name: str) -> Any:
    """Import a module and return the class (or other object) of that name in it.

    :raises ImportError: There is no such module, or it failed to import another one.
    :raises AttributeError: The module has nothing of that name.
    """
    module = import_module(module_name)
    try:
        return getattr(module, class_name)
    except AttributeError:
        raise AttributeError(
            f"can't load '{module_name}.{class_name}': "
            f"module '{module_name}' has no '{class_name}'",
            name=class_name,
            obj=module,
        ) from None


def load_class_by_string(class_path: str) -> Any:
    """Return the class (or other object) at a dotted path.

    :param class_path: ``package.module.ClassName``.
    :raises ValueError: It is no dotted path.
    :raises ImportError: There is no such module, or it failed to import another one.
    :raises AttributeError: The module has nothing of that name.
    """
    module_name, _, class_name = class_path.rpartition(".")
    if not module_name.strip(".") or module_name.startswith(".") or not class_name:
        raise ValueError(f"{class_path!r} is no dotted path like 'package.module.ClassName'")
    return load_class(module_name, class_name)
