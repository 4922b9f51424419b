"""How the old scripts end when something is wrong: a line, a hint, and the status 1.

Knows click. For scripts whose callers know this form; newer commands end as ``vumi`` does.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from vumi.cli.error_lines import error_lines
from vumi.cli.messages.stores import STORE_VARIABLE
from vumi.errors import ConfigError, VumiError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["OldStyleCommand", "OldStyleGroup", "old_store_options", "run_with_store"]


class _OldStyle:
    """What a command and a group have in common. A mixin."""

    name: str | None

    def main(self, *args: Any, **kw: Any) -> Any:
        """Run it, and exit."""
        program = kw.get("prog_name") or self.name or "vumi"
        try:
            result = super().main(  # type: ignore[misc]  # click's
                *args, **{**kw, "standalone_mode": False, "prog_name": program}
            )
        except click.ClickException as error:
            self._end(program, error.format_message(), f"{program}: Try --help for usage details.")
        except click.Abort:
            self._end(program, "Interrupted.")
        except VumiError as error:
            lines = (line.removeprefix("Error: ") for line in error_lines(error))
            self._end(program, *lines)
        else:
            return result

    @staticmethod
    def _end(program: str, first: str, *rest: str) -> None:
        for line in (f"{program}: {first}", *rest):
            click.echo(line, err=True)
        sys.exit(1)


class OldStyleCommand(_OldStyle, click.Command):
    """A script."""


class OldStyleGroup(_OldStyle, click.Group):
    """A script with parts."""


def old_store_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a script the options that say which store: the old ones for Riak, or a URL."""
    options = (
        click.option("-b", "--bucket-prefix", metavar="PREFIX", help="The Riak buckets' prefix."),
        click.option("--host", default="127.0.0.1", show_default=True, help="Riak's host."),
        click.option("--port", default=8098, show_default=True, help="Riak's HTTP port."),
        click.option(
            "--store",
            metavar="URL",
            envvar=STORE_VARIABLE,
            help="The message store's URL, instead of --bucket-prefix.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def run_with_store(
    work: Callable[[Any], Coroutine[Any, Any, Any]],
    store: str | None,
    bucket_prefix: str | None,
    host: str,
    port: int,
) -> Any:
    """Open the store that :func:`old_store_options` say, and do something with it.

    :param work: Called with the :class:`~vumi.components.message_store.MessageStore`.
    :raises ConfigError: They say none.
    """
    from vumi.cli.messages.stores import StoreChoice
    from vumi.components.message_store.config import riak_url

    if bucket_prefix is not None:
        manager = {"bucket_prefix": bucket_prefix, "host": host, "port": port}
        return StoreChoice(riak_url(manager), None).run(work)
    if store is None:
        raise ConfigError(
            "Which message store? Give --store URL, --bucket-prefix for Riak, or set "
            f"{STORE_VARIABLE}."
        )
    return StoreChoice(store, None).run(work)
