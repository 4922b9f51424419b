"""What a dispatcher sends where, as data: to be printed and drawn.

Knows nothing of how a router decides; each router tells.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EVENT", "INBOUND", "OUTBOUND", "Route", "RoutePlan"]

#: Kinds of messages: from users, to users, and what became of the latter.
INBOUND, OUTBOUND, EVENT = "inbound", "outbound", "event"


@dataclass(frozen=True)
class Route:
    """One way that messages go through a dispatcher.

    :param kind: :data:`INBOUND`, :data:`OUTBOUND` or :data:`EVENT`.
    :param source: The connector that they come in by.
    :param target: The connector that they leave by; ``""`` if they end here.
    :param when: Which of the messages, in words: ``"to_addr '9292'"``. ``""`` is all of them.
    :param source_endpoint: The endpoint they are bound for when they come in; ``""`` is any.
    :param target_endpoint: The one they are bound for when they leave; ``""``: it stays.
    """

    kind: str
    source: str
    target: str
    when: str = ""
    source_endpoint: str = ""
    target_endpoint: str = ""


@dataclass(frozen=True)
class RoutePlan:
    """All ways through one dispatcher.

    :param decided_by: What decides: a router's name.
    :param transport_names: The connectors on the side of the transports.
    :param exposed_names: Those on the side of the applications.
    :param routes: The ways.
    :param notes: What they don't show, in sentences.
    """

    decided_by: str
    transport_names: tuple[str, ...]
    exposed_names: tuple[str, ...]
    routes: tuple[Route, ...]
    notes: tuple[str, ...] = ()
