"""How fast messages go through the SMPP transport: ``python bench/smpp.py --help``.

Starts a RabbitMQ, a Redis, an SMSC that costs little (smpp_sink.py) and the transport, each in its
own process. See bench/README.rst.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from echo import HERE, TWISTD, cpu_seconds, rss_megabytes
from fast_client import FastClient, at_rate, percentile, saturate, wait_until

from vumi.message import TransportUserMessage
from vumi.tests.servers import RabbitMQServer, RedisServer, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "bench_smpp"
TRANSPORT = "vumi.transports.smpp.SmppTransceiverTransport"
USERS = 1_000
#: Messages that the load has in RabbitMQ or beyond, without an ack.
LOAD_WINDOW = 2_000
#: Seconds at the beginning of a measurement of the rate that don't count.
RATE_SETTLES = 1.0


class Sink:
    """The SMSC's process."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "smpp_sink.py"), str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def ask(self, line: str) -> Any:
        self.tell(line)
        return self.answer()

    def stop(self) -> None:
        self._process.communicate(timeout=30)


class Setting:
    """The servers, and what is in them.

    :param arguments: The command line's.
    :param directory: Where files are put.
    """

    def __init__(
        self, arguments: Any, directory: Path, rabbitmq: RabbitMQServer, redis: RedisServer
    ) -> None:
        self.arguments = arguments
        self.directory = directory
        self.url = rabbitmq.url()
        self._redis = redis
        self._next = 0

    @contextlib.contextmanager
    def transport(self, **config: Any) -> Iterator[tuple[int, Sink, FastClient]]:
        """Run the transport; gives its pid, the SMSC, and a client that gets its acks."""
        sink = Sink()
        client = FastClient(self.url)
        for kind in ("inbound", "outbound", "event"):
            client.declare(f"{NAME}.{kind}")
        config_file = self.directory / "transport.yaml"
        config_file.write_text(yaml.safe_dump({
            "transport_name": NAME,
            "twisted_endpoint": f"tcp:127.0.0.1:{sink.port}",
            "system_id": "bench",
            "password": "bench",
            "binds": self.arguments.binds,
            "window_size": self.arguments.window,
            "initial_reconnect_delay": 0.2,
            "redis_manager": {"url": self._redis.url()},
            "submit_short_message_processor_config": {"submit_sm_encoding": "auto"},
            **config,
        }))  # fmt: skip
        profile = [f"--profile={self.arguments.profile}", "--profiler=cprofile", "--savestats"]
        command = [
            str(TWISTD), "-n", "--pidfile=", "--logfile", str(self.directory / "transport.log"),
            *(profile if self.arguments.profile else ()),
            "vumi_worker", "--broker", self.url, "--worker-class", TRANSPORT,
            "--config", str(config_file),
        ]  # fmt: skip
        process = subprocess.Popen(
            command, cwd=self.directory, env={**os.environ, "PYTHONPATH": str(HERE.parent)}
        )
        try:
            wait_until(
                lambda: sink.ask("stats")["bound"] == self.arguments.binds,
                30,
                f"no bind: see {self.directory}",
            )
            yield process.pid, sink, client
        finally:
            process.terminate()
            process.wait(60)
            sink.stop()
            client.close()

    def messages(self, number: int) -> list[bytes]:
        """Publishes of messages that all differ: what was sent before is not sent again."""
        message = TransportUserMessage(
            message_id="m" * 32,
            to_addr="+" + "9" * 11,
            from_addr="8080",
            transport_name=NAME,
            transport_type="sms",
            content="x" * self.arguments.content,
        )
        body = message.to_bytes()
        made = []
        for _ in range(number):
            self._next += 1
            unique = body.replace(b"m" * 32, b"%032x" % self._next)
            unique = unique.replace(b"9" * 11, b"2782%07d" % (self._next % USERS))
            made.append(FastClient.publish_frames("vumi", f"{NAME}.outbound", unique))
        return made


def measure_mt(setting: Setting) -> dict[str, float]:
    """Messages to phones: as fast as it goes, then at a steady rate."""
    arguments = setting.arguments
    number = arguments.number
    with setting.transport() as (pid, sink, client):
        client.consume(f"{NAME}.event")
        saturate(client, setting.messages(min(2_000, number)), min(2_000, number), LOAD_WINDOW)
        messages = setting.messages(number)
        before, sink_before = cpu_seconds(pid), cpu_seconds(sink.pid)
        seconds = saturate(client, messages, number, LOAD_WINDOW)
        cpu, sink_cpu = cpu_seconds(pid) - before, cpu_seconds(sink.pid) - sink_before
        count = max(int(arguments.rate * arguments.rate_seconds), 1)
        latencies = at_rate(client, setting.messages(count), count, arguments.rate)
        return {
            "messages_per_s": number / seconds,
            "cpu_s_per_1000": cpu * 1000 / number,
            "p50_ms": percentile(latencies, 50) * 1000,
            "p99_ms": percentile(latencies, 99) * 1000,
            "sink_cpu_s_per_1000": sink_cpu * 1000 / number,
            "rss_mb": rss_megabytes(pid),
        }


def measure_mo(setting: Setting) -> dict[str, float]:
    """Messages from phones: as fast as the transport answers them."""
    arguments = setting.arguments
    number = arguments.number
    text = "x" * arguments.content
    with setting.transport() as (pid, sink, client):
        client.consume(f"{NAME}.inbound")
        for count in (min(2_000, number), number):
            before, sink_before = cpu_seconds(pid), cpu_seconds(sink.pid)
            sink.tell(f"mo {count} {arguments.mo_window} {text}")
            received = 0
            while received < count:
                came = client.receive(30)
                if not came:
                    raise TimeoutError(f"{received} of {count} messages were published")
                received += came
            answer = sink.answer()
        cpu, sink_cpu = cpu_seconds(pid) - before, cpu_seconds(sink.pid) - sink_before
        return {
            "messages_per_s": number / answer["seconds"],
            "cpu_s_per_1000": cpu * 1000 / number,
            "p50_ms": percentile(answer["latencies"], 50) * 1000,
            "p99_ms": percentile(answer["latencies"], 99) * 1000,
            "sink_cpu_s_per_1000": sink_cpu * 1000 / number,
            "rss_mb": rss_megabytes(pid),
        }


def measure_rate(setting: Setting, rate: int) -> dict[str, float]:
    """How well ``mt_tps`` is kept, with more to send than may go."""
    with setting.transport(mt_tps=rate) as (pid, sink, client):
        client.consume(f"{NAME}.event")
        number = int(rate * (setting.arguments.tps_seconds + 2 * RATE_SETTLES))
        messages = setting.messages(number)
        before = cpu_seconds(pid)
        client.send(b"".join(messages))
        received = 0
        while received < number:
            came = client.receive(30)
            if not came:
                raise TimeoutError(f"{received} of {number} messages were answered")
            received += came
        cpu = cpu_seconds(pid) - before
        times = sink.ask("times")
    times = [at for at in times if at - times[0] >= RATE_SETTLES]
    in_a_second, first = 0, 0
    for last, at in enumerate(times):
        while at - times[first] >= 1:
            first += 1
        in_a_second = max(in_a_second, last - first + 1)
    kept = (len(times) - 1) / (times[-1] - times[0])
    return {
        "limit": rate,
        "messages_per_s": kept,
        "off_percent": (kept / rate - 1) * 100,
        "most_in_a_second": in_a_second,
        "most_off_percent": (in_a_second / rate - 1) * 100,
        "seconds": times[-1] - times[0],
        "cpu_s_per_1000": cpu * 1000 / number,
    }


def told(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:,.3f}" for name, value in figures.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--number", type=int, default=20_000, help="messages per run")
    parser.add_argument("--runs", type=int, default=3, help="runs of MT and MO, in turn")
    parser.add_argument("--binds", type=int, default=1, help="connections to the SMSC")
    parser.add_argument("--window", type=int, default=100, help="the transport's window_size")
    parser.add_argument("--mo-window", type=int, default=100, help="the SMSC's, per bind")
    parser.add_argument("--content", type=int, default=100, help="characters in a message")
    parser.add_argument("--rate", type=float, default=500, help="messages/s for MT's latencies")
    parser.add_argument("--rate-seconds", type=float, default=6, help="for how long")
    parser.add_argument("--tps", default="50,200,1000", help="limits to check; empty: none")
    parser.add_argument("--tps-seconds", type=float, default=10, help="for how long, each")
    parser.add_argument("--only", default="mt,mo,tps", help="what to measure")
    parser.add_argument(
        "--profile", help="file for the transport's cProfile (of the last part; slower)"
    )
    arguments = parser.parse_args()
    if arguments.profile:
        arguments.profile = str(Path(arguments.profile).absolute())
    parts = arguments.only.split(",")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"{arguments.number} messages a run, {arguments.runs} runs, {arguments.binds} binds, "
          f"window {arguments.window}")  # fmt: skip
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        with (
            RabbitMQServer(directory / "rabbitmq") as rabbitmq,
            RedisServer(directory / "redis") as redis,
        ):
            setting = Setting(arguments, directory, rabbitmq, redis)
            runs: dict[str, list[dict[str, float]]] = {"mt": [], "mo": []}
            for run in range(arguments.runs):
                for part, measure in (("mt", measure_mt), ("mo", measure_mo)):
                    if part in parts:
                        runs[part].append(measure(setting))
                        print(f"run {run + 1}, {part}: {told(runs[part][-1])}", flush=True)
            if "tps" in parts:
                for limit in filter(None, arguments.tps.split(",")):
                    print(f"tps: {told(measure_rate(setting, int(limit)))}", flush=True)
    for part, figures in runs.items():
        if figures:
            medians = {
                name: statistics.median(run[name] for run in figures) for name in figures[0]
            }
            print(f"median, {part}: {told(medians)}")
    print(f"{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    sys.exit(main())
