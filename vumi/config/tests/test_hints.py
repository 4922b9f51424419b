"""Names that nobody declared, and what was probably meant."""

from __future__ import annotations

from typing import Any

import pytest

from vumi.config import (
    Config,
    ConfigInt,
    ConfigText,
    UnknownKey,
    describe,
    null_required_fields,
    unknown_keys,
)


class LineConfig(Config):
    """A line."""

    transport_name = ConfigText("Its name.", required=True)
    web_path = ConfigText("Its path.")
    web_port = ConfigInt("Its port.", required=True)


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("tranport_name", "transport_name"),
        ("transport-name", "transport_name"),
        ("transportName", "transport_name"),
        ("Transport Name", "transport_name"),
        ("web_pth", "web_path"),
        ("ports", None),
        ("colour", None),
        ("", None),
        ("logge", "logger"),
        ("worker_nam", "worker_name"),
    ],
)
def test_the_nearest_known_name_is_suggested(key: str, suggestion: str | None) -> None:
    data = {key: 1, "middleware": [{"logger": "a.B"}], "logger": {}}
    found = unknown_keys(LineConfig, data, extra=["middleware", "worker_name"])
    assert found == [UnknownKey(key, suggestion)]


def test_what_is_said_of_an_unknown_key() -> None:
    assert UnknownKey("tranport_name", "transport_name").sentence() == (
        "Unknown option 'tranport_name'. Did you mean 'transport_name'?"
    )
    assert UnknownKey("colour").sentence() == "Unknown option 'colour'."


def test_unknown_keys_come_in_the_order_of_the_data() -> None:
    found = unknown_keys(LineConfig, {"zz": 1, "web_path": 2, 5: 3, "aa": 4})
    assert [unknown.key for unknown in found] == ["zz", "5", "aa"]


def test_sections_of_middlewares_are_known_however_they_are_listed() -> None:
    data: dict[str, Any] = {
        "middleware": [{"one": "a.B"}, {"two": {"class": "a.C"}}, {"three": None}],
        "one": {},
        "two": {},
        "three": {},
        "four": {},
    }
    found = unknown_keys(LineConfig, data, iter(["middleware"]))
    assert [unknown.key for unknown in found] == ["four"]


@pytest.mark.parametrize("middleware", [None, "a.B", 5, {"a": "a.B"}, [None, "a.B", [1], {5: 6}]])
def test_a_middleware_list_that_is_wrong_is_somebody_elses_to_report(middleware: Any) -> None:
    assert unknown_keys(LineConfig, {"middleware": middleware}, ["middleware"]) == []


@pytest.mark.parametrize("data", [None, [], "x"])
def test_data_that_is_no_mapping_has_no_keys(data: Any) -> None:
    assert unknown_keys(LineConfig, data) == []
    assert null_required_fields(LineConfig, data) == []


def test_an_option_is_known_by_its_name_in_the_data() -> None:
    class Dashed(ConfigText):
        def setup(self, name: str) -> None:
            self.name = name.replace("_", "-")

    class DashedConfig(Config):
        old_name = Dashed("Doc.", secret=True)

    assert unknown_keys(DashedConfig, {"old-name": 1, "oldname": 2}) == [
        UnknownKey("oldname", "old-name")
    ]
    assert repr(DashedConfig({"old-name": "word"})) == "<DashedConfig {'old-name': '****'}>"
    assert "  old-name: str," in describe(DashedConfig)


def test_a_required_option_that_is_null_is_told() -> None:
    data = {"transport_name": None, "web_path": None, "web_port": 0}
    assert null_required_fields(LineConfig, data) == [
        "Option 'transport_name' is required but is null."
    ]
