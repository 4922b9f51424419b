"""Dispatchers as users run them: every worker a ``twistd`` process of its own, over RabbitMQ."""

from __future__ import annotations

import re
import socket
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from vumi.tests.faults.chain import ROOT, WorkerProcess
from vumi.tests.servers import free_port, shared_rabbitmq
from vumi.yamlconfig import read_yaml_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

TELNET = "vumi.transports.telnet.TelnetServerTransport"
ECHO, REVERSE = "vumi.demos.words.EchoWorker", "vumi.demos.words.ReverseWorker"
MULTI = "vumi.multiworker.MultiWorker"
EXAMPLES = ROOT / "config/examples"
#: Seconds that anything may take.
PATIENCE = 30

DISPATCHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "simple": (
        "vumi.dispatchers.BaseDispatchWorker",
        {
            "router_class": "vumi.dispatchers.SimpleDispatchRouter",
            "transport_names": ["t1", "t2"],
            "exposed_names": ["echo", "reverse"],
            "route_mappings": {"t1": "echo", "t2": ["reverse"]},
        },
    ),
    "table": (
        "vumi.dispatchers.endpoint_dispatchers.RoutingTableDispatcher",
        {
            "receive_inbound_connectors": ["t1", "t2"],
            "receive_outbound_connectors": ["echo", "reverse"],
            "routing_table": {
                "t1": {"default": ["echo", "sms"]},
                "t2": {"default": "reverse"},
                "echo": {"sms": ["t1", "default"]},
                "reverse": {"default": "t2"},
            },
        },
    ),
}


class Phone:
    """A telnet client.

    :param port: The server's port; it is called until it listens.
    """

    def __init__(self, port: int) -> None:
        self.heard = ""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
                return
            except ConnectionRefusedError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def say(self, line: str) -> None:
        self._connection.sendall(f"{line}\r\n".encode())

    def hear(self, words: str) -> None:
        """Wait until something was said."""
        while words not in self.heard:
            data = self._connection.recv(4096)
            assert data, f"hung up on after {self.heard!r}"
            self.heard += data.decode()

    def close(self) -> None:
        self._connection.close()


@contextmanager
def running(
    workers: dict[str, tuple[str, dict[str, Any]]], url: str, folder: Path
) -> Iterator[list[WorkerProcess]]:
    """Run workers, and see that none of them had to complain.

    :param workers: Name -> class path and config.
    """
    processes = [
        WorkerProcess(name, class_path, config, url, folder)
        for name, (class_path, config) in workers.items()
    ]
    try:
        for process in processes:
            process.start()
        yield processes
    finally:
        for process in processes:
            process.stop()
    for process in processes:
        assert "Traceback" not in process.log, process.log
        assert "dead letter" not in process.log, process.log
        assert "no route" not in process.log, process.log


def line(transport_name: str, transport_type: str, port: int) -> tuple[str, dict[str, Any]]:
    return TELNET, {
        "transport_name": transport_name,
        "transport_type": transport_type,
        "twisted_endpoint": f"tcp:{port}:interface=127.0.0.1",
    }


@pytest.mark.parametrize("kind", DISPATCHERS)
def test_two_transports_and_two_applications(kind: str, tmp_path: Path) -> None:
    ports = free_port(), free_port()
    workers = {
        "t1": line("t1", "sms", ports[0]),
        "t2": line("t2", "ussd", ports[1]),
        "dispatcher": DISPATCHERS[kind],
        "echo": (ECHO, {"transport_name": "echo"}),
        "reverse": (REVERSE, {"transport_name": "reverse"}),
    }
    url = shared_rabbitmq().add_vhost(f"dispatcher-{kind}")
    with running(workers, url, tmp_path), ExitStack() as stack:
        phones = [Phone(port) for port in (*ports, *ports)]
        for phone in phones:
            stack.callback(phone.close)
        for number, phone in enumerate(phones):
            phone.hear("Enter text to echo:" if number % 2 == 0 else "Enter text to reverse:")
        for number, phone in enumerate(phones):
            for turn in range(20):
                phone.say(f"<{number}.{turn}>")
        for number, phone in enumerate(phones):
            said = [f"<{number}.{turn}>" for turn in range(20)]
            expected = said if number % 2 == 0 else [words[::-1] for words in said]
            phone.hear(expected[-1])
            assert phone.heard.split()[4:] == expected


def example_workers(separate: bool) -> tuple[dict[str, tuple[str, Any]], list[int]]:
    """The workers of the example, on free ports: as one file, or as one file each."""
    ports = {"sms": free_port(), "ussd": free_port()}

    def on_free_port(name: str, config: dict[str, Any]) -> dict[str, Any]:
        if name in ports:
            config["twisted_endpoint"] = f"tcp:{ports[name]}:interface=127.0.0.1"
        return config

    if separate:
        workers = {}
        for path in (EXAMPLES / "sms_and_ussd").iterdir():
            # As the file itself says.
            found = re.search(r"--worker-class ([\w.]+)", path.read_text())
            assert found
            workers[path.stem] = (found[1], on_free_port(path.stem, read_yaml_config(path)))
        assert len(workers) == 4
    else:
        config = read_yaml_config(EXAMPLES / "sms_and_ussd.yaml")
        for name in ports:
            on_free_port(name, config[name])
        workers = {"all": (MULTI, config)}
    return workers, list(ports.values())


@pytest.mark.parametrize("separate", [False, True], ids=["one process", "four processes"])
def test_the_example_with_sms_and_ussd(separate: bool, tmp_path: Path) -> None:
    url = shared_rabbitmq().add_vhost(f"sms-and-ussd-{separate}")
    workers, ports = example_workers(separate)
    with running(workers, url, tmp_path), ExitStack() as stack:
        for port, words in zip(ports, ("a text message", "a session"), strict=True):
            phone = Phone(port)
            stack.callback(phone.close)
            phone.hear("Enter text to reverse:")
            phone.say(words)
            phone.hear(words[::-1])


def test_one_file_and_four_files_of_the_example_say_the_same() -> None:
    config = read_yaml_config(EXAMPLES / "sms_and_ussd.yaml")
    for name, class_path in config["workers"].items():
        path = EXAMPLES / f"sms_and_ussd/{name}.yaml"
        separate = read_yaml_config(path)
        assert separate.pop("worker_name") == name
        assert separate == config[name]
        assert f"--worker-class {class_path}" in path.read_text()
