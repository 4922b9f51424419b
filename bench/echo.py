"""How fast messages pass an application and back: ``python bench/echo.py --help``.

Starts a RabbitMQ of its own, the echo application in its own ``twistd`` process (or whatever a
variant says), and drives it with 600-byte messages of 1,000 users. In the same run the ceiling is
measured: a minimal echo on the same client library. See bench/README.rst.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from fast_client import FastClient, at_rate, percentile, saturate, wait_until

from vumi.message import TransportUserMessage
from vumi.tests.servers import RabbitMQServer

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
TWISTD = Path(sys.executable).with_name("twistd")
NAME = "bench"
USERS = 1_000
BODY_BYTES = 600
WINDOW = 1_000
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
SIMPLE_DISPATCHER = (
    "vumi.dispatchers.BaseDispatchWorker",
    {
        "router_class": "vumi.dispatchers.SimpleDispatchRouter",
        "transport_names": [NAME],
        "exposed_names": ["bench_app"],
        "route_mappings": {NAME: ["bench_app"]},
    },
)
TABLE_DISPATCHER = (
    "vumi.dispatchers.RoutingTableDispatcher",
    {
        "receive_inbound_connectors": [NAME],
        "receive_outbound_connectors": ["bench_app"],
        "routing_table": {
            NAME: {"default": ["bench_app", "default"]},
            "bench_app": {"default": [NAME, "default"]},
        },
    },
)
LOGGING = {"middleware": [{"log": "vumi.middleware.logging.LoggingMiddleware"}]}


@dataclass
class Variant:
    """What stands between ``bench.inbound`` and ``bench.outbound``.

    :param workers: Pairs of a worker class and its config; ``None`` is the minimal echo.
    """

    title: str
    workers: list[tuple[str, dict[str, Any]]] | None
    figures: dict[str, list[float]] = field(default_factory=dict)


def variants(echo_class: str) -> dict[str, Variant]:
    echo = {"transport_name": NAME}
    behind = (echo_class, {"transport_name": "bench_app"})
    return {
        "ceiling": Variant("minimal echo on pika (ceiling)", None),
        "echo": Variant("echo application", [(echo_class, echo)]),
        "logging": Variant("with LoggingMiddleware", [(echo_class, {**echo, **LOGGING})]),
        "two": Variant("2 worker processes", [(echo_class, echo), (echo_class, echo)]),
        "strict": Variant(
            "worker_concurrency 1", [(echo_class, {**echo, "worker_concurrency": 1})]
        ),
        "dispatcher": Variant("behind a SimpleDispatchRouter", [behind, SIMPLE_DISPATCHER]),
        "table": Variant("behind a RoutingTableDispatcher", [behind, TABLE_DISPATCHER]),
    }


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def rss_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


@contextlib.contextmanager
def processes(variant: Variant, url: str, directory: Path) -> Iterator[list[int]]:
    """Run a variant's processes; gives their pids."""
    running = []
    log = (directory / "workers.log").open("ab")
    try:
        if variant.workers is None:
            command = [sys.executable, str(HERE / "minimal_echo.py"), url, NAME]
            running.append(subprocess.Popen(command, stdout=log, stderr=log))
        for number, (worker_class, config) in enumerate(variant.workers or []):
            config_file = directory / f"worker-{number}.yaml"
            config_file.write_text(yaml.safe_dump(config))
            command = [
                str(TWISTD), "-n", "--pidfile=", "--logfile", str(directory / f"{number}.log"),
                "start_worker", "--broker", url, "--worker-class", worker_class,
                "--config", str(config_file),
            ]  # fmt: skip
            running.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=directory))
        yield [process.pid for process in running]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)
        log.close()


def make_messages() -> list[bytes]:
    messages = []
    for user in range(USERS):
        message = TransportUserMessage(
            to_addr="8864",
            from_addr=f"+2782{user:07}",
            transport_name=NAME,
            transport_type="sms",
            session_event="resume",
            content="",
        )
        message["content"] = "x" * (BODY_BYTES - len(message.to_bytes()))
        messages.append(FastClient.publish_frames("vumi", f"{NAME}.inbound", message.to_bytes()))
    return messages


def measure(
    variant: Variant, url: str, number: int, rate: float, directory: Path
) -> dict[str, float]:
    """One run of one variant."""
    client = FastClient(url)
    for kind in ("inbound", "outbound", "event"):
        client.declare(f"{NAME}.{kind}")
    client.consume(f"{NAME}.outbound")
    messages = make_messages()
    client.send(messages[0])
    started = time.perf_counter()
    with processes(variant, url, directory) as pids:
        wait_until(lambda: bool(client.receive(0.05)), 20, f"no answer: see {directory}")
        figures = {"start_s": time.perf_counter() - started}
        saturate(client, messages, min(2_000, number), WINDOW)
        before = sum(map(cpu_seconds, pids))
        seconds = saturate(client, messages, number, WINDOW)
        figures["messages_per_s"] = number / seconds
        figures["cpu_s_per_1000"] = (sum(map(cpu_seconds, pids)) - before) * 1000 / number
        latencies = at_rate(client, messages, max(int(rate * 6), 1), rate)
        figures["p50_ms"] = percentile(latencies, 50) * 1000
        figures["p99_ms"] = percentile(latencies, 99) * 1000
        figures["rss_mb"] = max(map(rss_megabytes, pids))
    client.close()
    return figures


COLUMNS = ("messages_per_s", "cpu_s_per_1000", "p50_ms", "p99_ms", "rss_mb", "start_s")


def table(chosen: list[Variant], rate: float) -> str:
    """The medians, as an RST table."""
    ceiling = next((v for v in chosen if v.workers is None), None)
    titles = ["variant", "messages/s", "of ceiling", "CPU s / 1,000", f"p50 ms at {rate:g}/s",
              "p99 ms", "RSS MB", "start s"]  # fmt: skip
    rows = [titles]
    for variant in chosen:
        medians = {name: statistics.median(variant.figures[name]) for name in COLUMNS}
        share = "-"
        if ceiling is not None:
            best = statistics.median(ceiling.figures["messages_per_s"])
            share = f"{medians['messages_per_s'] / best:.0%}"
        rows.append([
            variant.title, f"{medians['messages_per_s']:,.0f}", share,
            f"{medians['cpu_s_per_1000']:.3f}", f"{medians['p50_ms']:.2f}",
            f"{medians['p99_ms']:.2f}", f"{medians['rss_mb']:.0f}", f"{medians['start_s']:.2f}",
        ])  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(titles))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in rows]  # fmt: skip
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--number", type=int, default=30_000, help="messages per run")
    parser.add_argument("--runs", type=int, default=3, help="runs of each variant, in turn")
    parser.add_argument("--rate", type=float, default=500, help="messages/s for the latencies")
    parser.add_argument("--variants", default="ceiling,echo,logging,two,strict")
    parser.add_argument("--echo-class", default="vumi.demos.words.EchoWorker")
    arguments = parser.parse_args()
    known = variants(arguments.echo_class)
    chosen = [known[name] for name in arguments.variants.split(",")]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"{arguments.number} messages a run, {arguments.runs} runs")  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        with RabbitMQServer(directory / "rabbitmq") as server:
            for run in range(arguments.runs):
                for variant in chosen:
                    figures = measure(
                        variant, server.url(), arguments.number, arguments.rate, directory
                    )
                    for name, value in figures.items():
                        variant.figures.setdefault(name, []).append(value)
                    shown = ", ".join(f"{name} {value:,.3f}" for name, value in figures.items())
                    print(f"run {run + 1}, {variant.title}: {shown}", flush=True)
    print()
    print(table(chosen, arguments.rate))


if __name__ == "__main__":
    main()
