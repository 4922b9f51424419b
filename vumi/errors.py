"""Every error that vumi raises on purpose, under one root.

This module knows no other module. An error says in words what was wrong and what to do about it;
what a program may want to look at is an attribute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BrokerClosed",
    "BrokerError",
    "ConfigError",
    "DispatcherError",
    "DuplicateConnectorError",
    "DuplicateMessage",
    "HandleLater",
    "HandlerRefused",
    "HandlerTimeout",
    "IgnoreMessage",
    "InvalidEndpoint",
    "InvalidMessage",
    "InvalidMessageField",
    "InvalidMessageType",
    "LeaveUnacknowledged",
    "MissingMessageField",
    "PublishRefused",
    "RoutingKeyError",
    "RoutingLoop",
    "StoreError",
    "StoreUnavailable",
    "Unroutable",
    "VumiError",
]


class VumiError(Exception):
    """The root of all errors that vumi itself raises."""


# Messages


class InvalidMessage(VumiError):
    """What arrived is not a message: not JSON, not an object, or fields that are wrong."""


class MissingMessageField(InvalidMessage):
    """A message lacks a required field; the first argument is the field's name."""


class InvalidMessageField(InvalidMessage):
    """A message's field has a value it may not have."""


class InvalidMessageType(VumiError):
    """A message is of another type than the one asked for."""


# Configuration


class ConfigError(VumiError):
    """A configuration that can't be used.

    :param message: What is wrong, in words. With `problems` given it may be left out.
    :param problems: All that was found wrong, one sentence each, in the order of the fields.
    """

    def __init__(self, message: str = "", problems: Iterable[str] = ()) -> None:
        self.problems: tuple[str, ...] = tuple(problems) or ((message,) if message else ())
        super().__init__(message or "; ".join(self.problems))


# Workers and routing


class DuplicateConnectorError(VumiError):
    """A worker was asked for a second connector of the same name."""


class InvalidEndpoint(VumiError):
    """An application sent to an endpoint that it doesn't list as allowed."""


class DispatcherError(VumiError):
    """A dispatcher has no route for a message."""


class RoutingLoop(VumiError):
    """A message has passed so many dispatchers that they must be routing it in a circle."""


# Broker and delivery


class BrokerError(VumiError):
    """The message broker refused or could not do what it was asked."""


class BrokerClosed(BrokerError):
    """The connection to the broker was closed for good; nothing more can be published."""


class Unroutable(BrokerError):
    """No queue is bound for a message's routing key, so nobody has got it.

    :param routing_key: The key.
    """

    def __init__(self, routing_key: str) -> None:
        super().__init__(f"No queue is bound for the routing key {routing_key!r}.")
        self.routing_key = routing_key


class PublishRefused(BrokerError):
    """The broker did not take a message: a queue that it goes to is full.

    :param routing_key: The message's routing key.
    """

    def __init__(self, routing_key: str) -> None:
        super().__init__(f"The broker refused a message for {routing_key!r}: is a queue full?")
        self.routing_key = routing_key


class RoutingKeyError(BrokerError):
    """A routing key that is not all lower case.

    :param value: The sentence that says which key.
    """

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value

    def __str__(self) -> str:
        return repr(self.value)


class IgnoreMessage(Exception):
    """Raised by a handler or a middleware to drop a message; an outbound one is nacked."""

    #: Whether an outbound message is to be answered by a nack.
    nack: ClassVar[bool] = True


class DuplicateMessage(IgnoreMessage):
    """Raised to drop a message that was handled before: an outbound one has its answer already."""

    nack = False


class HandleLater(VumiError):
    """Nothing was done with a message, as something it needs is away: it is to be handled later.

    Raised by a handler or a middleware. The message is not acknowledged and becomes no dead
    letter: its queue rests for a moment, and then the message is handled from the beginning,
    before all that came after it.
    """


class LeaveUnacknowledged(HandleLater):
    """A worker stops before a message is done: it says nothing of it, and acknowledges nothing.

    The broker delivers the message again. A transport publishes no failure and no nack for it. If
    the worker goes on after all, the message is handled again as :class:`HandleLater` says.
    """


class HandlerRefused(VumiError):
    """A message handler returned ``False``: it did not take the message."""


class HandlerTimeout(VumiError):
    """A message handler did not finish within ``handler_timeout`` seconds."""


# Stores


class StoreError(VumiError):
    """A store (the key-value store, the message store) could not do what it was asked."""


class StoreUnavailable(StoreError):
    """A store could not be reached, or did not answer in time.

    :param message: What was wrong, and what to do.
    :param maybe_executed: Whether the store may have done what it was asked before the connection
        was lost. If not, asking again is safe.
    """

    def __init__(self, message: str, *, maybe_executed: bool = False) -> None:
        super().__init__(message)
        self.maybe_executed = maybe_executed
