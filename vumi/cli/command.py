"""The command ``vumi``: its parts and how it ends.

Each subcommand has its module. None imports at its top what it needs only when it runs: asking for
help is quick.
"""

from __future__ import annotations

import click

import vumi as package
from vumi.cli.broker import broker
from vumi.cli.chat import chat
from vumi.cli.check import check
from vumi.cli.dead import dead
from vumi.cli.describe import describe
from vumi.cli.groups import CommandGroup
from vumi.cli.messages import messages
from vumi.cli.new import new
from vumi.cli.routes import routes
from vumi.cli.run import run
from vumi.cli.smsc import smsc
from vumi.cli.workers import workers

__all__ = ["vumi"]


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: vumi run config/demo.yaml",
)
@click.version_option(package.__version__, prog_name="vumi", message="%(prog)s %(version)s")
def vumi() -> None:
    """Conversations over phones: USSD, SMS and chat.

    Workers are what you start: transports, which speak to a network of phones, applications, which
    hold the conversation, and dispatchers between them. Here you look at workers and at their
    configurations, and run several in one process while you work. In production each is its own
    process: see twistd vumi_worker --help.
    """


for command in (new, chat, run, smsc, check, describe, workers, routes, broker, dead, messages):
    vumi.add_command(command)
