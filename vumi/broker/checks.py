"""What no broker can publish, found before anything is written. Knows no connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vumi.broker.interface import MAX_BODY_BYTES
from vumi.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["check_names", "check_publish"]

#: The longest name that AMQP 0-9-1 has room for, in bytes of UTF-8 ("short string").
MAX_NAME_BYTES = 255


def check_names(*names: str) -> None:
    """Check the names of exchanges, queues and routing keys.

    :raises BrokerError: One is too long.
    """
    for name in names:
        # Encoded only where it could be too long.
        if len(name) > MAX_NAME_BYTES // 4 and len(name.encode()) > MAX_NAME_BYTES:
            raise BrokerError(
                f"The name {name[:40]!r}... is too long for AMQP: at most {MAX_NAME_BYTES} bytes."
            )


def body_too_large(size: int, limit: int) -> BrokerError:
    """The error for a message whose body no queue takes."""
    return BrokerError(f"A message of {size} bytes is too large: at most {limit} are taken.")


def check_publish(
    declared: Container[str],
    exchange: str,
    routing_key: str,
    body: bytes,
    max_body: int = MAX_BODY_BYTES,
) -> None:
    """Check a publish. A broker would end the channel for it, and with it all that is under way.

    :param declared: The names of the exchanges that were declared.
    :param max_body: How many bytes a body may have.
    :raises BrokerError: It can't be published; the words say why.
    """
    if exchange and exchange not in declared:
        raise BrokerError(f"Exchange {exchange!r} was not declared before publishing to it.")
    check_names(routing_key)
    if len(body) > max_body:
        raise body_too_large(len(body), max_body)
