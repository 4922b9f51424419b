"""A cheap HTTP load generator: keep-alive connections that each wait for their answer."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Load", "run_load"]


class _Connection(asyncio.Protocol):
    """Sends a request, waits for the whole answer, sends the next."""

    transport: asyncio.Transport

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._sent_at = 0.0
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.send()

    def send(self) -> None:
        request, self._body = self._load.next_request()
        if request is None:
            self.transport.close()
            return
        self._sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        _, _, length = head.lower().partition(b"content-length:")
        if len(body) < int(length.split(b"\r\n", 1)[0]):
            return
        self._buffer = b""
        good = head.startswith(b"HTTP/1.1 200") and body == self._body
        self._load.answered(time.perf_counter() - self._sent_at, good)
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost()


class Load:
    """One run.

    :param requests: Makes a request of its number: its bytes, and the body of the right answer.
    :param number: How many requests.
    :param connections: How many connections at a time.
    """

    def __init__(
        self, requests: Callable[[int], tuple[bytes, bytes]], number: int, connections: int
    ) -> None:
        self._requests = requests
        self._number = number
        self._next = 0
        self._open = connections
        self._connections = connections
        self.latencies: list[float] = []
        self.wrong = 0
        self.seconds = 0.0

    async def run(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        started = time.perf_counter()
        await asyncio.gather(
            *(
                loop.create_connection(lambda: _Connection(self), host, port)
                for _ in range(self._connections)
            )
        )
        await self._over
        self.seconds = time.perf_counter() - started

    def next_request(self) -> tuple[bytes | None, bytes]:
        if self._next >= self._number:
            return None, b""
        self._next += 1
        return self._requests(self._next)

    def answered(self, seconds: float, good: bool) -> None:
        self.latencies.append(seconds)
        self.wrong += not good

    def lost(self) -> None:
        self._open -= 1
        if not self._open and not self._over.done():
            self._over.set_result(None)


def run_load(
    port: int,
    requests: Callable[[int], tuple[bytes, bytes]],
    number: int,
    connections: int,
) -> Load:
    """Send requests to a port of this machine, and wait for all answers."""
    load = Load(requests, number, connections)
    asyncio.run(load.run("127.0.0.1", port))
    return load
