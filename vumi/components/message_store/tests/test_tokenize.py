"""Words that are searched for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.components.message_store.tokenize import (
    MAX_CHARACTERS,
    MAX_WORD_CHARACTERS,
    searchable,
    words,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Hello, World! hello", ["hello", "world"]),
        ("snake_case kebab-case it's", ["snake", "case", "kebab", "it", "s"]),
        ("*120*1#", ["120", "1"]),
        ("+27 83-123", ["27", "83", "123"]),
        ("Füße ĲSSEL ﬁn \uff21\uff22", ["füsse", "ijssel", "fin", "ab"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("日本語 テスト", ["日本語", "テスト"]),
        ("\N{PILE OF POO}\N{SNOWMAN}", []),
        ("a\0b\ud83dc", ["a", "b", "c"]),
        ("a \u0301", ["a", "\u0301"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text() | st.text("ab1 _-é\u0301\0'\"\\"))
def test_words_are_what_databases_can_keep_between_spaces(text: str) -> None:
    found = words(text)
    assert len(set(found)) == len(found)
    for word in found:
        assert word
        assert not set(word) & set(" \0'\"\\&|!:*()\t\n")
        word.encode("utf-8")
    # A word is found by itself.
    assert words(" ".join(found)) == found


@given(st.text(st.characters(max_codepoint=127)))
def test_plain_texts_have_the_words_that_others_have(text: str) -> None:
    assert words(text + " é") == list(dict.fromkeys([*words(text), "é"]))


def test_what_is_too_long_is_cut() -> None:
    assert words("x" * 1000) == ["x" * MAX_WORD_CHARACTERS]
    assert words("é" * 1000) == ["é" * MAX_WORD_CHARACTERS]
    assert "late" not in words("x " * (MAX_CHARACTERS // 2) + "late")


@pytest.mark.parametrize("content", [None, "", "?!", 5, ["a"], {"a": "b"}])
def test_what_has_no_words_is_not_searchable(content: Any) -> None:
    assert searchable(content) is None
