"""Lines that are typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.handset import commands
from vumi.handset.commands import parse_line
from vumi.handset.phones import HandsetError


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("", commands.Say("")),
        ("hello", commands.Say("hello")),
        (" hello ", commands.Say(" hello ")),
        ("//new", commands.Say("/new")),
        ("//", commands.Say("/")),
        ("/new", commands.New(None)),
        ("/new  *1#", commands.New("*1#")),
        ("/close", commands.Hangup()),
        ("/close ", commands.Hangup()),
        ("/timeout", commands.TimeOut()),
        ("/as +2783", commands.Switch("+2783")),
        ("/ack on", commands.Answering(True)),
        ("/ack off", commands.Answering(False)),
        ("/report", commands.Report("delivered")),
        ("/report failed", commands.Report("failed")),
        ("/closed", commands.Was(True)),
        ("/open", commands.Was(False)),
        ("/save a file.chat", commands.Save("a file.chat")),
        ("/help", commands.Help()),
        ("/quit", commands.Quit()),
    ],
)
def test_lines(line: str, command: commands.Command) -> None:
    assert parse_line(line) == command


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/foo", "There is no command /foo; /help lists them"),
        ("/", "There is no command /;"),
        ("/as", "It is: /as ADDRESS"),
        ("/as two words", "It is: /as ADDRESS"),
        ("/ack", r"It is: /ack on\|off"),
        ("/ack maybe", r"It is: /ack on\|off"),
        ("/report lost", r"It is: /report \[delivered"),
        ("/close now", "It is: /close"),
        ("/save", "It is: /save FILE"),
    ],
)
def test_what_is_no_command_is_told(line: str, words: str) -> None:
    with pytest.raises(HandsetError, match=words):
        parse_line(line)


@given(st.text())
def test_any_line_is_a_command_or_an_error_of_ours(line: str) -> None:
    try:
        parse_line(line)
    except HandsetError as error:
        assert line.startswith("/")
        assert str(error)


def test_every_command_is_explained() -> None:
    explained = {usage.split()[0] for usage in commands.COMMANDS}
    for word in explained - {"TEXT", "//TEXT"}:
        with pytest.raises(HandsetError, match="It is: "):
            parse_line(f"{word} too many words" if word not in ("/new", "/save") else "/ack")
