"""Cases as data: what a table says, after it was read.

Knows nothing of YAML and runs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from vumi.tests.cases.nodes import Place

__all__ = [
    "Answer",
    "Body",
    "Call",
    "Case",
    "Expected",
    "Outbound",
    "Request",
    "Response",
    "Step",
    "Tables",
]

INBOUND, OUTBOUND = "inbound", "outbound"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
BODIES = ("form", "json", "xml", "xmlrpc", "text", "hex")
#: How a call may end without an answer.
TROUBLES = ("refused", "timeout", "reset", "garbage")


@dataclass(frozen=True)
class Body:
    """What a request or an answer carries.

    :param kind: One of ``form``, ``json``, ``xml``, ``xmlrpc``, ``text`` and ``hex``.
    :param value: A dict of texts or an encoded text for a form; data for JSON and XML-RPC; a text
        for the others.
    :param charset: How texts are encoded.
    """

    kind: str
    value: Any
    charset: str = "utf-8"


@dataclass(frozen=True)
class Request:
    """A request: one to make, or one that is expected.

    :param target: Its path, or the URL of one that goes out; ``""``: not said.
    :param query: A dict of texts, an encoded text, or ``None`` if nothing is said.
    :param headers: Name to text; ``None`` for one that must not be there.
    :param auth: Name and password.
    """

    place: Place
    method: str
    target: str
    query: Any = None
    headers: dict[str, str | None] = field(default_factory=dict)
    body: Body | None = None
    auth: tuple[str, str] | None = None


@dataclass(frozen=True)
class Response:
    """What is answered to a request that came in."""

    place: Place
    status: int = 200
    headers: dict[str, str | None] = field(default_factory=dict)
    body: Body | None = None


@dataclass(frozen=True)
class Answer(Response):
    """What the other side answers to a request that went out.

    :param trouble: How it ends without an answer, or ``""``.
    """

    trouble: str = ""


@dataclass(frozen=True)
class Call:
    """A request that is expected to go out, and its answer.

    :param times: How often it is expected to be made.
    """

    request: Request
    answer: Answer
    times: int = 1


@dataclass(frozen=True)
class Expected:
    """What is expected of something published: some of its fields, and which are not there."""

    place: Place
    fields: dict[str, Any]
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outbound:
    """A message that an application sends, or replies with."""

    place: Place
    fields: dict[str, Any]
    endpoint: str | None = None


@dataclass(frozen=True)
class Step:
    """One thing that happens, and all that must come of it.

    :param after: Seconds that pass before.
    :param disconnect: Whether the client hangs up before the reply.
    :param reply_after: Seconds from the message to the reply.
    :param events: ``None``: one ack for each message that the step sends.
    :param failures: ``None``: nothing is said.
    :param statuses: ``None``: nothing is said.
    """

    place: Place
    after: float = 0.0
    request: Request | None = None
    disconnect: bool = False
    messages: tuple[Expected, ...] = ()
    replies: tuple[Outbound, ...] = ()
    reply_after: float = 0.0
    sends: tuple[Outbound, ...] = ()
    calls: tuple[Call, ...] = ()
    response: Response | None = None
    events: tuple[Expected, ...] | None = None
    failures: tuple[Expected, ...] | None = None
    statuses: tuple[Expected, ...] | None = None

    @property
    def is_nacked(self) -> bool:
        """Whether a message that the step sends is refused."""
        return any(e.fields.get("event_type") == "nack" for e in self.events or ())

    @property
    def is_acked(self) -> bool:
        """Whether a message that the step sends is taken."""
        if self.events is None:
            return bool(self.sends or self.replies)
        return any(e.fields.get("event_type") == "ack" for e in self.events)

    @property
    def reports(self) -> bool:
        """Whether it leads to a delivery report."""
        return any(e.fields.get("event_type") == "delivery_report" for e in self.events or ())


@dataclass(frozen=True)
class Case:
    """A row of a table.

    :param table: ``inbound`` or ``outbound``.
    :param config: Options, on top of those of the test.
    :param now: When it begins.
    """

    table: str
    label: str
    place: Place
    steps: tuple[Step, ...]
    config: dict[str, Any]
    now: datetime

    @property
    def slug(self) -> str:
        """The label as ids and names of tests have it."""
        return re.sub(r"[^a-z0-9]+", "-", self.label.lower()).strip("-") or "case"


@dataclass(frozen=True)
class Tables:
    """All cases of a transport."""

    cases: tuple[Case, ...] = ()

    def of(self, table: str) -> tuple[Case, ...]:
        """The cases of one of the two tables."""
        return tuple(case for case in self.cases if case.table == table)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of all cases."""
        return tuple(step for case in self.cases for step in case.steps)
