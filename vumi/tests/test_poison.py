"""Whatever stands in a queue, the healthy message behind it is answered.

Arbitrary bodies, headers and exceptions go through a real RabbitMQ to an application in a
``twistd`` process. How many of them is up to ``VUMI_HOSTILE_MESSAGES`` (default: a few hundred).
"""

from __future__ import annotations

import json
import logging
import os
import signal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pika
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from vumi.tests import poison
from vumi.tests.servers import RabbitMQServer, shared_rabbitmq
from vumi.tests.test_acceptance import PATIENCE, TWISTD, Process, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

MEGABYTE = 1024 * 1024
#: Hostile messages in one example, and the number of examples.
BATCH = 25
EXAMPLES = max(1, int(os.environ.get("VUMI_HOSTILE_MESSAGES", "250")) // BATCH)


class Setting:
    """An application in a process of its own, and both ends of its queues."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.name = f"poison-{uuid4().hex}"
        url = shared_rabbitmq().url()
        config = {"transport_name": self.name, **options}
        (folder / "poison.yaml").write_text(json.dumps(config))
        self._command = [
            *(str(TWISTD), "-n", "--pidfile=", "start_worker"),
            *("--worker-class", "vumi.tests.poison.PoisonedWorker"),
            *("--config", str(folder / "poison.yaml"), "--broker", url),
        ]
        self._folder = folder
        self.start()
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        self.connection = pika.BlockingConnection(
            pika.URLParameters(f"{url}?blocked_connection_timeout=30")
        )
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.count = 0
        wait_until(lambda: self.exists(f"{self.name}.inbound"), "the application's queue")

    @property
    def dead_letters(self) -> str:
        return f"{self.name}.inbound.dead"

    def start(self) -> None:
        self.worker = Process(self._command, self._folder / "poison.log")

    def exists(self, queue: str) -> bool:
        channel = self.connection.channel()
        try:
            channel.queue_declare(queue, passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            return False
        channel.close()
        return True

    def send(self, body: bytes, headers: dict[str, Any] | None = None) -> None:
        self.channel.basic_publish(
            "", f"{self.name}.inbound", body, pika.BasicProperties(headers=headers)
        )

    def say_hello(self) -> str:
        self.count += 1
        text = f"hello {self.count}"
        # The poison has this address too: what waits behind it waits in its conversation.
        self.send(poison.healthy(text))
        return text

    def answers(self, number: int) -> list[str]:
        """Wait for so many answers."""
        found: list[str] = []
        for method, _, body in self.channel.consume(
            f"{self.name}.outbound", auto_ack=True, inactivity_timeout=PATIENCE
        ):
            if method is None:
                pytest.fail(
                    f"{len(found)} of {number} answers; the log: {self.worker.log[-8000:]}"
                )
            found.append(json.loads(body)["content"])
            if len(found) == number:
                break
        self.channel.cancel()
        return found

    def depth(self, kind: str) -> int:
        count: int = self.channel.queue_declare(
            f"{self.name}.{kind}", passive=True
        ).method.message_count
        return count

    def finish(self, given_up: int = 0) -> str:
        """Stop the worker in order, and see that it has left nothing.

        :param given_up: How many dead letters could not be published.
        :returns: Its log.
        """
        self.worker.popen.send_signal(signal.SIGTERM)
        assert self.worker.popen.wait(PATIENCE) in (0, -signal.SIGTERM), self.worker.log[-8000:]
        assert self.depth("inbound") == 0
        log = self.worker.log
        assert log.count("Connected to the broker") == 1, log[-8000:]
        assert log.count("is given up") == given_up, log[-8000:]
        return log

    def remove(self) -> None:
        self.worker.popen.kill()
        self.worker.popen.wait(PATIENCE)
        for kind in ("inbound", "inbound.dead", "outbound", "event"):
            self.connection.channel().queue_delete(f"{self.name}.{kind}")
        self.connection.close()


@pytest.fixture(params=["classic", "quorum"])
def setting(request: Any, tmp_path: Path) -> Iterator[Setting]:
    setting = Setting(tmp_path, amqp_queue_type=request.param)
    try:
        yield setting
    finally:
        setting.remove()


def test_named_poison_stops_no_queue(setting: Setting) -> None:
    expected = []
    for body in poison.NAMED_BODIES:
        setting.send(body)
        expected.append(setting.say_hello())
    for number in range(len(poison.FAILURES)):
        setting.send(poison.healthy(f"fail {number}"))
        expected.append(setting.say_hello())
    for headers in poison.NAMED_HEADERS:
        setting.send(b"no message", headers)
        expected.append(setting.say_hello())
    assert setting.answers(len(expected)) == expected
    setting.finish()
    assert setting.depth("inbound.dead") > len(poison.FAILURES)


def test_arbitrary_poison_stops_no_queue(setting: Setting) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.tuples(poison.bodies(), poison.headers()), min_size=BATCH, max_size=BATCH))
    def send(batch: list[tuple[bytes, dict[str, Any] | None]]) -> None:
        expected = []
        for body, headers in batch:
            setting.send(body, headers)
            expected.append(setting.say_hello())
        assert setting.answers(len(expected)) == expected

    send()
    setting.finish()


def _is_locked(setting: Setting) -> None:
    setting.connection.channel().queue_declare(setting.dead_letters, exclusive=True)


def _is_full(setting: Setting) -> None:
    setting.connection.channel().queue_declare(
        setting.dead_letters,
        durable=True,
        arguments={"x-max-length": 0, "x-overflow": "reject-publish"},
    )


@pytest.mark.parametrize("dead_letter_queue", [_is_locked, _is_full])
def test_a_dead_letter_that_nobody_takes_holds_no_place(
    dead_letter_queue: Callable[[Setting], None], tmp_path: Path
) -> None:
    setting = Setting(tmp_path, amqp_prefetch_count=2, worker_concurrency=2)
    try:
        dead_letter_queue(setting)
        expected = []
        for _ in range(2):
            setting.send(b"poison")
            expected.append(setting.say_hello())
        assert setting.answers(2) == expected
        setting.finish(given_up=2)
    finally:
        setting.remove()


def test_a_message_that_is_too_large_to_be_a_dead_letter_holds_no_place(tmp_path: Path) -> None:
    server = shared_rabbitmq()
    if not isinstance(server, RabbitMQServer):
        pytest.skip("needs a RabbitMQ of its own")
    setting = Setting(tmp_path, amqp_prefetch_count=1)
    try:
        setting.finish()
        for _ in range(2):
            setting.send(b"x" * (MEGABYTE + 1))
        expected = setting.say_hello()
        # Its bound was lowered since they came.
        server.evaluate(f"application:set_env(rabbit, max_message_size, {MEGABYTE})")
        setting.start()
        assert setting.answers(1) == [expected]
        wait_until(lambda: setting.depth("inbound") == 0, "an empty queue")
        # The first refusal ends the connection, so that its message comes once more.
        assert setting.worker.log.count("is given up") in (2, 3), setting.worker.log[-8000:]
    finally:
        server.evaluate("application:unset_env(rabbit, max_message_size)")
        setting.remove()


def test_a_message_that_ends_its_worker_ends_as_a_dead_letter_of_a_quorum_queue(
    tmp_path: Path,
) -> None:
    limit = 3
    # Whatever was handed out with it is counted too, so one at a time.
    setting = Setting(
        tmp_path, amqp_queue_type="quorum", amqp_delivery_limit=limit, amqp_prefetch_count=1
    )
    try:
        setting.send(poison.healthy("kill"))
        expected = setting.say_hello()
        for _ in range(limit + 1):
            assert setting.worker.popen.wait(PATIENCE) == -signal.SIGKILL
            setting.start()
        assert setting.answers(1) == [expected]
        assert setting.depth("inbound.dead") == 1
    finally:
        setting.remove()
