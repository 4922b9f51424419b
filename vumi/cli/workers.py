"""``vumi workers``: what can be started.

Knows where vumi keeps its workers, and how to tell one that can be started from a base class.
"""

from __future__ import annotations

import inspect
import pkgutil
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from vumi.extras import MissingExtra
from vumi.loading import load_class_by_string

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WorkerEntry", "find_workers", "workers"]

#: Kind -> the packages where workers of that kind are.
PACKAGES = {
    "transport": ("vumi.transports",),
    "application": ("vumi.application", "vumi.demos"),
    "dispatcher": ("vumi.dispatchers",),
}


#: Not found by the rule for base classes: it overrides what calls the method that is left open.
COMPLETE = frozenset(["vumi.transports.external.external.ExternalTransport"])

#: Kind -> the classes that a worker of one's own derives from.
TO_DERIVE_FROM = {
    "transport": ("vumi.transports.Transport",),
    "application": (
        "vumi.application.ApplicationWorker",
        "vumi.application.menus.MenuApplication",
    ),
    "dispatcher": ("vumi.dispatchers.Dispatcher",),
}


@dataclass(frozen=True)
class WorkerEntry:
    """A worker that can be started.

    :param kind: One of :data:`PACKAGES`.
    :param class_path: Its class's dotted path.
    :param summary: The first sentence of its docstring.
    """

    kind: str
    class_path: str
    summary: str


@click.command(epilog="Example: vumi workers --kind transport")
@click.option("--kind", type=click.Choice(list(PACKAGES)), help="Only those of this kind.")
def workers(kind: str | None) -> None:
    """List the workers that come with vumi.

    To see what options one has: vumi describe CLASS.
    """
    unusable: list[str] = []
    for known_kind in PACKAGES if kind is None else [kind]:
        entries = find_workers(known_kind, unusable)
        if entries and kind is None:
            click.secho(f"{known_kind.capitalize()}s", bold=True)
        for entry in entries:
            click.echo(f"  {entry.class_path}: {entry.summary}")
        for class_path in TO_DERIVE_FROM[known_kind]:
            summary = _first_sentence(load_class_by_string(class_path))
            click.echo(f"  {class_path}: (to derive from) {summary}")
    for line in unusable:
        click.echo(line, err=True)


def find_workers(kind: str, unusable: list[str]) -> list[WorkerEntry]:
    """Find the workers of a kind, sorted by their paths.

    :param unusable: Gets a line for each module that can't be imported, most often because a
        package that only it needs is not installed.
    """
    found = {
        entry.class_path: entry
        for package in PACKAGES[kind]
        for module in _modules(package, unusable)
        for entry in _workers_of(module, kind)
    }
    return sorted(found.values(), key=lambda entry: entry.class_path)


def _modules(package_name: str, unusable: list[str]) -> Iterator[Any]:
    """All modules in a package, without tests."""
    module = _import(package_name, unusable)
    if module is None:
        return
    yield module
    for info in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if info.name != "tests":
            yield from _modules(f"{package_name}.{info.name}", unusable)


def _import(name: str, unusable: list[str]) -> Any:
    try:
        return import_module(name)
    except (ImportError, MissingExtra) as error:
        unusable.append(f"Not usable: {name}: {error}.")
        return None


def _workers_of(module: Any, kind: str) -> Iterator[WorkerEntry]:
    if module.__name__.endswith(".base"):
        return
    for name, value in vars(module).items():
        if name.startswith("_") or not _can_be_started(value) or value.__name__ != name:
            continue
        if value.__module__ == module.__name__:
            class_path = _shortest_path(module.__name__, name)
            yield WorkerEntry(kind, class_path, _first_sentence(value))


def _can_be_started(value: Any) -> bool:
    """Whether something is a worker class, and no method of it is left to subclasses."""
    from vumi.service import Worker

    if not (isinstance(value, type) and issubclass(value, Worker)):
        return False
    if value.startWorker is Worker.startWorker:
        return False
    if f"{value.__module__}.{value.__qualname__}" in COMPLETE:
        return True
    methods = (method for _, method in inspect.getmembers(value, inspect.isfunction))
    return not any("NotImplementedError" in method.__code__.co_names for method in methods)


def _shortest_path(module_name: str, name: str) -> str:
    """The path to use: of the package, if it has the class too."""
    package_name = module_name.rpartition(".")[0]
    package = import_module(package_name)
    if name in getattr(package, "__all__", ()):
        return f"{package_name}.{name}"
    return f"{module_name}.{name}"


def _first_sentence(worker: type[Any]) -> str:
    paragraph = inspect.cleandoc(worker.__doc__ or "").partition("\n\n")[0]
    words = " ".join(paragraph.split())
    first, end, _ = words.partition(". ")
    return f"{first}." if end else words
