"""A load generator for AMQP queues that costs little itself: it shares the machine with what it
measures.

Publishes are bytes made once per user and written in bulk; deliveries are counted by stepping from
frame to frame. Everything that is not hot (handshake, declarations) is encoded by pika.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pika import BasicProperties, frame, spec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FRAME_HEADER = struct.Struct(">BHL")
FRAME_BODY = 3
CHANNEL = 1


class FastClient:
    """One AMQP connection with one channel, blocking.

    :param url: ``amqp://user:password@host:port/vhost``.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port or 5672))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._expect(spec.Connection.Start)
        response = f"\0{parts.username}\0{parts.password}"
        self._call(0, spec.Connection.StartOk({}, "PLAIN", response, "en_US"))
        tune = self._expect(spec.Connection.Tune)
        self._call(0, spec.Connection.TuneOk(tune.channel_max, tune.frame_max, 0))
        self._call(0, spec.Connection.Open(unquote(parts.path[1:]) or "/"))
        self._expect(spec.Connection.OpenOk)
        self._call(CHANNEL, spec.Channel.Open())
        self._expect(spec.Channel.OpenOk)

    def _call(self, channel: int, method: Any) -> None:
        self._socket.sendall(frame.Method(channel, method).marshal())

    def _expect(self, method_class: Any) -> Any:
        while True:
            consumed, found = frame.decode_frame(self._buffer)
            if found is None:
                data = self._socket.recv(65536)
                if not data:
                    raise ConnectionError("the broker closed the connection")
                self._buffer += data
                continue
            self._buffer = self._buffer[consumed:]
            method = getattr(found, "method", None)
            if isinstance(method, method_class):
                return method
            if isinstance(method, spec.Channel.Close | spec.Connection.Close):
                raise ConnectionError(method.reply_text)

    def declare(self, queue: str, exchange: str = "vumi", exchange_type: str = "topic") -> None:
        """Declare a durable exchange and a queue bound by its name, and empty the queue."""
        self._call(CHANNEL, spec.Exchange.Declare(0, exchange, exchange_type, durable=True))
        self._expect(spec.Exchange.DeclareOk)
        self._call(CHANNEL, spec.Queue.Declare(0, queue, durable=True))
        self._expect(spec.Queue.DeclareOk)
        self._call(CHANNEL, spec.Queue.Bind(0, queue, exchange, queue))
        self._expect(spec.Queue.BindOk)
        self._call(CHANNEL, spec.Queue.Purge(0, queue))
        self._expect(spec.Queue.PurgeOk)

    def consume(self, queue: str) -> None:
        """Have a queue's messages sent here, without acks."""
        self._call(CHANNEL, spec.Basic.Consume(0, queue, "bench", no_ack=True))
        self._expect(spec.Basic.ConsumeOk)

    @staticmethod
    def publish_frames(exchange: str, routing_key: str, body: bytes) -> bytes:
        """The bytes of one persistent publish."""
        properties = BasicProperties(delivery_mode=2)
        return (
            frame.Method(CHANNEL, spec.Basic.Publish(0, exchange, routing_key)).marshal()
            + frame.Header(CHANNEL, len(body), properties).marshal()
            + frame.Body(CHANNEL, body).marshal()
        )

    def send(self, data: bytes) -> None:
        """Write publishes."""
        self._socket.sendall(data)

    def _count_bodies(self) -> int:
        """Step over whole frames in the buffer; return how many had a body."""
        buffer, position, bodies = self._buffer, 0, 0
        end = len(buffer)
        unpack = FRAME_HEADER.unpack_from
        while end - position >= 8:
            kind, _, size = unpack(buffer, position)
            following = position + 8 + size
            if following > end:
                break
            if kind == FRAME_BODY:
                bodies += 1
            position = following
        self._buffer = buffer[position:]
        return bodies

    def receive(self, timeout: float) -> int:
        """Wait for messages, at most `timeout` seconds.

        :returns: How many came.
        """
        readable, _, _ = select.select([self._socket], [], [], timeout)
        if not readable:
            return 0
        data = self._socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the broker closed the connection")
        self._buffer += data
        return self._count_bodies()

    def close(self) -> None:
        """Drop the connection."""
        self._socket.close()


def saturate(
    client: FastClient, messages: Sequence[bytes], number: int, window: int, patience: float = 30
) -> float:
    """Send as fast as answers come, with at most `window` unanswered.

    :param messages: Ready publishes, used in turn.
    :param number: How many to send.
    :returns: Seconds until the last answer.
    :raises TimeoutError: No answer for `patience` seconds.
    """
    sent = received = 0
    kinds = len(messages)
    started = time.perf_counter()
    while received < number:
        batch = min(window - (sent - received), number - sent, 256)
        if batch > 0:
            client.send(b"".join(messages[(sent + index) % kinds] for index in range(batch)))
            sent += batch
            came = client.receive(0) if sent - received < window else client.receive(patience)
        else:
            came = client.receive(patience)
            if not came:
                raise TimeoutError(f"{received} of {sent} messages were answered")
        received += came
    return time.perf_counter() - started


def at_rate(
    client: FastClient, messages: Sequence[bytes], number: int, rate: float, patience: float = 30
) -> list[float]:
    """Send at a fixed rate and time each answer; answers are taken to come in order.

    :param rate: Messages per second.
    :returns: Seconds from each send to its answer.
    """
    sent_at: deque[float] = deque()
    latencies: list[float] = []
    started = time.perf_counter()
    sent = 0
    while len(latencies) < number:
        now = time.perf_counter()
        due = started + sent / rate
        if sent < number and now >= due:
            client.send(messages[sent % len(messages)])
            sent_at.append(time.perf_counter())
            sent += 1
            continue
        wait = max(0.0, due - now) if sent < number else patience
        came = client.receive(wait)
        if not came and sent == number:
            raise TimeoutError(f"{len(latencies)} of {sent} messages were answered")
        now = time.perf_counter()
        latencies.extend(now - sent_at.popleft() for _ in range(came))
    return latencies


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` per cent of the values are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll a condition.

    :raises TimeoutError: It did not become true in time.
    """
    end = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > end:
            raise TimeoutError(what)
        time.sleep(0.01)
