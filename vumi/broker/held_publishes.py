"""Publishes for one routing key that a broker did not take, kept in order until it does.

A queue that is full refuses a publish, and one that was deleted gives it back. If those after it
went out meanwhile and were taken, a conversation would be out of order. So all later publishes of
that key wait here, and go out one at a time until none is left. Bookkeeping: no I/O.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from vumi.broker.interface import Publication

__all__ = ["HeldPublishes"]


class HeldPublishes:
    """The publishes of one exchange and routing key that wait.

    :param send: Sends one.
    """

    def __init__(self, send: Callable[[Publication], None]) -> None:
        self._send = send
        self._waiting: deque[Publication] = deque()
        self._on_its_way: Publication | None = None
        self._open = False

    def append(self, publication: Publication) -> None:
        """Keep a new publish, behind all others."""
        self._waiting.append(publication)

    def put_back(self, publication: Publication) -> None:
        """Keep a publish that was not taken, in the order of publishing. Nothing goes out now."""
        if publication is self._on_its_way:
            self._on_its_way = None
        self._open = False
        insort(self._waiting, publication, key=attrgetter("number"))

    def resume(self) -> None:
        """Let the first one go out, and the others after it."""
        self._open = True
        self._next()

    def taken(self, publication: Publication) -> bool:
        """One was taken: let the next one go out.

        :returns: Whether none is left, so that later publishes need not wait.
        """
        if publication is self._on_its_way:
            self._on_its_way = None
        if self._open:
            self._next()
        return self._on_its_way is None and not self._waiting

    def _next(self) -> None:
        if self._on_its_way is None and self._waiting:
            self._on_its_way = self._waiting.popleft()
            self._send(self._on_its_way)
