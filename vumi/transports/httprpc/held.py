"""The requests that wait for their answer.

Knows Twisted's request objects and time. Knows no transport and no messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from vumi.tasks import on_outcome
from vumi.web.server import ServerRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vumi.transports.httprpc.answers import Answer

__all__ = ["HeldRequest", "HeldRequests"]


class HeldRequest:
    """One request that waits for its answer.

    :ivar id: The request's id.
    :ivar request: Twisted's request object.
    :ivar timestamp: When it came, in seconds of the transport's clock.
    :ivar to_addr: Whom its message is for, once that is known.
    :ivar context: Whatever the transport wants to remember until the answer.
    :ivar incoming: The request as :meth:`~.HttpTransport.receive` got it; ``None`` if a transport
        for the old Vumi has handled it.
    """

    __slots__ = ("context", "id", "incoming", "request", "timestamp", "to_addr")

    def __init__(self, request_id: str, request: Any, timestamp: float) -> None:
        self.id = request_id
        self.request = request
        self.timestamp = timestamp
        self.to_addr: str | None = None
        self.context: Any = None
        self.incoming: Any = None


class HeldRequests:
    """All of them, by id. A request whose client hangs up is forgotten.

    :param on_gone: Called with a request whose client has hung up.
    """

    def __init__(self, on_gone: Callable[[HeldRequest], None]) -> None:
        self._held: dict[str, HeldRequest] = {}
        self._on_gone = on_gone
        self._empty_waiters: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, request_id: object) -> bool:
        return request_id in self._held

    def __iter__(self) -> Iterator[HeldRequest]:
        return iter(list(self._held.values()))

    def get(self, request_id: str) -> HeldRequest | None:
        """A request, if it is waiting."""
        return self._held.get(request_id)

    def add(self, request_id: str, request: Any, timestamp: float) -> HeldRequest:
        """Keep a request, and hear if its client hangs up."""
        held = HeldRequest(request_id, request, timestamp)
        self._held[request_id] = held
        if isinstance(request, ServerRequest):
            # Costs less than a Deferred.
            request.on_lost = lambda: self._lost(held)
        elif hasattr(request, "notifyFinish"):
            on_outcome(request.notifyFinish(), lambda _: None, lambda _: self._lost(held))
        return held

    def remove(self, request_id: str) -> HeldRequest | None:
        """Forget a request.

        :returns: It, if it was waiting.
        """
        held = self._held.pop(request_id, None)
        if not self._held and self._empty_waiters:
            waiters, self._empty_waiters = self._empty_waiters, []
            for waiter in waiters:
                if not waiter.called:
                    waiter.callback(None)
        return held

    def _lost(self, held: HeldRequest) -> None:
        if self._held.get(held.id) is held:
            self.remove(held.id)
            self._on_gone(held)

    def overdue(self, before: float) -> list[HeldRequest]:
        """Those that came before a time."""
        return [held for held in self._held.values() if held.timestamp < before]

    def when_empty(self) -> Deferred[None]:
        """Fires when none is waiting (at once, if so). May be cancelled or timed out."""
        waiter: Deferred[None] = Deferred()
        if self._held:
            self._empty_waiters.append(waiter)
        else:
            waiter.callback(None)
        return waiter


def write_answer(request: Any, answer: Answer) -> None:
    """Write a whole answer and end the request.

    :param request: Twisted's request object; its client is still there.
    """
    headers = request.responseHeaders
    for name, values in answer.headers.items():
        headers.setRawHeaders(name, [values] if isinstance(values, str) else list(values))
    request.setResponseCode(answer.code)
    body = answer.body
    if not headers.hasHeader(b"content-length"):
        # Without it every answer would go out in chunks.
        headers.setRawHeaders(b"content-length", [b"%d" % len(body)])
    request.write(body)
    request.finish()
