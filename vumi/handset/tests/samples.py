"""An application for the tests of the handset, and a reactor that the tests move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from vumi.application import ApplicationWorker
from vumi.handset import Switchboard, handset_config

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from twisted.internet.task import Clock

    from vumi.message import TransportEvent, TransportUserMessage

ADDRESS, OTHER = "+27831234567", "+27837654321"


class Sample(ApplicationWorker):
    """Does what it is told."""

    ALLOWED_ENDPOINTS = None

    events: list[str]

    def setup_application(self) -> None:
        self.events = []

    def new_session(self, message: TransportUserMessage) -> Any:
        return self.reply_to(message, "Welcome!\n1. Go on")

    def close_session(self, message: TransportUserMessage) -> None:
        self.events.append("close")

    def consume_user_message(self, message: TransportUserMessage) -> Any:
        text = message["content"]
        match text:
            case "raise":
                raise ValueError("so what")
            case "hang":
                return Deferred()
            case "silence":
                return None
            case "later":
                _ = self.clock.callLater(2, self.reply_to, message, "later indeed")
                return None
            case "twice":
                _ = self.reply_to(message, "one")
                return self.reply_to(message, "two")
            case "end":
                return self.reply_to(message, "Bye.", continue_session=False)
            case "other":
                _ = self.send_to(OTHER, "for the other one", transport_type="ussd")
                return None
            case "sms":
                return self.send_to(
                    OTHER, "by the other way", endpoint="gateway", transport_type="sms"
                )
            case "events":
                return self.reply_to(message, ",".join(self.events))
        return self.reply_to(message, f"You said {text}.")

    def consume_ack(self, event: TransportEvent) -> None:
        self.events.append("ack")

    def consume_nack(self, event: TransportEvent) -> None:
        self.events.append(f"nack {event['nack_reason']}")

    def consume_delivery_report(self, event: TransportEvent) -> None:
        self.events.append(str(event["delivery_status"]))


class Unwilling(ApplicationWorker):
    """Can't start."""

    def setup_application(self) -> None:
        raise OSError("The disk is full.")


def make_switchboard(
    clock: Any, cls: Any = Sample, transport_type: str = "ussd", **config: Any
) -> Switchboard:
    """An application, not started yet."""
    full = handset_config(cls, config, {})
    return Switchboard(cls, full, clock, transport_type, "*120*1#")


def finish(clock: Clock, work: Coroutine[Any, Any, Any], seconds: float = 30) -> Deferred[Any]:
    """Let time pass until some work is done, and give its outcome."""
    deferred = Deferred.fromCoroutine(work)
    step = 0.1
    for _ in range(int(seconds / step)):
        if deferred.called:
            break
        clock.advance(step)
    return deferred
