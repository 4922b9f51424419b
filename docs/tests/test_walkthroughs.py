"""What these pages have their reader do is done, command by command."""

from __future__ import annotations

import os
import shlex
import shutil
import unittest
from typing import TYPE_CHECKING

import pytest
from doc_blocks import ROOT
from walkthrough import Walkthrough

from vumi.tests.rabbitmq_server import _rabbitmq_scripts
from vumi.tests.servers import RabbitMQServer, free_port, shared_rabbitmq, shared_redis

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

DOCS = ROOT / "docs"
#: What is typed in the tutorial's telnet sessions.
TYPED = frozenset(["Hlabisa", "3", "2", "Nongoma", "12", "1"])


@pytest.mark.parametrize("name", ["handset", "menus"])
def test_what_a_page_has_its_reader_do(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    shutil.copytree(ROOT / "config", folder / "config")
    changes = {"tcp:port=9010": f"tcp:port={free_port()}"}
    walkthrough = Walkthrough(DOCS / f"{name}.rst", folder, changes)
    walkthrough.walk()
    assert len(walkthrough.commands_run) >= 3


def test_the_tutorial(tmp_path: Path) -> None:
    rabbitmq, redis = shared_rabbitmq(), shared_redis()
    if not isinstance(rabbitmq, RabbitMQServer):
        raise unittest.SkipTest("a RabbitMQ that somebody else runs is not ours to set up")
    folder = tmp_path / "reader"
    folder.mkdir()
    changes = {
        "tcp:port=9010": f"tcp:port={free_port()}",
        "amqp://vumi:vumi@127.0.0.1:5672/%2Fdevelop": rabbitmq.url(),
        "redis://127.0.0.1:6379": redis.url(),
    }
    stubs = {"rabbitmqctl": rabbitmqctl(rabbitmq)}
    walkthrough = Walkthrough(DOCS / "tutorial.rst", folder, changes, TYPED, stubs)
    walkthrough.walk()
    assert len(walkthrough.commands_run) >= 20


def rabbitmqctl(server: RabbitMQServer) -> str:
    """A script that calls a server's own tool; the system's one would look for another server."""
    folder = _rabbitmq_scripts()
    assert folder is not None
    environment = {**server._environment(), "PATH": os.environ["PATH"]}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return "\n".join([*lines, f'exec {shlex.quote(str(folder / "rabbitmqctl"))} "$@"'])
