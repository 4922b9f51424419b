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
    help="The worker that the file is for. Not needed if the file lists workers itself.",
)
def check(file: str, worker_class: str | None) -> None:
    """Tell everything that is wrong with a configuration FILE, or OK.

    Nothing is started. Options that are unknown count as wrong; a worker itself would start with
    them and log a warning.

    A FILE with the key "workers" is one for several workers in one process (vumi run): all of
    them are checked.
    """
    from vumi.checking import check_worker, load_worker_class
    from vumi.errors import ConfigError
    from vumi.yamlconfig import read_yaml_config

    config = read_yaml_config(file)
    if worker_class is None:
        if "workers" not in config:
            raise ConfigError(
                f"{file} does not say which worker it is for: give --worker-class CLASS."
            )
        worker_class = "vumi.multiworker.MultiWorker"
    findings = check_worker(load_worker_class(worker_class), config)
    if findings.problems:
        raise ConfigError(problems=findings.problems)
    click.echo("OK")
