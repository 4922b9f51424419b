"""As users run it: a ``twistd`` process, RabbitMQ, Redis, and an SMSC on a socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from contextlib import suppress as without  # trial takes a `suppress` in a module for its own
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pika
import pytest
import yaml
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from vumi.message import TransportEvent, TransportUserMessage
from vumi.persist.txredis_manager import TxRedisManager
from vumi.tests.servers import shared_rabbitmq, shared_redis
from vumi.transports.smpp.correlation import (
    Answer,
    Expiries,
    SmppMessageDataStash,
    Submission,
)
from vumi.transports.smpp.pdu import Pdu, PduReader, SubmitSm, decode
from vumi.transports.smpp.reassembly import MultipartLimits, MultipartMessages
from vumi.transports.smpp.sequence import RedisSequence
from vumi.transports.smpp.udh import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[4]
TWISTD = Path(sys.executable).with_name("twistd")
PATIENCE = 60
NAME = "smpp"
WINDOW = 20


class SocketSmsc:
    """An SMSC in a thread. It answers all but what it is told to keep silent about.

    :ivar texts: What was submitted, in order.
    :ivar answers_left: After so many answers to submit_sm it is silent; ``None``: never.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.answers_left: int | None = None
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with without(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        reader = PduReader()
        with connection, without(OSError):
            while data := connection.recv(65536):
                answers = [self._answer(decode(frame)) for frame in reader.feed(data)]
                connection.sendall(b"".join(a.encode() for a in answers if a is not None))

    def _answer(self, pdu: Pdu) -> Pdu | None:
        if not isinstance(pdu, SubmitSm):
            return None if pdu.is_response else pdu.respond()
        self.texts.append(pdu.short_message.decode())
        if self.answers_left is not None:
            if self.answers_left <= 0:
                return None
            self.answers_left -= 1
        return pdu.respond(message_id=f"id-{len(self.texts)}")


class Bus:
    """What applications see: the transport's queues."""

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel: Any = self._connection.channel()
        self._channel.exchange_declare("vumi", "topic", durable=True)
        for kind in ("outbound", "event"):
            self._channel.queue_declare(f"{NAME}.{kind}", durable=True)
            self._channel.queue_bind(f"{NAME}.{kind}", "vumi", f"{NAME}.{kind}")
        self.events: list[TransportEvent] = []

    def close(self) -> None:
        self._connection.close()

    def send(self, number: int) -> str:
        message = TransportUserMessage.send(
            f"+2776{number:07}", str(number), from_addr="9292", transport_metadata={}
        )
        properties = pika.BasicProperties(delivery_mode=2)
        self._channel.basic_publish("vumi", f"{NAME}.outbound", message.to_bytes(), properties)
        message_id: str = message["message_id"]
        return message_id

    def read_events(self) -> list[TransportEvent]:
        while True:
            method, _, body = self._channel.basic_get(f"{NAME}.event", auto_ack=True)
            if method is None:
                return self.events
            self.events.append(TransportEvent.from_json(body))


def wait_until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


@contextmanager
def transport(folder: Path, url: str, **config: Any) -> Iterator[subprocess.Popen[bytes]]:
    path = folder / "smpp.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [
        *(str(TWISTD), "-n", "--pidfile=", "vumi_worker"),
        *("--worker-class", "vumi.transports.smpp.SmppTransceiverTransport"),
        *("--config", str(path), "--broker", url),
    ]
    log = (folder / "smpp.log").open("ab")
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=log,
        stderr=log,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(PATIENCE)
        log.close()


def test_a_process_that_is_killed_with_messages_in_flight_loses_none(tmp_path: Path) -> None:
    url = shared_rabbitmq().add_vhost("smpp-killed")
    smsc, bus = SocketSmsc(), Bus(url)
    config = {
        "transport_name": NAME,
        "twisted_endpoint": f"tcp:host=127.0.0.1:port={smsc.port}",
        "system_id": "me",
        "password": "secret",
        "window_size": WINDOW,
        "redis_manager": {"url": shared_redis().url(), "key_prefix": f"test-{tmp_path.name}"},
    }
    ids = {bus.send(number) for number in range(300)}
    smsc.answers_left = 150
    with transport(tmp_path, url, **config) as process:
        wait_until(lambda: len(smsc.texts) >= 150 + WINDOW, "a full window of silence")
        wait_until(lambda: len(bus.read_events()) >= 150, "the answers to be told")
        process.kill()
    smsc.answers_left = None
    with transport(tmp_path, url, **config):
        wait_until(lambda: {e["user_message_id"] for e in bus.read_events()} == ids, "all acks")
    bus.read_events()
    bus.close()
    smsc.close()
    assert {event["event_type"] for event in bus.events} == {"ack"}
    # An event may come twice, if the process was killed between it and the acknowledgement.
    assert len(bus.events) <= 300 + WINDOW
    # What had no answer when the process was killed is what was sent twice.
    assert set(smsc.texts) == {str(number) for number in range(300)}
    assert len(smsc.texts) == 300 + WINDOW
    assert "Traceback" not in (tmp_path / "smpp.log").read_text()


class TestScriptsInRedis(TestCase):
    """What Redis itself makes of the scripts; all else is tested with the store in memory."""

    async def redis(self) -> Any:
        config = {"url": shared_redis().url(), "key_prefix": f"test-{uuid4().hex}"}
        redis = await TxRedisManager.from_config(config)

        async def clean() -> None:
            await redis._purge_all()
            await redis.close_manager()

        self.addCleanup(lambda: Deferred.fromCoroutine(clean()))
        return redis

    async def test_blocks_of_numbers(self) -> None:
        from twisted.internet import reactor

        redis = await self.redis()
        sequences = [RedisSequence(redis, reactor, block=10) for _ in range(2)]
        for sequence in sequences:
            await sequence.start()
        numbers = []
        for _ in range(100):
            numbers += [sequence.take() for sequence in sequences]
            if len(numbers) % 10 == 0:
                # The next blocks come.
                await redis.get("x")
        self.assertEqual(len(set(numbers)), 200)
        await redis.set("smpp_last_sequence_number", str(0x7FFFFFFF))
        last = RedisSequence(redis, reactor)
        await last.start()
        self.assertEqual(last.take(), 1)
        await redis.get("x")

    async def test_parts(self) -> None:
        messages = MultipartMessages(await self.redis(), MultipartLimits(100))
        first, second = (Part(1, 2, number, bytes([number]), 8) for number in (1, 2))
        self.assertIsNone(await messages.add("a", "b", second))
        self.assertEqual(await messages.add("a", "b", first), [first, second])
        await messages.finish("a", "b", first)
        self.assertEqual(await messages.add("a", "b", first), [])

    async def test_correlation(self) -> None:
        from twisted.internet import reactor

        redis = await self.redis()
        stash = SmppMessageDataStash(redis, reactor, Expiries())

        async def ask(method: Any, *args: Any) -> Any:
            answered: Deferred[Any] = Deferred()
            method(*args, answered.callback, answered.errback)
            return await answered

        self.assertIsNone(await ask(stash.resolve, "theirs", "report", True))
        self.assertIsNone(await ask(stash.look_up, "ours"))
        submission = Submission("ours", 2, 7, {0: "theirs"})
        self.assertEqual(await ask(stash.record, Answer(submission, "theirs")), ["report"])
        self.assertEqual(await ask(stash.look_up, "ours"), submission)
        self.assertEqual(await ask(stash.resolve, "theirs", "report", True), "ours")
        self.assertEqual(await stash.part_report("ours", "theirs", "failed"), [2, "failed"])
        self.assertEqual(await stash.part_report("unknown", "x", "failed"), [0])
        self.assertTrue(0 < await redis.ttl("remote_message:theirs") <= 3600)
