"""Python objects by their dotted path, as configuration files name them.

Knows how to import; knows nothing of what the objects are for. Loading runs the module's code:
paths come from whoever runs the worker, never from a message.
"""

from __future__ import annotations

import importlib
import pkgutil
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["import_module", "load_class", "load_class_by_string"]

#: How alike a name must be to be suggested: 1 is equal.
_LIKENESS = 0.7


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
            f"module '{module_name}' has no '{class_name}'{_nearest_class(module, class_name)}",
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
    try:
        return load_class(module_name, class_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            # Another one, which the module imports.
            raise
        near = _nearest_module(error.name)
        if near is None:
            raise
        path = class_path.replace(error.name, near, 1)
        raise ModuleNotFoundError(
            f"{error}. Did you mean {path!r}?", name=error.name
        ).with_traceback(None) from None


def _nearest_class(module: ModuleType, name: str) -> str:
    names = [known for known, value in vars(module).items() if isinstance(value, type)]
    near = get_close_matches(name, names, n=1, cutoff=_LIKENESS)
    return f". Did you mean '{module.__name__}.{near[0]}'?" if near else ""


def _nearest_module(name: str) -> str | None:
    """The module beside one that is not there, with a name like its."""
    package, _, last = name.rpartition(".")
    try:
        folders = importlib.import_module(package).__path__ if package else None
    except (ImportError, AttributeError):
        return None
    if folders is None:
        return None
    names = [module.name for module in pkgutil.iter_modules(folders)]
    near = get_close_matches(last, names, n=1, cutoff=_LIKENESS)
    return f"{package}.{near[0]}" if near else None
