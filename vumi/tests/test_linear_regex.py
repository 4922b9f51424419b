"""Expressions that cost no more than the text is long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.linear_regex import LinearRegex, PatternError

#: Each takes Python's ``re`` longer than anybody waits.
EXPLOSIVE = [
    (r"(a+)+$", "a" * 50_000 + "!"),
    (r"(a|aa)+$", "a" * 50_000 + "!"),
    (r"(a|a)*$", "a" * 50_000 + "!"),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 50_000),
    (r"(.*a){20}$", "a" * 20_000 + "!"),
    (r"(\w+\s?)*$", "aaa " * 10_000 + "!"),
    (r"\s+$", " " * 50_000 + "x"),
    (r"(x+x+)+y", "x" * 50_000),
    (r"([^@]+)+@", "a" * 50_000),
]


@pytest.mark.parametrize(("pattern", "text"), EXPLOSIVE)
def test_an_expression_that_stops_a_backtracking_engine_comes_to_an_end(
    pattern: str, text: str
) -> None:
    assert LinearRegex(pattern, "i").search(text) in (True, False)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"(a)\1", "backreference"),
        (r"(?P<x>a)(?P=x)", "backreference by name"),
        ("(?=a)", "look-around"),
        ("(?!a)", "look-around"),
        ("(?<=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        ("a++", "possessive"),
        ("(?>a)", "atomic"),
        ("(", "missing"),
        ("[z-a]", "range"),
        ("x" * 1_001, "1000 characters"),
        ("x{1001}", "repetition"),
        ("(?:x{100}){100}", "repetition"),
        ("(?:[a-z]{0,900}){1}(?:[0-9]{0,900})(?:é{0,900})", "repeats too much"),
    ],
)
def test_what_re2_cannot_express_is_refused_with_words(pattern: str, words: str) -> None:
    with pytest.raises(PatternError) as caught:
        LinearRegex(pattern)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "flags", "text", "found"),
    [
        ("HELLO", "i", "oh, hello", True),
        ("HELLO", "", "oh, hello", False),
        ("ÜBER", "i", "über", True),
        ("^b", "m", "a\nb", True),
        ("^b", "", "a\nb", False),
        ("a.b", "s", "a\nb", True),
        ("a.b", "", "a\nb", False),
        ("b|c", "im", "x\nC", True),
        ("", "", "", True),
        ("x", "", "half \ud83d x", True),
        ("\ud83d", "", "half \ud83d", True),
        ("\N{PILE OF POO}", "", "\ud83d\udca9", True),
        ("\0", "", "a\0b", True),
    ],
)
def test_it_finds_what_the_flags_say(pattern: str, flags: str, text: str, found: bool) -> None:
    assert LinearRegex(pattern, flags).search(text) is found


def test_it_matches_at_the_beginning_and_splits() -> None:
    assert LinearRegex("b+").match("bba")
    assert not LinearRegex("b+").match("abb")
    assert LinearRegex("b+").fullmatch("bb")
    assert not LinearRegex("b+").fullmatch("bba")
    assert LinearRegex("b|bb").fullmatch("bb")
    assert LinearRegex("[:#]").split("a:b#c") == ["a", "b", "c"]


@given(
    st.text(st.characters(exclude_categories=())),
    st.text(st.characters(exclude_categories=())),
    st.sampled_from(["", "i", "m", "s", "ims"]),
)
def test_any_pattern_is_an_answer_or_a_declared_error(pattern: str, text: str, flags: str) -> None:
    try:
        regex = LinearRegex(pattern, flags)
    except PatternError as error:
        assert str(error)
        return
    regex.search(text)
    regex.match(text)
    regex.fullmatch(text)
