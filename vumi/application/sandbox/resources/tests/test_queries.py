"""Queries: what they find, and that nothing that is not understood passes for something else."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.application.sandbox.resources.queries import QueryError, parse_query

THANDI: dict[str, Any] = {
    "key": "c1",
    "name": "Thandi Grace",
    "surname": "Mokoena",
    "msisdn": "+27831234567",
    "dob": "1990-05-31",
    "email_address": None,
    "groups": ["g1", "g2"],
    "extra": {"town": "Cape Town", "shoe size": "5"},
    "subscription": {"news": "yes"},
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name:thandi", True),
        ("name:THANDI", True),
        ('name:"Thandi Grace"', True),
        ('name:"grace thandi"', False),
        ('name:"thandi"', True),
        ("name:than", False),
        ("name:than*", True),
        ("name:*ace", True),
        ("name:t*d*e", True),
        ("name:t*x*e", False),
        ("name:th*hi*", False),
        (r"name:than\*", False),
        ("email_address:*", False),
        ("nothing:x", False),
        ("msisdn:+27831234567", True),
        ('msisdn:"+27831234567"', True),
        (r"msisdn:\+2783*", True),
        ("groups:g2", True),
        ("groups:g3", False),
        ("extras-town:cape", True),
        (r"extras-shoe\ size:5", True),
        ('extras-town:"cape town"', True),
        ("subscription-news:no", False),
        ("name:thandi AND surname:mokoena", True),
        ("name:thandi AND surname:x", False),
        ("name:thandi && surname:x", False),
        ("name:x OR surname:mokoena", True),
        ("name:x || surname:x", False),
        ("name:x surname:mokoena", True),
        ("name:x OR surname:x AND name:thandi", False),
        ("(name:x OR surname:mokoena) AND name:thandi", True),
        ("NOT name:x", True),
        ("-name:thandi", False),
        ("!name:thandi OR +surname:mokoena", True),
        ("NOT (name:x OR name:thandi)", False),
        ("dob:[1990 TO 1991]", True),
        ("dob:[1990-05-31 TO 1990-05-31]", True),
        ("dob:{1990-05-31 TO 1991}", False),
        ("dob:{1990 TO 1990-05-31}", False),
        ("dob:[* TO 1980]", False),
        ("dob:[1980 TO *]", True),
        ("*:*", True),
        ("NOT *:*", False),
        ("  name : thandi  ", True),
    ],
)
def test_what_a_query_finds(query: str, found: bool) -> None:
    assert parse_query(query).matches(THANDI) is found


@pytest.mark.parametrize(
    "query",
    [
        "",
        "thandi",
        "name:",
        "name:thandi AND",
        "OR name:thandi",
        "(name:thandi",
        "name:thandi)",
        "()",
        "name:thandi~2",
        "name:thandi^4",
        'name:"thandi',
        "name:[a b]",
        "NOT",
        "name:a:b",
        "(" * 30 + "name:x" + ")" * 30,
        "NOT " * 100 + "name:x",
        "name:x " * 1000,
    ],
)
def test_what_can_not_be_understood_is_an_error(query: str) -> None:
    with pytest.raises(QueryError):
        parse_query(query)


@given(st.text() | st.text('name:*"()[]{} ANDORTO+-!\\', max_size=60))
def test_whatever_the_query_it_is_understood_or_an_error(query: str) -> None:
    with suppress(QueryError):
        assert parse_query(query).matches(THANDI) in (True, False)


@given(st.text("ab*", min_size=1), st.text("ab", max_size=30))
def test_wildcards_are_what_they_are_everywhere(pattern: str, text: str) -> None:
    import re

    expected = re.fullmatch(pattern.replace("*", ".*"), text) is not None
    assert parse_query(f"x:{pattern}").matches({"x": text}) is expected


def test_a_query_full_of_wildcards_takes_no_time() -> None:
    assert not parse_query(f"x:{'a*' * 500}b").matches({"x": "a" * 100_000})
