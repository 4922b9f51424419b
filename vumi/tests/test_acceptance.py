"""A conversation over telnet, as users run it: separate ``twistd`` processes over RabbitMQ."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vumi.tests.servers import RabbitMQServer, free_port, require, shared_rabbitmq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
TWISTD = Path(sys.executable).with_name("twistd")
TELNET = "vumi.transports.telnet.TelnetServerTransport"
ECHO = "vumi.demos.words.EchoWorker"
PATIENCE = 30


class Process:
    """A worker in a ``twistd`` process, started as the README says."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.log_file = log
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                command,
                cwd=log.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=output,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_for(self, words: str) -> None:
        wait_until(lambda: words in self.log, f"{words!r} in the log:\n{self.log}")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.05)


@contextmanager
def worker(
    folder: Path, plugin: str, worker_class: str, config: str, url: str, *options: str
) -> Iterator[Process]:
    command = [
        *(str(TWISTD), "-n", "--pidfile=", plugin, "--worker-class", worker_class),
        *("--config", str(ROOT / "config" / config), "--broker", url, *options),
    ]
    process = Process(command, folder / f"{worker_class.rpartition('.')[2]}.log")
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.send_signal(signal.SIGTERM)
        process.popen.wait(PATIENCE)


def say(port: int, *lines: str) -> str:
    """Talk to a telnet server until each line was echoed; return all that it said."""
    heard = ""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.settimeout(PATIENCE)

        def listen(words: str) -> None:
            nonlocal heard
            while words not in heard:
                data = connection.recv(4096)
                if not data:
                    raise AssertionError(f"hung up on after {heard!r}")
                heard += data.decode()

        listen("Enter text to echo:")
        for line in lines:
            connection.sendall(line.encode() + b"\r\n")
            listen(line)
    return heard


@pytest.mark.parametrize("plugin", ["start_worker", "vumi_worker"])
def test_two_processes_talk_over_rabbitmq(plugin: str, tmp_path: Path) -> None:
    url, port = shared_rabbitmq().add_vhost(f"acceptance-{plugin}"), free_port()
    endpoint = f"twisted_endpoint:tcp:{port}:interface=127.0.0.1"
    with (
        worker(tmp_path, plugin, TELNET, "telnet.yaml", url, "--set-option", endpoint) as telnet,
        worker(tmp_path, plugin, ECHO, "echo.yaml", url) as echo,
    ):
        telnet.wait_for("Listening on")
        echo.wait_for(" is ready: connected to ")
        heard = say(port, "hello", "güle güle \N{SNOWMAN}")
    assert heard.splitlines()[1:] == ["hello", "güle güle \N{SNOWMAN}"]
    assert "Traceback" not in telnet.log + echo.log


def test_workers_wait_for_a_broker_that_is_not_there_yet(tmp_path: Path) -> None:
    require(RabbitMQServer)
    server = RabbitMQServer(tmp_path / "rabbitmq")
    # Its ports are chosen when it starts.
    server.start()
    url, port = server.url(), free_port()
    server.stop()
    endpoint = f"twisted_endpoint:tcp:{port}:interface=127.0.0.1"
    with (
        worker(
            tmp_path, "start_worker", TELNET, "telnet.yaml", url, "--set-option", endpoint
        ) as telnet,
        worker(tmp_path, "start_worker", ECHO, "echo.yaml", url) as echo,
    ):
        for process in (telnet, echo):
            process.wait_for("Connection was refused by other side")
            process.wait_for("Next try in")
        server.start()
        try:
            telnet.wait_for("Listening on")
            assert "hello" in say(port, "hello")
        finally:
            telnet.popen.terminate()
            echo.popen.terminate()
            telnet.popen.wait(PATIENCE)
            echo.popen.wait(PATIENCE)
            server.stop()
    assert "vumi:vumi" not in telnet.log + echo.log
