"""What is typed at the handset, or stands in a script, as something to be done.

Knows how commands are written and what they are for. Does nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from vumi.handset.phones import HandsetError

__all__ = [
    "COMMANDS",
    "Answering",
    "Command",
    "Hangup",
    "Help",
    "New",
    "Quit",
    "Report",
    "Save",
    "Say",
    "Switch",
    "TimeOut",
    "Was",
    "parse_line",
]


@dataclass(frozen=True)
class Say:
    """Send a text."""

    text: str


@dataclass(frozen=True)
class New:
    """Begin a session."""

    text: str | None


@dataclass(frozen=True)
class Hangup:
    """End the session, and tell the application."""


@dataclass(frozen=True)
class TimeOut:
    """End the session without telling the application."""


@dataclass(frozen=True)
class Switch:
    """Take another phone in hand."""

    address: str


@dataclass(frozen=True)
class Answering:
    """Whether the network takes what the application sends (acks), or refuses it (nacks)."""

    takes: bool


@dataclass(frozen=True)
class Report:
    """A delivery report on the last message."""

    status: str


@dataclass(frozen=True)
class Was:
    """What the last session must have come to (scripts only).

    :ivar closed: Whether the application must have closed it.
    """

    closed: bool


@dataclass(frozen=True)
class Save:
    """Write what was said into a script."""

    path: str


@dataclass(frozen=True)
class Help:
    """List the commands."""


@dataclass(frozen=True)
class Quit:
    """End."""


Command = Say | New | Hangup | TimeOut | Switch | Answering | Report | Was | Save | Help | Quit

#: How each is written -> what it does.
COMMANDS = {
    "TEXT": "Send a text. Without a session it begins one; Enter alone begins one without a text.",
    "//TEXT": "Send a text that begins with a slash.",
    "/new [TEXT]": "Begin a session, with a text or without.",
    "/close": "Hang up: the application is told that the session is closed.",
    "/timeout": "Have the network drop the session; the application is not told.",
    "/as ADDRESS": "Go on as another user. Each has a session of their own.",
    "/ack on|off": "Whether the network takes what the application sends (ack), or refuses it "
    "(nack).",
    "/report [delivered|failed|pending]": "Send a delivery report on the last message.",
    "/closed": "In a script: the application must have closed the session.",
    "/open": "In a script: the session must go on.",
    "/save FILE": "Write what was said so far into a script.",
    "/help": "List these commands.",
    "/quit": "End. Ctrl-D does too.",
}

REPORTS = ("delivered", "failed", "pending")


def parse_line(line: str) -> Command:
    """Read a line that was typed.

    :raises HandsetError: It begins like a command, but is none.
    """
    if line.startswith("//"):
        return Say(line[1:])
    if not line.startswith("/"):
        return Say(line)
    return parse_command(line)


def parse_command(line: str) -> Command:
    """Read a command, with its slash.

    :raises HandsetError: There is no such command, or it can't be used so.
    """
    word, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    command: Command | None = None
    match word, rest:
        case "/new", _:
            command = New(rest or None)
        case "/close", "":
            command = Hangup()
        case "/timeout", "":
            command = TimeOut()
        case "/as", address if address and " " not in address:
            command = Switch(address)
        case "/ack", ("on" | "off"):
            command = Answering(rest == "on")
        case "/report", _ if (rest or REPORTS[0]) in REPORTS:
            command = Report(rest or REPORTS[0])
        case "/closed", "":
            command = Was(closed=True)
        case "/open", "":
            command = Was(closed=False)
        case "/save", path if path:
            command = Save(path)
        case "/help", "":
            command = Help()
        case "/quit", "":
            command = Quit()
    if command is not None:
        return command
    for usage in COMMANDS:
        if usage.split(" ")[0] == word:
            raise HandsetError(f"It is: {usage}")
    raise HandsetError(f"There is no command {word}; /help lists them, // sends a slash.")
