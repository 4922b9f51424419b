"""``vumi smsc``: a simulated SMSC, at a terminal.

Knows the command line, the reactor and the streams of the process. What the SMSC is and does is
:mod:`vumi.transports.smpp.simulator`'s.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from twisted.logger import LogEvent

    from vumi.transports.smpp.simulator import SmscWorker

__all__ = ["smsc"]

#: What the console calls a line, and what the terminal does.
STYLES = {"said": "sent", "heard": "heard", "note": "note", "error": "error"}
GREETING = "# Type a message from a phone, +27831234567 -> 8080: text, or /help. /quit ends."


@click.command(epilog="Example: vumi smsc --port 2775 --http-port 2776 --account acme:secret")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=2775,
    show_default=True,
    help="The port for ESMEs.",
)
@click.option(
    "--http-port",
    type=click.IntRange(1, 65535),
    help="The port for control over HTTP; its front page tells what there is.",
)
@click.option(
    "--http-host",
    "http_hosts",
    metavar="NAME",
    multiple=True,
    help="A host name that the control is asked for by, besides localhost and addresses. "
    "Repeatable.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on. Whoever can connect can control it.",
)
@click.option(
    "--account",
    "accounts",
    metavar="SYSTEM_ID:PASSWORD",
    multiple=True,
    help="Who may bind; without any, everybody may. Repeatable.",
)
@click.option(
    "--script", metavar="FILE", type=click.Path(), help="How the SMSC behaves, a YAML file."
)
@click.option("--journal", metavar="FILE", help="Write what happens, as lines of JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Show the whole log.")
def smsc(
    port: int,
    http_port: int | None,
    http_hosts: tuple[str, ...],
    host: str,
    accounts: tuple[str, ...],
    script: str | None,
    journal: str | None,
    verbose: bool,
) -> None:
    """Run an SMSC to try out SMPP with.

    Transports and other ESMEs can bind to it. It shows what they send, answers as an operator's
    does, and reports each message as delivered. What you type becomes a message from a phone:

    \b
        +27831234567 -> 8080: hello
        and another one from the same phone

    FILE makes it misbehave: refuse, throttle, answer late or never, cut connections, freeze,
    report failures. See config/smsc.yaml for all that can be said, or vumi describe
    vumi.transports.smpp.simulator.SmscWorker.
    """
    from vumi.service import WorkerCreator
    from vumi.transports.smpp.simulator import SmscWorker
    from vumi.yamlconfig import read_yaml_config

    config = read_yaml_config(script)
    config["twisted_endpoint"] = f"tcp:{port}:interface={_escaped(host)}"
    if http_port is not None:
        config["http_endpoint"] = f"tcp:{http_port}:interface={_escaped(host)}"
    if http_hosts:
        config["http_hosts"] = list(http_hosts)
    if accounts:
        config["accounts"] = {**(config.get("accounts") or {}), **dict(map(_account, accounts))}
    if journal is not None:
        config["journal"] = journal
    for sentence in SmscWorker.check_config(config):
        click.echo(f"Warning: {sentence}", err=True)
    worker = WorkerCreator({"broker": "memory:"}).create_worker_by_class(SmscWorker, config)
    assert isinstance(worker, SmscWorker)  # noqa: S101 (tells the type checker)
    where = f"port {port}" + ("" if http_port is None else f", HTTP on port {http_port}")
    sys.exit(_run(worker, f"# An SMSC listens on {host}, {where}.", verbose))


def _escaped(host: str) -> str:
    # As in Twisted's descriptions of endpoints.
    return host.replace(":", "\\:")


def _account(text: str) -> tuple[str, str]:
    system_id, colon, password = text.partition(":")
    if not colon:
        raise click.UsageError(f"--account needs SYSTEM_ID:PASSWORD, not {text!r}.")
    return system_id, password


def _run(worker: SmscWorker, greeting: str, verbose: bool) -> int:
    """Run it at the terminal, if there is one; gives the exit status."""
    from vumi.cli.run import run_worker
    from vumi.handset.terminal import typing_mode
    from vumi.process_reactor import process_reactor

    is_typed = sys.stdin.isatty() and sys.stdout.isatty()
    mode: AbstractContextManager[Callable[[], None] | None]
    mode = typing_mode(sys.stdin.fileno()) if is_typed else nullcontext()
    with mode:
        reactor = process_reactor()
        _open_console(worker, reactor, greeting, is_typed, verbose)
        return run_worker(worker, reactor)


def _open_console(
    worker: SmscWorker, reactor: Any, greeting: str, is_typed: bool, verbose: bool
) -> None:
    from twisted.internet.error import ReactorNotRunning

    from vumi.handset.screen import Line
    from vumi.transports.smpp.simulator.console import Console

    def end() -> None:
        with suppress(ReactorNotRunning):
            reactor.stop()

    def show(kind: str, text: str) -> None:
        terminal.show([Line(STYLES[kind], text)])

    terminal = _terminal(is_typed)
    console = Console(worker.smsc, show, end)
    terminal.on_line = console.typed
    if is_typed:
        terminal.on_end = end
    _log_to(show, verbose)

    def greet(what: str, about: dict[str, Any]) -> None:
        if what == "listening":
            show("note", greeting)
            if is_typed:
                show("note", GREETING)

    worker.smsc.observers.append(greet)


class _Output:
    """Where nothing can be typed."""

    on_line: Any = None

    def show(self, lines: Any) -> None:
        """Show lines."""
        from vumi.handset.screen import styled

        for line in lines:
            click.echo(styled(line, colours=False))


def _terminal(is_typed: bool) -> Any:
    """Connect the process's standard streams."""
    from twisted.internet.stdio import StandardIO

    from vumi.handset.terminal import PlainLines, TypedLines, wants_colours

    if is_typed:
        from twisted.conch.insults.insults import ServerProtocol

        typed = TypedLines(lambda: "> ", _columns, wants_colours(sys.stdout))
        StandardIO(ServerProtocol(lambda: typed))
        return typed
    if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        plain = PlainLines()
        StandardIO(plain)
        return plain
    return _Output()


def _columns() -> int:
    return shutil.get_terminal_size().columns


def _log_to(show: Callable[[str, str], None], verbose: bool) -> None:
    """Have log lines shown: warnings and worse, or all."""
    from twisted.logger import ILogObserver, LogLevel, globalLogBeginner
    from zope.interface import provider

    from vumi.cli.run import readable_line

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        level = event.get("log_level") or LogLevel.info
        is_bad = level >= LogLevel.warn
        text = readable_line(event) if is_bad or verbose else None
        if text is not None:
            for line in text.rstrip("\n").split("\n"):
                show("error" if is_bad else "note", line)

    globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False)
