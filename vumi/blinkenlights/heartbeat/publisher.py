"""The heartbeats that a worker publishes.

Knows the heartbeat message and how often it goes out. Knows no worker: what a beat says comes from
a callable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from vumi.message import Message
from vumi.service import Publisher

if TYPE_CHECKING:
    from collections.abc import Callable

    from vumi.broker import IBroker

__all__ = ["HeartBeatMessage", "HeartBeatPublisher"]


class HeartBeatMessage(Message):
    """One heartbeat. Its ``timestamp`` is a number: seconds since 1970."""

    VERSION_20130319 = "20130319"

    def validate_fields(self) -> None:
        self.assert_field_present(
            "version", "system_id", "worker_id", "worker_name", "hostname", "pid"
        )


class HeartBeatPublisher(Publisher):
    """Publishes a heartbeat every ten seconds, the first after ten seconds.

    :param gen_attrs_func: Called for each beat; returns the message's fields.
    """

    exchange_name = "vumi.health"
    exchange_type = "direct"
    routing_key = "heartbeat.inbound"
    durable = True

    HEARTBEAT_PERIOD_SECS = 10

    log = Logger()

    def __init__(self, gen_attrs_func: Callable[[], dict[str, Any]]) -> None:
        self._gen_attrs_func = gen_attrs_func
        self._task: LoopingCall | None = None

    def start(self, channel: IBroker) -> None:
        super().start(channel)
        self._task = LoopingCall(self._beat)
        self._task.clock = channel.clock
        _ = self._task.start(self.HEARTBEAT_PERIOD_SECS, now=False)

    def stop(self) -> None:
        """Publish no more."""
        if self._task is not None and self._task.running:
            self._task.stop()

    def _beat(self) -> None:
        try:
            _ = self.publish_message(HeartBeatMessage(**self._gen_attrs_func()))
        except Exception:  # noqa: BLE001 (one bad beat must not be the last)
            self.log.failure("A heartbeat could not be published", event="heartbeat-failed")
