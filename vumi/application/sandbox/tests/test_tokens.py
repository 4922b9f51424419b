from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vumi.application.sandbox import tokens
from vumi.application.sandbox.tokens import TokenBuckets


def test_a_burst_and_then_the_rate() -> None:
    buckets = TokenBuckets(2, 3)
    assert [buckets.take("a", 0)[0] for _ in range(4)] == [True, True, True, False]
    assert buckets.take("a", 0.5) == (True, 1)
    assert buckets.take("a", 0.5) == (False, 0)


def test_no_rate_is_no_limit() -> None:
    buckets = TokenBuckets(0, 1)
    assert all(buckets.take("a", 0) == (True, 0) for _ in range(1000))


def test_a_clock_that_is_set_back_gives_and_takes_nothing() -> None:
    buckets = TokenBuckets(1, 1)
    assert buckets.take("a", 100)[0]
    assert not buckets.take("a", 50)[0]
    assert buckets.take("a", 51)[0]


def test_names_are_not_kept_for_ever() -> None:
    buckets = TokenBuckets(1, 1)
    for number in range(3 * tokens.MAX_KEYS):
        buckets.take(str(number), number / 1000)
    assert len(buckets._buckets) <= tokens.MAX_KEYS


@given(st.floats(0.1, 100), st.integers(1, 50), st.lists(st.floats(0, 10), max_size=100))
def test_never_more_than_the_burst_and_the_rate(
    rate: float, burst: int, pauses: list[float]
) -> None:
    buckets = TokenBuckets(rate, burst)
    now = 0.0
    taken = 0
    for pause in pauses:
        now += pause
        taken += buckets.take("a", now)[0]
    assert taken <= burst + rate * now + 1e-6
