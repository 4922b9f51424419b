"""What users have said and the broker hasn't confirmed yet, in order for each address.

Knows how to publish one message after another. Knows nothing of telnet.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger

from vumi.errors import HandleLater, StoreUnavailable
from vumi.tasks import in_background

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    Publish = Callable[..., Deferred[Any]]

__all__ = ["Outbox", "Outboxes"]

#: Seconds until a message is published again whose middleware lacks its store: at first, and most.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


class Outbox:
    """Publishes messages one after another: the next when the broker has the one before.

    A middleware that has to be waited for can therefore not change the order. While the broker is
    away the messages stay here, and while a store that a middleware needs is away, too: then the
    first is published again, and the others wait.

    :param publish: Takes a message's fields and returns a Deferred of its confirmation.
    :param left: Called with this outbox and a message's fields whenever one has left it, and with
        the error if it could not be published.
    :param clock: Tells when to try again.
    """

    log = Logger()

    def __init__(
        self,
        publish: Publish,
        left: Callable[[Outbox, dict[str, Any], Exception | None], None],
        clock: IReactorTime,
    ) -> None:
        self._publish = publish
        self._left = left
        self._clock = clock
        self._pause: Deferred[None] | None = None
        self._abandoned = False
        self._fields: deque[dict[str, Any]] = deque()
        self._in_hand = 0
        self._publishing = False
        self._waiters: list[Deferred[None]] = []

    def __len__(self) -> int:
        """How many messages are not confirmed yet."""
        return len(self._fields) + self._in_hand

    def put(self, fields: dict[str, Any]) -> None:
        """Have a message published after all that were put here before.

        :param fields: The message's fields, ``message_id`` included.
        """
        self._fields.append(fields)
        if not self._publishing:
            self._publishing = True
            in_background(self._publish_all(), self.log, "Publishing what users said")

    def when_done(self) -> Deferred[None]:
        """Fires when everything is confirmed; at once if it is."""
        if not self._publishing:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        return waiter

    def abandon(self) -> None:
        """Forget what has not been handed to the broker yet."""
        self._fields.clear()
        self._abandoned = True
        if self._pause is not None:
            self._pause.cancel()

    async def _publish_all(self) -> None:
        while self._fields:
            fields = self._fields.popleft()
            self._in_hand = 1
            error: Exception | None = None
            try:
                await self._publish_one(fields)
            except Exception as problem:  # noqa: BLE001 (it must not hold up those behind it)
                error = problem
                self.log.failure(
                    "Message {message_id} from {from_addr} could not be published",
                    event="inbound-not-published",
                    message_id=fields["message_id"],
                    from_addr=fields["from_addr"],
                )
            self._in_hand = 0
            self._left(self, fields, error)
        self._publishing = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)

    async def _publish_one(self, fields: dict[str, Any]) -> None:
        seconds = FIRST_PAUSE
        while True:
            try:
                await self._publish(**fields)
                return
            except (HandleLater, StoreUnavailable) as error:
                if self._abandoned:
                    raise
                self.log.warn(
                    "Message {message_id} from {from_addr} can't be published for now; next try "
                    "in {seconds} s: {reason}",
                    event="inbound-put-off",
                    message_id=fields["message_id"],
                    from_addr=fields["from_addr"],
                    seconds=seconds,
                    reason=str(error),
                )
                self._pause = deferLater(self._clock, seconds)
                try:
                    await self._pause
                except CancelledError:
                    raise error from None
                finally:
                    self._pause = None
            seconds = min(seconds * 2, LONGEST_PAUSE)


class Outboxes:
    """An outbox for each address, as long as there is something in it.

    :param publish: Takes a message's fields and returns a Deferred of its confirmation.
    :param left: Called with an address and how many messages of it are still not confirmed,
        whenever one has been.
    :param lost: Called with the fields of a message that could not be published, and why.
    :param clock: Tells when to try again.
    """

    def __init__(
        self,
        publish: Publish,
        left: Callable[[str, int], None],
        lost: Callable[[dict[str, Any], Exception], None],
        clock: IReactorTime,
    ) -> None:
        self._publish = publish
        self._left = left
        self._lost = lost
        self._clock = clock
        self._outboxes: dict[str, Outbox] = {}

    def put(self, address: str, fields: dict[str, Any]) -> int:
        """Have a message published after all that the address has said before.

        :param fields: The message's fields, ``message_id`` included.
        :returns: How many messages of the address are not confirmed.
        """
        outbox = self._outboxes.get(address)
        if outbox is None:
            outbox = Outbox(self._publish, partial(self._one_left, address), self._clock)
            self._outboxes[address] = outbox
        outbox.put(fields)
        return len(outbox)

    def _one_left(
        self, address: str, outbox: Outbox, fields: dict[str, Any], error: Exception | None
    ) -> None:
        if not len(outbox):
            del self._outboxes[address]
        if error is not None:
            self._lost(fields, error)
        self._left(address, len(outbox))

    async def drain(self, seconds: float, clock: IReactorTime) -> int:
        """Wait until everything is confirmed, and give up what isn't in time.

        :param seconds: How long to wait at most.
        :returns: How many messages were given up.
        """
        outboxes = list(self._outboxes.values())
        if outboxes:
            done = DeferredList([outbox.when_done() for outbox in outboxes], consumeErrors=True)
            await done.addTimeout(seconds, clock)
        given_up = sum(map(len, outboxes))
        for outbox in outboxes:
            outbox.abandon()
        return given_up
