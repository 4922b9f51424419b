"""Scripts: what is said in a conversation and what is expected to be answered.

Knows how a script is written, and whether a reply is what was expected. Plays nothing: that is
:mod:`vumi.handset.player`'s.

Each line begins with a mark::

    # A comment.
    > A text that the user sends. Without a text, and without a session: dialled.
    < The reply that is expected,
      with its further lines two spaces in.
    <~ A reply that this (regular )?expression must match as a whole; a dot is any character.
    /closed

What begins with a slash is a command, see :data:`vumi.handset.commands.COMMANDS`. Spaces at the
ends of lines, and empty lines at the end of a reply, don't count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import ndiff
from typing import TYPE_CHECKING

from vumi.errors import ConfigError
from vumi.handset import happenings
from vumi.handset.commands import Command, Help, Quit, Save, Say, parse_command
from vumi.handset.phones import HandsetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vumi.handset.happenings import Happening

__all__ = ["Expected", "Step", "marked", "parse_script", "script_of"]

SENT, EXPECTED, PATTERN, COMMENT = ">", "<", "<~", "#"
MARKS = (SENT, EXPECTED, PATTERN)
INDENT = "  "

_MARKED = re.compile(r"(>|<~|<)(?:(?: |(?=\n))(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Expected:
    """A reply that must come.

    :ivar text: What it must say.
    :ivar is_pattern: Whether `text` is a regular expression.
    """

    text: str
    is_pattern: bool = False

    def difference(self, reply: str) -> list[str]:
        """How a reply differs, as lines for people; none if it is as expected."""
        said, wanted = _tidy(reply), _tidy(self.text)
        if self.is_pattern:
            if re.fullmatch(wanted, said, re.DOTALL):
                return []
            return [
                *marked("~ ", wanted, "~ "),
                "does not match",
                *marked("+ ", said, "+ "),
            ]
        if said == wanted:
            return []
        return [line.rstrip("\n") for line in ndiff(wanted.split("\n"), said.split("\n"))]


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.rstrip().split("\n"))


@dataclass(frozen=True)
class Step:
    """One thing to do or to expect.

    :ivar line: Where in the script it begins, counted from 1.
    """

    line: int
    what: Command | Expected


def parse_script(source: str, name: str = "script") -> list[Step]:
    """Read a script.

    :param source: The whole text.
    :param name: What errors call it.
    :raises ConfigError: With a problem for each line that can't be understood.
    """
    steps: list[Step] = []
    problems: list[str] = []
    for number, line in _joined(source.split("\n")):
        try:
            steps.append(Step(number, _parse(line)))
        except HandsetError as error:
            problems.append(f"{name}, line {number}: {error}")
    if problems:
        raise ConfigError(problems=problems)
    return steps


def _joined(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The lines that say something, each with those that continue it, and its number."""
    number, text, empty = 0, "", 0
    for position, raw in enumerate(lines, 1):
        line = raw.rstrip("\r")
        if not line.strip():
            empty += 1
            continue
        if line.startswith(INDENT) and text.startswith(MARKS):
            text += "\n" * (empty + 1) + line.removeprefix(INDENT)
        else:
            if text:
                yield number, text
            number, text = position, "" if line.startswith(COMMENT) else line
        empty = 0
    if text:
        yield number, text


def _parse(line: str) -> Command | Expected:
    if line.startswith("/"):
        command = parse_command(line)
        if isinstance(command, Help | Save | Quit):
            raise HandsetError(f"{line.split()[0]} is for the terminal only.")
        return command
    match = _MARKED.fullmatch(line)
    if match is None:
        raise HandsetError(
            "a line begins with '> ' (sent), '< ' or '<~ ' (expected), '/' (a command), '#' (a "
            "comment), or two spaces (more of the text above)."
        )
    mark, text = match[1], match[2] or ""
    if mark == SENT:
        return Say(text)
    if mark == PATTERN:
        try:
            re.compile(text)
        except re.error as error:
            raise HandsetError(f"this is no regular expression: {error}.") from None
    return Expected(text, is_pattern=mark == PATTERN)


# Writing


def marked(mark: str, text: str, further: str = INDENT) -> Iterator[str]:
    """A text as lines, the first with a mark.

    :param further: What further lines begin with.
    """
    first, *rest = text.split("\n")
    yield f"{mark}{first}".rstrip()
    for line in rest:
        yield f"{further}{line}".rstrip()


def script_of(happened: Iterable[Happening], address: str) -> Iterator[str]:
    """The lines of a script in which the same is said and expected.

    :param address: Who has the handset at first.
    """
    holder = address

    def switched_to(wanted: str) -> Iterator[str]:
        nonlocal holder
        if wanted != holder:
            holder = wanted
            yield f"/as {wanted}"

    for happening in happened:
        match happening:
            case happenings.Sent(sender, event, content):
                yield from switched_to(sender)
                if event == "close":
                    yield "/close"
                else:
                    yield from marked(f"{SENT} ", content or "")
            case happenings.Heard(hearer, content, closes):
                yield from switched_to(hearer)
                yield from marked(f"{EXPECTED} ", content)
                if closes:
                    yield "/closed"
            case happenings.TimedOut(sender):
                yield from switched_to(sender)
                yield "/timeout"
            case happenings.Reported(hearer, status):
                yield from switched_to(hearer)
                yield f"/report {status}"
            case happenings.Answers(takes):
                yield f"/ack {'on' if takes else 'off'}"
