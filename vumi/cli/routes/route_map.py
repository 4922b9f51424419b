"""Which workers of a file are joined by what: for people to read, and for Graphviz to draw.

Knows the plans that dispatchers give (:class:`~vumi.dispatchers.routes.RoutePlan`) and that other
workers talk through one connector. Reads no file.

Graphviz's language: https://graphviz.org/doc/info/lang.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vumi.cli.tables import columns
from vumi.dispatchers.routes import EVENT, INBOUND, OUTBOUND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vumi.dispatchers.routes import Route, RoutePlan

__all__ = ["EndWorker", "Hub", "RouteMap", "as_dot", "as_text"]

TITLES = {INBOUND: "messages from users", OUTBOUND: "messages to users", EVENT: "events"}
COLOURS = {INBOUND: "#1f6f3f", OUTBOUND: "#1f4f9f", EVENT: "#8f8f8f"}
DROPPED = "(dropped)"


@dataclass(frozen=True)
class EndWorker:
    """A worker that talks through one connector.

    :param name: What the file calls it.
    :param class_path: Its class's dotted path.
    :param connector: The connector's name.
    """

    name: str
    class_path: str
    connector: str


@dataclass(frozen=True)
class Hub:
    """A dispatcher.

    :param name: What the file calls it.
    :param class_path: Its class's dotted path.
    :param plan: What it sends where.
    """

    name: str
    class_path: str
    plan: RoutePlan


@dataclass(frozen=True)
class RouteMap:
    """The workers of a file.

    :param hubs: Its dispatchers.
    :param ends: Its other workers that have a connector.
    :param complete: The file has several workers, so that a connector without one is of interest.
    """

    hubs: tuple[Hub, ...]
    ends: tuple[EndWorker, ...] = ()
    complete: bool = False

    @property
    def connectors(self) -> dict[str, list[EndWorker]]:
        """Every connector's name, and which workers at the ends have it."""
        found: dict[str, list[EndWorker]] = {}
        for hub in self.hubs:
            for name in (*hub.plan.transport_names, *hub.plan.exposed_names):
                found.setdefault(name, [])
        for end in self.ends:
            found.setdefault(end.connector, []).append(end)
        return found

    def hubs_at(self, connector: str) -> list[Hub]:
        """The dispatchers that have a connector."""
        return [
            hub
            for hub in self.hubs
            if connector in hub.plan.transport_names or connector in hub.plan.exposed_names
        ]


# For people


def as_text(route_map: RouteMap) -> Iterator[str]:
    """The routes in lines of text."""
    for hub in route_map.hubs:
        decided_by = hub.plan.decided_by
        is_itself = hub.class_path.endswith(f".{decided_by}")
        yield f"{hub.name}: {hub.class_path}" + ("" if is_itself else f", {decided_by}")
        for kind, title in TITLES.items():
            routes = [route for route in hub.plan.routes if route.kind == kind]
            if routes:
                yield f"  {title}"
                yield from _route_lines(routes)
        for note in hub.plan.notes:
            yield f"  {note}"
        yield ""
    if not route_map.hubs:
        yield from _straight_lines(route_map)
    elif route_map.complete:
        yield "connectors"
        rows = [(name, _who(route_map, name, ends)) for name, ends in route_map.connectors.items()]
        yield from columns(rows, "  ")


def _straight_lines(route_map: RouteMap) -> Iterator[str]:
    """A line for each connector: without dispatchers its workers talk to each other."""
    for name, ends in route_map.connectors.items():
        workers = [f"{end.name} ({end.class_path})" for end in ends]
        if len(workers) < 2:
            workers.append("nobody else in this file")
        yield f" <-> {name} <-> ".join(workers)


def _route_lines(routes: Iterable[Route]) -> Iterator[str]:
    """A line for each target and condition, with all connectors that it is for."""
    sources: dict[tuple[str, str], list[str]] = {}
    for route in routes:
        target = _place(route.target or DROPPED, route.target_endpoint)
        found = sources.setdefault((target, route.when), [])
        source = _place(route.source, route.source_endpoint)
        if source not in found:
            found.append(source)
    rows = [(", ".join(found), "->", target, when) for (target, when), found in sources.items()]
    return columns(rows, "    ")


def _place(name: str, endpoint: str) -> str:
    return f"{name} [{endpoint}]" if endpoint else name


def _who(route_map: RouteMap, connector: str, ends: list[EndWorker]) -> str:
    workers = [f"{end.name} ({end.class_path})" for end in ends]
    workers += [hub.name for hub in route_map.hubs_at(connector)]
    if len(workers) < 2:
        workers.append("nobody else in this file")
    return ", ".join(workers)


# For Graphviz


def as_dot(route_map: RouteMap) -> Iterator[str]:
    """The routes in Graphviz's language: connectors are round, workers at the ends are boxes."""
    yield "digraph routes {"
    yield "  rankdir=LR;"
    yield "  node [fontname=Helvetica, fontsize=11];"
    yield "  edge [fontname=Helvetica, fontsize=9];"
    for connector, ends in route_map.connectors.items():
        yield f"  {_quoted(f'connector {connector}')} [label={_quoted(connector)}];"
        for end in ends:
            label = f"{end.name}\n{end.class_path.rpartition('.')[2]}"
            yield f"  {_quoted(f'worker {end.name}')} [label={_quoted(label)}, shape=box];"
            yield from _end_edge(route_map, end)
    for number, hub in enumerate(route_map.hubs):
        yield from _hub_lines(hub, number, several=len(route_map.hubs) > 1)
    yield "}"


def _end_edge(route_map: RouteMap, end: EndWorker) -> Iterator[str]:
    worker, connector = _quoted(f"worker {end.name}"), _quoted(f"connector {end.connector}")
    exposed = any(end.connector in hub.plan.exposed_names for hub in route_map.hubs)
    one, other = (connector, worker) if exposed else (worker, connector)
    yield f"  {one} -> {other} [dir=both, color={_quoted('#000000')}];"


def _hub_lines(hub: Hub, number: int, several: bool) -> Iterator[str]:
    """A dispatcher's ways. Those of messages to users don't pull: they go against the grain."""
    dropped = f"dropped {number}"
    if any(not route.target for route in hub.plan.routes):
        yield f"  {_quoted(dropped)} [label=dropped, shape=plaintext];"
    labels: dict[tuple[str, str, str], list[str]] = {}
    for route in hub.plan.routes:
        target = f"connector {route.target}" if route.target else dropped
        words = [f"{hub.name}:"] if several else []
        if route.source_endpoint or route.target_endpoint:
            words.append(f"{route.source_endpoint} to {route.target_endpoint}")
        words += [route.when] if route.when else []
        label = " ".join(words)
        found = labels.setdefault((route.kind, f"connector {route.source}", target), [])
        if label not in found:
            found.append(label)
    for (kind, source, target), found in labels.items():
        attributes = {
            "label": "\n".join(found),
            "color": COLOURS[kind],
            "fontcolor": COLOURS[kind],
            "style": "dashed" if kind == EVENT else "solid",
            "tooltip": TITLES[kind],
        }
        if kind == OUTBOUND:
            attributes["constraint"] = "false"
        shown = ", ".join(f"{name}={_quoted(value)}" for name, value in attributes.items())
        yield f"  {_quoted(source)} -> {_quoted(target)} [{shown}];"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
