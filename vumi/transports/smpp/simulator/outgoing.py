"""What a simulated SMSC sends to ESMEs: messages from phones, and reports.

Knows that a PDU is sent until an ESME has taken it: over any bind of its account that receives,
again when the connection was lost, and again later when the ESME could not take it. As real SMSCs
do.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from vumi.transports.smpp.constants import CommandStatus
from vumi.transports.smpp.session import RequestFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

    from vumi.transports.smpp.pdu import Pdu

__all__ = ["Outgoing"]

#: By these an ESME says "not now"; all others are final.
TEMPORARY = frozenset(
    (
        CommandStatus.ESME_RX_T_APPN,
        CommandStatus.ESME_RMSGQFUL,
        CommandStatus.ESME_RTHROTTLED,
        CommandStatus.ESME_RSYSERR,
    )
)


@dataclass(order=True)
class _Item:
    #: What is sent again has its old place.
    ticket: int
    account: str | None = field(compare=False)
    pdu: Pdu = field(compare=False)
    answered: Deferred[int] = field(default_factory=Deferred, compare=False)


class Outgoing:
    """Sends PDUs to whoever is bound.

    :param clock: For timers.
    :param connections: The connections that there are; looked at anew each time.
    :param retry_delay: Seconds until a PDU is sent again that an ESME could not take.
    """

    def __init__(
        self, clock: IReactorTime, connections: Callable[[], Collection[Any]], retry_delay: float
    ) -> None:
        self._clock = clock
        self._connections = connections
        self._retry_delay = retry_delay
        self._tickets = count()
        self._waiting: dict[str | None, list[_Item]] = {}
        self._timers: set[IDelayedCall] = set()
        self._stopped = False

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values())) + len(self._timers)

    def send(self, account: str | None, pdu: Pdu) -> Deferred[int]:
        """Send a PDU.

        :param account: To whom; ``None``: to anybody who receives.
        :returns: Fires with the status that answers it in the end.
        """
        item = _Item(next(self._tickets), account, pdu)
        self._put(item)
        return item.answered

    def pump(self) -> None:
        """Send what can be. To be called whenever somebody may have room."""
        for account, items in list(self._waiting.items()):
            while items and not self._stopped:
                connection = self._room_of(account)
                if connection is None:
                    break
                self._send(connection, heapq.heappop(items))

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped = True
        timers, self._timers = self._timers, set()
        for timer in timers:
            timer.cancel()

    def _room_of(self, account: str | None) -> Any:
        best, most = None, 0
        for connection in self._connections():
            if account in (None, connection.account) and connection.room > most:
                best, most = connection, connection.room
        return best

    def _put(self, item: _Item) -> None:
        heapq.heappush(self._waiting.setdefault(item.account, []), item)
        self.pump()

    def _send(self, connection: Any, item: _Item) -> None:
        def answered(response: Any) -> None:
            if response.command_status in TEMPORARY:
                self._later(item)
            else:
                item.answered.callback(response.command_status)

        def failed(failure: Failure) -> None:
            if failure.check(RequestFailed):
                # It may have been taken, and comes a second time then.
                self._put(item)
            else:
                item.answered.errback(failure)

        connection.send_request(item.pdu, answered, failed)

    def _later(self, item: _Item) -> None:
        if self._stopped:
            return

        def due() -> None:
            self._timers.discard(timer)
            self._put(item)

        timer = self._clock.callLater(self._retry_delay, due)
        self._timers.add(timer)
