"""Tests for vumi.config.numbers, and for options that are one of some words."""

from __future__ import annotations

from typing import Any

import pytest

from vumi.config import (
    Bounds,
    Config,
    ConfigChoice,
    ConfigCount,
    ConfigError,
    ConfigField,
    ConfigFloat,
    ConfigInt,
    ConfigPort,
    ConfigSeconds,
    ConfigText,
    describe,
    field_table_rst,
)


class GateConfig(Config):
    """Options of a gate."""

    rate = ConfigFloat("Cars in a second.", above=0, static=True)
    share = ConfigFloat("How many pay.", lowest=0, highest=1, nullable=False, default=1)
    lanes = ConfigInt("How many lanes.", lowest=1, static=True)
    names = ConfigCount("How many names.", 2, 5, static=True)
    wait = ConfigSeconds("How long, in seconds.", default=1, static=True)
    port = ConfigPort("Where it listens.", static=True)
    free_port = ConfigPort("Where it may listen.", any_free=True, static=True)
    depth = ConfigFloat("How deep.", highest=0, static=True)
    kind = ConfigChoice("What kind.", ("toll", "free"), default="toll", static=True)


def problem_of(**options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        GateConfig(options)
    [problem] = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("options", "words"),
    [
        *(({"rate": bad}, "must be more than 0.") for bad in (0, -1, "nan", "inf", "-inf")),
        *(({"share": bad}, "must be from 0 to 1.") for bad in (1.01, "nan", None, -0.1)),
        ({"share": "half"}, "could not be converted to float."),
        *(({"lanes": bad}, "must be at least 1.") for bad in (0, "-3", -(10**400))),
        *(({"names": bad}, "must be 2 to 5.") for bad in (1, 6, 10**400)),
        *(({"wait": bad}, "must be a number of seconds, 0 or more.") for bad in (-1, "inf")),
        *(({"port": bad}, "must be from 1 to 65535.") for bad in (0, 65536, "-1")),
        ({"free_port": 65536}, "must be from 0 to 65535."),
        ({"depth": 1}, "must be at most 0."),
        ({"kind": "Tol"}, "must be one of toll, free. Did you mean 'toll'?"),
        ({"kind": "x"}, "must be one of toll, free."),
        ({"kind": 5}, "is not unicode."),
    ],
)
def test_what_is_outside_the_bounds_is_refused(options: dict[str, Any], words: str) -> None:
    [name] = options
    assert problem_of(**options) == f"Field '{name}' {words}"


def test_what_is_within_the_bounds_is_taken() -> None:
    config = GateConfig(
        {"rate": "0.1", "share": 0, "lanes": 1, "names": 5, "free_port": 0, "port": 65535}
    )
    assert (config.rate, config.share, config.lanes, config.names) == (0.1, 0.0, 1, 5)
    assert (config.free_port, config.port, config.wait, config.kind) == (0, 65535, 1.0, "toll")
    assert GateConfig({"lanes": None}).lanes is None


def test_a_text_that_must_not_be_null() -> None:
    class Named(Config):
        name = ConfigText("Its name.", default="x", nullable=False)

    assert Named({}).name == "x"
    with pytest.raises(ConfigError, match="Field 'name' must not be null"):
        Named({"name": None})


def test_bounds_in_words() -> None:
    assert not Bounds()
    assert Bounds(above=0, highest=10).sentence() == "must be more than 0 and at most 10."
    assert Bounds(lowest=0).rule() == "at least 0"


def test_the_documentation_tells_the_bounds() -> None:
    assert "rate: float, more than 0, optional" in describe(GateConfig)
    assert "kind: str, one of toll, free, default" in describe(GateConfig)
    assert "     - int, from 1 to 65535\n" in field_table_rst(GateConfig)


def test_a_static_value_that_cannot_be_changed_is_cleaned_once() -> None:
    cleaned = []

    class Noted(ConfigField[Any]):
        def clean(self, value: Any) -> Any:
            cleaned.append(self.name)
            return value

    class Notes(Config):
        fixed = Noted("The same for all.", static=True)
        changing = Noted("By message.")
        listed = Noted("Can be changed.", static=True)

    config = Notes({"fixed": 1, "changing": 1, "listed": []})
    cleaned.clear()
    for _ in range(3):
        assert (config.fixed, config.changing, config.listed) == (1, 1, [])
    assert cleaned == ["fixed", *["changing", "listed"] * 3]
