"""Scripts: how they are read and written, and what replies match."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.errors import ConfigError
from vumi.handset import commands
from vumi.handset.commands import Say
from vumi.handset.happenings import (
    Answers,
    Heard,
    Nacked,
    Note,
    Reported,
    Sent,
    Switched,
    TimedOut,
)
from vumi.handset.script import Expected, Step, marked, parse_script, script_of

SOURCE = """\
# vumi chat some.Application --script this
>
< Which language?
  1. English

  2. Kiswahili
    (on the coast)

> 2
<~ Sawa.*
/closed
# That was all.
  > not sent, as it continues a comment
/as +27831
> /close
"""


def test_a_script_has_steps_and_each_knows_its_line() -> None:
    with pytest.raises(ConfigError):
        parse_script(SOURCE)
    assert parse_script(SOURCE.replace("  > not", "# > not")) == [
        Step(2, Say("")),
        Step(3, Expected("Which language?\n1. English\n\n2. Kiswahili\n  (on the coast)")),
        Step(9, Say("2")),
        Step(10, Expected("Sawa.*", is_pattern=True)),
        Step(11, commands.Was(closed=True)),
        Step(14, commands.Switch("+27831")),
        Step(15, Say("/close")),
    ]


@pytest.mark.parametrize(
    ("source", "steps"),
    [
        ("", []),
        ("\n\n# nothing\n", []),
        (">\r\n< a\r\n", [Step(1, Say("")), Step(2, Expected("a"))]),
        (">  a ", [Step(1, Say(" a "))]),
        ("<\n  a", [Step(1, Expected("\na"))]),
        (">\n\n  a", [Step(1, Say("\n\na"))]),
        ("< a\n   b", [Step(1, Expected("a\n b"))]),
        ("< #\n# no\n< b", [Step(1, Expected("#")), Step(3, Expected("b"))]),
    ],
)
def test_how_scripts_are_read(source: str, steps: list[Step]) -> None:
    assert parse_script(source) == steps


def test_all_lines_that_can_not_be_understood_are_told() -> None:
    source = ">text\nhello\n  more\n<~ (\n/foo\n/quit\n/help\n> fine\n<<"
    with pytest.raises(ConfigError) as caught:
        parse_script(source, "x.chat")
    problems = caught.value.problems
    places = [problem.split(":")[0] for problem in problems]
    assert places == [f"x.chat, line {number}" for number in (1, 2, 3, 4, 5, 6, 7, 9)]
    for problem, words in zip(
        problems,
        [
            "a line begins with",
            "a line begins with",
            "a line begins with",
            "this is no regular expression: ",
            "There is no command /foo",
            "/quit is for the terminal only.",
            "/help is for the terminal only.",
            "a line begins with",
        ],
        strict=True,
    ):
        assert words in problem


@pytest.mark.parametrize(
    ("expected", "reply", "matches"),
    [
        (Expected("Hello"), "Hello", True),
        (Expected("Hello"), "Hello \n\n", True),
        (Expected("Word:  \nGuess:"), "Word: \nGuess:\n", True),
        (Expected(""), "", True),
        (Expected("Hello"), "hello", False),
        (Expected("Hello"), " Hello", False),
        (Expected("H.*"), "Hello", False),
        (Expected("H.*", True), "Hello\nyou", True),
        (Expected("Hell", True), "Hello", False),
        (Expected(r"at \d{4}-\d\d\.", True), "at 2020-05.", True),
        (Expected(".*", True), "", True),
    ],
)
def test_replies_that_match(expected: Expected, reply: str, matches: bool) -> None:
    assert (expected.difference(reply) == []) is matches


def test_a_difference_shows_both_line_by_line() -> None:
    assert Expected("one\ntwo\nthree").difference("one\ntoo\nthree") == [
        "  one",
        "- two",
        "+ too",
        "  three",
    ]
    assert Expected("T.o", True).difference("Three\nmore") == [
        "~ T.o",
        "does not match",
        "+ Three",
        "+ more",
    ]


# Writing


def test_what_happened_becomes_a_script() -> None:
    happened: list[Any] = [
        Sent("A", "new", None),
        Heard("A", "Which?\n1. This"),
        Switched("B"),
        Switched("A"),
        Sent("A", "resume", "/1"),
        Note("not said"),
        Heard("B", "for the other one"),
        Heard("A", "Bye", closes=True),
        Answers(takes=False),
        Nacked("A", "lost", "refused", on_purpose=True),
        Answers(takes=True),
        Sent("B", "new", "*1#"),
        Reported("B", "failed"),
        TimedOut("B"),
        Sent("A", "close", None),
    ]
    assert list(script_of(happened, "A")) == [
        ">",
        "< Which?",
        "  1. This",
        "> /1",
        "/as B",
        "< for the other one",
        "/as A",
        "< Bye",
        "/closed",
        "/ack off",
        "/ack on",
        "/as B",
        "> *1#",
        "/report failed",
        "/timeout",
        "/as A",
        "/close",
    ]


LINES = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]))


@given(st.lists(LINES, min_size=1, max_size=5).map("\n".join))
def test_what_was_written_is_read_as_the_same(text: str) -> None:
    steps = parse_script("\n".join(script_of([Heard("A", text), Sent("A", None, text)], "A")))
    expected, sent = (step.what for step in steps)
    assert isinstance(expected, Expected)
    assert expected.difference(text) == []
    assert isinstance(sent, Say)
    assert [line.rstrip() for line in sent.text.rstrip().split("\n")] == [
        line.rstrip() for line in text.rstrip().split("\n")
    ]


@given(st.text())
def test_any_text_is_a_script_or_an_error_of_ours(source: str) -> None:
    try:
        parse_script(source)
    except ConfigError as error:
        assert error.problems


def test_lines_are_marked() -> None:
    assert list(marked("< ", "a\n\nb", "  ")) == ["< a", "", "  b"]
