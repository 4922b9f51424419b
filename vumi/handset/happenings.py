"""What happens at the handset, to be shown, checked or written down.

Plain values; nothing here does anything.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Answers",
    "Dead",
    "Happening",
    "Heard",
    "Nacked",
    "Note",
    "Reported",
    "Sent",
    "Switched",
    "TimedOut",
]


@dataclass(frozen=True)
class Sent:
    """A phone has sent something.

    :ivar session_event: ``new``, ``resume``, ``close`` or ``None``.
    """

    address: str
    session_event: str | None
    content: str | None


@dataclass(frozen=True)
class Heard:
    """A phone has got a message; the application is told that the network has taken it (ack).

    :ivar closes: Whether it ended the session.
    :ivar endpoint: The endpoint that the application sent it to; ``default`` if it was to none.
    :ivar transport_type: What it was to be sent by.
    """

    address: str
    content: str
    closes: bool = False
    endpoint: str = "default"
    transport_type: str = "ussd"


@dataclass(frozen=True)
class Nacked:
    """The application is told that the network refuses its message.

    :ivar content: The message's text.
    :ivar on_purpose: Whether the network was told to refuse.
    """

    address: str
    content: str
    reason: str
    on_purpose: bool = False


@dataclass(frozen=True)
class Answers:
    """What the network does with the application's messages from now on.

    :ivar takes: Whether it takes them (ack), or refuses them (nack).
    """

    takes: bool


@dataclass(frozen=True)
class Reported:
    """The application is told what became of its message.

    :ivar status: ``delivered``, ``failed`` or ``pending``.
    """

    address: str
    status: str


@dataclass(frozen=True)
class TimedOut:
    """The network has dropped a session; the application is not told."""

    address: str


@dataclass(frozen=True)
class Switched:
    """Another phone is in hand."""

    address: str


@dataclass(frozen=True)
class Dead:
    """The application could not handle a message: it is a dead letter.

    :ivar queue: Where the message was.
    :ivar reason: Why, in a word (``handler-failed``).
    :ivar error: What was wrong, in a line.
    :ivar traceback: Where.
    """

    queue: str
    reason: str
    error: str
    traceback: str


@dataclass(frozen=True)
class Note:
    """Something to be told to whoever sits at the terminal."""

    text: str


Happening = Sent | Heard | Nacked | Answers | Reported | TimedOut | Switched | Dead | Note
