"""A USSD conversation over HTTP, as users run it: the gateway is ``curl``, the transport and the
application are ``twistd`` processes of their own, and RabbitMQ and Redis are between and behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from vumi.tests.servers import (
    LocalServer,
    find_program,
    free_port,
    require,
    shared_rabbitmq,
    shared_redis,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
TWISTD = Path(sys.executable).with_name("twistd")
DMARK = "vumi.transports.dmark.DmarkUssdTransport"
CLINIC = "vumi.demos.clinic.ClinicRegistration"
#: Seconds that anything may take, on a machine that is busy.
PATIENCE = 60


class Curl(LocalServer):
    """Not a server; but it is skipped or failed without it by the same rule."""

    @classmethod
    def missing(cls) -> str:
        return "" if find_program("curl") else "curl is not installed: 'apt-get install curl'"


def wait_until(is_so: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


class Worker:
    """A worker's process."""

    def __init__(self, folder: Path, worker_class: str, config: dict[str, Any], url: str) -> None:
        name = worker_class.rpartition(".")[2]
        config_file = folder / f"{name}.yaml"
        config_file.write_text(yaml.safe_dump(config), "utf-8")
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    *(TWISTD, "-n", "--pidfile=", "vumi_worker", "--worker-class", worker_class),
                    *("--config", config_file, "--broker", url),
                ],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, words: str) -> None:
        def is_there() -> bool:
            assert self.process.poll() is None, self.log
            return words in self.log

        wait_until(is_there, lambda: f"{words!r} is not in the log:\n{self.log}")

    def stop(self) -> None:
        """End it as a service manager does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(folder: Path, port: int) -> Iterator[tuple[Worker, Worker]]:
    """The transport and the application, with options as the samples have them."""
    rabbitmq = shared_rabbitmq()
    vhost = f"/http-acceptance-{os.getpid()}"
    url = rabbitmq.add_vhost(vhost)
    redis = {"url": shared_redis().url(), "key_prefix": f"http-acceptance-{os.getpid()}"}
    sample = yaml.safe_load((ROOT / "config" / "transports" / "dmark.yaml").read_text("utf-8"))
    endpoint = f"tcp:port={port}:interface=127.0.0.1"
    ussd = {**sample, "twisted_endpoint": endpoint, "redis_manager": redis}
    demo = yaml.safe_load((ROOT / "config" / "demos" / "clinic.yaml").read_text("utf-8"))
    clinic = {
        **demo["clinic"],
        "transport_name": sample["transport_name"],
        "redis_manager": redis,
    }
    workers: list[Worker] = []
    try:
        for worker_class, config in ((DMARK, ussd), (CLINIC, clinic)):
            workers.append(Worker(folder, worker_class, config, url))
        transport, application = workers
        yield transport, application
    finally:
        for worker in workers:
            worker.stop()
        rabbitmq.delete_vhost(vhost)


def curl(url: str, **parameters: str) -> tuple[int, Any]:
    """Make a request; gives the status and the JSON of the answer."""
    program = find_program("curl")
    assert program is not None
    encoded = [arg for pair in parameters.items() for arg in ("--data-urlencode", "=".join(pair))]
    done = subprocess.run(
        [
            *(program, "--silent", "--show-error", "--max-time", str(PATIENCE), "--get"),
            *("--noproxy", "*", "--write-out", "\n%{http_code}", *encoded, url),
        ],
        capture_output=True,
        check=True,
    )
    body, _, status = done.stdout.decode().rpartition("\n")
    return int(status), json.loads(body)


def test_a_ussd_conversation_of_five_steps_by_curl(tmp_path: Path) -> None:
    require(Curl)
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def say(text: str, **changed: str) -> tuple[str, str]:
        status, answer = curl(
            f"{url}/ussd/dmark",
            **{
                "transactionId": "session-1",
                "msisdn": "256750000001",
                "ussdServiceCode": "120*1",
                "transactionTime": "1705480200",
                "ussdRequestString": text,
                "creationTime": "1705480199",
                "response": "false",
                **changed,
            },
        )
        assert status == 200, answer
        return answer["responseString"], answer["action"]

    with running(tmp_path, port) as (transport, application):
        transport.wait_for("Listening on")
        assert curl(f"{url}/health") == (200, {"pending_requests": 0})

        assert say("") == ("Welcome! What is your name?", "request")
        born = "When were you born? Year, month and day, such as 1990-05-31."
        assert say("Thandi Ńkosi \N{SNOWMAN}") == (born, "request")
        # Somebody else meanwhile, in a session of his own.
        other = {"transactionId": "session-2", "msisdn": "256750000002"}
        assert say("", **other) == ("Welcome! What is your name?", "request")
        languages = "Which language do you prefer?\n1. English\n2. Kiswahili\n3. isiZulu"
        assert say("1990-05-31") == (languages, "request")
        confirm = "Igama: Thandi Ńkosi \N{SNOWMAN}\nUzalwe: 1990-05-31\nKulungile?"
        assert say("3") == (f"{confirm}\n1. Yebo\n2. Cha", "request")
        thanks = "Siyabonga, Thandi Ńkosi \N{SNOWMAN}. Usubhalisiwe."
        assert say("1") == (thanks, "end")

        # A request that makes no sense is answered at once, and takes nobody down.
        status, answer = curl(f"{url}/ussd/dmark", msisdn="256750000002")
        assert status == 400
        assert "transactionId" in answer["missing_parameter"]
        assert say("Juma", **other) == (born, "request")

    for worker, name in ((transport, "DmarkUssdTransport"), (application, "ClinicRegistration")):
        assert f"Stopping a worker of the class {name}" in worker.log
        assert "Traceback" not in worker.log
        # twistd, having stopped in order, ends by the signal that it was sent.
        assert worker.process.returncode == -signal.SIGTERM, worker.log
