"""What is shown of what happens.

Knows words, marks and styles. Knows no terminal. What is said is shown as it stands in a script;
the rest are comments (``#``) and errors (``!``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from vumi.handset import happenings
from vumi.handset.commands import COMMANDS
from vumi.handset.script import marked
from vumi.printable import counted, printable
from vumi.sms_text import measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vumi.handset.happenings import Happening

__all__ = ["Line", "Screen", "help_lines", "styled"]

SENT, HEARD, NOTE, ERROR = "sent", "heard", "note", "error"

STYLES: Mapping[str, Mapping[str, object]] = {
    SENT: {"bold": True},
    HEARD: {"fg": "green"},
    NOTE: {"dim": True},
    ERROR: {"fg": "red"},
}


@dataclass(frozen=True)
class Line:
    """One line on the screen.

    :ivar style: One of :data:`STYLES`.
    """

    style: str
    text: str


def styled(line: Line, colours: bool) -> str:
    """A line as it goes to a terminal.

    :param colours: Whether the terminal shows colours.
    """
    text = printable(line.text.expandtabs(4))
    return click.style(text, **STYLES[line.style]) if colours else text  # type: ignore[arg-type]  # a style is a mapping


def help_lines() -> Iterator[Line]:
    """The commands."""
    width = max(map(len, COMMANDS))
    for usage, meaning in COMMANDS.items():
        yield Line(NOTE, f"{usage:{width}}  {meaning}")


class Screen:
    """Says what happened.

    :param transport_type: What kind of network it is; lengths are those of its messages.
    :param address: Who has the handset at first.
    """

    def __init__(self, transport_type: str, address: str) -> None:
        self._transport_type = transport_type
        self._holder = address

    def lines(self, happening: Happening) -> Iterator[Line]:
        """What happened, as lines."""
        match happening:
            case happenings.Sent(_, event, content):
                yield from self._sent(event, content)
            case happenings.Heard():
                yield from self._heard(happening)
            case happenings.Nacked(address, content, reason, on_purpose):
                yield Line(
                    NOTE if on_purpose else ERROR,
                    f"{'#' if on_purpose else '!'} nack{self._for(address)}: {reason}",
                )
                yield from self._all(NOTE, marked("# it was: ", content, "#   "))
            case happenings.Answers(takes):
                yield Line(
                    NOTE,
                    "# From now on messages are taken (ack)."
                    if takes
                    else "# From now on messages are refused (nack).",
                )
            case happenings.Reported(address, status):
                yield Line(NOTE, f"# delivery report{self._for(address)}: {status}")
            case happenings.TimedOut():
                yield Line(NOTE, "# The session has timed out; the application is not told.")
            case happenings.Switched(address):
                self._holder = address
                yield Line(NOTE, f"# You are {address} now.")
            case happenings.Dead(queue, reason, _, traceback):
                yield Line(
                    ERROR, f"! The application could not handle a message of {queue} ({reason}):"
                )
                yield from self._all(ERROR, (f"! {line}" for line in traceback.splitlines()))
            case happenings.Note(text):
                yield from self._all(NOTE, (f"# {line}" for line in text.split("\n")))

    def _sent(self, event: str | None, content: str | None) -> Iterator[Line]:
        if event == "close":
            yield Line(NOTE, "# You have closed the session; the application is told.")
            return
        yield from self._all(SENT, marked("> ", content or ""))
        if event == "new":
            yield Line(NOTE, "# new session")

    def _heard(self, heard: happenings.Heard) -> Iterator[Line]:
        by = "" if heard.endpoint == "default" else f" by the endpoint {heard.endpoint}"
        if by or heard.address != self._holder:
            yield Line(NOTE, f"# To {heard.address}{by} ({heard.transport_type}):")
        yield from self._all(HEARD, marked("< ", heard.content))
        yield self._length(heard)
        if heard.closes:
            yield Line(NOTE, "# The application has closed the session:")
            yield Line(NOTE, "/closed")

    def _length(self, heard: happenings.Heard) -> Line:
        length = measure(heard.content)
        words = counted(length.characters, "character")
        alphabet = "" if length.is_gsm else " (not all in the GSM alphabet)"
        if heard.transport_type == "sms":
            return Line(NOTE, f"# ack, {words}, {length.sms_parts} SMS{alphabet}")
        if heard.transport_type == "ussd" and not length.fits_ussd:
            return Line(
                ERROR,
                f"! ack, but {words}{alphabet} are more than a USSD message takes: "
                f"{length.ussd_limit}",
            )
        return Line(NOTE, f"# ack, {words}")

    def _for(self, address: str) -> str:
        return "" if address == self._holder else f" for {address}"

    def _all(self, style: str, texts: Iterator[str]) -> Iterator[Line]:
        for text in texts:
            yield Line(style, text)
