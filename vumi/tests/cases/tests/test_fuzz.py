"""Requests with something wrong in them, as they are made up."""

from __future__ import annotations

from typing import Any

import pytest

from vumi.tests.cases.fuzz import ODD_DATA, _paths, _with

DATA = {"a": {"b": [1, {"c": 2}]}, "d": []}


@pytest.mark.parametrize("odd", ODD_DATA, ids=repr)
@pytest.mark.parametrize("first", _paths(DATA), ids=repr)
def test_a_second_change_may_be_where_the_first_has_put_something_else(
    first: tuple[Any, ...], odd: Any
) -> None:
    changed = _with(DATA, first, odd)
    for second in _paths(DATA):
        _with(changed, second, "x")


def test_a_change_by_name_in_what_has_become_a_list_changed_nothing_and_failed() -> None:
    assert _with(_with(DATA, ("a",), [1]), ("a", "b"), "x")["a"] == [1]
