"""The message broker: one interface, RabbitMQ over AMQP and one in memory behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.broker.address import BrokerAddress
from vumi.broker.interface import (
    MAX_BODY_BYTES,
    Delivery,
    Exchange,
    IBroker,
    IReceiver,
    ISubscription,
    Publication,
    Queue,
)
from vumi.broker.memory import MemoryBroker

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MAX_BODY_BYTES",
    "BrokerAddress",
    "Delivery",
    "Exchange",
    "IBroker",
    "IReceiver",
    "ISubscription",
    "MemoryBroker",
    "Publication",
    "Queue",
    "broker_from_options",
]


def broker_from_options(options: Mapping[str, Any], reactor: Any, label: str = "vumi") -> Any:
    """Make a broker connection from command-line options; :meth:`IBroker.start` opens it.

    :param options: ``broker``, a URL, or ``hostname``, ``port``, ``username``, ``password``,
        ``vhost`` and ``heartbeat``.
    :param reactor: Twisted's reactor.
    :param label: Who connects, shown in RabbitMQ's list of connections.
    :returns: An :class:`IBroker`. For ``memory:`` one to a broker of its own, which nobody else
        can reach: workers that are to talk share one connection (see
        :class:`vumi.multiworker.MultiWorker`).
    :raises ConfigError: An option can't be used.
    """
    address = BrokerAddress.from_options(options)
    if address.scheme == "memory":
        return MemoryBroker(reactor).connect()
    # pika is imported only by who needs it.
    from vumi.broker.amqp import AmqpBroker

    return AmqpBroker(address, reactor, label)
