"""Queries of texts: whatever is given, there is a query or words about what is wrong."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.components.message_store.interface import Kind, Query
from vumi.components.message_store.queries import (
    QUERY_PARTS,
    QueryError,
    parse_query,
    parse_time,
)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-01", datetime(2026, 3, 1)),
        (" 2026-03-01T12:00Z ", datetime(2026, 3, 1, 12)),
        ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10)),
        # A plus in a URL that nobody has encoded.
        ("2026-03-01T12:00:00 02:00", datetime(2026, 3, 1, 10)),
        ("2026-03-01 12:00:00.5", datetime(2026, 3, 1, 12, 0, 0, 500_000)),
        ("2026-03-01 12:00", datetime(2026, 3, 1, 12)),
    ],
)
def test_times(text: str, time: datetime) -> None:
    assert parse_time(text) == time


def test_a_query_has_what_was_given() -> None:
    query = parse_query(
        {
            "address": "+271",
            "batch": "b",
            "tag": "pool:tag",
            "start": "2026-03-01",
            "end": "2026-03-02",
            "text": "lost card",
            "status": "failed",
            "direction": None,
        }
    )
    assert query == Query(
        kinds=frozenset({Kind.OUTBOUND}),
        address="+271",
        batch_id="b",
        tag=("pool", "tag"),
        start=datetime(2026, 3, 1),
        end=datetime(2026, 3, 2),
        text="lost card",
        status="failed",
    )
    assert parse_query({}) == Query()


@given(st.text())
def test_a_time_is_read_or_refused(text: str) -> None:
    try:
        assert parse_time(text).tzinfo is None
    except ValueError as error:
        assert "is not a time" in str(error)


@given(st.dictionaries(st.sampled_from([*QUERY_PARTS, "other"]), st.text() | st.none()))
def test_a_query_is_read_or_refused_by_the_name_of_its_part(parts: dict[str, str | None]) -> None:
    try:
        assert isinstance(parse_query(parts), Query)
    except QueryError as error:
        assert error.part in parts
