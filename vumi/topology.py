"""Do the workers of one file fit together? Told in sentences, from their configurations.

Knows the names that transports, applications and dispatchers have for each other's queues, and
the ports that workers listen on. Starts nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from vumi.application.base import ApplicationWorker
from vumi.config import ConfigPort, ConfigServerEndpoint
from vumi.dispatchers.dispatcher import Dispatcher
from vumi.dispatchers.worker import BaseDispatchWorker
from vumi.transports.base import Transport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["misfits"]

#: A Twisted server endpoint on a TCP port.
_TCP = re.compile(r"(?:tcp[46]?|ssl|tls):(?:port=)?(\d+)(?::|$)")
_INTERFACE = re.compile(r":interface=((?:\\.|[^:\\])*)")
_ALL_INTERFACES = ("", "0.0.0.0", r"\:\:")  # noqa: S104 (compared with, not listened on)


@dataclass
class _Names:
    """The names on one side of queues, and the workers that have each."""

    transports: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    applications: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    #: Those that dispatchers have, as a transport or as an application.
    as_transports: set[str] = field(default_factory=set)
    as_applications: set[str] = field(default_factory=set)


def misfits(workers: Iterable[tuple[str, type[Any], Mapping[str, Any]]]) -> list[str]:
    """What doesn't fit: ports and names used twice, names that don't meet.

    :param workers: The name, class and configuration of each. One whose configuration has
        mistakes is left out: these are told by its own check.
    """
    names = _Names()
    ports: list[tuple[str, int, str]] = []
    for name, worker_class, data in workers:
        try:
            config: Any = worker_class.CONFIG_CLASS(dict(data), static=True)
        except Exception:  # noqa: BLE001, S112 (told as an error when the worker is checked)
            continue
        _note_names(names, name, worker_class, config)
        ports += [(name, port, interface) for port, interface in _listens_on(config)]
    return [*_shared_ports(ports), *_shared_names(names), *_names_that_do_not_meet(names)]


def _note_names(names: _Names, name: str, worker_class: type[Any], config: Any) -> None:
    if issubclass(worker_class, Transport):
        names.transports[config.transport_name].append(name)
    elif issubclass(worker_class, ApplicationWorker):
        names.applications[config.transport_name].append(name)
    elif issubclass(worker_class, Dispatcher):
        names.as_applications.update(config.receive_inbound_connectors or ())
        names.as_transports.update(config.receive_outbound_connectors or ())
    elif issubclass(worker_class, BaseDispatchWorker):
        names.as_applications.update(config.transport_names or ())
        names.as_transports.update(config.exposed_names or ())


def _listens_on(config: Any) -> set[tuple[int, str]]:
    """The TCP ports that a worker listens on, each with the interface's address."""
    found: set[tuple[int, str]] = set()
    options = config._fields.values()
    for option in options:
        if isinstance(option, ConfigServerEndpoint) and option.static:
            endpoint = option.find_value(config)
            if isinstance(endpoint, str) and (match := _TCP.match(endpoint)):
                interface = _INTERFACE.search(endpoint)
                found.add((int(match[1]), interface[1] if interface else ""))
    if not found:
        # Without an endpoint a port option counts. Only those to listen on may be 0.
        ports = [o for o in options if isinstance(o, ConfigPort) and o.static and o.any_free]
        found = {(port, "") for option in ports if (port := option.get_value(config))}
    return {(port, interface) for port, interface in found if port}


def _shared_ports(ports: list[tuple[str, int, str]]) -> Iterator[str]:
    for number, (name, port, interface) in enumerate(ports):
        for other, other_port, other_interface in ports[:number]:
            interfaces = {interface, other_interface}
            if port == other_port and (
                len(interfaces) == 1 or not interfaces.isdisjoint(_ALL_INTERFACES)
            ):
                yield f"{name}: It listens on port {port}, as {other} does: choose another port."


def _shared_names(names: _Names) -> Iterator[str]:
    for kind, found in (("transport", names.transports), ("application", names.applications)):
        for transport_name, workers in found.items():
            for worker in workers[1:]:
                yield (
                    f"{worker}: Its transport_name {transport_name!r} is that of the {kind} "
                    f"{workers[0]}, too: each message reaches only one of them."
                )


def _names_that_do_not_meet(names: _Names) -> Iterator[str]:
    """Names that nothing else in the file has; on one side only, the rest may be elsewhere."""
    sending = names.transports.keys() | names.as_transports
    receiving = names.applications.keys() | names.as_applications
    waiting = sorted(receiving - sending)
    if not waiting:
        return
    for name in sorted(sending - receiving):
        workers = names.transports.get(name, ["a dispatcher"])
        near = get_close_matches(name, waiting, n=1, cutoff=0)
        hint = repr(near[0]) if near else ", ".join(map(repr, waiting))
        yield (
            f"{workers[0]}: No application or dispatcher in this file has the name {name!r}, and "
            f"there is none for {hint} to get messages from: do these two belong together?"
        )
