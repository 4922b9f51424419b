"""``vumi describe``: what a worker is and what options it has."""

from __future__ import annotations

import click

__all__ = ["describe"]


@click.command(epilog="Example: vumi describe vumi.demos.words.EchoWorker")
@click.argument("class_path", metavar="CLASS")
def describe(class_path: str) -> None:
    """Tell what CLASS is and what options it has.

    CLASS is the dotted path of a worker, a middleware, or a configuration. What can be started is
    listed by vumi workers.
    """
    from vumi.checking import load_from_here
    from vumi.config import Config
    from vumi.config import describe as describe_config
    from vumi.errors import ConfigError
    from vumi.servicemaker import worker_help

    found = load_from_here(class_path)
    if not isinstance(found, type):
        raise ConfigError(f"{class_path!r} is not a class.")
    text = describe_config(found) if issubclass(found, Config) else worker_help(found)
    click.echo(text.rstrip())
