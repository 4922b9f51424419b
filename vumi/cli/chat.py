"""``vumi chat``: talk to an application, at a terminal or by a script.

Knows the command line, the reactor and the streams of the process. What a handset is and does is
:mod:`vumi.handset`'s.
"""

from __future__ import annotations

import shutil
import signal
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vumi.cli.in_reactor import run_in_reactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from twisted.logger import LogEvent

    from vumi.handset import Shell
    from vumi.handset.screen import Line
    from vumi.handset.switchboard import Switchboard

__all__ = ["chat"]

#: Those of vumi.message, which takes long to import.
TRANSPORT_TYPES = (
    "ussd",
    "sms",
    "http_api",
    "irc",
    "mxit",
    "telnet",
    "twitter",
    "wechat",
    "xmpp",
)

#: Seconds that the last lines have to get to the terminal.
FLUSH_TIMEOUT = 2.0


@click.command(epilog="Example: vumi chat vumi.demos.clinic.ClinicRegistration")
@click.argument("class_path", metavar="CLASS")
@click.option("--config", metavar="FILE", type=click.Path(), help="The application's options.")
@click.option(
    "--set-option",
    "set_options",
    metavar="KEY:VALUE",
    multiple=True,
    help="Set an option: key:value (a text) or key:=value (YAML). Repeatable.",
)
@click.option(
    "--transport-type",
    type=click.Choice(TRANSPORT_TYPES),
    default="ussd",
    show_default=True,
    help="What kind of network the application is to see. USSD and telnet have sessions.",
)
@click.option(
    "--from",
    "from_addr",
    metavar="ADDRESS",
    default="+27831234567",
    show_default=True,
    help="The user's address.",
)
@click.option(
    "--to",
    "to_addr",
    metavar="ADDRESS",
    default="*120*1#",
    show_default=True,
    help="The address that the user writes to.",
)
@click.option("--script", metavar="FILE", type=click.Path(), help="Play this script.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="How long the application of a script may take for a reply, in seconds.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show the application's whole log.")
def chat(
    class_path: str,
    config: str | None,
    set_options: tuple[str, ...],
    transport_type: str,
    from_addr: str,
    to_addr: str,
    script: str | None,
    timeout: float,
    verbose: bool,
) -> None:
    """Talk to the application CLASS.

    It runs in this process, without any network or server: messages stay in the process, and so
    does what it keeps in Redis. Type a text to send it, /help to see what else there is.

    FILE has the options of the application, or is one for several workers (vumi run) of which one
    is this application.

    With --script what is said and what must be answered come from a file. The exit status is 0 if
    all went as the script says, and 1 if not.
    """
    from vumi.checking import load_worker_class
    from vumi.handset import check_application, handset_config
    from vumi.yamlconfig import read_yaml_config

    worker_class: Any = load_worker_class(class_path)
    settings = handset_config(worker_class, read_yaml_config(config), _parsed_options(set_options))
    check_application(worker_class, settings)

    def switchboard(reactor: Any) -> Switchboard:
        from vumi.handset import Switchboard

        return Switchboard(worker_class, settings, reactor, transport_type, to_addr)

    if script is not None:
        sys.exit(_play(switchboard, from_addr, script, timeout, verbose))
    sys.exit(_talk(switchboard, from_addr, class_path, timeout, verbose))


def _parsed_options(texts: Iterable[str]) -> dict[str, Any]:
    from twisted.python.usage import UsageError

    from vumi.servicemaker import StartWorkerOptions

    options = StartWorkerOptions()
    try:
        for text in texts:
            options.opt_set_option(text)
    except UsageError as error:
        raise click.UsageError(str(error)) from error
    return options.set_options


# Scripts


def _play(
    make_switchboard: Callable[[Any], Switchboard],
    address: str,
    path: str,
    timeout: float,
    verbose: bool,
) -> int:
    """Play a script; gives the exit status."""
    from vumi.handset import Player, ScriptFailed, parse_script
    from vumi.handset.screen import Screen

    steps = parse_script(_read(path), path)

    def show_error(lines: Iterable[Line]) -> None:
        for line in lines:
            _echo(line, sys.stderr)

    _log_to(show_error, verbose)

    async def play(reactor: Any) -> None:
        switchboard = make_switchboard(reactor)
        screen = Screen(switchboard.transport_type, address)

        def tell(happening: Any) -> None:
            if verbose:
                for line in screen.lines(happening):
                    _echo(line, sys.stdout)

        await Player(switchboard, address, reactor, timeout, tell).play(steps)

    try:
        run_in_reactor(play)
    except ScriptFailed as error:
        click.echo(f"{path}, line {error.line}: {error}", err=True)
        for detail in error.details:
            click.echo(f"    {detail}", err=True)
        return 1
    click.echo(f"OK: {path}, {len(steps)} steps.")
    return 0


def _read(path: str) -> str:
    from vumi.errors import ConfigError

    try:
        return Path(path).read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8.") from error


# People


def _talk(
    make_switchboard: Callable[[Any], Switchboard],
    address: str,
    class_path: str,
    timeout: float,
    verbose: bool,
) -> int:
    """Have somebody talk; gives the exit status."""
    from vumi.handset import Shell
    from vumi.handset.screen import Line
    from vumi.handset.terminal import typing_mode

    is_typed = sys.stdin.isatty() and sys.stdout.isatty()
    shells: list[Shell] = []

    async def talk(reactor: Any) -> None:
        from twisted.internet.defer import TimeoutError as DeferredTimeout

        switchboard = make_switchboard(reactor)
        shell = Shell(switchboard, address, reactor, patience=0 if is_typed else timeout)
        shells.append(shell)
        terminal = _open_terminal(shell, reactor, set_mode)
        _log_to(terminal.show, verbose)
        hints = "/help tells what can be typed, /quit ends."
        if switchboard.transport_type == "ussd":
            hints = f"Enter dials. {hints}"
        greeting = [Line("note", f"# {class_path}, {switchboard.transport_type}. {hints}")]
        try:
            await shell.run(greeting if is_typed else ())
        finally:
            terminal.close()
            with suppress(DeferredTimeout):
                await terminal.closed.addTimeout(FLUSH_TIMEOUT, reactor)

    mode: AbstractContextManager[Callable[[], None] | None]
    mode = typing_mode(sys.stdin.fileno()) if is_typed else nullcontext()
    with mode as set_mode:
        run_in_reactor(talk, interrupt=lambda: shells[0].end())
    # Somebody at a terminal has seen it; a program that gave the lines has not.
    return 1 if shells[0].failed and not is_typed else 0


def _open_terminal(shell: Shell, reactor: Any, set_mode: Callable[[], None] | None) -> Any:
    """Connect the process's standard streams.

    :param set_mode: Sets the mode for typing again; ``None`` if nobody types.
    """
    from twisted.conch.insults.insults import ServerProtocol
    from twisted.internet.stdio import StandardIO

    from vumi.handset.terminal import PlainLines, TypedLines, wants_colours

    if set_mode is None:
        plain = PlainLines()
        shell.terminal = plain
        StandardIO(plain)
        return plain
    typed = TypedLines(shell.prompt, _columns, wants_colours(sys.stdout))
    shell.terminal = typed
    StandardIO(ServerProtocol(lambda: typed))
    _when_continued(reactor, set_mode, typed.redraw)
    return typed


def _columns() -> int:
    return shutil.get_terminal_size().columns


# The process


def _when_continued(reactor: Any, *actions: Callable[[], None]) -> None:
    """Have something done whenever the process goes on after Ctrl-Z."""

    def continued(number: int, frame: object) -> None:
        for action in actions:
            reactor.callFromThread(action)

    signal.signal(signal.SIGCONT, continued)


def _log_to(show: Callable[[Iterable[Line]], None], verbose: bool) -> None:
    """Have log lines shown: warnings and worse, or all."""
    from twisted.logger import ILogObserver, LogLevel, globalLogBeginner
    from zope.interface import provider

    from vumi.cli.run import readable_line
    from vumi.handset.screen import Line

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        level = event.get("log_level") or LogLevel.info
        # A dead letter is shown when it arrives where it is watched for.
        if event.get("event") == "dead-letter" or (level < LogLevel.warn and not verbose):
            return
        text = readable_line(event)
        if text is not None:
            style, mark = ("error", "!") if level >= LogLevel.warn else ("note", "#")
            show([Line(style, f"{mark} {line}") for line in text.rstrip("\n").split("\n")])

    globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False)


def _echo(line: Line, stream: Any) -> None:
    from vumi.handset.screen import styled
    from vumi.handset.terminal import wants_colours

    click.echo(styled(line, wants_colours(stream)), file=stream)
