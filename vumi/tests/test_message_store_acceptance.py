"""A conversation over telnet is stored, found, exported and forgotten, as the sample says it."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
import yaml

from vumi.multiworker import MultiWorker
from vumi.tests.servers import free_port
from vumi.tests.test_acceptance import PATIENCE, ROOT, Process, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

SAMPLE = ROOT / "config" / "message-store.yaml"


class Running:
    """The sample's workers, on ports and with a file of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.telnet_port, self.web_port = free_port(), free_port()
        self.url = f"sqlite:///{folder}/messages.db"
        text = SAMPLE.read_text("utf-8")
        for old, new in (
            ("port=9010", f"port={self.telnet_port}"),
            ("port=8010", f"port={self.web_port}"),
            ("sqlite:///messages.db", self.url),
        ):
            assert old in text
            text = text.replace(old, new)
        self.config = folder / "workers.yaml"
        self.config.write_text(text)
        self.process = Process(
            [sys.executable, "-m", "vumi.cli", "run", str(self.config)], folder / "run.log"
        )

    def stop(self) -> None:
        if self.process.popen.poll() is None:
            self.process.popen.send_signal(signal.SIGTERM)
        self.process.popen.wait(PATIENCE)

    def messages(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "vumi.cli", "messages", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def found(self, *arguments: str) -> list[Any]:
        output = self.messages(*arguments, "--json", "--config", str(self.config))
        return [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    workers = Running(tmp_path)
    try:
        workers.process.wait_for("All workers run")
        yield workers
    finally:
        workers.stop()


def test_the_sample_can_be_used() -> None:
    assert MultiWorker.check_config(yaml.safe_load(SAMPLE.read_text("utf-8"))) == []


def test_a_conversation_over_telnet_is_found_again_and_exported(running: Running) -> None:
    heard = say(running.telnet_port, "my card is lost", "güle güle \N{SNOWMAN}")
    assert heard.splitlines()[1:] == ["my card is lost", "güle güle \N{SNOWMAN}"]

    # While the worker goes on: another process reads the same file.
    inbound, outbound = running.found("search", "LOST", "card", "--oldest-first")
    assert (inbound["direction"], outbound["direction"]) == ("inbound", "outbound")
    assert outbound["message"]["in_reply_to"] == inbound["message"]["message_id"]
    user = inbound["message"]["from_addr"]
    assert outbound["message"]["to_addr"] == user
    (snowman, _) = running.found("search", "güle", "--oldest-first")
    assert snowman["message"]["content"] == "güle güle \N{SNOWMAN}"
    # The prompt, and the two echoes, were acked by the transport.
    acked = running.found("list", "--status", "ack", "--address", user)
    assert len(acked) == 3

    exported = running.messages(
        "export", "lost", "--format", "csv", "--config", str(running.config)
    )
    header, *rows = csv.reader(io.StringIO(exported, newline=""))
    found = [dict(zip(header, row, strict=True)) for row in rows]
    assert [row["content"] for row in found] == ["my card is lost"] * 2

    url = f"http://127.0.0.1:{running.web_port}/store/search.json?text=lost"
    with urlopen(url, timeout=PATIENCE) as response:
        assert len(response.read().splitlines()) == 2

    running.stop()
    # Stored before the ack: what was heard is there, whenever the workers end.
    everything = running.found("list", "--address", user, "--limit", "100")
    shown = running.messages(
        "show", outbound["message"]["message_id"], "--config", str(running.config)
    )
    assert "event:      ack" in shown
    forgotten = running.messages("forget", user, "--yes", "--config", str(running.config))
    assert int(forgotten.split()[0]) >= len(everything) + 3
    assert running.found("list", "--address", user) == []
    assert "Traceback" not in running.process.log
