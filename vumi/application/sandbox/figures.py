"""Figures on their way to whatever collects them: a sandboxed program's, and the worker's own.

Knows the message that carries one, and where it goes. Knows no resource.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vumi.application.sandbox.protocol import Ending
from vumi.blinkenlights.message20110818 import MetricMessage
from vumi.service import Publisher

__all__ = ["MetricsPublisher", "SandboxCounters", "metric_message"]


class MetricsPublisher(Publisher):
    """Publishes to whatever collects figures. They have a reader or not: nobody waits for them."""

    exchange_name = "vumi.metrics"
    exchange_type = "direct"
    routing_key = "vumi.metrics"
    durable = True


def metric_message(name: str, aggregator: str, value: float, now: float) -> MetricMessage:
    """One figure.

    :param name: Its whole name.
    :param aggregator: What is made of the figures of one period, such as ``sum``.
    :param now: The time, in seconds since 1970.
    """
    message = MetricMessage()
    message.append([name, [aggregator], [[int(now), value]]])
    return message


@dataclass
class SandboxCounters:
    """What a worker's sandboxes have counted, by how they ended.

    :ivar by_ending: Ending (``done``, ``crashed``, ``timeout``, ``output``, ``unread``,
        ``killed``, ``not-started``) -> number of messages and events.
    :ivar error_replies: Users that were told that something went wrong.
    :ivar errors_logged: Messages whose programs ended well but told of errors.
    """

    by_ending: dict[str, int] = field(
        default_factory=lambda: {ending.value: 0 for ending in Ending}
    )
    error_replies: int = 0
    errors_logged: int = 0
