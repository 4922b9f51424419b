"""``vumi routes``: what a dispatcher sends where."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import click

from vumi.errors import ConfigError, VumiError

if TYPE_CHECKING:
    from vumi.cli.routes.route_map import RouteMap

__all__ = ["routes"]

#: What a file with such a key is for, if nothing else is said.
CLASS_BY_KEY = {
    "workers": "vumi.multiworker.MultiWorker",
    "router_class": "vumi.dispatchers.BaseDispatchWorker",
    "routing_table": "vumi.dispatchers.RoutingTableDispatcher",
}


@click.command(epilog="Example: vumi routes config/dispatchers/simple.yaml --format dot")
@click.argument("file", type=click.Path())
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "dot", "svg"]),
    default="text",
    show_default=True,
    help="A text to read, a graph in Graphviz's language, or its picture (needs the program dot).",
)
@click.option(
    "--worker-class",
    metavar="CLASS",
    help="The dispatcher that the file is for. Not needed for the dispatchers that come with "
    "vumi, and if the file lists workers itself.",
)
def routes(file: str, output_format: str, worker_class: str | None) -> None:
    """Show which workers of a configuration FILE talk to each other, and by what.

    Nothing is started. A FILE with the key "workers" is one for several workers in one process
    (vumi run): all of its dispatchers are shown, and who is at their connectors.
    """
    from vumi.cli.routes.route_map import as_dot, as_text
    from vumi.yamlconfig import read_yaml_config

    config = read_yaml_config(file)
    if worker_class is None:
        worker_class = config.get("worker_class")
    if worker_class is None:
        worker_class = next((path for key, path in CLASS_BY_KEY.items() if key in config), None)
    if worker_class is None:
        raise ConfigError(f"{file} is for no known dispatcher: give --worker-class CLASS.")
    found = read_route_map(worker_class, config)
    lines = as_text(found) if output_format == "text" else as_dot(found)
    output = "\n".join(lines).rstrip()
    click.echo(draw(output) if output_format == "svg" else output)


def read_route_map(worker_class: str, config: dict[str, Any]) -> RouteMap:
    """Find the dispatchers in a configuration, and what they are joined to.

    :param worker_class: The dotted path of the class that the configuration is for.
    :raises ConfigError: The configuration is wrong, or there is no dispatcher in it.
    """
    from vumi.checking import check_worker, load_worker_class
    from vumi.cli.routes.route_map import EndWorker, Hub, RouteMap
    from vumi.multiworker import MultiWorker
    from vumi.transports import Transport

    loaded = load_worker_class(worker_class)
    errors = check_worker(loaded, config).errors
    if errors:
        raise ConfigError(problems=errors)
    if issubclass(loaded, MultiWorker):
        several = loaded({}, config)
        workers = {
            name: (path, several.construct_worker_config(name))
            for name, path in several.get_static_config().workers.items()
        }
    else:
        name = config.get("worker_name") or config.get("dispatcher_name") or "dispatcher"
        workers = {name: (worker_class, config)}
    hubs, ends = [], []
    for name, (path, worker_config) in workers.items():
        child: Any = load_worker_class(path)
        if hasattr(child, "route_plan"):
            hubs.append(Hub(name, path, child({}, worker_config).route_plan()))
        elif isinstance(worker_config.get("transport_name"), str):
            ends.append(EndWorker(name, path, worker_config["transport_name"]))
    # Messages from users go from the left to the right.
    ends.sort(key=lambda end: not issubclass(load_worker_class(end.class_path), Transport))
    if not (hubs or ends):
        raise ConfigError("No worker of this file has a connector: nothing is routed.")
    return RouteMap(tuple(hubs), tuple(ends), complete=issubclass(loaded, MultiWorker))


def draw(dot: str) -> str:
    """Have Graphviz draw a graph.

    :param dot: The graph in its language.
    :returns: The picture, as SVG.
    :raises VumiError: Its program isn't there, or it has failed.
    """
    program = shutil.which("dot")
    if program is None:
        raise VumiError(
            "The program dot was not found, which draws: install Graphviz, or use --format dot "
            "and draw it elsewhere."
        )
    done = subprocess.run(  # noqa: S603 (no shell, no arguments from outside)
        [program, "-Tsvg"], input=dot, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise VumiError(f"{program} has failed: {done.stderr.strip()}")
    return done.stdout
