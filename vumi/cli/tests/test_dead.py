"""``vumi dead`` on a real broker, as an operator types it."""

from __future__ import annotations

import json
import subprocess
import sys
from uuid import uuid4

import pika
import pytest

from vumi.tests.servers import free_port, shared_rabbitmq

pytestmark = pytest.mark.integration


def vumi(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vumi.cli", "dead", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def queue() -> str:
    """A queue with three dead letters."""
    name = f"cli-{uuid4().hex}.inbound"
    connection = pika.BlockingConnection(pika.URLParameters(shared_rabbitmq().url()))
    channel = connection.channel()
    channel.exchange_declare("vumi", "topic", durable=True)
    for each in (name, f"{name}.dead"):
        channel.queue_declare(each, durable=True)
        channel.queue_bind(each, "vumi", each)
    for number in (1, 2, 3):
        headers = {
            "x-vumi-reason": "handler-failed" if number < 3 else "invalid-message",
            "x-vumi-error": f"ValueError: number {number}",
            "x-vumi-traceback": "Traceback: in consume_user_message",
            "x-vumi-queue": name,
            "x-vumi-first-seen": "2026-01-01T00:00:00+00:00",
            "x-vumi-last-seen": "2026-01-01T00:00:01+00:00",
            "x-vumi-count": number,
        }
        channel.basic_publish(
            "vumi",
            f"{name}.dead",
            b'{"message_id": "m%d", "content": "\xc3\xa9"}' % number,
            pika.BasicProperties(headers=headers),
        )
    connection.close()
    return name


def test_list_show_retry_purge(queue: str) -> None:
    broker = ("--broker", shared_rabbitmq().url())
    listed = vumi("list", queue, *broker)
    assert listed.returncode == 0, listed.stderr
    lines = listed.stdout.splitlines()
    assert lines[0].split()[:3] == ["no", "message", "id"]
    assert lines[2].split()[:3] == ["2", "m2", "handler-failed"]
    assert lines[-1] == "3 dead letters"

    shown = vumi("show", queue, "m2", *broker)
    assert "ValueError: number 2" in shown.stdout
    assert "in consume_user_message" in shown.stdout
    assert '"content": "é"' in shown.stdout

    retried = vumi("retry", queue, "1", *broker)
    # Nothing else: the progress bar's label is for terminals.
    assert retried.stdout == f"1 put back on {queue}\n", retried.stderr
    assert retried.stderr == ""

    purged = vumi("purge", queue, "--reason", "invalid-message", "--yes", *broker)
    assert f"1 thrown away from {queue}.dead" in purged.stdout

    left = vumi("list", f"{queue}.dead", *broker)
    assert left.stdout.splitlines()[-1] == "1 dead letter"


def test_what_a_letter_has_in_it_does_not_reach_the_terminal_raw(queue: str) -> None:
    hostile = "\x1b[2J\u202eevil\r\n"
    names = ("reason", "error", "traceback", "queue", "first-seen", "last-seen", "count")
    connection = pika.BlockingConnection(pika.URLParameters(shared_rabbitmq().url()))
    channel = connection.channel()
    for headers in (
        {f"x-vumi-{name}": hostile for name in names},
        {"x-death": [{"reason": hostile, "time": hostile, "count": hostile}]},
        {"x-death": "x", "x-vumi-count": ["?"]},
    ):
        channel.basic_publish(
            "",
            f"{queue}.dead",
            json.dumps({"message_id": hostile, "content": hostile}).encode(),
            pika.BasicProperties(headers=headers),
        )
    connection.close()
    broker = ("--broker", shared_rabbitmq().url())
    commands = [("list", queue), *(("show", queue, number) for number in "456")]
    for command in (*commands, ("retry", queue, "4"), ("purge", queue, "--all", "--yes")):
        result = vumi(*command, *broker)
        assert result.returncode == 0, result.stderr
        shown = result.stdout.replace("\n", "")
        assert shown.isprintable(), (command, shown)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list", "no-such-queue"), "There is no queue 'no-such-queue.dead'"),
        (("retry", "x"), "Say which"),
        (("purge", "x", "--yes"), "Say which"),
        (("show", "no-such-queue", "1"), "There is no queue"),
    ],
)
def test_mistakes_end_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    result = vumi(*arguments, "--broker", shared_rabbitmq().url())
    assert result.returncode != 0
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr


def test_a_broker_that_is_not_there_is_told_without_the_password() -> None:
    result = vumi("list", "x", "--broker", f"amqp://u:s3cret@127.0.0.1:{free_port()}/v")
    assert result.returncode != 0
    assert "can't be reached" in result.stderr
    assert "s3cret" not in result.stderr + result.stdout
