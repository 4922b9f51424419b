"""The table of an SMPP session: what each event does in each state.

Knows states, events and the names of actions; nothing else. What the actions do is in
:mod:`vumi.transports.smpp.session`, which runs the table; its "theory of operation" explains it.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = [
    "TRANSITIONS",
    "BindType",
    "Event",
    "Role",
    "State",
    "Transition",
    "transitions_as_rst",
]


class Role(Enum):
    """Which end of the connection a session is."""

    #: The client: it binds.
    ESME = "ESME"
    #: The message centre: it is bound to.
    SMSC = "SMSC"


class BindType(Enum):
    """What a session is bound for, from the ESME's point of view."""

    TRX = "TRX"
    TX = "TX"
    RX = "RX"

    @property
    def sends(self) -> bool:
        """Whether the ESME may send messages."""
        return self is not BindType.RX

    @property
    def receives(self) -> bool:
        """Whether the ESME is sent messages."""
        return self is not BindType.TX


class State(Enum):
    """How far a session is."""

    #: There is no connection.
    CLOSED = "closed"
    #: Connected, not bound yet.
    OPEN = "open"
    #: Messages may go.
    BOUND = "bound"
    #: We have said that we go, and wait for the answer to that.
    UNBINDING = "unbinding"
    #: We have closed the connection, and wait for its end.
    CLOSING = "closing"


class Event(Enum):
    """What can happen to a session; the value says it in words."""

    CONNECTED = "the connection is there"
    LOST = "the connection is lost"
    STOP = "we want to end"

    BIND_ACCEPTED = "bind is accepted"
    BIND_REFUSED = "bind is refused"
    UNBIND_ANSWERED = "unbind_resp comes"

    BIND_RECEIVED = "bind comes"
    UNBIND_RECEIVED = "unbind comes"
    ENQUIRE_RECEIVED = "enquire_link comes"
    REQUEST_RECEIVED = "a request comes"
    FORBIDDEN_RECEIVED = "a request comes that the bind is not for"
    NOTIFICATION_RECEIVED = "alert_notification or outbind comes"
    RESPONSE_RECEIVED = "a response comes"
    UNSUPPORTED_RECEIVED = "an unknown command comes"
    MALFORMED_RECEIVED = "a malformed PDU comes"
    STREAM_BROKEN = "a PDU of impossible length comes"

    BIND_TIMEOUT = "no bind in time"
    ENQUIRE_DUE = "the interval is over"
    SILENCE = "no PDU for two intervals"
    RESPONSE_TIMEOUT = "no response in time"
    UNBIND_TIMEOUT = "no unbind_resp in time"
    CLOSE_TIMEOUT = "the connection does not end"


class Transition(NamedTuple):
    """A line of the table: what an event does in a state.

    :ivar actions: Methods of a session, without the ``_do_`` before their names.
    :ivar next_state: The state after them.
    """

    state: State
    event: Event
    actions: tuple[str, ...]
    next_state: State


def _rows(state: State, *rows: tuple[Event, tuple[str, ...], State]) -> tuple[Transition, ...]:
    return tuple(Transition(state, *row) for row in rows)


TRANSITIONS: tuple[Transition, ...] = (
    *_rows(
        State.CLOSED,
        (Event.CONNECTED, ("begin",), State.OPEN),
    ),
    *_rows(
        State.OPEN,
        (Event.BIND_ACCEPTED, ("enter",), State.BOUND),
        (Event.BIND_REFUSED, ("close",), State.CLOSING),
        (Event.BIND_TIMEOUT, ("unbind",), State.UNBINDING),
        (Event.STOP, ("close",), State.CLOSING),
        (Event.BIND_RECEIVED, ("judge_bind",), State.OPEN),
        (Event.UNBIND_RECEIVED, ("answer", "close"), State.CLOSING),
        (Event.ENQUIRE_RECEIVED, ("answer",), State.OPEN),
        (Event.REQUEST_RECEIVED, ("refuse",), State.OPEN),
        (Event.FORBIDDEN_RECEIVED, ("refuse",), State.OPEN),
        (Event.NOTIFICATION_RECEIVED, ("notify",), State.OPEN),
        (Event.RESPONSE_RECEIVED, ("settle",), State.OPEN),
        (Event.UNSUPPORTED_RECEIVED, ("nack",), State.OPEN),
        (Event.MALFORMED_RECEIVED, ("reject",), State.OPEN),
        (Event.STREAM_BROKEN, ("reject", "close"), State.CLOSING),
        (Event.LOST, ("forget",), State.CLOSED),
    ),
    *_rows(
        State.BOUND,
        (Event.ENQUIRE_DUE, ("enquire",), State.BOUND),
        (Event.SILENCE, ("unbind",), State.UNBINDING),
        (Event.STOP, ("unbind",), State.UNBINDING),
        (Event.BIND_RECEIVED, ("refuse_bind",), State.BOUND),
        (Event.UNBIND_RECEIVED, ("answer", "close"), State.CLOSING),
        (Event.ENQUIRE_RECEIVED, ("answer",), State.BOUND),
        (Event.REQUEST_RECEIVED, ("hand_over",), State.BOUND),
        (Event.FORBIDDEN_RECEIVED, ("refuse",), State.BOUND),
        (Event.NOTIFICATION_RECEIVED, ("notify",), State.BOUND),
        (Event.RESPONSE_RECEIVED, ("settle",), State.BOUND),
        (Event.RESPONSE_TIMEOUT, ("expire",), State.BOUND),
        (Event.UNSUPPORTED_RECEIVED, ("nack",), State.BOUND),
        (Event.MALFORMED_RECEIVED, ("reject",), State.BOUND),
        (Event.STREAM_BROKEN, ("reject", "close"), State.CLOSING),
        (Event.LOST, ("forget",), State.CLOSED),
    ),
    *_rows(
        State.UNBINDING,
        (Event.UNBIND_ANSWERED, ("close",), State.CLOSING),
        (Event.UNBIND_TIMEOUT, ("close",), State.CLOSING),
        (Event.UNBIND_RECEIVED, ("answer", "close"), State.CLOSING),
        (Event.ENQUIRE_RECEIVED, ("answer",), State.UNBINDING),
        (Event.REQUEST_RECEIVED, ("postpone",), State.UNBINDING),
        (Event.FORBIDDEN_RECEIVED, ("refuse",), State.UNBINDING),
        (Event.RESPONSE_RECEIVED, ("settle",), State.UNBINDING),
        (Event.RESPONSE_TIMEOUT, ("expire",), State.UNBINDING),
        (Event.UNSUPPORTED_RECEIVED, ("nack",), State.UNBINDING),
        (Event.MALFORMED_RECEIVED, ("reject",), State.UNBINDING),
        (Event.STREAM_BROKEN, ("close",), State.CLOSING),
        (Event.LOST, ("forget",), State.CLOSED),
    ),
    *_rows(
        State.CLOSING,
        (Event.RESPONSE_RECEIVED, ("settle",), State.CLOSING),
        (Event.RESPONSE_TIMEOUT, ("expire",), State.CLOSING),
        (Event.CLOSE_TIMEOUT, ("abort",), State.CLOSING),
        (Event.LOST, ("forget",), State.CLOSED),
    ),
)

#: What the actions of the table do, in words.
ACTION_WORDS = {
    "abort": "cut the connection",
    "answer": "answer it",
    "begin": "ESME: send bind; wait for the bind, or for its response",
    "close": "close the connection",
    "enquire": "send enquire_link",
    "enter": "ESME: send enquire_link; watch the link",
    "expire": "the oldest request fails",
    "forget": "all requests without response fail",
    "hand_over": "hand it over, to be answered once it is dealt with",
    "judge_bind": "ask whether to accept it",
    "nack": "answer generic_nack, ESME_RINVCMDID",
    "notify": "hand it over",
    "postpone": "answer ESME_RX_T_APPN",
    "refuse": "answer ESME_RINVBNDSTS",
    "refuse_bind": "answer ESME_RALYBND",
    "reject": "answer with the status that says what is wrong with it",
    "settle": "its request is over",
    "unbind": "send unbind",
}

_ARROW_LENGTH = 42


def transitions_as_rst() -> str:
    """The table as the documentation has it, in reStructuredText: a diagram, then all lines."""
    return "\n".join([*_diagram(), "", *_lines(), ""])


def _diagram() -> list[str]:
    lines = [".. code-block:: text", ""]
    for state in State:
        leaving = [row for row in TRANSITIONS if row.state is state is not row.next_state]
        lines.append(f"   {state.name}")
        for row in leaving:
            branch = "└" if row is leaving[-1] else "├"
            arrow = f"{row.event.value} ".ljust(_ARROW_LENGTH, "─")
            lines.append(f"    {branch}─ {arrow}▶ {row.next_state.name}")
    return lines


def _lines() -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 14 30 42 14", ""]
    cells = [("In state", "when", "it does", "and then is")]
    for state, event, actions, next_state in TRANSITIONS:
        words = "; ".join(ACTION_WORDS[action] for action in actions)
        cells.append((state.name, event.value, words, next_state.name))
    for row in cells:
        lines += [f"   {'*' if not index else ' '} - {cell}" for index, cell in enumerate(row)]
    return lines
