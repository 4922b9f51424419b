"""How often something may happen, by key: token buckets.

Knows numbers only: the time is told by the caller.
"""

from __future__ import annotations

__all__ = ["TokenBuckets"]

#: How many keys are remembered before those with a full bucket are forgotten.
MAX_KEYS = 1_000


class _Bucket:
    __slots__ = ("dropped", "filled_at", "tokens")

    def __init__(self, tokens: float, now: float) -> None:
        self.tokens = tokens
        self.filled_at = now
        self.dropped = 0


class TokenBuckets:
    """A bucket of tokens for each key.

    :param rate: How many tokens a second flow into each bucket; 0: there is no limit.
    :param burst: How many a bucket holds.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._buckets: dict[str, _Bucket] = {}

    def take(self, key: str, now: float) -> tuple[bool, int]:
        """Take a token.

        :param key: From whose bucket.
        :param now: The time, in seconds.
        :returns: Whether there was one, and how often there was none since there last was one.
        """
        if not self._rate:
            return True, 0
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= MAX_KEYS:
                self._forget(now)
            bucket = self._buckets[key] = _Bucket(self._burst, now)
        self._fill(bucket, now)
        if bucket.tokens < 1:
            bucket.dropped += 1
            return False, 0
        bucket.tokens -= 1
        dropped, bucket.dropped = bucket.dropped, 0
        return True, dropped

    def _fill(self, bucket: _Bucket, now: float) -> None:
        # A clock that is set back gives nothing, and takes nothing.
        passed = max(now - bucket.filled_at, 0.0)
        bucket.tokens = min(bucket.tokens + passed * self._rate, self._burst)
        bucket.filled_at = now

    def _forget(self, now: float) -> None:
        for key, bucket in list(self._buckets.items()):
            self._fill(bucket, now)
            if bucket.tokens >= self._burst and not bucket.dropped:
                del self._buckets[key]
        while len(self._buckets) >= MAX_KEYS:
            # All are in use: the one that was made first goes, and starts full if it comes again.
            del self._buckets[next(iter(self._buckets))]
