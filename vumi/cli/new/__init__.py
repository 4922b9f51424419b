"""``vumi new``: a project to start from.

Knows the files of an application's project (``templates/application``, beside this module); those
of one in JavaScript are :mod:`vumi.cli.new.js_application`'s, and those of a transport
:mod:`vumi.cli.new.transport`'s.
"""

from __future__ import annotations

from pathlib import Path

import click

import vumi as package
from vumi.cli.groups import CommandGroup
from vumi.cli.new.js_application import js_application
from vumi.cli.new.transport import transport
from vumi.cli.new.writing import (
    TEMPLATES,
    check_name,
    class_name_of,
    filled_in,
    title_of,
    write_files,
)

__all__ = ["new"]

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


@click.group(cls=CommandGroup, epilog="Example: vumi new application greeter")
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
    check_name(name, TAKEN)
    folder = Path(name) if directory is None else directory
    files = project_files(name)
    write_files(folder, files)
    class_name = class_name_of(name)
    click.echo(f"{len(files)} files were written to {folder}. Go there, and talk to it:")
    click.echo(f"    cd {folder}")
    click.echo(f"    vumi chat {name}.{class_name}")


def project_files(name: str) -> dict[str, str]:
    """A project's files and what is in them.

    :param name: The module's name.
    """
    title = title_of(name)
    class_name = class_name_of(name)
    values = {
        "name": name,
        "class_name": class_name,
        "worker_class": f"{name}.{class_name}",
        "title": title,
        "underline": "=" * len(title),
        "version": package.__version__,
    }
    return {
        path.format(name=name): filled_in(TEMPLATES / "application" / template, values)
        for path, template in APPLICATION_FILES.items()
    }


new.add_command(js_application)
new.add_command(transport)
