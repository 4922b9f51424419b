"""What is remembered of a user."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.application.menus.progress import Option, Progress

PROGRESS = st.integers(min_value=1, max_value=4).flatmap(
    lambda pages: st.builds(
        Progress,
        state=st.text(),
        answers=st.dictionaries(st.text(), st.text()),
        pages=st.lists(st.text(), min_size=pages, max_size=pages),
        page=st.integers(min_value=0, max_value=pages - 1),
        options=st.lists(st.builds(Option, st.text(), st.text(), st.none() | st.text())),
        ends=st.booleans(),
        asks_to_go_on=st.booleans(),
        message_id=st.text(),
        seen=st.lists(st.text()),
        failed=st.dictionaries(st.text(), st.integers(min_value=0)),
        step=st.integers(min_value=0),
        release=st.text(),
    )
)


@given(PROGRESS)
def test_a_session_gives_back_what_was_put_into_it(progress: Progress) -> None:
    assert Progress.from_session(progress.to_session()) == progress


@given(st.dictionaries(st.sampled_from(["state", "answers", "shown", "message_id"]), st.text()))
def test_what_is_no_session_is_refused_by_one_kind_of_error(session: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Progress.from_session(session)


GOOD = Progress("s", pages=["one"], message_id="id").to_session()


@pytest.mark.parametrize(
    "field",
    [
        {"answers": "5"},
        {"answers": '"abc"'},
        {"shown": "[]"},
        {"shown": "{}"},
        {"shown": '{"pages": [], "page": 0, "options": [], "ends": 0, "asks_to_go_on": 0}'},
        {"shown": '{"pages": ["a"], "page": 1, "options": [], "ends": 0, "asks_to_go_on": 0}'},
        {"shown": '{"pages": ["a"], "page": 0, "options": [1], "ends": 0, "asks_to_go_on": 0}'},
    ],
)
def test_fields_that_hold_something_else_are_refused(field: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"session of a menu|dictionary"):
        Progress.from_session({**GOOD, **field})


OPTIONS = [Option("English", "en"), Option("2", "two"), Option("7", "seven")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", "en"),
        (" 1. ", "en"),
        ("english", "en"),
        (" ENGLISH", "en"),
        ("\N{ARABIC-INDIC DIGIT ONE}", "en"),
        ("2", "two"),
        ("7", "seven"),
        ("3", "seven"),
        ("0", None),
        ("4", None),
        ("-1", None),
        ("", None),
        # Not the number, but the label, as compatible forms are the same words.
        ("\N{SUPERSCRIPT TWO}", "two"),
        ("\N{CIRCLED DIGIT ONE}", None),
        ("1\ufe0f\u20e3", "en"),
        ("(1)", "en"),
        ("1 \U0001f44d", "en"),
        ("\uff25nglish!", "en"),
        ("\u201cEng\u00adlish\u201d", "en"),
        ("+1", None),
        ("9" * 4301, None),
        ("\N{ARABIC-INDIC DIGIT ONE}" * 5000, None),
        ("\ud83d", None),
        ("Eng", None),
    ],
)
def test_a_choice_is_meant_by_its_number_or_its_label(text: str, value: str | None) -> None:
    option = Progress("s", options=OPTIONS).chosen(text)
    assert (option and option.value) == value


def test_labels_that_differ_in_punctuation_only_are_told_apart() -> None:
    signs = Progress("s", options=[Option("+5 C", "plus"), Option("-5 C", "minus")])
    for text, value in (("+5 c", "plus"), ("-5 C", "minus"), ("5 C", None), ("?", None)):
        option = signs.chosen(text)
        assert (option and option.value) == value


@pytest.mark.parametrize("text", ["0", "0.", " 0 ", "\u0660", "\uff10)", "0\ufe0f\u20e3"])
def test_zero_in_any_writing_turns_the_page(text: str) -> None:
    assert Progress("s", pages=["a", "b"]).turns_page(text)


def test_a_session_of_an_older_version_is_read() -> None:
    old = {
        "state": "s",
        "answers": "{}",
        "shown": '{"pages": ["a"], "page": 0, "options": [], "ends": 0, "asks_to_go_on": 0}',
        "message_id": "m",
    }
    progress = Progress.from_session(old)
    assert (progress.seen, progress.failed, progress.step, progress.release) == ([], {}, 0, "")


def test_messages_are_remembered_up_to_a_bound() -> None:
    progress: Progress | None = None
    for number in range(200):
        following = Progress("s", pages=["p"])
        following.follow(progress, f"m{number}")
        progress = following
    assert progress is not None
    assert progress.step == 200
    assert progress.knows("m199")
    assert progress.knows("m150")
    assert not progress.knows("m0")
    assert len(progress.seen) == 50
    for number in range(100):
        progress.note_failure(f"f{number}")
    assert len(progress.failed) == 10
