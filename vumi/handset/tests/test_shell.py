"""Somebody at a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vumi.handset import HandsetError, Shell
from vumi.handset.screen import Line
from vumi.handset.tests.samples import ADDRESS, OTHER, Unwilling, finish, make_switchboard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Terminal:
    """Where lines are shown; what is typed is called."""

    on_line: Callable[[str], None]
    on_end: Callable[[], None]

    def __init__(self) -> None:
        self.shown: list[str] = []

    def show(self, lines: Iterable[Line]) -> None:
        self.shown += [line.text for line in lines]


class ShellTests(SynchronousTestCase):
    """What is typed and what is shown."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.terminal: Any = Terminal()

    def start(self, cls: Any = None, patience: float = 0) -> Any:
        switchboard = make_switchboard(self.clock, **({} if cls is None else {"cls": cls}))
        self.shell = Shell(switchboard, ADDRESS, self.clock, patience)
        self.shell.terminal = self.terminal
        greeting = [Line("note", "# Hello.")]
        self.running = finish(self.clock, self.shell.run(greeting), seconds=1)
        return self.running

    def type(self, *lines: str, seconds: float = 0.5) -> list[str]:
        """Type lines one after another; gives what was shown."""
        del self.terminal.shown[:]
        for line in lines:
            self.terminal.on_line(line)
            self.clock.pump([0.1] * int(seconds * 10))
        shown: list[str] = list(self.terminal.shown)
        return shown

    def quit(self) -> None:
        self.terminal.on_end()
        self.clock.pump([0.1] * 100)
        self.successResultOf(self.running)

    def test_a_conversation(self) -> None:
        self.start()
        assert self.terminal.shown == ["# Hello."]
        assert self.shell.prompt() == f"{ADDRESS}> "
        assert self.type("") == [
            ">",
            "# new session",
            "< Welcome!",
            "  1. Go on",
            "# ack, 17 characters",
        ]
        assert self.shell.prompt() == f"{ADDRESS} in session> "
        assert self.type(f"/as {OTHER}") == [f"/as {OTHER}", f"# You are {OTHER} now."]
        assert self.shell.prompt() == f"{OTHER}> "
        assert self.type("/close") == ["/close", f"! {OTHER} is in no session."]
        assert self.type("/nonsense")[0].startswith("! There is no command /nonsense")
        assert self.type("/closed") == ["/closed", "! That is for scripts only."]
        assert not self.shell.failed
        self.quit()

    def test_help(self) -> None:
        self.start()
        assert any(line.startswith("/timeout ") for line in self.type("/help"))
        self.quit()

    def test_quit_and_the_end_of_input_end_it(self) -> None:
        for end in (lambda: self.type("/quit"), lambda: self.terminal.on_end()):
            self.start()
            self.assertNoResult(self.running)
            end()
            self.clock.pump([0.1] * 10)
            self.successResultOf(self.running)

    def test_a_message_that_fails_is_shown_with_its_traceback(self) -> None:
        self.start()
        self.type("")
        shown = self.type("raise")
        words = "! The application could not handle a message of handset.inbound (handler-failed):"
        assert shown[:2] == ["> raise", words]
        assert any("ValueError: so what" in line for line in shown)
        assert self.shell.failed
        self.flushLoggedErrors(ValueError)
        self.quit()

    def test_people_need_not_wait_for_the_application(self) -> None:
        self.start()
        shown = self.type("", "hang", "/timeout")
        assert shown[-3:] == [
            "> hang",
            "/timeout",
            "# The session has timed out; the application is not told.",
        ]
        self.quit()

    def test_lines_of_a_file_wait_for_their_replies(self) -> None:
        self.start(patience=3)
        for line in ("", "end", "again"):
            self.terminal.on_line(line)
        self.clock.pump([0.1] * 20)
        said = [line for line in self.terminal.shown if not line.startswith("#")]
        welcome = ["< Welcome!", "  1. Go on"]
        assert said == [">", *welcome, "> end", "< Bye.", "/closed", "> again", *welcome]
        shown = self.type("hang", seconds=4)
        assert shown[-1] == "! The application has not finished within 3 s."
        self.quit()

    def test_what_was_said_can_be_saved(self) -> None:
        self.start()
        path = Path(self.mktemp())
        self.type("", "x", "end")
        assert self.type(f"/save {path}")[1:] == [f"# Written to {path}."]
        assert path.read_text("utf-8") == (
            ">\n< Welcome!\n  1. Go on\n> x\n< You said x.\n> end\n< Bye.\n/closed\n"
        )
        assert self.type(f"/save {path}")[1:] == [f"! {path} can't be written: File exists."]
        self.quit()

    def test_an_application_that_can_not_start_ends_it(self) -> None:
        self.failureResultOf(self.start(Unwilling), HandsetError)
        assert self.terminal.shown == []
