"""Tests for vumi.yamlconfig."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import vumi.servicemaker
import vumi.yamlconfig
from vumi.errors import ConfigError
from vumi.yamlconfig import (
    SafeLoaderWithInclude,
    filter_null_values,
    overlay_configs,
    read_yaml_config,
    read_yaml_value,
    yaml_line,
)


def written(folder: Path, **files: str | bytes) -> Path:
    """Write files ("a" is a.yaml, "sub__a" is sub/a.yaml); gives the path of main.yaml."""
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / "main.yaml"


def error_of(path: Path) -> str:
    """What is said of a bad file; one line."""
    with pytest.raises(ConfigError) as caught:
        read_yaml_config(path)
    [problem] = caught.value.problems
    assert "\n" not in problem
    assert problem.endswith(".")
    return problem


# What is read


@pytest.mark.parametrize(
    ("content", "config"),
    [
        ("a: 1\nb: [x, {y: null}]\n", {"a": 1, "b": ["x", {"y": None}]}),
        ("", {}),
        ("# nothing\n", {}),
        ("---\n...\n", {}),
        ("{}", {}),
        ("a: ü".encode("utf-16"), {"a": "ü"}),
        (b"\xef\xbb\xbfa: 1", {"a": 1}),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
    ],
)
def test_a_file_is_read(tmp_path: Path, content: str | bytes, config: dict[str, Any]) -> None:
    assert read_yaml_config(written(tmp_path, main=content)) == config


def test_no_path_is_no_option_unless_a_file_is_needed() -> None:
    assert read_yaml_config(None) == {}
    with pytest.raises(ConfigError, match="No configuration file was given"):
        read_yaml_config(None, optional=False)


def test_a_value_is_read_as_in_a_file() -> None:
    assert read_yaml_value("[1, yes, a]", "--x") == [1, True, "a"]
    assert read_yaml_value("", "--x") is None
    with pytest.raises(ConfigError, match=r"^--x, line 1, column \d+: "):
        read_yaml_value("[1,", "--x")


# Including


def test_included_files_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    main = written(
        tmp_path,
        main="a: !include sub/one.yaml\nb: [!include two.yaml]",
        sub__one="{x: !include two.yaml, y: !include ../two.yaml}",
        sub__two="inner",
        two="[1, 2]",
    )
    assert read_yaml_config(main) == {"a": {"x": "inner", "y": [1, 2]}, "b": [[1, 2]]}


def test_a_file_may_be_nothing_but_an_include(tmp_path: Path) -> None:
    main = written(tmp_path, main="!include real.yaml", real="a: 1")
    assert read_yaml_config(main) == {"a": 1}


def test_an_included_file_may_be_empty_or_used_twice(tmp_path: Path) -> None:
    main = written(tmp_path, main="a: !include x.yaml\nb: !include x.yaml", x="")
    assert read_yaml_config(main) == {"a": {}, "b": {}}


def test_an_absolute_path_is_included(tmp_path: Path) -> None:
    main = written(tmp_path, main=f"a: !include {tmp_path}/sub/x.yaml", sub__x="1")
    assert read_yaml_config(main) == {"a": 1}


def test_the_loader_works_with_yaml_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = written(tmp_path, main="a: !include x.yaml", x="1")
    with main.open() as stream:
        assert yaml.load(stream, Loader=SafeLoaderWithInclude) == {"a": 1}  # noqa: S506 (it is safe)
    monkeypatch.chdir(tmp_path)
    loaded = yaml.load("a: !include x.yaml", Loader=SafeLoaderWithInclude)  # noqa: S506 (it is safe)
    assert loaded == {"a": 1}


@pytest.mark.parametrize(
    ("files", "where", "words"),
    [
        ({"main": "a:\n  b: !include no.yaml"}, "main.yaml, line 2, column 6", "no.yaml"),
        ({"main": "!include main.yaml"}, "main.yaml, line 1, column 1", "main.yaml -> "),
        (
            {"main": "a: !include b.yaml", "b": "- 1\n- !include main.yaml"},
            "b.yaml, line 2, column 3",
            "in a circle",
        ),
        (
            {"main": "a: !include b.yaml", "b": "x: y: z"},
            "b.yaml, line 1, column 5",
            "not allowed",
        ),
        ({"main": "a: !include [b]"}, "main.yaml, line 1, column 4", "needs the path"),
        ({"main": "a: !include ''"}, "main.yaml, line 1, column 4", "needs the path"),
        ({"main": "a: !include ."}, "main.yaml, line 1, column 4", "directory"),
        ({"main": 'a: !include "\\0"'}, "main.yaml, line 1, column 4", "is no path"),
        ({"main": 'a: !include "\\ud800"'}, "main.yaml, line 1, column 4", "is no path"),
    ],
)
def test_what_cannot_be_included_is_told_with_the_place(
    tmp_path: Path, files: dict[str, str], where: str, words: str
) -> None:
    problem = error_of(written(tmp_path, **files))
    assert problem.startswith(f"{tmp_path}/{where}: ")
    assert words in problem


# What is refused


@pytest.mark.parametrize(
    ("content", "line", "column", "words"),
    [
        ("a: b: c", 1, 5, "mapping values are not allowed here"),
        ("a: 1\nb: [1,\n", 3, 1, "expected"),
        ("a:\n\t- b", 2, 1, "found character '\\t'"),
        ("a: 1\n---\nb: 2", 2, 1, "another document"),
        ("a: *nobody", 1, 4, "undefined alias"),
        ("a: !!python/object/apply:os.system [x]", 1, 4, "could not determine a constructor"),
        ("a: !own 1", 1, 4, "could not determine a constructor"),
        ("a: 2001-99-99", 1, 4, "no value of the type 'timestamp'"),
        ("a: !!int x", 1, 4, "no value of the type 'int'"),
        ("a: !!bool x", 1, 4, "no value of the type 'bool'"),
        ("a: !!timestamp x", 1, 4, "no value of the type 'timestamp'"),
        ("a: 1\n? [b]\n: 1", 2, 3, "unhashable key"),
        ('a: "\\UFFFFFFFF"', 1, 7, "can't be read"),
        ("a: 1\nb: \x01", 2, 4, "#x0001 is not allowed"),
        (b"a: 1\nb: \xe9 x", 2, 4, "no text in UTF-8"),
        ("a: 1\nb: '\u00fc\u2028x\n", 4, 1, "end of stream"),
        ("- a", 1, 1, "must be a mapping of options, not a list"),
        ("just words", 1, 1, "must be a mapping of options, not a text"),
        ("5", 1, 1, "must be a mapping of options, not a single value"),
        ("null", 1, 1, "must be a mapping of options, not null"),
    ],
)
def test_bad_yaml_is_told_with_the_place(
    tmp_path: Path, content: str | bytes, line: int, column: int, words: str
) -> None:
    problem = error_of(written(tmp_path, main=content))
    assert problem.startswith(f"{tmp_path}/main.yaml, line {line}, column {column}: ")
    assert words in problem


@pytest.mark.parametrize("content", ["a: " + "[" * 5000, "a: " + "{b: " * 5000])
def test_too_deep_a_nesting_is_told(tmp_path: Path, content: str) -> None:
    assert "nested too deeply" in error_of(written(tmp_path, main=content))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert error_of(tmp_path / "gone.yaml") == (
        f"{tmp_path}/gone.yaml can't be read: No such file or directory."
    )
    assert "Is a directory" in error_of(tmp_path)
    assert "is no path of a file" in error_of(Path("a\0b"))


SNIPPETS = st.sampled_from(
    [
        *"abc019:-?!&*[]{}|>'\"%@`#,.~<\\\n\t \x00\x85\ufeff",
        *(
            "\n  ",
            ": ",
            "- ",
            "? ",
            "---\n",
            "!!int ",
            "!!binary ",
            "!!set ",
            "!!omap ",
            "!!pairs ",
        ),
        *("!!timestamp ", "!include ", "&a ", "*a", "<<: ", "\\x", "\\U", "0x", "0b", "1:99", "="),
        *("2001-01-01", "T99:", "{a: ", "yes"),
    ]
)


@given(st.binary() | st.text() | st.lists(SNIPPETS).map("".join))
def test_garbage_ends_in_options_or_a_config_error(content: str | bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "main.yaml"
        path.write_bytes(
            content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        )
        try:
            config = read_yaml_config(path)
        except ConfigError as error:
            [problem] = error.problems
            assert "\n" not in problem
        else:
            assert isinstance(config, dict)


@pytest.mark.parametrize(
    ("content", "line", "column", "key"),
    [
        ("a: 1\nb: 2\na: 3", 3, 1, "'a' is given twice, first in line 1"),
        ("a: {b: 1, c: {x: 1, 'x': 2}}", 1, 21, "'x' is given twice"),
        ("a:\n- {1: a, 1: b}", 2, 10, "'1' is given twice"),
    ],
)
def test_a_key_that_is_given_twice_is_refused(
    tmp_path: Path, content: str, line: int, column: int, key: str
) -> None:
    problem = error_of(written(tmp_path, main=content))
    assert problem.startswith(f"{tmp_path}/main.yaml, line {line}, column {column}: the key {key}")


def test_a_merged_key_may_be_given_again(tmp_path: Path) -> None:
    content = "a: &a {x: 1}\nm: {b: &b {<<: *a, x: 2}}\nc: {<<: [*b, *a]}"
    config = read_yaml_config(written(tmp_path, main=content))
    assert config == {"a": {"x": 1}, "m": {"b": {"x": 2}}, "c": {"x": 2}}


ALIAS_BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 8)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


MERGE_BOMB = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 8)}]}}\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "files",
    [
        {"main": ALIAS_BOMB},
        {"main": MERGE_BOMB},
        {
            "main": str(["!include b.yaml"] * 20).replace("'", "").join(["a: ", ""]),
            "b": str(["!include c.yaml"] * 20).replace("'", ""),
            "c": "1",
        },
    ],
    ids=["aliases", "merges", "includes"],
)
def test_what_multiplies_is_refused(tmp_path: Path, files: dict[str, str]) -> None:
    problem = error_of(written(tmp_path, **files))
    assert "too many values" in problem or "more than 200 files" in problem


def test_a_big_file_is_no_bomb(tmp_path: Path) -> None:
    content = "a: &a [" + "x, " * 20_000 + "]\nb: [*a, *a, *a]"
    assert len(read_yaml_config(written(tmp_path, main=content))["b"]) == 3


def test_only_regular_files_are_included(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("pipe", "/dev/zero"):
        problem = error_of(written(tmp_path, main=f"a: !include {path}"))
        assert problem.endswith("can't be read: it is not a regular file.")


def test_a_file_without_an_end_is_refused() -> None:
    assert "has more than 16 MiB" in error_of(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("0123", "0123"),
        ("00", "00"),
        ("-0777", "-0777"),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("2024-04-01", "2024-04-01"),
        ("2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00"),
        ("0x1F", 31),
        ("0b11", 3),
        ("0", 0),
        ("-12", -12),
        ("1_000", 1000),
        ("0.5", 0.5),
    ],
)
def test_a_number_in_base_8_or_60_and_a_date_stay_texts(
    tmp_path: Path, content: str, value: Any
) -> None:
    config = read_yaml_config(written(tmp_path, main=f"a: {content}"))
    assert config == {"a": value}
    assert type(config["a"]) is type(value)


# Laying over


def test_the_last_config_counts_and_none_is_changed() -> None:
    first, second = {"a": 1, "b": {"x": 1}}, {"b": {"y": 2}, "c": None}
    assert overlay_configs(first, None, second) == {"a": 1, "b": {"y": 2}, "c": None}
    assert first == {"a": 1, "b": {"x": 1}}
    assert overlay_configs() == {}


def test_nulls_are_left_out() -> None:
    assert filter_null_values({"a": None, "b": 0, "c": ""}) == {"b": 0, "c": ""}


@pytest.mark.parametrize(
    "name", ["SafeLoaderWithInclude", "filter_null_values", "overlay_configs", "read_yaml_config"]
)
def test_the_old_path_has_the_same_object(name: str) -> None:
    assert getattr(vumi.servicemaker, name) is getattr(vumi.yamlconfig, name)
    assert name in vumi.servicemaker.__all__


def test_a_configuration_on_one_line_has_no_reprs_of_objects() -> None:
    data = {"port": 9010, "hosts": ["a", "b"], "endpoint": object(), "line": {"text": "é: 1"}}
    assert yaml_line(data) == "port: 9010, hosts: [a, b], endpoint: object, line: {text: 'é: 1'}"
    assert yaml_line({}) == "none"
