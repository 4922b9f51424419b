"""``vumi new``: a project to start from.

Knows the files of a project (``templates/``, beside this module) and what a project may be
called. In the templates ``$name`` and so on are filled in; a dollar that is meant is written
twice.
"""

from __future__ import annotations

import keyword
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import click

import vumi as package
from vumi.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["new"]

TEMPLATES = Path(__file__).parent / "templates"

#: File -> the template that it is made from.
APPLICATION_FILES = {
    "{name}.py": "application.py.txt",
    "test_{name}.py": "test_application.py.txt",
    "{name}.chat": "application.chat.txt",
    "{name}.yaml": "application.yaml.txt",
    "line.yaml": "line.yaml.txt",
    "run.yaml": "run.yaml.txt",
    "broker.yaml": "broker.yaml.txt",
    "supervisord.conf": "supervisord.conf.txt",
    "README.rst": "README.rst.txt",
    "requirements.txt": "requirements.txt.txt",
    ".gitignore": "gitignore.txt",
}

#: Names that the project's files have for something else, and those of classes they import.
TAKEN = frozenset(
    [
        *("broker", "line", "run", "supervisord", "workers", "defaults", "worker_name"),
        *("application_config", "application_worker", "config_text"),
        *("application_helper", "vumi_test_case"),
    ]
)
MAX_NAME = 40


@click.group(epilog="Example: vumi new application greeter")
def new() -> None:
    """Begin a project."""


@new.command(epilog="Example: vumi new application greeter --directory work/greeter")
@click.argument("name")
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where to put it.  [default: NAME, in the current folder]",
)
def application(name: str, directory: Path | None) -> None:
    """Write a small application, to be changed into your own.

    NAME becomes the name of its module: lower-case letters, digits and underscores. With it come a
    test, a conversation for vumi chat, and the files to run it, in one process or as processes of
    their own.
    """
    check_name(name)
    folder = Path(name) if directory is None else directory
    files = project_files(name)
    write_project(folder, files)
    class_name = class_name_of(name)
    click.echo(f"{len(files)} files were written to {folder}. Go there, and talk to it:")
    click.echo(f"    cd {folder}")
    click.echo(f"    vumi chat {name}.{class_name}")


def check_name(name: str) -> None:
    """Make sure that a module can be called so.

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
    if name in TAKEN:
        raise ConfigError(f"{name!r} can't be the name: a file or option of the project has it.")
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


def project_files(name: str) -> dict[str, str]:
    """A project's files and what is in them.

    :param name: The module's name.
    """
    title = " ".join(name.split("_")).strip().capitalize()
    values = {
        "name": name,
        "class_name": class_name_of(name),
        "title": title,
        "underline": "=" * len(title),
        "version": package.__version__,
    }
    return {
        path.format(name=name): _filled_in(TEMPLATES / "application" / template, values)
        for path, template in APPLICATION_FILES.items()
    }


def _filled_in(template: Path, values: Mapping[str, str]) -> str:
    return Template(template.read_text("utf-8")).substitute(values)


def write_project(folder: Path, files: Mapping[str, str]) -> None:
    """Write files into a folder, which is made if it isn't there.

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
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(content)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or folder} can't be written: {error.strerror}."
        ) from error
