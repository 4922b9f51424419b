"""``vumi messages``: the messages that were stored, to find, export, count and erase.

Knows which commands there are. What is done with a store :mod:`vumi.components.message_store`
knows.
"""

from __future__ import annotations

import click

from vumi.cli.groups import CommandGroup
from vumi.cli.messages.erase import delete_before, forget
from vumi.cli.messages.export import export
from vumi.cli.messages.find import batches, list_messages, search, show, stats

__all__ = ["messages"]


@click.group(cls=CommandGroup, epilog="Example: vumi messages list --store sqlite:///messages.db")
def messages() -> None:
    """Messages that were sent and received, as StoringMiddleware keeps them.

    Say where they are by --store URL, by --config FILE (the worker's that stores them), or once
    for all by the environment variable VUMI_MESSAGE_STORE. Times are UTC if they name no zone.
    """


for command in (list_messages, search, show, batches, stats, export, delete_before, forget):
    messages.add_command(command)
