"""PDUs that wait to be sent: for room in a window, for the rate, for an SMSC that has enough.

Knows in which order PDUs go, and when none may. Knows no message, no session and no status: who
puts a PDU in is told how it fared, and tells whether it is to be sent again.

Theory of operation. A PDU is waiting, sent, or put back. One that is put back has its old place:
before all that came after it. :meth:`Outbox.pump` sends while all of these let it: the sessions
(:class:`ISender`), the rate (:class:`~vumi.token_bucket.TokenBucket`), the throttle.

The throttle has three positions. *open*: all is sent. *closed*: after the SMSC said that it is
given too much nothing is sent for a while. *trying*: one PDU is sent, and how it fares decides
whether the throttle opens or closes again. Answers to what was sent before it closed decide
nothing.
"""

from __future__ import annotations

import heapq
from collections import deque
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

    from vumi.token_bucket import TokenBucket
    from vumi.transports.smpp.pdu import Pdu

__all__ = ["IOwner", "ISender", "Outbox", "Outgoing"]


class ISender(Protocol):
    """What is needed of the sessions."""

    @property
    def can_send(self) -> bool:
        """One of them is bound so that it may send, and has room in its window."""
        ...

    def send_request(
        self,
        pdu: Any,
        on_response: Callable[[Any], object],
        on_failure: Callable[[Failure], object],
    ) -> object:
        """Send a request over one of them."""
        ...


class IOwner(Protocol):
    """Who puts PDUs in. Neither method may raise."""

    def answered(self, outgoing: Outgoing, response: Any) -> object:
        """There is a response, whatever its status."""

    def failed(self, outgoing: Outgoing, failure: Failure) -> object:
        """There is none, for a reason."""


class Outgoing:
    """A PDU on its way.

    :param pdu: The PDU.
    :param owner: Who is told how it fares.
    :param part: Which of its owner's PDUs it is, from 0.

    :ivar losses: How often the connection was lost before its response.
    :ivar retries: How often its owner had it sent again.
    :ivar dropped: It is not to be sent any more.
    """

    __slots__ = ("dropped", "losses", "owner", "part", "pdu", "retries", "ticket")

    def __init__(self, pdu: Pdu, owner: IOwner, part: int = 0) -> None:
        self.pdu = pdu
        self.owner = owner
        self.part = part
        self.losses = 0
        self.retries = 0
        self.dropped = False
        self.ticket = 0


class _Throttle(Enum):
    OPEN = "open"
    CLOSED = "closed"
    TRYING = "trying"


class Outbox:
    """Sends PDUs in order, when they may be sent.

    :param clock: For timers.
    :param sender: The sessions.
    :param bucket: The rate.
    :param throttle_delay: How many seconds nothing is sent when the SMSC has enough.
    :param on_throttled: Called with whether the throttle has closed or opened.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sender: ISender,
        bucket: TokenBucket,
        throttle_delay: float,
        on_throttled: Callable[[bool], object],
    ) -> None:
        self._clock = clock
        self._sender = sender
        self._bucket = bucket
        self._throttle_delay = throttle_delay
        self._on_throttled = on_throttled
        self._tickets = count(1)
        self._waiting: deque[Outgoing] = deque()
        self._put_back: list[tuple[int, Outgoing]] = []
        self._throttle = _Throttle.OPEN
        self._tried: Outgoing | None = None
        self._throttle_timer: IDelayedCall | None = None
        self._rate_timer: IDelayedCall | None = None
        self._pumping = False
        self._stopped = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._put_back)

    @property
    def throttled(self) -> bool:
        """The SMSC has said that it is given too much, and has not taken anything since."""
        return self._throttle is not _Throttle.OPEN

    def stop(self) -> None:
        """Send nothing more. What waits is forgotten."""
        self._stopped = True
        for timer in (self._throttle_timer, self._rate_timer):
            if timer is not None:
                timer.cancel()
        self._throttle_timer = self._rate_timer = None
        self._waiting.clear()
        self._put_back.clear()

    def put(self, outgoing: Outgoing) -> None:
        """Send a PDU after all that were put in before."""
        outgoing.ticket = next(self._tickets)
        self._waiting.append(outgoing)
        self.pump()

    def put_back(self, outgoing: Outgoing) -> None:
        """Send a PDU again, in its old place."""
        heapq.heappush(self._put_back, (outgoing.ticket, outgoing))
        self.pump()

    def throttle(self, outgoing: Outgoing) -> None:
        """Put a PDU back that the SMSC refused as it is given too much."""
        if self._throttle is _Throttle.OPEN:
            self._on_throttled(True)
            self._close()
        elif outgoing is self._tried:
            self._close()
        self.put_back(outgoing)

    def pump(self) -> None:
        """Send what may be sent. To be called whenever a session may have room."""
        # Not from within itself: what is sent may be answered at once.
        if self._pumping or self._stopped:
            return
        self._pumping = True
        try:
            while (outgoing := self._next()) is not None:
                self._send(outgoing)
        finally:
            self._pumping = False

    # Which, and whether

    def _next(self) -> Outgoing | None:
        """The PDU to be sent now; it is taken out."""
        while self._put_back and self._put_back[0][1].dropped:
            heapq.heappop(self._put_back)
        while self._waiting and self._waiting[0].dropped:
            self._waiting.popleft()
        if not (self._waiting or self._put_back) or not self._may_send():
            return None
        # Those put back were sent before, so they are all older than those waiting.
        return heapq.heappop(self._put_back)[1] if self._put_back else self._waiting.popleft()

    def _may_send(self) -> bool:
        if self._stopped or not self._sender.can_send:
            return False
        if self._throttle is not _Throttle.OPEN and (
            self._throttle is _Throttle.CLOSED or self._tried is not None
        ):
            return False
        if self._bucket.take():
            return True
        if self._rate_timer is None:
            self._rate_timer = self._clock.callLater(
                max(self._bucket.wait(), 0), self._rate_allows
            )
        return False

    def _rate_allows(self) -> None:
        self._rate_timer = None
        self.pump()

    def _send(self, outgoing: Outgoing) -> None:
        if self._throttle is _Throttle.TRYING:
            self._tried = outgoing

        def answered(response: Any) -> None:
            outgoing.owner.answered(outgoing, response)
            self._over(outgoing, True)

        def failed(failure: Failure) -> None:
            outgoing.owner.failed(outgoing, failure)
            self._over(outgoing, False)

        self._sender.send_request(outgoing.pdu, answered, failed)

    def _over(self, outgoing: Outgoing, was_answered: bool) -> None:
        """A request is over, and who made it has decided what becomes of it."""
        if outgoing is self._tried:
            self._tried = None
            # If the answer was that it is too much, the throttle is closed by now.
            if was_answered and self._throttle is _Throttle.TRYING:
                self._throttle = _Throttle.OPEN
                self._on_throttled(False)
        self.pump()

    # The throttle

    def _close(self) -> None:
        self._throttle = _Throttle.CLOSED
        self._tried = None
        if self._throttle_timer is None and not self._stopped:
            self._throttle_timer = self._clock.callLater(self._throttle_delay, self._try)

    def _try(self) -> None:
        self._throttle_timer = None
        self._throttle = _Throttle.TRYING
        self.pump()
