"""What comes after a message: telling the middlewares what became of it.

Knows the broker's counters of publishes, and :meth:`BaseMiddleware.message_handled
<vumi.middleware.base.BaseMiddleware.message_handled>`. Knows no connector and no handler.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from vumi.tasks import as_deferred, message_in_hand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vumi.broker import IBroker
    from vumi.tasks import InHand

    HandledHook = Callable[[str, Any, str, BaseException | None], Any]

__all__ = ["Aftermath"]


class Aftermath:
    """Tells middlewares what became of messages, once all that these led to is confirmed.

    :param broker: The connection that handlers publish on.
    :param hooks: The middlewares' :meth:`~vumi.middleware.base.BaseMiddleware.message_handled`.
    :param kind: The kind of the messages.
    :param connector_name: The connector they come through.
    """

    log = Logger()

    def __init__(
        self, broker: IBroker, hooks: Sequence[HandledHook], kind: str, connector_name: str
    ) -> None:
        self._broker = broker
        self._hooks = hooks
        self._kind = kind
        self._connector_name = connector_name
        #: Messages that were handled, each with the number of the last publish until then
        self._unconfirmed: deque[tuple[int, Any, InHand | None]] = deque()
        self._telling: set[Deferred[Any]] = set()
        self._stop_listening = broker.on_confirmed(self._confirmed)

    def handled(self, message: Any) -> None:
        """A handler is done. Called in its context."""
        in_hand = message_in_hand.get()
        if self._broker.confirmed >= self._broker.published:
            self._tell_handled(message, in_hand)
        else:
            self._unconfirmed.append((self._broker.published, message, in_hand))

    def failed(self, message: Any, error: BaseException) -> None:
        """A handler has failed."""
        self._tell(message, error)

    async def close(self) -> None:
        """Wait until nobody is being told of anything. What is unconfirmed will come again."""
        self._stop_listening()
        while self._telling:
            await DeferredList(list(self._telling))

    def _confirmed(self) -> None:
        while self._unconfirmed and self._unconfirmed[0][0] <= self._broker.confirmed:
            _, message, in_hand = self._unconfirmed.popleft()
            self._tell_handled(message, in_hand)

    def _tell_handled(self, message: Any, in_hand: InHand | None) -> None:
        failure = None if in_hand is None else in_hand.publish_failure()
        self._tell(message, None if failure is None else failure.value)

    def _tell(self, message: Any, error: BaseException | None) -> None:
        for hook in self._hooks:
            telling = as_deferred(hook, self._kind, message, self._connector_name, error)
            self._telling.add(telling)
            _ = telling.addBoth(self._told, telling)

    def _told(self, result: Any, telling: Deferred[Any]) -> None:
        self._telling.discard(telling)
        if isinstance(result, Failure):
            self.log.failure(
                "{connector}: a middleware failed after a message was handled",
                failure=result,
                event="message-handled-failed",
                connector=self._connector_name,
            )
