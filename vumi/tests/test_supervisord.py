"""``supervisord.conf``, as it stands at the top of the project, does what it is for."""

from __future__ import annotations

import configparser
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from vumi.service import DEFAULT_DRAIN_TIMEOUT
from vumi.tests.servers import free_port, shared_rabbitmq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PROGRAMS = ("echo", "telnet")
#: How long anything here may take, in seconds, on a machine that is busy.
PATIENCE = 60.0
CONFIRM_TIMEOUT = 10.0


def wait_until(is_so: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Project:
    """A copy of what supervisord needs, with a broker and a port of its own.

    :param folder: Where it goes.
    :param broker: The broker's URL.
    """

    def __init__(self, folder: Path, broker: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.output = folder / "output"
        shutil.copy(ROOT / "supervisord.conf", folder)
        shutil.copytree(ROOT / "config", folder / "config")
        # 'make venv' makes it; these are the programs of whatever runs this test.
        (folder / ".venv").symlink_to(sys.prefix)
        self._change("vumi.yaml", broker=broker)
        self._change("telnet.yaml", twisted_endpoint=f"tcp:{self.port}:interface=127.0.0.1")
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*self._command("supervisord"), "-n"],
                # Not the project's folder: the file must work from anywhere.
                cwd="/",
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _change(self, name: str, **options: str) -> None:
        path = self.folder / "config" / name
        config = yaml.safe_load(path.read_text("utf-8"))
        path.write_text(yaml.safe_dump({**config, **options}), "utf-8")

    def _command(self, program: str) -> list[str]:
        conf = str(self.folder / "supervisord.conf")
        return [sys.executable, "-m", f"supervisor.{program}", "-c", conf]

    def log(self) -> str:
        """What supervisord and its workers have written."""
        return self.output.read_text("utf-8", errors="replace")

    def pid(self, program: str) -> int:
        """The process id of a worker; 0 if it isn't running."""
        done = subprocess.run(
            [*self._command("supervisorctl"), "pid", program],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        with suppress(ValueError):
            return int(done.stdout)
        return 0

    def connect(self) -> socket.socket:
        """A telnet client."""
        connections: list[socket.socket] = []

        def is_connected() -> bool:
            assert self.process.poll() is None, self.log()
            with suppress(OSError):
                connections.append(socket.create_connection(("127.0.0.1", self.port), PATIENCE))
            return bool(connections)

        wait_until(is_connected, self.log)
        return connections[0]

    def stop(self) -> None:
        """End supervisord, and with it its workers."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            for pid in map(self.pid, PROGRAMS):
                if pid:
                    os.kill(pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    server = shared_rabbitmq()
    vhost = f"/supervisord-{os.getpid()}"
    running = Project(tmp_path, server.add_vhost(vhost))
    try:
        yield running
    finally:
        running.stop()
        server.delete_vhost(vhost)


def say(client: socket.socket, line: str) -> str:
    """Write a line, and give the line that comes back."""
    client.sendall(line.encode() + b"\r\n")
    return hear(client)


def hear(client: socket.socket) -> str:
    """The next line; empty if the connection is closed."""
    heard = b""
    while not heard.endswith(b"\n"):
        # Byte by byte: what comes after this line is for the next call.
        received = client.recv(1)
        if not received:
            break
        heard += received
    return heard.decode().strip()


@pytest.mark.integration
def test_workers_talk_come_back_when_killed_and_stop_in_order(project: Project) -> None:
    with project.connect() as client:
        client.settimeout(PATIENCE)
        assert hear(client) == "Enter text to echo:"
        assert say(client, "molo") == "molo"

        killed = project.pid("echo")
        os.kill(killed, signal.SIGKILL)
        heard = say(client, "are you there?")
        # At least once: its last message may not have been acknowledged when it was killed.
        assert (heard if heard != "molo" else hear(client)) == "are you there?"
        pids = [project.pid(program) for program in PROGRAMS]
        assert killed not in pids
        assert all(map(is_alive, pids)), project.log()

        project.stop()
        assert project.process.returncode == 0
        assert hear(client) == ""
    wait_until(lambda: not any(map(is_alive, pids)), project.log)
    log = project.log()
    for program in PROGRAMS:
        # twistd, having stopped in order, ends by the signal that it was sent.
        assert f"stopped: {program} (terminated by SIGTERM)" in log
    for worker in ("EchoWorker", "TelnetServerTransport"):
        assert f"Stopping a worker of the class {worker}" in log
    assert "Traceback" not in log
    left = {path.suffix for path in project.folder.iterdir()}
    assert not left & {".pid", ".sock"}


def sections() -> dict[str, configparser.SectionProxy]:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    parser.read_string((ROOT / "supervisord.conf").read_text("utf-8"))
    programs = {name: parser[f"program:{name}"] for name in PROGRAMS}
    assert len(programs) == sum(name.startswith("program:") for name in parser.sections())
    return programs


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_worker_is_given_the_time_it_needs_to_stop(name: str) -> None:
    section = sections()[name]
    assert section["stopsignal"] == "TERM"
    assert float(section["stopwaitsecs"]) > DEFAULT_DRAIN_TIMEOUT + CONFIRM_TIMEOUT


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_worker_names_files_that_are_there(name: str) -> None:
    words = sections()[name]["command"].split()
    files = [word for word in words if word.endswith(".yaml")]
    assert len(files) == 2
    assert all((ROOT / path).is_file() for path in files)
