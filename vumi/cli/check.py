"""``vumi check``: is a configuration file all right?"""

from __future__ import annotations

import click

__all__ = ["check"]


@click.command(
    epilog="Example: vumi check config/echo.yaml --worker-class vumi.demos.words.EchoWorker"
)
@click.argument("file", type=click.Path())
@click.option(
    "--worker-class",
    metavar="CLASS",
    help="The worker that the file is for. Not needed if the file names it (worker_class) or "
    "lists workers.",
)
def check(file: str, worker_class: str | None) -> None:
    """Tell everything that is wrong with a configuration FILE, or OK.

    Nothing is started. Options that are unknown count as wrong; a worker itself would start with
    them and log a warning.

    A FILE with the key "worker_class" is for a worker of that class.
    One with the key "workers" is one for several workers in one process (vumi run): all of
    them are checked.
    """
    from vumi.checking import check_worker, class_path_of, load_worker_class
    from vumi.errors import ConfigError
    from vumi.yamlconfig import read_yaml_config

    config = read_yaml_config(file)
    found = load_worker_class(worker_class or class_path_of(config, file))
    findings = check_worker(found, config)
    if findings.problems:
        raise ConfigError(problems=findings.problems)
    click.echo("OK")
