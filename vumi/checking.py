"""Is this a worker, and can its configuration be used? Answers in sentences, starts nothing.

Knows workers by their class. Knows no command line: who asks decides what to do with the answer.
"""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import vumi.loading
from vumi.errors import ConfigError
from vumi.extras import MissingExtra
from vumi.loading import load_class_by_string
from vumi.service import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Findings",
    "check_worker",
    "class_path_of",
    "explain",
    "load_from_here",
    "load_worker_class",
]


@dataclass(frozen=True)
class Findings:
    """What is wrong with a worker's configuration, in sentences.

    :param errors: With these the worker can't start.
    :param warnings: It starts, but this is probably not what was meant: unknown options.
    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """Errors and warnings."""
        return self.errors + self.warnings


def load_from_here(class_path: str, what: str = "") -> Any:
    """Find a class, also in the folder that the program was started in.

    :param class_path: Its dotted path.
    :param what: What an error text calls it, with a space after it.
    :raises ConfigError: There is no such class, or importing it failed.
    """
    here = os.getcwd()
    if here not in sys.path:
        # As python itself does for a script: authors start a worker where its module is.
        sys.path.insert(0, here)
    try:
        return load_class_by_string(class_path)
    except Exception as error:
        # Importing runs code, which may raise anything.
        raise ConfigError(f"{what}{class_path!r} can't be loaded: {explain(error)}") from error


def load_worker_class(worker_class: str) -> type[Worker]:
    """Find a worker class, also in the folder that the program was started in.

    :param worker_class: Its dotted path.
    :raises ConfigError: There is no such class, importing it failed, or it is no worker.
    """
    found = load_from_here(worker_class, "Worker class ")
    if not (isinstance(found, type) and issubclass(found, Worker)):
        raise ConfigError(f"{worker_class!r} is not a worker class.")
    return found


def class_path_of(config: Mapping[str, Any], file: str) -> str:
    """Which class a configuration file is for, as the file itself says it.

    :param config: What is in the file.
    :param file: Its name, for the error text.
    :returns: What ``worker_class`` says, or the MultiWorker's path if there are ``workers``.
    :raises ConfigError: The file has neither.
    """
    if "worker_class" in config:
        return str(config["worker_class"])
    if "workers" in config:
        return "vumi.multiworker.MultiWorker"
    raise ConfigError(
        f"{file} does not say which worker it is for: give --worker-class CLASS, or write "
        "'worker_class: CLASS' into the file."
    )


def check_worker(worker_class: type[Worker], config: Mapping[str, Any]) -> Findings:
    """Check a worker's configuration.

    A worker that doesn't derive from :class:`vumi.worker.BaseWorker` declares no options; nothing
    can be said about those.

    :param worker_class: The worker's class; if it has ``check_config``, that is asked.
    :param config: The worker's configuration.
    """
    checked: Any = worker_class
    if not hasattr(checked, "check_config"):
        return Findings()
    try:
        return Findings(warnings=tuple(checked.check_config(dict(config)) or ()))
    except ConfigError as error:
        errors = error.problems
    except Exception as error:  # noqa: BLE001 (a worker's own checks may raise anything)
        errors = (f"The configuration could not be checked: {explain(error)}",)
    return Findings(errors, tuple(checked.config_warnings(config)))


def explain(error: BaseException) -> str:
    """What an exception says, with its type unless it says enough, and where it was raised.

    The place is the innermost one outside of the import machinery; an import that finds nothing
    has none.
    """
    words = str(error)
    if isinstance(error, MissingExtra):
        return words
    if not words or not isinstance(error, ImportError | AttributeError | ValueError):
        words = f"{type(error).__name__}: {words}" if words else type(error).__name__
    place = _innermost_place(error)
    return f"{words} ({place})" if place else words


def _innermost_place(error: BaseException) -> str:
    frames = list(traceback.extract_tb(error.__traceback__))
    loading = [n for n, frame in enumerate(frames) if frame.filename == vumi.loading.__file__]
    if loading:
        # Who wanted something loaded is not to blame for what happens then.
        frames = frames[loading[-1] + 1 :]
    for frame in reversed(frames):
        if "importlib" not in frame.filename:
            return f"{frame.filename}, line {frame.lineno}"
    return ""
