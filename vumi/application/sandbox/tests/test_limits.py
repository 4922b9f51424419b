from __future__ import annotations

import resource
from typing import Any

import pytest

from vumi.application.sandbox.limits import DEFAULT_RLIMITS, default_rlimits, merged_rlimits
from vumi.errors import ConfigError

MIB = 1024 * 1024


def test_with_the_limits_of_old_nodejs_20_did_not_start() -> None:
    assert DEFAULT_RLIMITS["RLIMIT_AS"][0] >= 1536 * MIB
    assert DEFAULT_RLIMITS["RLIMIT_NOFILE"][0] >= 32
    assert DEFAULT_RLIMITS["RLIMIT_DATA"][0] >= 640 * MIB


def test_a_bigger_heap_has_room() -> None:
    for name in ("RLIMIT_AS", "RLIMIT_DATA"):
        more = default_rlimits(1024)[name][0] - default_rlimits(24)[name][0]
        assert more == 1000 * MIB


def test_what_the_config_says_wins_by_name_and_by_number() -> None:
    merged = merged_rlimits(
        {"RLIMIT_AS": [-1, -1], resource.RLIMIT_NOFILE: (5, 6), str(resource.RLIMIT_CPU): [1, 2]}
    )
    assert merged["RLIMIT_AS"] == (-1, -1)
    assert merged[str(resource.RLIMIT_NOFILE)] == (5, 6)
    assert merged[str(resource.RLIMIT_CPU)] == (1, 2)
    assert "RLIMIT_NOFILE" not in merged
    assert "RLIMIT_CPU" not in merged
    assert merged["RLIMIT_CORE"] == DEFAULT_RLIMITS["RLIMIT_CORE"]


def test_processor_time_adds_up_over_messages() -> None:
    assert "RLIMIT_CPU" not in merged_rlimits({}, for_many_messages=True)
    assert merged_rlimits({"RLIMIT_CPU": [9, 9]}, for_many_messages=True)["RLIMIT_CPU"] == (9, 9)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"RLIMIT_NONSENSE": [1, 1]}, "Unknown resource limit key 'RLIMIT_NONSENSE'"),
        ({"RLIM_INFINITY": [1, 1]}, "Unknown resource limit key 'RLIM_INFINITY'"),
        ({"999": [1, 1]}, "Unknown resource limit key '999'"),
        ({"RLIMIT_AS": 5}, "Resource limit 'RLIMIT_AS' must be [soft, hard]"),
        ({"RLIMIT_AS": [5]}, "Resource limit 'RLIMIT_AS' must be [soft, hard]"),
        ({"RLIMIT_AS": ["5", True]}, "Resource limit 'RLIMIT_AS' must be [soft, hard]"),
    ],
)
def test_wrong_limits_are_refused(given: dict[Any, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem.replace("[", r"\[")):
        merged_rlimits(given)
