"""Files made of templates, and the names that may go into them. What ``vumi new`` writes with.

In the templates ``$name`` and so on are filled in; a dollar that is meant is written twice.
"""

from __future__ import annotations

import keyword
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from vumi.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["TEMPLATES", "check_name", "class_name_of", "filled_in", "title_of", "write_files"]

TEMPLATES = Path(__file__).parent / "templates"
MAX_NAME = 40


def check_name(name: str, taken: Collection[str] = (), is_within_package: bool = False) -> None:
    """Make sure that a module can be called so.

    :param taken: Names that something else has.
    :param is_within_package: Whether it becomes part of a package: other modules may have the name
        then.
    :raises ConfigError: It can't.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or len(name) > MAX_NAME:
        near = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        hint = f" Maybe {near!r}?" if near and len(near) <= MAX_NAME else ""
        raise ConfigError(
            f"{name!r} can't be the name: it needs lower-case letters, digits and underscores, a "
            f"letter first, {MAX_NAME} at most.{hint}"
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ConfigError(f"{name!r} can't be the name: it is a word of Python.")
    if name in taken:
        raise ConfigError(f"{name!r} can't be the name: a file or option of the project has it.")
    if is_within_package:
        return
    if name in sys.stdlib_module_names or _is_installed(name) or _is_installed(f"test_{name}"):
        raise ConfigError(f"{name!r} can't be the name: there is a module of that name.")


def _is_installed(name: str) -> bool:
    # What is in the current folder may well be this very project.
    here = ("", str(Path.cwd()))
    path = [entry for entry in sys.path if entry not in here]
    return PathFinder.find_spec(name, path) is not None


def class_name_of(name: str) -> str:
    """``my_clinic`` -> ``MyClinic``."""
    return "".join(word.capitalize() for word in name.split("_"))


def title_of(name: str) -> str:
    """``my_clinic`` -> ``My clinic``."""
    return " ".join(name.split("_")).strip().capitalize()


def filled_in(template: Path, values: Mapping[str, str]) -> str:
    """A template's text with values in it."""
    return Template(template.read_text("utf-8")).substitute(values)


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write files into a folder, which is made if it isn't there, and so are those in it.

    :param files: Path in the folder -> content.
    :raises ConfigError: One of them is there already (then none is written), or can't be written.
    """
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise ConfigError(
            f"{folder} has {', '.join(there)} already; nothing was written. Choose another "
            "--directory."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(content)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or folder} can't be written: {error.strerror}."
        ) from error
