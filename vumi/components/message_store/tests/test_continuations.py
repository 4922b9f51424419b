"""Continuations: what a page's end looks like in a URL."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.components.message_store.continuations import continuation, position
from vumi.errors import StoreError

QUESTION = ("page", "b", None, datetime(2026, 1, 1), True)

places = st.tuples(st.integers(-(2**63), 2**63), st.text())


@given(places)
def test_a_place_comes_back(place: tuple[int, str]) -> None:
    text = continuation(QUESTION, place)
    assert text.isascii()
    assert not set("+/=&? ") & set(text)
    assert position(QUESTION, text, int, str) == place


@given(st.text() | st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
def test_any_other_text_is_refused_and_nothing_else(text: str) -> None:
    with pytest.raises(StoreError):
        position(QUESTION, text, int, str)


@given(places, st.data())
def test_a_text_that_was_cut_is_refused(place: tuple[int, str], data: st.DataObject) -> None:
    text = continuation(QUESTION, place)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(StoreError):
        position(QUESTION, cut, int, str)


@pytest.mark.parametrize(
    ("question", "types"),
    [
        (("page", "c", None, datetime(2026, 1, 1), True), (int, str)),
        (QUESTION[:-1], (int, str)),
        (QUESTION, (str, str)),
        (QUESTION, (int,)),
        (QUESTION, (int, str, int)),
    ],
)
def test_a_place_in_another_page_is_refused(question: Any, types: Any) -> None:
    text = continuation(QUESTION, (1, "a"))
    with pytest.raises(StoreError):
        position(question, text, *types)


def test_a_truth_is_no_number() -> None:
    text = continuation(QUESTION, (True, "a"))
    with pytest.raises(StoreError):
        position(QUESTION, text, int, str)
