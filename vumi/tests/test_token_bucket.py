"""The rate of messages."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from vumi.token_bucket import TokenBucket


def send_for(rate: int, seconds: float, lateness: float = 0.0) -> list[float]:
    """When messages pass if there are always some, and timers are late by up to so much."""
    chance = random.Random(rate)  # noqa: S311 (the same every time)
    clock = Clock()
    bucket = TokenBucket(rate, clock.seconds)
    times = []
    while clock.seconds() < seconds:
        while bucket.take():
            times.append(clock.seconds())
        clock.advance(max(bucket.wait(), 0) + chance.uniform(0, lateness))
    return times


def most_within_a_second(times: list[float]) -> int:
    most = start = 0
    for end, time in enumerate(times):
        while times[start] <= time - 1:
            start += 1
        most = max(most, end - start + 1)
    return most


@pytest.mark.parametrize("rate", [50, 200, 1000])
@pytest.mark.parametrize("lateness", [0.0, 0.005])
def test_a_second_never_has_more_than_two_percent_over_the_limit(
    rate: int, lateness: float
) -> None:
    assert most_within_a_second(send_for(rate, 10, lateness)) <= rate * 1.02


@pytest.mark.parametrize("rate", [50, 200, 1000])
@pytest.mark.parametrize("lateness", [0.0, 0.005])
def test_the_limit_is_used_but_for_two_percent(rate: int, lateness: float) -> None:
    assert len(send_for(rate, 10, lateness)) >= 10 * rate * 0.98


def test_a_quiet_time_is_not_saved_up_for_a_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(100, clock.seconds)
    clock.advance(3600)
    passed = 0
    while bucket.take():
        passed += 1
    assert passed <= 3


def test_slow_traffic_is_never_held_up() -> None:
    clock = Clock()
    bucket = TokenBucket(2, clock.seconds)
    for _ in range(20):
        assert bucket.take()
        clock.advance(0.6)


def test_no_limit() -> None:
    bucket = TokenBucket(0, Clock().seconds)
    assert all(bucket.take() for _ in range(10_000))
    assert bucket.wait() == 0


def test_a_clock_that_is_set_back_does_not_stop_the_traffic() -> None:
    times = [10_000.0]
    bucket = TokenBucket(10, lambda: times[0])
    assert bucket.take()
    times[0] = 0.0
    assert bucket.wait() <= 0.1
    assert bucket.take()


def waits_of(rate: float, burst: int, times: list[float]) -> list[float]:
    """How long each waits that takes its turn at one of these times."""
    clock = Clock()
    bucket = TokenBucket(rate, clock.seconds, slack=(burst - 1) / rate)
    waits = []
    for time in times:
        clock.advance(time - clock.seconds())
        waits.append(bucket.reserve())
    return waits


@pytest.mark.parametrize(
    ("rate", "burst", "times", "waits"),
    [
        (2, 1, [0, 0, 0, 10], [0, 0.5, 1, 0]),
        (2, 3, [0, 0, 0, 0, 0], [0, 0, 0, 0.5, 1]),
        (2, 3, [0, 0, 0, 0.5, 100, 100, 100, 100], [0, 0, 0, 0, 0, 0, 0, 0.5]),
        (0.5, 1, [0, 1, 5], [0, 1, 0]),
    ],
)
def test_reserved_turns_wait(
    rate: float, burst: int, times: list[float], waits: list[float]
) -> None:
    assert waits_of(rate, burst, times) == pytest.approx(waits)


@given(
    st.floats(0.1, 100),
    st.integers(1, 20),
    st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_no_stretch_of_time_has_more_reserved_turns_than_it_may(
    rate: float, burst: int, pauses: list[float]
) -> None:
    times, now = [], 0.0
    for pause in pauses:
        now += pause
        times.append(now)
    used = [time + wait for time, wait in zip(times, waits_of(rate, burst, times), strict=True)]
    assert used == sorted(used)
    for index in range(len(used) - burst):
        assert used[index + burst] - used[index] >= 1 / rate - 1e-6
