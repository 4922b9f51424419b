"""Parameters are read by a table, and never raise anything but what is declared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.transports.httprpc.fields import MAX_NAMES, Fields, read_parameters

Parameters = dict[bytes, list[bytes]]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ({}, [], ["a", "b"])),
        ({b"a": [b"1"], b"b": [b""]}, ({"a": "1", "b": ""}, [], [])),
        ({b"b": [b"2", b"3"], b"c": [b"4"]}, ({"b": "2", "c": "4"}, [], ["a"])),
        ({b"": [b"x"], b"d": [b"\xff"]}, ({}, ["", "d"], ["a", "b"])),
        ({b"\xff": [b"x"]}, ({}, ["\\xff"], ["a", "b"])),
    ],
)
def test_parameters_are_sorted_into_known_unexpected_and_missing(
    parameters: Parameters, expected: tuple[dict[str, str], list[str], list[str]]
) -> None:
    assert read_parameters(parameters, ["a", "b"], ["c"]) == expected


@given(
    st.dictionaries(st.binary(max_size=8), st.lists(st.binary(), min_size=1), max_size=20),
    st.sampled_from(["utf-8", "ascii", "utf-16-be"]),
)
def test_whatever_comes_in_is_read(parameters: Parameters, encoding: str) -> None:
    parameters = {**parameters, b"a": [b"\xff\xfe"]}
    values, unexpected, missing = read_parameters(parameters, ["a", "b"], ["c"], encoding)
    assert set(values) <= {"a", "b", "c"}
    assert not set(values) & {*unexpected, *missing}


def test_a_flood_of_names_makes_no_flood_of_errors() -> None:
    parameters = {b"%d" % number * 500: [b""] for number in range(1_000)}
    _, unexpected, _ = read_parameters(parameters, [])
    assert len(unexpected) == MAX_NAMES
    assert max(map(len, unexpected)) <= 100


def test_a_table_shows_what_it_has() -> None:
    fields = Fields("a", "b", optional=["d", "c"], ignored=["e"])
    assert repr(fields) == "Fields('a', 'b', optional=['c', 'd'], ignored=['e'])"
    assert fields.others == {"c", "d", "e"}
