"""Values as SQL databases keep them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from vumi.components.message_store.sql.schema import (
    from_column,
    from_list,
    from_micros,
    to_column,
    to_list,
    to_micros,
)

any_text = st.text(st.characters() | st.sampled_from("\0\x1a\ud800\udfff0123456789abcdef"))


@given(any_text)
def test_every_text_comes_back_and_can_be_kept(text: str) -> None:
    column = to_column(text)
    assert "\0" not in column
    column.encode("utf-8")
    assert from_column(column) == text


@given(any_text, any_text)
def test_different_texts_stay_different(one: str, other: str) -> None:
    assert (to_column(one) == to_column(other)) == (one == other)


@given(st.text(st.characters(exclude_characters="\0\x1a", exclude_categories=["Cs"])))
def test_ordinary_texts_are_kept_as_they_are(text: str) -> None:
    assert to_column(text) == text


@given(st.lists(any_text))
def test_lists_come_back_sorted_and_once(texts: list[str]) -> None:
    columns = [to_column(text) for text in texts]
    assert from_list(to_list(columns)) == sorted(set(columns))


@given(st.datetimes())
def test_times_come_back(time: datetime) -> None:
    assert from_micros(to_micros(time)) == time


@given(st.datetimes(), st.datetimes())
def test_times_keep_their_order(one: datetime, other: datetime) -> None:
    assert (to_micros(one) < to_micros(other)) == (one < other)


def test_a_time_with_a_zone_is_the_same_moment() -> None:
    time = datetime(2026, 1, 1, 12)
    zone = timezone(timedelta(hours=-5))
    assert to_micros(time.replace(tzinfo=UTC).astimezone(zone)) == to_micros(time)
