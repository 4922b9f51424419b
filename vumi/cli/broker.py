"""``vumi broker``: makes RabbitMQ ready for vumi.

Knows ``rabbitmqctl``, RabbitMQ's own tool (https://www.rabbitmq.com/docs/man/rabbitmqctl.8).
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time

import click

from vumi.cli.groups import CommandGroup
from vumi.errors import BrokerError

__all__ = ["broker"]

#: Not in an ordinary user's PATH, but where systems put it.
MORE_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/opt/homebrew/sbin")

#: Seconds between two looks at a RabbitMQ that is starting.
STARTING_PAUSE = 1.0

#: Configure, write, read: regular expressions of names.
ALL_PERMISSIONS = (".*", ".*", ".*")


@click.group(cls=CommandGroup)
def broker() -> None:
    """Make RabbitMQ ready for vumi."""


@broker.command(epilog="Example: sudo vumi broker setup --vhost /live --password ...")
@click.option("--vhost", default="/develop", show_default=True, help="The virtual host.")
@click.option("--username", default="vumi", show_default=True, help="The user.")
@click.option("--password", default="vumi", show_default=True, help="The user's password.")
@click.option(
    "--rabbitmqctl",
    "program",
    metavar="PATH",
    help="Where RabbitMQ's tool rabbitmqctl is, if it is not found.",
)
@click.option(
    "--wait",
    "patience",
    type=click.FloatRange(0),
    metavar="SECONDS",
    default=60.0,
    show_default=True,
    help="How long to wait for a RabbitMQ that is starting.",
)
@click.option("--print", "only_print", is_flag=True, help="Only show the commands to be run.")
def setup(
    vhost: str,
    username: str,
    password: str,
    program: str | None,
    patience: float,
    only_print: bool,
) -> None:
    """Make a virtual host, and a user with all rights in it.

    With no options it makes what workers use when they are not told otherwise. What is there
    already stays: run it as often as you like. RabbitMQ must be running on this machine, and you
    need the right to use rabbitmqctl: that of the users root and rabbitmq.
    """
    if only_print:
        for command in (
            ["add_vhost", vhost],
            ["add_user", username, password],
            ["set_permissions", "-p", vhost, username, *ALL_PERMISSIONS],
        ):
            click.echo(shlex.join([program or "rabbitmqctl", *command]))
        return
    tool = RabbitMQTool(program or _find_rabbitmqctl(), patience)
    if vhost in tool.run("list_vhosts", "name"):
        click.echo(f"The virtual host {vhost} is there.")
    else:
        tool.run("add_vhost", vhost)
        click.echo(f"The virtual host {vhost} was made.")
    if username in (line.partition("\t")[0] for line in tool.run("list_users")):
        tool.check_password(username, password)
        click.echo(f"The user {username} is there.")
    else:
        tool.run("add_user", username, secret=password)
        click.echo(f"The user {username} was made.")
    tool.run("set_permissions", "-p", vhost, username, *ALL_PERMISSIONS)
    click.echo(f"The user {username} may do everything in {vhost}.")


class RabbitMQTool:
    """Runs ``rabbitmqctl``.

    :param program: Its path.
    :param patience: Seconds to wait for a RabbitMQ that is starting, in all.
    """

    def __init__(self, program: str, patience: float) -> None:
        self._program = program
        self._deadline = time.monotonic() + patience
        self._has_waited = False

    def run(self, *arguments: str, secret: str | None = None) -> list[str]:
        """Run a command.

        :param secret: A password that it asks for. Given so, no list of processes shows it, and
            no shell that the program may be written in sees its special characters.
        :returns: The lines that it printed, without headings.
        :raises BrokerError: The program isn't there, or it has failed.
        """
        while True:
            done = self._call(arguments, secret)
            if done.returncode == 0:
                return done.stdout.splitlines()
            output = f"{done.stderr}\n{done.stdout}"
            if not _is_starting(output) or time.monotonic() >= self._deadline:
                raise BrokerError(_reason(arguments[0], output))
            if not self._has_waited:
                self._has_waited = True
                click.echo("RabbitMQ is starting. Waiting for it.")
            time.sleep(STARTING_PAUSE)

    def check_password(self, username: str, password: str) -> None:
        """Make sure that a user has this password.

        :raises BrokerError: It is another one.
        """
        if self._call(("authenticate_user", username), password).returncode != 0:
            raise BrokerError(
                f"The user {username} is there, but with another password. Give that one by "
                f"--password, or change it: rabbitmqctl change_password {shlex.quote(username)}"
            )

    def _call(
        self, arguments: tuple[str, ...], secret: str | None
    ) -> subprocess.CompletedProcess[str]:
        command = [self._program, "--silent", *arguments]
        try:
            return subprocess.run(  # noqa: S603 (no shell; the user says which program)
                command,
                input="" if secret is None else f"{secret}\n",
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise BrokerError(
                f"{self._program} can't be run: {error.strerror or error}."
            ) from error


def _find_rabbitmqctl() -> str:
    path = os.pathsep.join([os.environ.get("PATH", ""), *MORE_PATH])
    found = shutil.which("rabbitmqctl", path=path)
    if found is None:
        raise BrokerError(
            "rabbitmqctl was not found: install RabbitMQ on this machine, or say by --rabbitmqctl "
            "where it is. With --print you see the commands, to run them where RabbitMQ is."
        )
    return found


def _is_starting(output: str) -> bool:
    """Whether the node is there, but not yet the application that it is for."""
    lowered = output.lower()
    return any(
        words in lowered
        for words in (
            "'rabbit' app to be running",
            "rabbit application is not running",
            "not_running",
            "is booting",
            "no_exists",
            "{noproc",
        )
    )


def _reason(command: str, output: str) -> str:
    lowered = output.lower()
    if _is_starting(output):
        return (
            "rabbitmqctl reached RabbitMQ, but RabbitMQ is still starting, or was stopped by "
            "stop_app. Try again in a moment, or give --wait more seconds."
        )
    if "only root or rabbitmq" in lowered or "eacces" in lowered:
        return "rabbitmqctl may only be used by the users root and rabbitmq: try it with sudo."
    if "unable to perform an operation on node" in lowered or "nodedown" in lowered:
        return (
            "rabbitmqctl can't reach RabbitMQ: either RabbitMQ isn't running on this machine, or "
            "you lack the right to talk to it (try it with sudo)."
        )
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"rabbitmqctl {command} failed: {' '.join(lines[:2]) or 'it does not say why'}"
