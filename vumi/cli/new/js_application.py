"""``vumi new js-application``: a project in JavaScript to start from.

Knows the files of such a project (``templates/js-application``, and those of
``templates/application`` that are the same for all languages).
"""

from __future__ import annotations

from pathlib import Path

import click

import vumi as package
from vumi.cli.new.writing import (
    TEMPLATES,
    check_name,
    class_name_of,
    filled_in,
    title_of,
    write_files,
)

__all__ = ["js_application"]

WORKER_CLASS = "vumi.application.sandbox.StandaloneJsFileSandbox"

#: File -> the template that it is made from.
JS_APPLICATION_FILES = {
    "{name}.js": "js-application/application.js.txt",
    "test/{name}.test.js": "js-application/test.js.txt",
    "package.json": "js-application/package.json.txt",
    "{name}.chat": "js-application/application.chat.txt",
    "{name}.yaml": "js-application/application.yaml.txt",
    "README.rst": "js-application/README.rst.txt",
    ".gitignore": "js-application/gitignore.txt",
    "line.yaml": "application/line.yaml.txt",
    "run.yaml": "application/run.yaml.txt",
    "broker.yaml": "application/broker.yaml.txt",
    "supervisord.conf": "application/supervisord.conf.txt",
    "requirements.txt": "application/requirements.txt.txt",
}

#: Names that the project's files, and sections of them, have for something else; and those of
#: classes that the script takes from the toolkit.
TAKEN = frozenset(
    [
        *("broker", "line", "run", "supervisord", "workers", "defaults", "worker_name"),
        *("app", "choice", "end_state", "free_text", "menu_state", "test", "mocha"),
    ]
)


@click.command("js-application", epilog="Example: vumi new js-application greeter")
@click.argument("name")
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where to put it.  [default: NAME, in the current folder]",
)
def js_application(name: str, directory: Path | None) -> None:
    """Write a small application in JavaScript, to be changed into your own.

    It stands on the toolkit that npm has as vumigo_v02. NAME becomes the name of its script:
    lower-case letters, digits and underscores. With it come a test for mocha, a conversation for
    vumi chat, and the files to run it, in one process or as processes of their own.
    """
    check_name(name, TAKEN, is_within_package=True)
    folder = Path(name) if directory is None else directory
    files = project_files(name)
    write_files(folder, files)
    click.echo(f"{len(files)} files were written to {folder}. Go there, and talk to it:")
    click.echo(f"    cd {folder}")
    click.echo("    npm install")
    click.echo(f"    vumi chat {WORKER_CLASS} --config {name}.yaml")


def project_files(name: str) -> dict[str, str]:
    """A project's files and what is in them.

    :param name: The script's name.
    """
    title = title_of(name)
    values = {
        "name": name,
        "class_name": class_name_of(name),
        "worker_class": WORKER_CLASS,
        "title": title,
        "underline": "=" * len(title),
        "version": package.__version__,
    }
    return {
        path.format(name=name): filled_in(TEMPLATES / template, values)
        for path, template in JS_APPLICATION_FILES.items()
    }
