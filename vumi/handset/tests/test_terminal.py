"""What a terminal sends and what it is sent."""

from __future__ import annotations

import io
import os
import pty
import termios
from typing import Any

import pytest
from twisted.conch.insults.insults import ServerProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from vumi.handset.screen import Line
from vumi.handset.terminal import PlainLines, TypedLines, typing_mode, wants_colours

UP, DOWN, RIGHT, LEFT = b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D"


class Typing:
    """A terminal whose lines are kept."""

    def __init__(self, colours: bool = False) -> None:
        self.lines: list[str] = []
        self.ended = 0
        self.typed = TypedLines(lambda: "me> ", lambda: 20, colours)
        self.typed.on_line = self.lines.append
        self.typed.on_end = self._end
        self.transport = StringTransport()
        self.protocol: Any = ServerProtocol(lambda: self.typed)
        self.protocol.makeConnection(self.transport)

    def _end(self) -> None:
        self.ended += 1

    def send(self, *keys: bytes) -> str:
        """Press keys; gives what is written last: the line as it is shown."""
        self.transport.clear()
        for key in keys:
            self.protocol.dataReceived(key)
        return self.written()

    def written(self) -> str:
        written: str = self.transport.value().decode()
        return written.rpartition("\r\x1b[K")[2]


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ([b"hello\r"], "hello"),
        ([b"hello\n"], "hello"),
        ([b"helo", LEFT, b"l", b"\r"], "hello"),
        ([b"hellx\x7fo\r"], "hello"),
        ([b"hellx\x08o\r"], "hello"),
        ([b"xhello\x01", b"\x1b[3~", b"\r"], "hello"),
        ([b"ello", b"\x1b[H", b"h", b"\x1b[F", b"!\r"], "hello!"),
        ([b"ello\x01h\x05!\r"], "hello!"),
        ([b"no\x15hello\r"], "hello"),
        ([b"hello", LEFT, LEFT, b"\x0b\r"], "hel"),
        ([b"hello you\x17\r"], "hello "),
        ([b"hel\x02\x02\x06x\r"], "hexl"),
        (["grüß göttin\r".encode()], "grüß göttin"),
        ([b"gr\xc3", b"\xbc", b"n\r"], "grün"),
        ([b"\xff\r"], "\N{REPLACEMENT CHARACTER}"),
        ([b"a\tb\x1b[99~\x07\r"], "ab"),
        ([b"a", b"\x1bb", b"c\r"], "ac"),
        ([b"x", b"\x04", b"\x01\x04", b"y\r"], "y"),
    ],
)
def test_keys_become_a_line(keys: list[bytes], line: str) -> None:
    terminal = Typing()
    terminal.send(*keys)
    assert terminal.lines == [line]
    assert not terminal.ended


def test_lines_before_come_back() -> None:
    terminal = Typing()
    terminal.send(b"one\rtwo\r", UP, UP, b"\r", b"\x10\x10\x0e", DOWN, b"three\r")
    assert terminal.lines == ["one", "two", "one", "three"]


def test_control_d_on_an_empty_line_ends() -> None:
    terminal = Typing()
    terminal.send(b"\x04")
    assert terminal.ended == 1


def test_the_line_is_drawn_with_the_cursor_in_it() -> None:
    terminal = Typing()
    assert terminal.written() == "me> \r\x1b[4C"
    assert terminal.send(b"hello") == "me> hello\r\x1b[9C"
    assert terminal.send(LEFT, LEFT) == "me> hello\r\x1b[7C"


def test_what_is_too_long_is_scrolled() -> None:
    terminal = Typing()
    assert terminal.send(b"this is too long for it") == "me> oo long for it\r\x1b[18C"
    assert terminal.send(b"\x01") == "me> this is too lon\r\x1b[4C"


def test_lines_are_shown_above_the_one_being_typed() -> None:
    terminal = Typing()
    terminal.send(b"half")
    terminal.transport.clear()
    terminal.typed.show([Line("heard", "< one"), Line("error", "! two\x1b[2J")])
    written = terminal.transport.value().decode()
    assert written.startswith("\r\x1b[K< one\r\n! two\\x1b[2J\r\n\r\x1b[K")
    assert terminal.written() == "me> half\r\x1b[8C"


def test_colours_are_shown_where_they_are_wanted() -> None:
    terminal = Typing(colours=True)
    terminal.transport.clear()
    terminal.typed.show([Line("heard", "< one")])
    assert "\x1b[32m< one\x1b[0m\r\n" in terminal.transport.value().decode()


def test_the_screen_can_be_cleared() -> None:
    terminal = Typing()
    terminal.send(b"x\x0c")
    assert "\x1b[2J\x1b[H" in terminal.transport.value().decode()
    assert terminal.written() == "me> x\r\x1b[5C"


def test_closing_leaves_the_screen_as_it_is() -> None:
    terminal = Typing()
    terminal.transport.clear()
    terminal.typed.close()
    assert terminal.transport.value() == b"\r\x1b[K"
    assert terminal.transport.disconnecting
    terminal.typed.show([Line("note", "too late")])
    assert terminal.transport.value() == b"\r\x1b[K"
    assert not terminal.typed.closed.called
    terminal.protocol.connectionLost(Failure(ConnectionDone()))
    assert terminal.typed.closed.called
    assert terminal.ended == 1


# Without a terminal


def plain() -> tuple[PlainLines, StringTransport, list[str | None]]:
    lines: list[str | None] = []
    terminal, transport = PlainLines(), StringTransport()
    terminal.on_line = lines.append
    terminal.on_end = lambda: lines.append(None)
    terminal.makeConnection(transport)
    return terminal, transport, lines


def test_plain_lines_are_taken_until_the_end_also_without_a_line_end() -> None:
    terminal, _, lines = plain()
    terminal.dataReceived(b"one\r\n\ntw")
    terminal.dataReceived("ö\nthree".encode())
    terminal.readConnectionLost()
    assert lines == ["one", "", "twö", "three", None]


def test_plain_lines_are_shown_without_colours() -> None:
    terminal, transport, lines = plain()
    terminal.show([Line("heard", "< ö\x1b")])
    assert transport.value() == "< ö\\x1b\n".encode()
    terminal.close()
    assert transport.disconnecting
    terminal.connectionLost(Failure(ConnectionDone()))
    assert terminal.closed.called
    terminal.writeConnectionLost()
    assert lines == [None, None]


# The process's terminal


def test_a_terminal_is_as_it_was_before() -> None:
    manager, terminal = pty.openpty()
    try:
        before = termios.tcgetattr(terminal)
        with typing_mode(terminal) as set_again:
            within = termios.tcgetattr(terminal)
            os.set_blocking(terminal, False)
            # As a shell does for its own line.
            termios.tcsetattr(terminal, termios.TCSANOW, before)
            set_again()
            assert termios.tcgetattr(terminal) == within
        assert within[3] & termios.ISIG
        assert not within[3] & (termios.ECHO | termios.ICANON)
        assert termios.tcgetattr(terminal) == before
        assert os.get_blocking(terminal)
    finally:
        os.close(manager)
        os.close(terminal)


@pytest.mark.parametrize(
    ("is_terminal", "environment", "wanted"),
    [
        (True, {"TERM": "xterm"}, True),
        (False, {"TERM": "xterm"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
    ],
)
def test_who_wants_colours(
    is_terminal: bool,
    environment: dict[str, str],
    wanted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal  # type: ignore[method-assign]  # plays a terminal
    assert wants_colours(stream) is wanted
