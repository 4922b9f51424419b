"""What a sandbox costs: ``python bench/sandbox.py --help``.

An application in JavaScript counts a user's messages, by one ``kv.get`` and one ``kv.set``, and
answers. It runs in a ``twistd`` process of its own, with a RabbitMQ and (unless ``--kv memory``) a
Redis of the bench's. What a sandbox adds to a message's time is compared with the echo
application, which does the same way without one. See bench/README.rst.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echo import NAME, USERS, Variant, cpu_seconds, make_messages, processes, rss_megabytes
from fast_client import FastClient, at_rate, percentile, saturate, wait_until

from vumi.application.sandbox.node import find_nodejs
from vumi.tests.servers import RabbitMQServer, RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = """
api.on_inbound_message = function (command) {
    var self = this;
    var key = 'seen.' + command.msg.from_addr;
    self.request('kv.get', {key: key}, function (got) {
        self.request('kv.set', {key: key, value: (got.value || 0) + 1}, function () {
            self.request('outbound.reply_to', {
                content: command.msg.content, in_reply_to: command.msg.message_id,
            }, function () { self.done(); });
        });
    });
};
api.on_inbound_event = function () { this.done(); };
"""
HELPERS = "vumi.application.sandbox.tests.helpers"
RESOURCES = "vumi.application.sandbox.resources"


@dataclass
class Sandboxed:
    """One way to run the application.

    :param title: For the table.
    :param config: Its isolation and what goes with it; ``None`` is the echo without a sandbox.
    """

    title: str
    config: dict[str, Any] | None
    figures: dict[str, list[float]] = field(default_factory=dict)


def variants(pool_size: int, concurrency: int) -> dict[str, Sandboxed]:
    process = {"isolation": "process", "worker_concurrency": concurrency}
    return {
        "echo": Sandboxed("echo application, no sandbox", None),
        "cold": Sandboxed("process, none ready", {**process, "pool_size": 0}),
        "process": Sandboxed("process", {**process, "pool_size": pool_size}),
        "context": Sandboxed("context", {"isolation": "context", "pool_size": pool_size}),
    }


def resources(kv: str, redis_url: str | None) -> dict[str, Any]:
    def there(name: str) -> bool:
        return find_spec(f"{RESOURCES}.{name}") is not None

    found: dict[str, Any] = {
        "kv": {"cls": f"{HELPERS}.MemoryKv"},
        "outbound": {"cls": f"{HELPERS}.PlainOutbound"},
        "log": {"cls": f"{RESOURCES}.LoggingResource"},
    }
    if kv == "redis":
        found["kv"] = {
            "cls": f"{RESOURCES}.kv.RedisResource",
            "redis_manager": {"url": redis_url},
            "keys_per_user_hard": 10 * USERS,
        }
    if there("outbound"):
        found["outbound"] = {"cls": f"{RESOURCES}.outbound.OutboundResource"}
    return found


def children_of(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def cpu_of_all(pids: list[int]) -> float:
    """CPU seconds of workers, of their children, and of those that are no more."""
    seconds = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        seconds += cpu_seconds(pid)
        seconds += (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
        for child in children_of(pid):
            with contextlib.suppress(OSError):
                seconds += cpu_seconds(child)
    return seconds


@contextlib.contextmanager
def worker(
    way: Sandboxed, url: str, directory: Path, found: dict[str, Any]
) -> Iterator[list[int]]:
    if way.config is None:
        started = Variant(way.title, [("vumi.demos.words.EchoWorker", {"transport_name": NAME})])
    else:
        script = directory / "app.js"
        script.write_text(SCRIPT)
        config = {
            "transport_name": NAME,
            "sandbox_id": "bench",
            "javascript_file": str(script),
            "sandbox": found,
            **way.config,
        }
        cls = "vumi.application.sandbox.StandaloneJsFileSandbox"
        started = Variant(way.title, [(cls, config)])
    with processes(started, url, directory) as pids:
        yield pids


def measure(
    way: Sandboxed, url: str, directory: Path, found: dict[str, Any], arguments: Any
) -> dict[str, float]:
    """One run of one way."""
    client = FastClient(url)
    for kind in ("inbound", "outbound", "event"):
        client.declare(f"{NAME}.{kind}")
    client.consume(f"{NAME}.outbound")
    messages = make_messages()
    number = arguments.number
    if way.config is not None and way.config["isolation"] == "process":
        number = max(number // 20, 1)
    client.send(messages[0])
    with worker(way, url, directory, found) as pids:
        wait_until(lambda: bool(client.receive(0.05)), 30, f"no answer: see {directory}")
        saturate(client, messages, max(number // 5, 1), arguments.window, patience=60)
        before = cpu_of_all(pids)
        seconds = saturate(client, messages, number, arguments.window, patience=60)
        figures = {"messages_per_s": number / seconds}
        figures["cpu_ms"] = (cpu_of_all(pids) - before) * 1000 / number
        # The children that were in use are replaced before the clock is looked at.
        time.sleep(1)
        latencies = at_rate(client, messages, arguments.paced, arguments.rate)
        figures["p50_ms"] = percentile(latencies, 50) * 1000
        figures["p99_ms"] = percentile(latencies, 99) * 1000
        figures["rss_mb"] = max(map(rss_megabytes, pids))
        figures["children_mb"] = sum(
            rss_megabytes(child) for pid in pids for child in children_of(pid)
        )
    client.close()
    return figures


COLUMNS = ("messages_per_s", "cpu_ms", "p50_ms", "p99_ms", "rss_mb", "children_mb")


def table(ways: list[Sandboxed], rate: float) -> str:
    """The medians, as an RST table."""
    rows = [[
        "isolation", "messages/s", "CPU ms / message", f"p50 ms at {rate:g}/s", "added", "p99 ms",
        "worker MB", "children MB",
    ]]  # fmt: skip
    plain = next((way for way in ways if way.config is None), None)
    for way in ways:
        medians = {name: statistics.median(way.figures[name]) for name in COLUMNS}
        added = "-"
        if plain is not None and plain is not way:
            added = f"{medians['p50_ms'] - statistics.median(plain.figures['p50_ms']):.1f}"
        rows.append([
            way.title, f"{medians['messages_per_s']:,.0f}", f"{medians['cpu_ms']:.2f}",
            f"{medians['p50_ms']:.1f}", added, f"{medians['p99_ms']:.1f}",
            f"{medians['rss_mb']:.0f}", f"{medians['children_mb']:.0f}",
        ])  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in rows]  # fmt: skip
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--number", type=int, default=5_000,
                        help="messages a run; a twentieth with isolation by process")  # fmt: skip
    parser.add_argument("--runs", type=int, default=3, help="runs of each variant, in turn")
    parser.add_argument("--rate", type=float, default=5, help="messages/s for the latencies")
    parser.add_argument("--paced", type=int, default=100, help="messages for the latencies")
    parser.add_argument("--window", type=int, default=60, help="unanswered messages at most")
    parser.add_argument("--pool-size", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=4,
                        help="worker_concurrency with isolation by process")  # fmt: skip
    parser.add_argument("--kv", choices=["redis", "memory"], default="redis")
    parser.add_argument("--variants", default="echo,cold,process,context")
    arguments = parser.parse_args()
    known = variants(arguments.pool_size, arguments.concurrency)
    ways = [known[name] for name in arguments.variants.split(",")]
    node = subprocess.run([find_nodejs() or "node", "--version"], capture_output=True, check=True)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"Node.js {node.stdout.decode().strip()}, kv in {arguments.kv}, "
          f"{arguments.runs} runs")  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        directory = Path(temporary)
        redis_url = None
        if arguments.kv == "redis":
            redis_url = stack.enter_context(RedisServer(directory / "redis")).url()
        server = stack.enter_context(RabbitMQServer(directory / "rabbitmq"))
        found = resources(arguments.kv, redis_url)
        for run in range(arguments.runs):
            for way in ways:
                figures = measure(way, server.url(), directory, found, arguments)
                for name, value in figures.items():
                    way.figures.setdefault(name, []).append(value)
                shown = ", ".join(f"{name} {value:,.2f}" for name, value in figures.items())
                print(f"run {run + 1}, {way.title}: {shown}", flush=True)
    print()
    print(table(ways, arguments.rate))


if __name__ == "__main__":
    main()
