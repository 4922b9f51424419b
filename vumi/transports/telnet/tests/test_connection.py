"""Tests for telnet's commands, whatever a client makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.conch.telnet import DO, DONT, IAC, SB, SE, WILL, WONT, TelnetProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from vumi.tests.utils import LogCatcher
from vumi.transports.telnet.connection import TelnetConnection

ECHO, NOP, AYT = b"\x01", b"\xf1", b"\xf6"


class Listener(TelnetProtocol):
    """Keeps the text that comes."""

    transport: Any

    def __init__(self) -> None:
        self.text = b""

    def dataReceived(self, data: bytes) -> None:
        self.text += data

    def disconnect(self) -> None:
        self.transport.loseConnection()


class Link:
    """A client's connection, without a socket."""

    def __init__(self) -> None:
        self.listener = Listener()
        self.connection = TelnetConnection(lambda: self.listener)
        self.wire = StringTransport()
        self.connection.makeConnection(self.wire)

    def send(self, *chunks: bytes) -> bytes:
        """Have a client send chunks; returns all text since the beginning."""
        for chunk in chunks:
            self.connection.dataReceived(chunk)
        return self.listener.text


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        pytest.param([b"hello\r\n"], b"hello\n", id="CR LF"),
        pytest.param([b"hello\n"], b"hello\n", id="LF"),
        pytest.param([b"hello\r"], b"hello\r", id="CR is not kept until something follows"),
        pytest.param([b"hello\r\0"], b"hello\r", id="CR NUL"),
        pytest.param([b"a" + IAC + NOP + b"b"], b"ab", id="a command within a word"),
        pytest.param([b"a" + IAC, NOP + b"b"], b"ab", id="a command torn apart"),
        pytest.param([b"a" + IAC + IAC + b"b"], b"a\xffb", id="an escaped byte 255"),
        pytest.param([IAC + SB + b"\x18\x00xterm" + IAC + SE + b"a"], b"a", id="subnegotiation"),
        pytest.param([b"a\r" + IAC + AYT + b"\nb"], b"a\r\nb", id="a command within CR LF"),
    ],
)
def test_commands_are_taken_out_of_the_text(chunks: list[bytes], text: bytes) -> None:
    link = Link()
    assert link.send(*chunks) == text
    assert not link.wire.disconnecting


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (IAC + WILL + ECHO, IAC + DONT + ECHO),
        (IAC + DO + ECHO, IAC + WONT + ECHO),
        (IAC + WONT + ECHO, b""),
        (IAC + DONT + ECHO, b""),
    ],
)
def test_every_option_is_declined(offer: bytes, answer: bytes) -> None:
    link = Link()
    assert link.send(offer + b"hi") == b"hi"
    assert link.wire.value() == answer


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        pytest.param([b"hello\r\n" + IAC + b"A"], b"hello\n", id="unknown command"),
        pytest.param([b"hello\r\n" + IAC, b"A"], b"hello\n", id="unknown command torn apart"),
        pytest.param([b"hello\r\n" + IAC + SB + IAC + SE], b"hello\n", id="empty subnegotiation"),
        pytest.param([IAC + SE, b"more\r\n"], b"", id="nothing after it is read"),
    ],
)
def test_what_is_no_telnet_ends_the_connection_with_a_line_in_the_log(
    chunks: list[bytes], text: bytes
) -> None:
    link = Link()
    with LogCatcher() as catcher:
        assert link.send(*chunks) == text
    assert link.wire.disconnecting
    assert link.connection.broken
    [line] = catcher.messages()
    assert "192.168.1.1" in line
    assert "no valid telnet" in line
    assert catcher.errors == []


@pytest.mark.parametrize(
    ("sent", "broken"), [(b"hi", False), (IAC, True), (IAC + SB + b"\x18", True)]
)
def test_a_connection_that_ends_within_a_command_is_broken(sent: bytes, broken: bool) -> None:
    link = Link()
    link.send(sent)
    link.connection.connectionLost(Failure(ConnectionDone()))
    assert link.connection.broken is broken


def test_an_error_of_ours_is_not_taken_for_one_of_the_client() -> None:
    link = Link()

    def fail(data: bytes) -> None:
        raise ValueError(data)

    link.listener.dataReceived = fail  # type: ignore[method-assign]  # the test's own class
    with pytest.raises(ValueError, match="oops"):
        link.send(b"oops")
    assert not link.connection.broken


def test_text_is_written_as_telnet() -> None:
    link = Link()
    link.connection.write(b"one\ntwo\n")
    assert link.wire.value() == b"one\r\ntwo\r\n"


# What clients send, well-formed or not.
commands = st.sampled_from([IAC, SB, SE, WILL, WONT, DO, DONT, NOP, b"\r", b"\n", b"\0", b"a"])
noise = st.lists(st.lists(commands | st.binary(max_size=3), max_size=8).map(b"".join))


@given(noise)
def test_no_bytes_raise_anything(chunks: list[bytes]) -> None:
    link = Link()
    with LogCatcher() as catcher:
        link.send(*chunks)
        link.connection.connectionLost(Failure(ConnectionDone()))
    assert catcher.errors == []


@given(st.lists(st.text(alphabet="ab\xff").map(lambda text: text.encode("latin-1"))))
def test_text_does_not_depend_on_how_it_is_cut(texts: list[bytes]) -> None:
    escaped = [text.replace(IAC, IAC + IAC) for text in texts]
    whole = b"".join(texts)
    assert Link().send(*escaped) == whole
    assert Link().send(b"".join(escaped)) == whole
    one_by_one = (bytes([byte]) for byte in b"".join(escaped))
    assert Link().send(*one_by_one) == whole
