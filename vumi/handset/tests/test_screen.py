"""What is shown of what happens."""

from __future__ import annotations

import pytest

from vumi.handset.commands import COMMANDS
from vumi.handset.happenings import (
    Answers,
    Dead,
    Happening,
    Heard,
    Nacked,
    Note,
    Reported,
    Sent,
    Switched,
    TimedOut,
)
from vumi.handset.screen import Line, Screen, help_lines, styled

A, B = "+27831234567", "+27837654321"

CASES: dict[str, tuple[Happening, list[str]]] = {
    "dialled": (Sent(A, "new", None), ["sent >", "note # new session"]),
    "said": (Sent(A, "resume", "hi\nyou"), ["sent > hi", "sent   you"]),
    "hung up": (
        Sent(A, "close", None),
        ["note # You have closed the session; the application is told."],
    ),
    "heard": (
        Heard(A, "Which?\n1. This"),
        ["heard < Which?", "heard   1. This", "note # ack, 14 characters"],
    ),
    "one character": (Heard(A, "?"), ["heard < ?", "note # ack, 1 character"]),
    "closed": (
        Heard(A, "Bye", closes=True),
        [
            "heard < Bye",
            "note # ack, 3 characters",
            "note # The application has closed the session:",
            "note /closed",
        ],
    ),
    "too long for USSD": (
        Heard(A, "a" * 183),
        [
            f"heard < {'a' * 183}",
            "error ! ack, but 183 characters are more than a USSD message takes: 182",
        ],
    ),
    "too long for USSD, as it is not in the alphabet": (
        Heard(A, "ŋ" * 81),
        [
            f"heard < {'ŋ' * 81}",
            "error ! ack, but 81 characters (not all in the GSM alphabet) are more than a USSD "
            "message takes: 80",
        ],
    ),
    "an SMS": (
        Heard(A, "a" * 161, transport_type="sms"),
        [f"heard < {'a' * 161}", "note # ack, 161 characters, 2 SMS"],
    ),
    "an SMS outside of the alphabet": (
        Heard(A, "ŋ", transport_type="sms"),
        ["heard < ŋ", "note # ack, 1 character, 1 SMS (not all in the GSM alphabet)"],
    ),
    "any length elsewhere": (
        Heard(A, "a" * 500, transport_type="xmpp"),
        [f"heard < {'a' * 500}", "note # ack, 500 characters"],
    ),
    "heard by somebody else": (
        Heard(B, "you"),
        [f"note # To {B} (ussd):", "heard < you", "note # ack, 3 characters"],
    ),
    "heard by another way": (
        Heard(A, "hi", endpoint="gateway", transport_type="sms"),
        [
            f"note # To {A} by the endpoint gateway (sms):",
            "heard < hi",
            "note # ack, 2 characters, 1 SMS",
        ],
    ),
    "refused": (
        Nacked(A, "one\ntwo", f"{A} is in no session."),
        [f"error ! nack: {A} is in no session.", "note # it was: one", "note #   two"],
    ),
    "refused on purpose": (
        Nacked(B, "one", "No.", on_purpose=True),
        [f"note # nack for {B}: No.", "note # it was: one"],
    ),
    "taking": (Answers(True), ["note # From now on messages are taken (ack)."]),
    "refusing": (Answers(False), ["note # From now on messages are refused (nack)."]),
    "reported": (Reported(A, "failed"), ["note # delivery report: failed"]),
    "reported elsewhere": (
        Reported(B, "failed"),
        [f"note # delivery report for {B}: failed"],
    ),
    "timed out": (
        TimedOut(A),
        ["note # The session has timed out; the application is not told."],
    ),
    "switched": (Switched(B), [f"note # You are {B} now."]),
    "dead": (
        Dead("t.inbound", "handler-failed", "E: x", "Traceback\n  File"),
        [
            "error ! The application could not handle a message of t.inbound (handler-failed):",
            "error ! Traceback",
            "error !   File",
        ],
    ),
    "noted": (Note("one\ntwo"), ["note # one", "note # two"]),
}


@pytest.mark.parametrize(("happening", "lines"), CASES.values(), ids=CASES.keys())
def test_happenings(happening: Happening, lines: list[str]) -> None:
    shown = [f"{line.style} {line.text}" for line in Screen("ussd", A).lines(happening)]
    assert shown == lines


def test_whose_turn_it_is_is_known() -> None:
    screen = Screen("ussd", A)
    list(screen.lines(Switched(B)))
    first, *_ = screen.lines(Heard(A, "x"))
    assert first.text == f"# To {A} (ussd):"
    first, *_ = screen.lines(Heard(B, "x"))
    assert first.text == "< x"


def test_a_reply_can_not_command_the_terminal() -> None:
    assert styled(Line("note", "a\x1b[2Jb\x07\u202e"), False) == "a\\x1b[2Jb\\x07\\u202e"
    assert styled(Line("note", "a\tb"), False) == "a   b"
    assert styled(Line("heard", "\x1bc"), colours=False) == "\\x1bc"
    assert styled(Line("error", "no"), colours=True) == "\x1b[31mno\x1b[0m"
    assert styled(Line("sent", "é日"), colours=False) == "é日"


def test_all_commands_are_explained() -> None:
    lines = [line.text for line in help_lines()]
    assert len(lines) == len(COMMANDS)
    assert lines[0].startswith("TEXT  ")
