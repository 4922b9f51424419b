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
        ("\N{SUPERSCRIPT TWO}", None),
        ("Eng", None),
    ],
)
def test_a_choice_is_meant_by_its_number_or_its_label(text: str, value: str | None) -> None:
    option = Progress("s", options=OPTIONS).chosen(text)
    assert (option and option.value) == value
