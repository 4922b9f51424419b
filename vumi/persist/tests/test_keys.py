"""Keys and words: whatever they are, they come back as they were."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.persist.commands import decoded, glob_escaped
from vumi.persist.fake_redis import FakeRedis
from vumi.persist.interface import encode_word
from vumi.persist.redis_manager import RedisManager

TEXTS = st.text(alphabet=st.characters(codec="utf-8"))
#: Many that mean something in patterns.
KEYS = st.text(alphabet="ab:*?[]^-\\\N{SNOWMAN}\n", max_size=6)
PREFIXES = st.none() | KEYS


def manager(prefix: str | None, separator: str = ":", fake: FakeRedis | None = None) -> Any:
    return RedisManager(fake or FakeRedis(), prefix, separator)


@given(PREFIXES | TEXTS, TEXTS, TEXTS)
def test_unprefixing_undoes_prefixing(prefix: str | None, separator: str, key: str) -> None:
    made = manager(prefix, separator)
    assert made._unkey(made._key(key)) == key
    if prefix is None:
        assert made._key(key) == key


@given(PREFIXES, st.lists(KEYS, max_size=3), KEYS)
def test_sub_managers_put_one_prefix_after_the_other(
    prefix: str | None, subs: list[str], key: str
) -> None:
    made = manager(prefix, "#")
    for sub in subs:
        made = made.sub_manager(sub)
    parts = [*([] if prefix is None else [prefix]), *subs, key]
    assert made._key(key) == "#".join(parts)
    assert made._unkey(made._key(key)) == key


@given(KEYS, KEYS, KEYS)
def test_keys_and_scan_find_a_key_and_no_other_managers(prefix: str, other: str, key: str) -> None:
    fake = FakeRedis()
    one, two = manager(prefix, fake=fake), manager(other, fake=fake)
    one.set(key, "x")
    assert one.keys() == one.scan(None)[1] == [key]
    assert one.keys(glob_escaped(key)) == [key]
    if not one._key(key).startswith(two._head):
        assert two.keys() == two.scan(None)[1] == []


@given(st.binary())
def test_bytes_come_back_as_they_were(data: bytes) -> None:
    assert encode_word(decoded(data)) == data


@given(TEXTS)
def test_texts_come_back_as_they_were(text: str) -> None:
    assert decoded(encode_word(text)) == text


@pytest.mark.parametrize(
    "text", ["\ud83d", "ok \ud83d!", "\ude00\ud83d", "\udbff\ud800", "a\udc80b"]
)
def test_half_a_surrogate_pair_comes_back_as_it_was(text: str) -> None:
    assert decoded(encode_word(text)) == text
    store = manager("p")
    store.hset(text, text, text)
    assert store.hgetall(text) == {text: text}


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_can_be_stored(text: str) -> None:
    encode_word(text)


@given(st.binary(max_size=3).map(lambda some: b"\xed" + some) | st.binary())
def test_bytes_like_surrogates_come_back_as_they_were(data: bytes) -> None:
    assert encode_word(decoded(data)) == data


@given(st.integers() | st.floats(allow_nan=False))
def test_numbers_lose_nothing(number: float) -> None:
    assert type(number)(encode_word(number)) == number
