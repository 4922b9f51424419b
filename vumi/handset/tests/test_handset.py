"""The handset and an application, over real connectors."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vumi.handset import Handset, HandsetError
from vumi.handset.commands import parse_line
from vumi.handset.happenings import (
    Answers,
    Dead,
    Heard,
    Nacked,
    Reported,
    Sent,
    Switched,
    TimedOut,
)
from vumi.handset.tests.samples import ADDRESS, OTHER, Unwilling, finish, make_switchboard

WELCOME = Heard(ADDRESS, "Welcome!\n1. Go on")


class HandsetTests(SynchronousTestCase):
    """What commands do and what is told."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[Any] = []
        self.handset: Any = None
        self.addCleanup(self.put_down)

    def put_down(self) -> None:
        if self.handset is not None:
            self.successResultOf(finish(self.clock, self.handset.stop()))

    def start(self, transport_type: str = "ussd") -> None:
        self.switchboard = make_switchboard(self.clock, transport_type=transport_type)
        self.handset = Handset(self.switchboard, ADDRESS, self.told.append)
        self.successResultOf(finish(self.clock, self.handset.start()))

    def do(self, *lines: str, seconds: float = 1) -> list[Any]:
        """Have lines done, let time pass after each, and give what was told."""
        del self.told[:]
        for line in lines:
            self.successResultOf(finish(self.clock, self.handset.do(parse_line(line))))
            self.clock.pump([0.1] * int(seconds * 10))
        return self.told

    def events(self) -> list[str]:
        events: list[str] = self.switchboard.application.events  # type: ignore[attr-defined]  # it is a Sample
        return events

    def test_a_session_from_beginning_to_end(self) -> None:
        self.start()
        assert self.do("") == [Sent(ADDRESS, "new", None), WELCOME]
        assert self.do("x") == [Sent(ADDRESS, "resume", "x"), Heard(ADDRESS, "You said x.")]
        assert self.do("end") == [
            Sent(ADDRESS, "resume", "end"),
            Heard(ADDRESS, "Bye.", closes=True),
        ]
        assert self.do("x") == [Sent(ADDRESS, "new", "x"), WELCOME]
        assert self.do("/close") == [Sent(ADDRESS, "close", None)]
        assert self.events() == ["ack"] * 4 + ["close"]
        assert self.do("/new *1#", "/timeout", "/new") == [
            Sent(ADDRESS, "new", "*1#"),
            WELCOME,
            TimedOut(ADDRESS),
            Sent(ADDRESS, "new", None),
            WELCOME,
        ]
        assert self.events().count("close") == 1

    def test_sms_has_no_sessions(self) -> None:
        self.start("sms")
        assert self.do("x", "end", "x") == [
            Sent(ADDRESS, None, "x"),
            Heard(ADDRESS, "You said x.", transport_type="sms"),
            Sent(ADDRESS, None, "end"),
            Heard(ADDRESS, "Bye.", transport_type="sms"),
            Sent(ADDRESS, None, "x"),
            Heard(ADDRESS, "You said x.", transport_type="sms"),
        ]

    def test_users_each_have_a_session(self) -> None:
        self.start()
        self.do("")
        assert self.do(f"/as {OTHER}", "", f"/as {ADDRESS}", "x") == [
            Switched(OTHER),
            Sent(OTHER, "new", None),
            Heard(OTHER, WELCOME.content),
            Switched(ADDRESS),
            Sent(ADDRESS, "resume", "x"),
            Heard(ADDRESS, "You said x."),
        ]
        assert self.do("other")[1:] == [Heard(OTHER, "for the other one")]

    def test_what_is_not_in_a_session_is_refused(self) -> None:
        self.start()
        self.do("")
        reason = f"{OTHER} is in no session."
        assert self.do("other")[1:] == [Nacked(OTHER, "for the other one", reason)]
        assert self.events()[-1] == f"nack {reason}"
        assert self.do("later", "/timeout")[-1] == TimedOut(ADDRESS)
        self.clock.pump([0.1] * 30)
        assert self.told[-1] == Nacked(ADDRESS, "later indeed", f"{ADDRESS} is in no session.")

    def test_another_way_needs_no_session(self) -> None:
        self.start()
        self.do("")
        assert self.do("sms")[1:] == [
            Heard(OTHER, "by the other way", endpoint="gateway", transport_type="sms")
        ]

    def test_the_network_refuses_when_it_is_told_to(self) -> None:
        self.start()
        reason = "The handset takes no messages (/ack off)."
        assert self.do("/ack off", "", "/ack on", "x") == [
            Answers(False),
            Sent(ADDRESS, "new", None),
            Nacked(ADDRESS, WELCOME.content, reason, on_purpose=True),
            Answers(True),
            Sent(ADDRESS, "resume", "x"),
            Heard(ADDRESS, "You said x."),
        ]
        assert self.events() == [f"nack {reason}", "ack"]

    def test_delivery_reports(self) -> None:
        self.start()
        assert self.do("", "/report", "/report failed")[2:] == [
            Reported(ADDRESS, "delivered"),
            Reported(ADDRESS, "failed"),
        ]
        assert self.events() == ["ack", "delivered", "failed"]

    def test_a_message_that_fails_is_shown_and_the_next_is_handled(self) -> None:
        self.start()
        self.do("")
        _sent, dead, *rest = self.do("raise", "x")
        assert isinstance(dead, Dead)
        assert (dead.queue, dead.reason) == ("handset.inbound", "handler-failed")
        assert dead.error == "ValueError: so what"
        assert 'raise ValueError("so what")' in dead.traceback
        assert rest[1:] == [Heard(ADDRESS, "You said x.")]
        assert len(self.flushLoggedErrors(ValueError)) == 1

    def test_what_can_not_be_done_is_told(self) -> None:
        self.start()
        for line, words in (
            ("/close", "is in no session"),
            ("/timeout", "is in no session"),
            ("/report", "has got no message yet"),
            ("/closed", "for scripts only"),
        ):
            failure = self.failureResultOf(
                finish(self.clock, self.handset.do(parse_line(line))), HandsetError
            )
            assert words in str(failure.value)

    def test_an_application_that_can_not_start(self) -> None:
        switchboard = make_switchboard(self.clock, Unwilling)
        handset = Handset(switchboard, ADDRESS, self.told.append)
        failure = self.failureResultOf(finish(self.clock, handset.start()), HandsetError)
        assert str(failure.value) == "Unwilling could not start: OSError: The disk is full."
        self.successResultOf(finish(self.clock, handset.stop()))

    def test_it_is_quiet_when_all_is_handled(self) -> None:
        self.start()
        self.do("")
        quiet = self.handset.quiet()
        assert not quiet.called
        self.clock.advance(0)
        assert quiet.called
        self.do("hang")
        quiet = self.handset.quiet()
        self.clock.pump([0.1] * 10)
        assert not quiet.called

    def test_an_application_that_never_finishes_is_left_behind(self) -> None:
        self.start()
        self.do("", "hang")
        self.successResultOf(finish(self.clock, self.handset.stop(), seconds=10))
        self.handset = None
