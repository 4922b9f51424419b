"""Figures on their way to whatever collects them: a sandboxed program's, and the worker's own.

Knows the message that carries one, and where it goes. Knows no resource and no sandbox.
"""

from __future__ import annotations

from vumi.blinkenlights.message20110818 import MetricMessage
from vumi.service import Publisher

__all__ = ["MetricsPublisher", "metric_message"]


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
