"""Which publishes are safe, and which deliveries are to be acknowledged: bookkeeping, no I/O.

Theory of operation. A broker confirms publishes by a tag that counts per channel, one by one or
"all up to here", not always in order. Workers don't ask about single publishes: they ask "is all
that was issued up to this point safe?" (:attr:`PublishLedger.confirmed`), because a delivery may
be acknowledged only when everything its handler has published is safe, also what the handler did
not wait for.

Two queues are kept: `_in_order`, by publish number, whose safe head moves `confirmed`; and
`_in_flight`, by tag, of what went out on the present channel. A lost connection empties the
second; what is left in the first is sent again, in order.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vumi.broker.interface import Publication

__all__ = ["AckBatch", "PublishLedger"]


class PublishLedger:
    """Keeps the publishes of one broker connection until they are confirmed."""

    def __init__(self) -> None:
        self.published = 0
        self.confirmed = 0
        self._in_order: deque[Publication] = deque()
        self._in_flight: deque[Publication | None] = deque()
        self._first_tag = 1

    def add(self, publication: Publication) -> None:
        """Number a new publish."""
        self.published += 1
        publication.number = self.published
        self._in_order.append(publication)

    def sent(self, publication: Publication) -> None:
        """Note that a publish went out as the next one on the channel."""
        self._in_flight.append(publication)

    def settle(self, tag: int, multiple: bool) -> list[Publication]:
        """Take a confirmation (or a refusal) from the broker.

        :param tag: Counts what went out on the channel, from 1.
        :param multiple: It is about all up to that tag.
        :returns: The publishes it is about, in the order they went out.
        """
        in_flight = self._in_flight
        offset = tag - self._first_tag
        if offset < 0 or offset >= len(in_flight):
            return []
        if multiple or offset == 0:
            settled = [in_flight.popleft() for _ in range(offset + 1)]
            self._first_tag = tag + 1
            while in_flight and in_flight[0] is None:
                in_flight.popleft()
                self._first_tag += 1
            return [publication for publication in settled if publication is not None]
        publication = in_flight[offset]
        in_flight[offset] = None
        return [] if publication is None else [publication]

    def mark_safe(self, publications: Iterable[Publication]) -> bool:
        """Note that publishes are safe.

        :returns: Whether `confirmed` has moved on.
        """
        for publication in publications:
            publication.safe = True
        in_order = self._in_order
        before = self.confirmed
        while in_order and in_order[0].safe:
            self.confirmed = in_order.popleft().number
        return self.confirmed != before

    def find_in_flight(self, routing_key: str, body: bytes) -> Publication | None:
        """The first publish in flight with this key and body that was not found before."""
        for publication in self._in_flight:
            if (
                publication is not None
                and not publication.returned
                and publication.body == body
                and publication.routing_key == routing_key
            ):
                return publication
        return None

    def channel_lost(self) -> None:
        """Forget the tags: the channel they belong to is gone."""
        self._in_flight.clear()
        self._first_tag = 1

    def outstanding(self) -> list[Publication]:
        """What is not safe yet, in order of publishing."""
        return [publication for publication in self._in_order if not publication.safe]


class AckBatch:
    """Collects the delivery tags of one channel that are done with, to acknowledge them together.

    Tags count from 1 without gaps. What is contiguous from the lowest goes out as one "all up to
    here"; what finished out of order goes out one by one.
    """

    def __init__(self) -> None:
        self._floor = 0
        self._new: set[int] = set()
        self._already: set[int] = set()

    def add(self, tag: int) -> bool:
        """Note a tag as done.

        :returns: Whether it is the first since the last :meth:`flush`.
        """
        first = not self._new
        self._new.add(tag)
        return first

    def told(self, tag: int) -> None:
        """Note a tag that the broker has been told of in another way: it is not acknowledged."""
        self._already.add(tag)

    def flush(self) -> list[tuple[int, bool]]:
        """What to tell the broker now.

        :returns: Pairs of tag and "all up to here".
        """
        new, told = self._new, self._already
        if not new:
            return []
        floor = self._floor
        highest_new = 0
        covered = 0
        while True:
            tag = floor + 1
            if tag in new:
                new.remove(tag)
                # RabbitMQ refuses an "up to" tag that is acknowledged already.
                highest_new = tag
                covered += 1
            elif tag in told:
                told.remove(tag)
            else:
                break
            floor = tag
        self._floor = floor
        acks = [(highest_new, covered > 1)] if covered else []
        if new:
            acks.extend((tag, False) for tag in sorted(new))
            told |= new
            new.clear()
        return acks
