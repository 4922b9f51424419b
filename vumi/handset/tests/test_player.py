"""Scripts that are played."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vumi.handset import HandsetError, Player, ScriptFailed, parse_script
from vumi.handset.happenings import Heard
from vumi.handset.tests.samples import ADDRESS, OTHER, Unwilling, finish, make_switchboard

START = ">\n< Welcome!\n  1. Go on\n"

GOOD = {
    "nothing": "",
    "a session": f"{START}> x\n< You said x.\n> end\n< Bye.\n/closed\n{START}",
    "two replies": f"{START}> twice\n< one\n< two\n",
    "a pattern": f"{START}> x\n<~ You .* x\\.\n",
    "silence": f"{START}> silence\n> x\n< You said x.\n",
    "a reply that takes some time": f"{START}> later\n< later indeed\n",
    "the end of a session": f"{START}/open\n/close\n{START}/timeout\n/new\n<~ Welc.*\n",
    "two users": (
        f"{START}/as {OTHER}\n{START}/as {ADDRESS}\n> other\n/as {OTHER}\n< for the other one\n"
    ),
    "an SMS beside the session": f"{START}> sms\n/as {OTHER}\n< by the other way\n",
    "refused messages": "/ack off\n>\n/ack on\n> events\n<~ nack .*off.*\n",
    "a report": f"{START}/report pending\n> events\n< ack,pending\n",
    "a session that was closed and begun again": f"{START}> end\n< Bye.\n/closed\n/new\n<~ .*",
}

BAD: dict[str, tuple[str, int, str, list[str]]] = {
    "another reply": (
        f"{START}> x\n< You said y.\n",
        5,
        "The reply is not the one expected (-) but another one (+).",
        ["- You said y.", "?          ^", "+ You said x.", "?          ^"],
    ),
    "a pattern that does not match": (
        f"{START}> x\n<~ You said \\d\\.\n",
        5,
        "The reply is not the one expected (-) but another one (+).",
        ["~ You said \\d\\.", "does not match", "+ You said x."],
    ),
    "no reply": (
        f"{START}> silence\n< You said\n  something.\n",
        5,
        "No reply came within 5 s.",
        ["- You said", "- something."],
    ),
    "a reply too many": (
        f"{START}> twice\n< one\n> x\n< You said x.\n",
        6,
        f"{ADDRESS} was sent a reply that the script does not expect.",
        ["+ two"],
    ),
    "a reply too many at the end": (
        f"{START}> x\n",
        4,
        f"{ADDRESS} was sent a reply that the script does not expect.",
        ["+ You said x."],
    ),
    "a reply too many for somebody else": (
        f"/as {OTHER}\n{START}/as {ADDRESS}\n{START}> other\n",
        9,
        f"{OTHER} was sent a reply that the script does not expect.",
        ["+ for the other one"],
    ),
    "a message that fails": (
        f"{START}> raise\n< never mind\n",
        4,
        "The application could not handle a message of handset.inbound (handler-failed): "
        "ValueError: so what",
        ["Traceback (most recent call last):", "..."],
    ),
    "a message that fails at the end": (
        f"{START}> raise\n",
        4,
        "The application could not handle a message of handset.inbound (handler-failed): "
        "ValueError: so what",
        ["Traceback (most recent call last):", "..."],
    ),
    "a session closed": (
        f"{START}> end\n< Bye.\n> x\n",
        6,
        f"The application has closed the session of {ADDRESS}; where the script expects that it "
        "says /closed.",
        [],
    ),
    "a session closed at the end": (
        f"{START}> end\n< Bye.\n",
        5,
        f"The application has closed the session of {ADDRESS}; where the script expects that it "
        "says /closed.",
        [],
    ),
    "a session that was to be open": (
        f"{START}> end\n< Bye.\n/open\n",
        6,
        f"{ADDRESS} is in no session.",
        [],
    ),
    "a session that was to be closed": (
        f"{START}/closed\n",
        4,
        "The application has not closed the session.",
        [],
    ),
    "a message that reaches nobody": (
        f"{START}> other\n> x\n",
        4,
        f"The application has sent what can't be delivered: {OTHER} is in no session.",
        ["+ for the other one"],
    ),
    "a command that can't be": (f"{START}/new\n", 4, f"{ADDRESS} is in a session: ", []),
    "an application that does not finish": (
        f"{START}> hang\n> x\n",
        5,
        "The application has not finished with a message within 5 s.",
        [],
    ),
}


class PlayerTests(SynchronousTestCase):
    """What passes and what fails."""

    def play(self, source: str, cls: Any = None, **kw: Any) -> Any:
        clock = Clock()
        switchboard = make_switchboard(clock) if cls is None else make_switchboard(clock, cls)
        player = Player(switchboard, ADDRESS, clock, **kw)
        return finish(clock, player.play(parse_script(source)))

    def test_what_goes_as_expected_passes(self) -> None:
        for name, source in GOOD.items():
            with self.subTest(name):
                self.successResultOf(self.play(source))

    def test_the_first_thing_that_is_not_as_expected_fails(self) -> None:
        for name, (source, line, words, details) in BAD.items():
            with self.subTest(name):
                error = self.failureResultOf(self.play(source), ScriptFailed).value
                assert error.line == line
                assert str(error).startswith(words)
                if details[-1:] == ["..."]:
                    assert list(error.details[: len(details) - 1]) == details[:-1]
                else:
                    assert list(error.details) == details
                self.flushLoggedErrors(ValueError)

    def test_what_happens_can_be_seen(self) -> None:
        seen: list[Any] = []
        self.successResultOf(self.play(START, tell=seen.append))
        assert seen[1:] == [Heard(ADDRESS, "Welcome!\n1. Go on")]

    def test_one_may_wait_longer(self) -> None:
        source = f"{START}> later\n< later indeed\n"
        error = self.failureResultOf(self.play(source, timeout=1), ScriptFailed).value
        assert str(error) == "No reply came within 1 s."
        self.successResultOf(self.play(source, timeout=3))

    def test_an_application_that_can_not_start(self) -> None:
        failure = self.failureResultOf(self.play(START, Unwilling), HandsetError)
        assert "The disk is full" in str(failure.value)
