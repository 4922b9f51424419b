"""Tables that Sphinx makes from the code, so that they can't say what is no longer true.

* ``.. vumi-config:: dotted.path.ConfigClass``: the options that a configuration class declares
  itself, and where to read about those it shares with others.
* ``.. vumi-options:: dotted.path.Options``: the flags of a ``twistd`` command.
* ``.. vumi-commands:: dotted.path.command``: a click command with all commands below it.

Knows docutils, Sphinx and how options are declared. Decides nothing about what they mean.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from docutils import nodes
from docutils.utils import column_width
from sphinx.util.docutils import SphinxDirective

from vumi.config import Config, field_table_rst
from vumi.loading import load_class_by_string

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx
    from twisted.python import usage

#: Configuration classes that many others derive from: their own section, and what to call it.
SHARED = {
    "vumi.worker.BaseConfig": ("worker-options", "every worker"),
    "vumi.application.base.ApplicationConfig": ("application-options", "every application"),
    "vumi.transports.base.TransportConfig": ("transport-options", "every transport"),
}


class _FromCode(SphinxDirective):
    """A directive whose argument is the dotted path of something in the code."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        path = self.arguments[0]
        try:
            found = load_class_by_string(path)
        except (ImportError, AttributeError, ValueError) as error:
            raise self.error(f"{path}: {error}") from error
        for depends_on in (__file__, _file_of(found)):
            self.env.note_dependency(depends_on)
        rst = "\n".join(self.lines(found))
        parsed = self.parse_text_to_nodes(rst, allow_section_headings=True)
        for node in parsed:
            _unlink(node)
        return parsed

    def lines(self, found: Any) -> Iterator[str]:
        """The reStructuredText for what the path names."""
        raise NotImplementedError


def _unlink(node: nodes.Node) -> None:
    """Show what is no address of a page as what it is: endpoint strings look like URLs."""
    for reference in list(node.findall(nodes.reference)):
        if not reference.get("refuri", "https:").startswith(("http:", "https:")):
            reference.replace_self(nodes.literal("", reference.astext()))


def _file_of(found: Any) -> str:
    module = sys.modules[getattr(found, "__module__", type(found).__module__)]
    return str(Path(module.__file__ or __file__))


# Configuration classes


class ConfigDirective(_FromCode):
    """Shows the options that a configuration class declares."""

    def lines(self, found: type[Config]) -> Iterator[str]:
        own, shared = own_fields(found)
        if own is not None:
            yield field_table_rst(own)
        if shared:
            label, whose = SHARED[shared]
            words = "There are also" if own is not None else "There are"
            yield f"{words} :ref:`the options of {whose} <{label}>`."


def own_fields(config_class: type[Config]) -> tuple[type[Config] | None, str]:
    """What a class adds to the nearest class that has its own section.

    :returns: A class with those fields only, ``None`` if there are none; and that other class's
        dotted path, ``""`` if there is none.
    """
    for base in config_class.__mro__[1:]:
        path = f"{base.__module__}.{base.__qualname__}"
        if path in SHARED:
            inherited = base._fields if issubclass(base, Config) else {}
            break
    else:
        path, inherited = "", {}
    fields = {
        name: field
        for name, field in config_class._fields.items()
        if inherited.get(name) is not field
    }
    return (type(config_class.__name__, (Config,), fields) if fields else None), path


# Flags of twistd commands


class OptionsDirective(_FromCode):
    """Shows the flags of a ``twistd`` command."""

    def lines(self, found: type[usage.Options]) -> Iterator[str]:
        options = found()
        rows = []
        for flag in options.longOpt:
            name = flag.removesuffix("=")
            if name in ("help", "version"):
                continue
            value = f" {name.rpartition('-')[2].upper()}" if flag.endswith("=") else ""
            rows.append((f"``--{name}{value}``", _one_line(options.docs[name])))
        yield from _table("Option", "Meaning", sorted(rows))


# Click commands


class CommandsDirective(_FromCode):
    """Shows a click command and all commands below it, each in a section of its own."""

    def lines(self, found: click.Command) -> Iterator[str]:
        yield from self._command(found, found.name or "", None)

    def _command(
        self, command: click.Command, name: str, parent: click.Context | None
    ) -> Iterator[str]:
        context = click.Context(command, info_name=name, parent=parent)
        path = context.command_path
        if isinstance(command, click.Group):
            if parent is None:
                yield from _parameter_table(command, context)
            for below in command.list_commands(context):
                subcommand = command.get_command(context, below)
                if subcommand is not None and not subcommand.hidden:
                    yield from self._command(subcommand, below, context)
            return
        arguments = " ".join(command.collect_usage_pieces(context))
        yield from ("", path, "~" * column_width(path), "")
        yield from (".. code-block:: text", "", f"   {path} {arguments}", "")
        yield from _help_text(command)
        yield from _parameter_table(command, context)


def _help_text(command: click.Command) -> Iterator[str]:
    text = inspect.cleandoc(command.help or "").partition("\f")[0]
    verbatim = False
    for line in text.split("\n"):
        # Click's mark for a paragraph that is shown as it is.
        if line.strip() == "\b":
            verbatim = True
            yield from ("::", "")
        elif not line.strip():
            verbatim = False
            yield ""
        else:
            yield f"   {line}" if verbatim else _escaped(line)
    yield ""


def _parameter_table(command: click.Command, context: click.Context) -> Iterator[str]:
    rows = []
    for parameter in command.get_params(context):
        # Arguments are told of in the command's text.
        if isinstance(parameter, click.Option) and "--help" not in parameter.opts:
            record = parameter.get_help_record(context)
            if record is not None:
                rows.append((f"``{record[0]}``", _escaped(_one_line(record[1]))))
    yield from _table("Option", "Meaning", rows)


# Tables


def _table(left: str, right: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    if not rows:
        return
    yield from ("", ".. list-table::", "   :header-rows: 1", "   :widths: 35 65", "")
    for one, other in [(left, right), *rows]:
        yield from (f"   * - {one}", f"     - {other}")
    yield ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    for mark in ("\\", "*", "`", "|", "_"):
        text = text.replace(mark, "\\" + mark)
    return text


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx about the directives."""
    app.add_directive("vumi-config", ConfigDirective)
    app.add_directive("vumi-options", OptionsDirective)
    app.add_directive("vumi-commands", CommandsDirective)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
