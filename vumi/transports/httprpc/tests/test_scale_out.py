"""Three processes of one transport, over RabbitMQ and Redis: each request gets its own reply."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen
from uuid import uuid4

import pytest
import redis
import yaml

from vumi.tests.servers import free_port, shared_rabbitmq, shared_redis
from vumi.transports.httprpc.tests.gateway import GREETING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[4]
TWISTD = Path(sys.executable).with_name("twistd")
HERE = "vumi.transports.httprpc.tests.gateway"
PATIENCE = 30
PROCESSES, CONVERSATIONS, STEPS, CALLERS = 3, 1_000, 3, 48
HOLDER_GONE = "nack Could not find original request: the process that held it is gone."


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.05)


class Installation:
    """The processes, and what they count."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._url = shared_rabbitmq().add_vhost(f"scale-out-{uuid4().hex[:8]}")
        self._redis = {"url": shared_redis().url(), "key_prefix": f"scale-out-{uuid4().hex[:8]}"}
        self.ports = [free_port() for _ in range(PROCESSES)]
        self.processes: list[subprocess.Popen[bytes]] = []

    @contextmanager
    def running(self) -> Iterator[Installation]:
        with ExitStack() as stack:
            stack.enter_context(self._worker("CountingEcho", {}))
            for port in self.ports:
                options = {
                    "web_path": "/ussd",
                    "twisted_endpoint": f"tcp:{port}:interface=127.0.0.1",
                }
                process = stack.enter_context(self._worker("GatewayTransport", options))
                self.processes.append(process)
            for port in self.ports:
                wait_until(lambda port=port: self._is_up(port), self._logs())  # type: ignore[misc]  # mypy knows no default in a lambda
            yield self

    @contextmanager
    def _worker(self, name: str, options: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
        stem = f"{name}-{uuid4().hex[:6]}"
        config = self.folder / f"{stem}.yaml"
        config.write_text(
            yaml.safe_dump({"transport_name": "gate", "redis_manager": self._redis, **options})
        )
        command = [
            *(str(TWISTD), "-n", "--pidfile=", "vumi_worker", "--broker", self._url),
            *("--worker-class", f"{HERE}.{name}", "--config", str(config)),
        ]
        with (self.folder / f"{stem}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)

    def _is_up(self, port: int) -> bool:
        try:
            urlopen(f"http://127.0.0.1:{port}/health", timeout=PATIENCE).close()
        except (URLError, OSError):
            return False
        return True

    def _logs(self) -> str:
        return "\n".join(log.read_text(errors="replace") for log in self.folder.glob("*.log"))

    def counts(self) -> Counter[str]:
        """How many events of each kind the application has got."""
        prefix = f"{self._redis['key_prefix']}:"
        with redis.Redis.from_url(self._redis["url"]) as connection:
            keys = [
                key.decode() for key in connection.keys(f"{prefix}*") if b":sessions" not in key
            ]
            return Counter(
                {key.removeprefix(prefix): int(connection.get(key) or 0) for key in keys}
            )


class Caller:
    """Calls whichever process it likes, over connections that it keeps."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._connections: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def ask(self, parameters: dict[str, str], port: int | None = None) -> str:
        if port is None:
            port = random.choice(self._ports)  # noqa: S311 (a load balancer's choice)
        if port not in self._connections:
            self._connections[port] = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = self._connections[port]
        writer.write(f"GET /ussd?{urlencode(parameters)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0])
        return (await reader.readexactly(length)).decode()

    async def close(self) -> None:
        for _, writer in self._connections.values():
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def hold_conversations(ports: list[int]) -> list[tuple[str, str]]:
    """Hold them all, each step at a random process.

    :returns: The answers that were wrong, with what they should have been.
    """
    numbers = iter(range(CONVERSATIONS))
    wrong: list[tuple[str, str]] = []

    async def call() -> None:
        caller = Caller(ports)
        for number in numbers:
            msisdn = f"+2783{number:07}"
            for step in range(STEPS):
                text = f"{number} at step {step}"
                parameters = {"session": f"s{number}", "msisdn": msisdn, "text": text}
                given = await caller.ask(parameters)
                expected = f"{msisdn}: {text if step else GREETING}"
                if given != expected:
                    wrong.append((given, expected))
        await caller.close()

    await asyncio.gather(*(call() for _ in range(CALLERS)))
    return wrong


def test_every_request_gets_its_own_reply_whichever_process_it_comes_to(tmp_path: Path) -> None:
    with Installation(tmp_path).running() as installation:
        assert asyncio.run(hold_conversations(installation.ports)) == []
        total = CONVERSATIONS * STEPS
        wait_until(lambda: installation.counts().total() >= total, f"{total} events")
        assert installation.counts() == {"ack": total}


def test_replies_for_a_process_that_was_killed_are_nacked(tmp_path: Path) -> None:
    async def kill_the_holder(installation: Installation) -> None:
        async def hang(number: int) -> None:
            caller = Caller(installation.ports)
            session = {"session": f"k{number}", "msisdn": f"+{number}"}
            await caller.ask({**session, "text": ""})
            with pytest.raises(asyncio.IncompleteReadError):
                await caller.ask({**session, "text": "slow"}, installation.ports[0])
            await caller.close()

        hanging = [asyncio.ensure_future(hang(number)) for number in range(20)]
        while installation.counts()["slow"] < 20 or installation.counts()["ack"] < 20:
            await asyncio.sleep(0.05)
        # Nothing tells when the first replies are acknowledged; before that, a kill brings them
        # again. The slow ones take longer than this.
        await asyncio.sleep(1)
        installation.processes[0].kill()
        await asyncio.gather(*hanging)

    async def ask_once(ports: list[int]) -> None:
        caller = Caller(ports)
        parameters = {"session": "s", "msisdn": "+1", "text": ""}
        assert await caller.ask(parameters) == f"+1: {GREETING}"
        await caller.close()

    with Installation(tmp_path).running() as installation:
        asyncio.run(kill_the_holder(installation))
        wait_until(lambda: installation.counts()[HOLDER_GONE] == 20, "20 nacks")
        assert installation.counts() == {"ack": 20, HOLDER_GONE: 20, "slow": 20}
        # The others go on.
        asyncio.run(ask_once(installation.ports[1:]))
