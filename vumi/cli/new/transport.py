"""``vumi new transport``: a transport to start from.

Knows the files of a transport (``templates/transport``, beside this module) and where they go:
into a tree that has transports, as vumi's own has, or into a project that has none yet. What it
writes passes its own tests, and the rules of :mod:`vumi.tests.catalogue`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import Template

import click

from vumi.cli.new.writing import (
    TEMPLATES,
    check_name,
    class_name_of,
    filled_in,
    title_of,
    write_files,
)

__all__ = ["transport", "transport_files"]

#: Where transports are in vumi's own tree.
OWN_PACKAGE = "vumi.transports"

#: File -> its template. In both stand the values that templates have.
TRANSPORT_FILES = {
    "{folder}/__init__.py": "init.py.txt",
    "{folder}/{name}.py": "{family}.py.txt",
    "{folder}/cases/{name}.yaml": "{family}.cases.yaml.txt",
    "{folder}/tests/__init__.py": "tests_init.py.txt",
    "{folder}/tests/test_{name}.py": "test.py.txt",
    "config/transports/{name}.yaml": "{family}.sample.yaml.txt",
    "docs/transports/{name}.rst": "{family}.page.rst.txt",
}


@dataclass(frozen=True)
class Starter:
    """What a transport of some family begins as.

    :param summary: When to choose the family.
    :param ending: What the transport's class is called, after its name.
    :param test_config: The options that its test gives it, as a template of Python.
    """

    summary: str
    ending: str
    test_config: str = '{"web_path": "$name"}'


#: Family -> how to begin. Not read off the families: the command is there without them.
STARTERS = {
    "httprpc": Starter(
        "a request brings a message and waits for the reply, as with most USSD gateways",
        "UssdTransport",
    ),
    "httpsms": Starter(
        "requests bring messages and are answered at once, and messages go out by an API, as with "
        "most SMS gateways",
        "SmsTransport",
        """{
        "web_path": "$name",
        "outbound_url": "https://api.$host.example/send",
        "api_key": "key-2f6d91",
    }""",
    ),
    "xmlrpc": Starter("a call brings a message and waits for the reply", "UssdTransport"),
}


def _families() -> str:
    return " ".join(f"{name}: {starter.summary}." for name, starter in STARTERS.items())


@click.command(epilog="Example: vumi new transport pigeon --family httpsms")
@click.argument("name")
@click.option(
    "--family",
    required=True,
    type=click.Choice(list(STARTERS)),
    help=f"What it is like. {_families()}",
)
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The tree that it becomes part of.  [default: the current folder]",
)
def transport(name: str, family: str, directory: Path) -> None:
    """Write a small transport, to be changed into your own.

    NAME becomes the name of its folder, its sample configuration and its page: lower-case letters,
    digits and underscores. With it come a table of cases and the test that plays them. In vumi's
    own tree it goes to vumi/transports.
    """
    is_own = (directory / OWN_PACKAGE.replace(".", "/")).is_dir()
    check_name(name, is_within_package=is_own)
    package = f"{OWN_PACKAGE}.{name}" if is_own else name
    files = transport_files(name, family, package)
    write_files(directory, files)
    click.echo(f"{len(files)} files were written:")
    for path in files:
        click.echo(f"    {path}")
    folder = package.replace(".", "/")
    click.echo("Run its tests, and change them with it:")
    click.echo(f"    python -m pytest {folder}")


def transport_files(name: str, family: str, package: str) -> dict[str, str]:
    """A transport's files and what is in them.

    :param name: Its name.
    :param family: One of :data:`STARTERS`.
    :param package: The dotted path that its folder will have.
    """
    title = title_of(name)
    starter = STARTERS[family]
    class_name = class_name_of(name) + starter.ending
    values = {
        "name": name,
        "family": family,
        "package": package,
        "folder": package.replace(".", "/"),
        "class_name": class_name,
        "config_name": f"{class_name}Config",
        "title": title,
        "underline": "=" * len(title),
        "cases_path": f"{package.replace('.', '/')}/cases",
        # An underscore is none of the characters that hosts may have.
        "host": name.replace("_", ""),
    }
    values["test_config"] = Template(starter.test_config).substitute(values)
    # As ruff sorts them: what is vumi's is in one block.
    kit = "from vumi.tests.cases import TransportCases"
    own = f"from {package} import {class_name}"
    is_own = package.startswith(OWN_PACKAGE)
    values["imports"] = f"{kit}\n{own}" if is_own else f"{kit}\n\n{own}"
    return {
        path.format(**values): filled_in(
            TEMPLATES / "transport" / template.format(**values), values
        )
        for path, template in TRANSPORT_FILES.items()
    }
