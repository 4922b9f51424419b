"""Groups of commands: what a mistake ends in, and a summary of each command that isn't cut."""

from __future__ import annotations

from typing import Any

import click

from vumi.cli.error_lines import error_lines
from vumi.errors import VumiError

__all__ = ["CommandGroup"]


class CommandGroup(click.Group):
    """A group of commands that ends with a line for each problem of a :class:`VumiError`."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VumiError as error:
            for line in error_lines(error):
                click.echo(line, err=True)
            ctx.exit(1)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with its whole summary; click's own method cuts it to one line."""
        rows = [
            (name, self.commands[name].get_short_help_str(limit=1000))
            for name in self.list_commands(ctx)
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
