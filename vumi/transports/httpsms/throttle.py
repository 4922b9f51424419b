"""A token bucket: how fast messages may go out. Pure: the time comes from outside."""

from __future__ import annotations

__all__ = ["TokenBucket"]


class TokenBucket:
    """Holds `burst` tokens and is filled up at `rate` tokens a second; each message takes one.

    Kept as one number, the time at which the bucket will be full, as in the generic cell rate
    algorithm (ITU-T I.371).

    :param rate: Tokens a second, more than 0.
    :param burst: How many tokens there are at most, at least 1.
    """

    def __init__(self, rate: float, burst: int = 1) -> None:
        self._interval = 1.0 / rate
        self._slack = (burst - 1) * self._interval
        self._full_at = float("-inf")

    def take(self, now: float) -> float:
        """Take a token.

        :param now: The time, in seconds.
        :returns: How many seconds to wait before using it. Later takers get later tokens.
        """
        full_at = max(self._full_at, now)
        self._full_at = full_at + self._interval
        return max(full_at - now - self._slack, 0.0)
