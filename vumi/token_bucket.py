"""How fast messages may be sent: so many a second.

Knows the time. Knows no message, no queue and no timer: the caller waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TokenBucket"]

#: How much time, in seconds, may be made up for. Timers and a busy process are late, and with
#: nothing to make up the rate would fall below the limit; with more, a second would have more
#: than 2 % over it.
SLACK_SECONDS = 0.015

#: Times that differ by less than this are the same: adding up intervals is not exact.
EPSILON = 1e-7


class TokenBucket:
    """Lets through a steady number per second.

    It is a token bucket in the form that needs no refilling (the generic cell rate algorithm,
    ITU-T I.371): all that is kept is when the next one is due. At no time do more than
    ``rate * (1 + slack) + 1`` pass within a second.

    :param rate: How many a second; 0: no limit.
    :param seconds: Tells the time, in seconds.
    :param slack: How many seconds may be made up for. A burst of `n` needs ``(n - 1) / rate``.
    """

    def __init__(
        self, rate: float, seconds: Callable[[], float], slack: float = SLACK_SECONDS
    ) -> None:
        self._interval = 1 / rate if rate > 0 else 0.0
        self._seconds = seconds
        self._slack = slack
        self._due = seconds() - slack

    def wait(self) -> float:
        """How many seconds until the next one may pass; 0 or less: now."""
        wait = self._due - self._seconds() if self._interval else 0.0
        return min(wait, self._interval)

    def take(self) -> bool:
        """Pass, if that is allowed now.

        :returns: Whether it was.
        """
        if not self._interval:
            return True
        now = self._seconds()
        if self._due - now > EPSILON:
            if self._due - now <= self._interval + EPSILON:
                return False
            # The system's clock was set back.
            self._due = now
        self._due = max(self._due, now - self._slack) + self._interval
        return True

    def reserve(self) -> float:
        """Take the next turn, now or later.

        :returns: How many seconds to wait for it. Later callers get later turns.
        """
        if not self._interval:
            return 0.0
        now = self._seconds()
        due = max(self._due, now - self._slack)
        self._due = due + self._interval
        return max(due - now, 0.0)
