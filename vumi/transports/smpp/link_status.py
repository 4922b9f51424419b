"""What is published of how the link to the SMSC is doing.

Knows which status each change of a bind is; publishing is the transport's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure

from vumi.transports.smpp.transitions import Event, State

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LinkStatus"]

COMPONENT = "smpp"


class LinkStatus:
    """Publishes statuses of the component ``smpp``.

    :param publish: Takes a status's fields.
    :param others_bound: Gives whether any bind is bound: what is down for one bind is then only
        degraded.
    :param several: Whether there is more than one bind; a status then says which one it is of.
    """

    def __init__(
        self,
        publish: Callable[..., object],
        others_bound: Callable[[], bool],
        several: bool = False,
    ) -> None:
        self._publish = publish
        self._others_bound = others_bound
        self._several = several
        self._throttled = False

    def starting(self) -> None:
        """The transport starts."""
        self._tell("down", "starting", "Starting")

    def throttled(self, closed: bool) -> None:
        """The SMSC has said that it is given too much, or has taken something again."""
        self._throttled = closed
        if closed:
            self._tell("degraded", "throttled", "Throttled")
        else:
            self._tell("ok", "throttled_end", "No longer throttled")

    def connection_failed(self, bind: int, reason: Failure) -> None:
        """There was no connection to be had."""
        self._down(bind, "connection_failed", reason.getErrorMessage())

    def state_changed(self, bind: int, new: State, event: Event, detail: Any) -> None:
        """A bind is in another state."""
        if event is Event.CONNECTED:
            self._down(bind, "binding", "Binding")
        elif event is Event.BIND_ACCEPTED:
            self._tell("ok", "bound", "Bound", bind)
            if self._throttled:
                self._tell("degraded", "throttled", "Throttled", bind)
        elif event is Event.BIND_REFUSED:
            self._down(bind, "bind_refused", f"Unable to bind: {detail.status_name}")
        elif event is Event.BIND_TIMEOUT:
            self._down(bind, "bind_timeout", "Timed out awaiting bind")
        elif event is Event.LOST:
            reason = detail.getErrorMessage() if isinstance(detail, Failure) else str(detail)
            self._down(bind, "connection_lost", reason)
        elif new in (State.UNBINDING, State.CLOSING) and event in (
            Event.STOP,
            Event.SILENCE,
            Event.UNBIND_RECEIVED,
        ):
            self._down(bind, "unbinding", "Unbinding")

    def _down(self, bind: int, type_: str, message: str) -> None:
        self._tell("degraded" if self._others_bound() else "down", type_, message, bind)

    def _tell(self, status: str, type_: str, message: str, bind: int | None = None) -> None:
        details = {"bind": bind} if self._several and bind is not None else {}
        self._publish(
            component=COMPONENT, status=status, type=type_, message=message, details=details
        )
