"""Tests for lines and their encoding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.transports.telnet.wire import LineSplitter, decode_line, encode_text

# Mostly what matters: line ends, NUL, and something between them.
stream = st.lists(st.sampled_from([b"\r", b"\n", b"\0", b"\r\n", b"a", b"bc"])).map(b"".join)


def split(*chunks: bytes, max_length: int = 100) -> tuple[list[bytes], bytes, bool]:
    """The lines that chunks make, what is left, and whether a line was too long."""
    splitter = LineSplitter(max_length)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    return lines, splitter.rest(), splitter.overflowed


@pytest.mark.parametrize(
    ("chunks", "lines", "rest"),
    [
        pytest.param([b"one\r\n"], [b"one"], b"", id="CR LF"),
        pytest.param([b"one\n"], [b"one"], b"", id="LF"),
        pytest.param([b"one\r"], [b"one"], b"", id="CR"),
        pytest.param([b"one\r\0"], [b"one"], b"", id="CR NUL"),
        pytest.param([b"one\r\ntwo\r\n"], [b"one", b"two"], b"", id="two lines in one chunk"),
        pytest.param([b"o", b"n", b"e\n"], [b"one"], b"", id="one line in three chunks"),
        pytest.param([b"one\r", b"\ntwo\n"], [b"one", b"two"], b"", id="CR LF torn apart"),
        pytest.param([b"one\r", b"\0", b"two\n"], [b"one", b"two"], b"", id="CR NUL torn apart"),
        pytest.param([b"one\r", b"\0\ntwo\n"], [b"one", b"two"], b"", id="NUL before the LF"),
        pytest.param([b"one\n\ntwo\n"], [b"one", b"", b"two"], b"", id="empty line"),
        pytest.param([b"one\r\r\n"], [b"one", b""], b"", id="CR before CR LF"),
        pytest.param([b"\n\r"], [b"", b""], b"", id="LF CR is two ends"),
        pytest.param([b"o\0ne\n"], [b"one"], b"", id="NUL within a line"),
        pytest.param([b"one\ntw", b"o"], [b"one"], b"two", id="no end yet"),
        pytest.param([b""], [], b"", id="nothing"),
    ],
)
def test_lines_end_where_they_should(chunks: list[bytes], lines: list[bytes], rest: bytes) -> None:
    assert split(*chunks) == (lines, rest, False)


@pytest.mark.parametrize(
    ("chunks", "lines", "overflowed"),
    [
        pytest.param([b"12345\n"], [b"12345"], False, id="just short enough"),
        pytest.param([b"12345", b"\r", b"\n67\n"], [b"12345", b"67"], False, id="end not counted"),
        pytest.param([b"123456\n"], [], True, id="too long"),
        pytest.param([b"123", b"456"], [], True, id="too long before its end comes"),
        pytest.param([b"1\n123456\n2\n"], [b"1"], True, id="the lines before are kept"),
        pytest.param([b"123456", b"\n1\n"], [], True, id="nothing after it is read"),
    ],
)
def test_a_line_that_is_too_long_is_the_last(
    chunks: list[bytes], lines: list[bytes], overflowed: bool
) -> None:
    assert split(*chunks, max_length=5) == (lines, b"", overflowed)


@given(st.lists(stream))
def test_lines_do_not_depend_on_how_the_stream_is_cut(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    *lines, rest = (
        whole.replace(b"\0", b"").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    )
    assert split(*chunks, max_length=len(whole)) == (lines, rest, False)
    assert split(whole, max_length=len(whole)) == (lines, rest, False)


@given(st.lists(st.binary()), st.integers(1, 8))
def test_no_more_than_a_line_is_ever_kept(chunks: list[bytes], max_length: int) -> None:
    splitter = LineSplitter(max_length)
    for chunk in chunks:
        assert all(len(line) <= max_length for line in splitter.feed(chunk))
    assert len(splitter.rest()) <= max_length


@pytest.mark.parametrize(
    ("line", "text"),
    [
        pytest.param(b"plain", "plain", id="ASCII"),
        pytest.param(b"Z\xc3\xbcrich", "Zürich", id="UTF-8"),
        pytest.param(b"Z\xfcrich", "Zürich", id="Latin-1"),
        pytest.param("\N{PILE OF POO}".encode(), "\N{PILE OF POO}", id="beyond the BMP"),
        pytest.param(b"", "", id="empty"),
    ],
)
def test_decode_line(line: bytes, text: str) -> None:
    assert decode_line(line) == text


@given(st.binary())
def test_whatever_comes_is_a_text(line: bytes) -> None:
    decode_line(line).encode("utf-8")


@given(st.text(st.characters(codec="utf-8")))
def test_utf8_is_read_as_it_was_meant(text: str) -> None:
    assert decode_line(text.encode("utf-8")) == text


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        pytest.param("hi", b"hi\n", id="one line"),
        pytest.param("hi\n", b"hi\n", id="a line that has its end"),
        pytest.param("a\r\nb\rc\nd", b"a\nb\nc\nd\n", id="all line ends are alike"),
        pytest.param("a\n\nb", b"a\n\nb\n", id="an empty line between"),
        pytest.param("", b"\n", id="empty"),
        pytest.param(None, b"\n", id="none"),
        pytest.param("Zürich", b"Z\xc3\xbcrich\n", id="UTF-8"),
        pytest.param("half \ud83d", b"half ?\n", id="half a surrogate pair"),
    ],
)
def test_encode_text(text: str | None, sent: bytes) -> None:
    assert encode_text(text) == sent


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_what_is_sent_is_read_as_the_same_lines(text: str) -> None:
    lines, rest, _ = split(encode_text(text), max_length=10**6)
    assert rest == b""
    assert [decode_line(line) for line in lines] == (text.splitlines() or [""])
