"""The token bucket keeps to its rate, whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.transports.httpsms.throttle import TokenBucket


@pytest.mark.parametrize(
    ("rate", "burst", "times", "waits"),
    [
        (2, 1, [0, 0, 0, 10], [0, 0.5, 1, 0]),
        (2, 3, [0, 0, 0, 0, 0], [0, 0, 0, 0.5, 1]),
        (2, 3, [0, 0, 0, 0.5, 100, 100, 100, 100], [0, 0, 0, 0, 0, 0, 0, 0.5]),
        (0.5, 1, [0, 1, 5], [0, 1, 0]),
    ],
)
def test_tokens_wait_for_their_turn(
    rate: float, burst: int, times: list[float], waits: list[float]
) -> None:
    bucket = TokenBucket(rate, burst)
    assert [bucket.take(time) for time in times] == pytest.approx(waits)


@given(
    st.floats(0.1, 100),
    st.integers(1, 20),
    st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_no_stretch_of_time_has_more_than_it_may(
    rate: float, burst: int, pauses: list[float]
) -> None:
    bucket, now, used = TokenBucket(rate, burst), 0.0, []
    for pause in pauses:
        now += pause
        used.append(now + bucket.take(now))
    assert used == sorted(used)
    for index in range(len(used) - burst):
        assert used[index + burst] - used[index] >= 1 / rate - 1e-6
