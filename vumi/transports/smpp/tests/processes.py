"""Processes for tests of the whole: the simulated SMSC, transports, applications; and a broker's
client that waits.

Everything here blocks.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from contextlib import suppress as without
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pika

from vumi.tests.faults.chain import WorkerProcess
from vumi.tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vumi.message import TransportUserMessage

__all__ = ["PATIENCE", "BrokerClient", "SmscProcess", "wait_for"]

#: Seconds that anything may take.
PATIENCE = 30
POLL_SECONDS = 0.02


def wait_for(condition: Callable[[], Any], what: Callable[[], str]) -> Any:
    """Wait until something is so; gives its value.

    :param what: Tells what was waited for, if it does not become so.
    """
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(what())
        time.sleep(POLL_SECONDS)
    return value


class SmscProcess(WorkerProcess):
    """The simulator in a process of its own.

    :param broker: A broker's URL: it is a worker, if one without messages.
    :param directory: Where its files are put.
    :param script: How it behaves.
    """

    def __init__(self, broker: str, directory: Path, **script: Any) -> None:
        self.port, self._http_port = free_port(), free_port()
        self._journal = directory / "journal"
        super().__init__(
            "smsc",
            "vumi.transports.smpp.simulator.SmscWorker",
            {
                "twisted_endpoint": f"tcp:{self.port}:interface=127.0.0.1",
                "http_endpoint": f"tcp:{self._http_port}:interface=127.0.0.1",
                "journal": str(self._journal),
                **script,
            },
            broker,
            directory,
        )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask its control."""
        request = Request(
            f"http://127.0.0.1:{self._http_port}/{path}",
            None if body is None else json.dumps(body).encode(),
            method=method,
        )
        with urlopen(request, timeout=PATIENCE) as response:  # noqa: S310 (the address is ours)
            return json.loads(response.read())

    def bound(self) -> bool:
        """Whether somebody is bound."""
        with without(URLError, ConnectionError):
            return bool(self.ask("GET", "binds"))
        return False

    def wait_bound(self, *others: WorkerProcess) -> None:
        """Wait until somebody is.

        :param others: Whose logs are shown if nobody is.
        """
        wait_for(
            self.bound,
            lambda: "nobody binds:\n" + "\n".join(p.log[-3000:] for p in (self, *others)),
        )

    def journal(self, event: str) -> list[dict[str, Any]]:
        """All that has happened of one kind, over all its lives."""
        if not self._journal.exists():
            return []
        # It may be in the middle of a line.
        whole, _, _ = self._journal.read_text().rpartition("\n")
        # So that only few of the lines are read as JSON.
        mark = f'"event": "{event}"'
        return [json.loads(line) for line in whole.split("\n") if mark in line]


class BrokerClient:
    """A client of RabbitMQ.

    :param url: Where it is.
    """

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self._channel.exchange_declare("vumi", "topic", durable=True)

    def declare(self, queue: str) -> None:
        """Make a queue, empty."""
        self._channel.queue_declare(queue, durable=True)
        self._channel.queue_bind(queue, "vumi", queue)
        self._channel.queue_purge(queue)

    def publish(self, name: str, message: TransportUserMessage) -> None:
        """Put a message into a transport's queue."""
        self._channel.basic_publish(
            "vumi", f"{name}.outbound", message.to_bytes(), pika.BasicProperties(delivery_mode=2)
        )

    def take(self, queue: str) -> list[dict[str, Any]]:
        """Take all that is in a queue now."""
        taken: list[dict[str, Any]] = []
        while True:
            method, _, body = self._channel.basic_get(queue, auto_ack=True)
            if method is None:
                return taken
            taken.append(json.loads(body))

    def close(self) -> None:
        """End."""
        self._connection.close()

    @classmethod
    @contextmanager
    def connected(cls, url: str) -> Iterator[BrokerClient]:
        """One for a while."""
        client = cls(url)
        try:
            yield client
        finally:
            client.close()
