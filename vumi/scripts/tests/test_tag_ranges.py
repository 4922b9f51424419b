"""Ranges of tags: what they stand for, there and back again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.errors import ConfigError
from vumi.scripts.tag_ranges import compressed, tags_of


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], []),
        (["a", "b", "a"], ["a", "b"]),
        ([8864, "9292"], ["8864", "9292"]),
        (["foo[8-11]"], ["foo8", "foo9", "foo10", "foo11"]),
        (["foo[08-11]x", "bar"], ["foo08x", "foo09x", "foo10x", "foo11x", "bar"]),
        (["[1-2]"], ["1", "2"]),
        ("foo[1-2]", ["foo1", "foo2"]),
        # As files of the old Vumi have it.
        ("['a', 'b']", ["a", "b"]),
        ("('a', 'foo[1-2]')", ["a", "foo1", "foo2"]),
        # No range: it has no two numbers.
        (["foo[1-]", "foo[a-b]"], ["foo[1-]", "foo[a-b]"]),
    ],
)
def test_the_tags_that_a_configuration_names(value: Any, expected: list[str]) -> None:
    assert tags_of(value, "Pool 'p'") == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("['foo%d' % i for i in range(3)]", "not evaluated"),
        ("__import__('os').system('true')", "not evaluated"),
        ("foo", "not evaluated"),
        ("{'a': 1}", "not dict"),
        ("5", "not int"),
        ({"a": 1}, "not dict"),
        ([None], "None"),
        ([True], "True"),
        ([["a"]], "'a'"),
        (["foo[5-4]"], "greater"),
        (["foo[0-1000000]"], "at most"),
        ("[" * 10_000, "not evaluated"),
    ],
)
def test_what_is_no_list_of_tags_is_told(value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=f"Pool 'p': .*{words}"):
        tags_of(value, "Pool 'p'")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([], []),
        (["b", "a"], ["a", "b"]),
        ([f"foo{number}" for number in range(98, 103)], ["foo[98-102]"]),
        (["foo1", "foo3", "foo4"], ["foo1", "foo[3-4]"]),
        (["foo01", "foo02", "foo1", "foo2"], ["foo[01-02]", "foo[1-2]"]),
        (["a1x", "a2x", "a3y"], ["a[1-2]x", "a3y"]),
        (["v1.9", "v1.10"], ["v1.[9-10]"]),
    ],
)
def test_tags_in_few_words(tags: list[str], expected: list[str]) -> None:
    assert compressed(tags) == expected


def tags_without_brackets() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_characters="[]"), max_size=6) | st.from_regex(
        r"[ab]?[01]?[0-9]{1,2}x?", fullmatch=True
    )


@given(st.sets(tags_without_brackets()))
def test_what_was_compressed_stands_for_the_same_tags(tags: set[str]) -> None:
    words = compressed(tags)
    assert sorted(tags_of(words, "x")) == sorted(tags)
    assert len(words) <= len(tags)


@given(st.text() | st.lists(st.text()))
def test_any_text_is_tags_or_an_error(value: Any) -> None:
    try:
        tags = tags_of(value, "x")
    except ConfigError:
        return
    assert all(isinstance(tag, str) for tag in tags)
