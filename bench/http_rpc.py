"""How fast HTTP requests get their answers: ``python bench/http_rpc.py --help``.

Starts a RabbitMQ of its own, an HTTP transport and the echo application, each in its own
``twistd`` process, and sends requests over keep-alive connections. See bench/README.rst.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import yaml
from echo import HERE, TWISTD, cpu_seconds, rss_megabytes
from fast_client import percentile
from http_load import run_load

from vumi.tests.servers import RabbitMQServer, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "bench_ussd"
TRANSPORT = "http_rpc_transport.BenchUssdTransport"
ECHO = "vumi.demos.words.EchoWorker"
TEXT = "x" * 100


@contextlib.contextmanager
def workers(url: str, ports: list[int], directory: Path) -> Iterator[list[int]]:
    """Run transports, one for each port, and the application; gives their pids."""
    running: list[subprocess.Popen[bytes]] = []
    configs: list[tuple[str, dict[str, Any]]] = [(ECHO, {"transport_name": NAME})]
    configs += [
        (TRANSPORT, {"transport_name": NAME, "web_path": "/ussd", "web_port": port})
        for port in ports
    ]
    log = (directory / "workers.log").open("ab")
    environment = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}"}
    try:
        for number, (worker_class, config) in enumerate(configs):
            config_file = directory / f"worker-{number}.yaml"
            config_file.write_text(yaml.safe_dump(config))
            command = [
                str(TWISTD), "-n", "--pidfile=", "--logfile", str(directory / f"{number}.log"),
                "vumi_worker", "--broker", url, "--worker-class", worker_class,
                "--config", str(config_file),
            ]  # fmt: skip
            running.append(
                subprocess.Popen(command, stdout=log, stderr=log, cwd=directory, env=environment)
            )
        for port in ports:
            wait_for(port, directory)
        yield [process.pid for process in running]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)
        log.close()


def wait_for(port: int, directory: Path) -> None:
    for _ in range(200):
        with contextlib.suppress(URLError, OSError):
            urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return
        time.sleep(0.05)
    raise SystemExit(f"no transport on port {port}: see {directory}")


def make_request(number: int) -> tuple[bytes, bytes]:
    text = f"{number} {TEXT}"
    query = f"session={number}&msisdn=%2B2782{number % 1000:07}&code=*120*1%23&text={text}"
    request = (
        f"GET /ussd?{query.replace(' ', '+')} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "User-Agent: bench\r\nAccept: */*\r\n\r\n"
    )
    return request.encode(), text.encode()


def measure(url: str, arguments: Any, directory: Path) -> dict[str, float]:
    """One run."""
    ports = [free_port()]
    with workers(url, ports, directory) as pids:
        run_load(ports[0], make_request, min(2_000, arguments.number), arguments.connections)
        before = [cpu_seconds(pid) for pid in pids]
        load = run_load(ports[0], make_request, arguments.number, arguments.connections)
        used = [cpu_seconds(pid) - start for pid, start in zip(pids, before, strict=True)]
        if load.wrong or len(load.latencies) != arguments.number:
            raise SystemExit(f"{load.wrong} wrong answers, {len(load.latencies)} answers in all")
        return {
            "requests_per_s": arguments.number / load.seconds,
            "p50_ms": percentile(load.latencies, 50) * 1000,
            "p99_ms": percentile(load.latencies, 99) * 1000,
            "transport_cpu_s_per_1000": sum(used[1:]) * 1000 / arguments.number,
            "application_cpu_s_per_1000": used[0] * 1000 / arguments.number,
            "transport_rss_mb": max(map(rss_megabytes, pids[1:])),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--number", type=int, default=20_000, help="requests per run")
    parser.add_argument("--runs", type=int, default=3, help="runs")
    parser.add_argument("--connections", type=int, default=32, help="keep-alive connections")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"{arguments.number} requests a run, {arguments.connections} connections")  # fmt: skip
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        with RabbitMQServer(directory / "rabbitmq") as server:
            for number in range(arguments.runs):
                figures = measure(server.url(), arguments, directory)
                runs.append(figures)
                shown = ", ".join(f"{name} {value:,.3f}" for name, value in figures.items())
                print(f"run {number + 1}: {shown}", flush=True)
    medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    print("median: " + ", ".join(f"{name} {value:,.3f}" for name, value in medians.items()))


if __name__ == "__main__":
    sys.exit(main())
