"""The processes of the fault suite, and a link to the broker that can freeze."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from vumi.tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from vumi.tests.servers import RabbitMQServer

__all__ = ["Chain", "FreezingLink", "WorkerProcess"]

ROOT = Path(__file__).parents[3]
WORKERS = "vumi.tests.faults.workers"
#: Seconds between AMQP heartbeats in this suite.
HEARTBEAT = 2


class WorkerProcess:
    """One worker in a ``twistd`` process of its own.

    :param name: For its files.
    :param worker_class: The class's dotted path.
    :param config: The worker's config.
    :param broker: The broker's URL.
    :param directory: Where its files are put.
    """

    def __init__(
        self, name: str, worker_class: str, config: dict[str, Any], broker: str, directory: Path
    ) -> None:
        self.name = name
        self.log_file = directory / f"{name}.log"
        config_file = directory / f"{name}.yaml"
        config_file.write_text(yaml.safe_dump(config))
        self._command = [
            str(Path(sys.executable).with_name("twistd")),
            "-n",
            "--pidfile=",
            "start_worker",
            "--broker",
            broker,
            "--worker-class",
            worker_class,
            "--config",
            str(config_file),
        ]
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._directory, env=environment, stdout=log, stderr=log
            )

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(30)

    def kill(self) -> None:
        """End it as a crash does."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Tell it to stop, and wait until it has."""
        if self._process is not None and self._process.poll() is None:
            self._signal(signal.SIGTERM)

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None


class FreezingLink:
    """A TCP link to the broker that can stop to carry anything without being closed.

    Threads and blocking sockets: it outlives the reactor's turn of any one test.

    :param target: The broker's port.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._flowing = threading.Event()
        self._flowing.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._in_thread(self._accept)

    def _in_thread(self, function: Callable[..., None], *args: Any) -> None:
        threading.Thread(target=function, args=args, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                inward, _ = self._listening.accept()
            except OSError:
                return
            try:
                outward = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                inward.close()
                continue
            for one, other in ((inward, outward), (outward, inward)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._in_thread(self._carry, one, other)

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
        except OSError:
            pass
        for side in (source, sink):
            side.close()

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def close(self) -> None:
        self.thaw()
        self._listening.close()


class Chain:
    """Transport, relay and application, connected to one broker.

    :param server: The broker.
    :param directory: Where the processes' files are put.
    :param app_port: The port through which the application reaches the broker.
    :param application: Further options of the application.
    """

    def __init__(
        self,
        server: RabbitMQServer,
        directory: Path,
        app_port: int,
        application: dict[str, Any] | None = None,
    ) -> None:
        self.port = free_port()
        url = server.url() + f"?heartbeat={HEARTBEAT}"
        app_url = url.replace(f":{server.port}/", f":{app_port}/")
        self.transport = WorkerProcess(
            "transport",
            f"{WORKERS}.NumbersTransport",
            {"transport_name": "net", "port": self.port},
            url,
            directory,
        )
        self.relay = WorkerProcess("relay", f"{WORKERS}.Relay", {}, url, directory)
        self.application = WorkerProcess(
            "application",
            f"{WORKERS}.Application",
            {"transport_name": "app", "handler_timeout": 2, **(application or {})},
            app_url,
            directory,
        )
        self.processes = (self.transport, self.relay, self.application)

    def start(self) -> None:
        for process in self.processes:
            process.start()

    def stop(self) -> None:
        for process in self.processes:
            process.stop()
