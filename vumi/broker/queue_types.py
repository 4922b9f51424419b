"""The types of queues that RabbitMQ has, and what a queue of each is declared with.

A classic queue is declared without arguments, as the old Vumi did. A quorum queue is replicated
over a cluster; it counts how often a message was delivered without an acknowledgement, and puts
one that reaches the limit (it may be crashing its workers) with the dead letters. See
https://www.rabbitmq.com/docs/quorum-queues. Knows no connection.
"""

from __future__ import annotations

from typing import Any

__all__ = ["DEFAULT_DELIVERY_LIMIT", "QUEUE_TYPES", "dead_letter_queue", "queue_arguments"]

QUEUE_TYPES = ("classic", "quorum")
DEFAULT_DELIVERY_LIMIT = 20


def dead_letter_queue(queue: str) -> str:
    """The name of the queue that takes a queue's dead letters."""
    return f"{queue}.dead"


def queue_arguments(
    queue_type: str, queue: str, delivery_limit: int = DEFAULT_DELIVERY_LIMIT
) -> dict[str, Any]:
    """What to declare a queue with.

    :param queue_type: One of :data:`QUEUE_TYPES`.
    :param queue: The queue's name. That of a dead-letter queue ends in ``.dead``.
    :param delivery_limit: How often a quorum queue delivers a message that is not acknowledged.
    """
    if queue_type != "quorum":
        return {}
    if queue.endswith(".dead"):
        return {"x-queue-type": "quorum"}
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": delivery_limit,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead_letter_queue(queue),
        # Moved over with confirmations; the strategy wants this overflow, though nothing here
        # limits the queue's length.
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
