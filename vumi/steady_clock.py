"""Time for timers, and time of day: two clocks that must not be confused.

Twisted's reactor counts its timers by the time of day. When an administrator or NTP sets the
machine's clock, a step forward makes every timeout due at once, and a step back stops all timers
for as long as the step is. :func:`steady` gives a reactor a clock that is never set. The time of
day, for what is written down or compared with other processes, then comes from
:func:`wall_seconds`.
"""

from __future__ import annotations

from time import monotonic, time
from typing import Any

__all__ = ["steady", "wall_seconds"]


def steady(reactor: Any) -> Any:
    """Have a reactor count its timers by the monotonic clock.

    Its ``seconds()`` starts at the time of day, as Twisted's access log shows it to people, and
    then goes on whatever happens to the system's clock.

    :param reactor: One of Twisted's reactors. One that is steady already is left as it is.
    :returns: The same reactor.
    """
    if not hasattr(reactor, "wall_seconds"):
        began = time() - monotonic()
        reactor.wall_seconds = reactor.seconds
        reactor.seconds = lambda: began + monotonic()
    return reactor


def wall_seconds(clock: Any) -> float:
    """The time of day.

    :param clock: A reactor, or a :class:`~twisted.internet.task.Clock`, which has one time only.
    :returns: Seconds since 1970.
    """
    seconds: float = getattr(clock, "wall_seconds", clock.seconds)()
    return seconds
