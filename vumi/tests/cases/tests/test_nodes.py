"""Reading YAML: values as they are meant, and mistakes with their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.tests.cases.nodes import CaseError, parse_yaml, read_yaml

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "written",
    ["007", "+27820001", "yes", "no", "1.50", "12:30", "0x1f", "2024-01-17", "1_000", "*", ".5"],
)
def test_where_a_text_is_expected_it_is_what_was_written(written: str) -> None:
    quoted = f'"{written}"' if written == "*" else written
    assert parse_yaml(f"a: {quoted}", "x").texts() == {"a": written}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", 1),
        ("-1.5e3", -1500.0),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ('""', ""),
        ('"1"', "1"),
        ("yes", "yes"),
        ("007", "007"),
        ("+27", "+27"),
        ("2024-01-17", "2024-01-17"),
        ("[1, {b: ~}]", [1, {"b": None}]),
    ],
)
def test_data_is_typed_as_in_json(written: str, value: object) -> None:
    [part] = parse_yaml(f"a: {written}", "x").mapping().values()
    assert part.data() == value
    assert type(part.data()) is type(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", "x.yaml, line 3: 'a' stands here twice"),
        ("a: [1", "x.yaml, line 1: no YAML: expected ',' or ']'"),
        ("", "x.yaml: there is nothing in it"),
        ("\tx", "no YAML"),
        ("a: *b", "no YAML"),
        ("- 1", "x.yaml, line 1: a mapping is expected, not a list"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, words: str) -> None:
    with pytest.raises(CaseError) as raised:
        parse_yaml(text, "x.yaml").mapping()
    assert words in str(raised.value)


def test_a_key_that_nobody_knows_is_told_with_what_was_meant() -> None:
    part = parse_yaml("\nrequst: 1", "x.yaml").of_case("somebody dials")
    with pytest.raises(CaseError) as raised:
        part.mapping(["request", "reply"])
    assert str(raised.value) == (
        "x.yaml, line 2, case 'somebody dials': unknown key 'requst': did you mean 'request'?"
    )
    with pytest.raises(CaseError, match="known are 'reply', 'request'"):
        parse_yaml("colour: 1", "x").mapping(["request", "reply"])


@pytest.mark.parametrize("kind", ["number", "whole_number", "flag", "text"])
def test_what_is_of_another_kind_is_refused(kind: str) -> None:
    for written in ("[]", "{}", "~", *([] if kind == "text" else ["x", "-1", '"1"'])):
        [part] = parse_yaml(f"a: {written}", "x").mapping().values()
        with pytest.raises(CaseError, match=r"line 1: a .* is expected|true or false is expected"):
            getattr(part, kind)()


def test_what_is_given_is_merged_and_the_own_wins() -> None:
    base = parse_yaml("{q: {a: 1, b: 2}, form: {x: 1}, l: [1]}", "x")
    own = parse_yaml("{q: {b: 3, c: ~}, json: {y: 1}, l: [2]}", "x")
    merged = own.over(base, ("form", "json"))
    assert merged.data() == {"q": {"a": 1, "b": 3, "c": None}, "l": [2], "json": {"y": 1}}
    assert own.over(None) is own


def test_a_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"none.yaml: can't be read: .*No such file"):
        read_yaml(tmp_path / "none.yaml", "none.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"\xff")
    with pytest.raises(CaseError, match=r"bad.yaml: can't be read"):
        read_yaml(tmp_path / "bad.yaml", "bad.yaml")


@given(st.text(max_size=60))
def test_whatever_the_text_it_is_read_or_refused(text: str) -> None:
    try:
        parse_yaml(text, "x").data()
    except CaseError as error:
        assert str(error).startswith("x")
