"""What sandboxed programs can ask for, shown from its declarations.

``.. vumi-resource:: dotted.path.Class name``: a resource's commands, as programs write them if the
resource has this name; what each takes and gives; and the resource's options.

Knows how commands and options are declared. Knows no resource.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vumi_tables import Tabled, list_table

from vumi.application.sandbox.resources.declared import declared_commands
from vumi.config import field_table_rst
from vumi.loading import load_class_by_string

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

    from vumi.application.sandbox.resources.declared import Argument, CommandDeclaration


class ResourceDirective(Tabled):
    """Shows a resource."""

    required_arguments = 2

    def lines(self) -> Iterator[str]:
        path, name = self.arguments
        try:
            found: Any = load_class_by_string(path)
        except (AttributeError, ValueError) as error:
            raise LookupError(f"{path}: {error}") from error
        for depends_on in (found, CommandTable):
            module = sys.modules[depends_on.__module__]
            self.env.note_dependency(str(Path(module.__file__ or __file__)))
        yield from ("", f"``cls: {path}``", "", inspect.cleandoc(found.__doc__ or ""), "")
        for command in declared_commands(found):
            yield from CommandTable(command, name).lines()
        fields = getattr(found, "CONFIG_CLASS", None)
        yield from ("", "Options:", "")
        yield from (field_table_rst(fields) if fields else "There are none.\n").split("\n")


class CommandTable:
    """The text for one command.

    :param resource: The resource's name.
    """

    def __init__(self, command: CommandDeclaration, resource: str) -> None:
        self._command = command
        self._resource = resource

    def lines(self) -> Iterator[str]:
        """The reStructuredText."""
        command = self._command
        yield from ("", f".. rubric:: ``{self._resource}.{command.name}``", "")
        yield from (inspect.cleandoc(command.doc).partition("\n\n")[0], "")
        rows = [list(_argument_row(argument)) for argument in command.arguments]
        if rows:
            heading = ["Argument", "Must be", "Default", "Meaning"]
            yield from list_table([heading, *rows], (20, 22, 16, 42))
        replies = [[f"``{name}``", meaning] for name, meaning in command.reply]
        if replies:
            yield from list_table([["Reply", "Meaning"], *replies], (20, 80))


def _argument_row(argument: Argument) -> Iterator[str]:
    yield f"``{argument.name}``"
    yield argument.kind.words
    if not argument.optional:
        yield "none: it must be given"
    else:
        yield f"``{json.dumps(argument.default)}``"
    yield argument.doc


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx about the directive."""
    app.add_directive("vumi-resource", ResourceDirective)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
