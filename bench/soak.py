"""One million messages through the echo application, and flat memory: ``python bench/soak.py``.

Bounded by count and by time. Prints the worker's resident memory as it goes, and at the end the
slope of a straight line through the second half of the samples.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from echo import NAME, WINDOW, make_messages, processes, rss_megabytes, variants
from fast_client import FastClient, saturate, wait_until

from vumi.tests.servers import RabbitMQServer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--number", type=int, default=1_000_000, help="messages in all")
    parser.add_argument("--seconds", type=float, default=600, help="at most")
    parser.add_argument("--step", type=int, default=25_000, help="messages between samples")
    parser.add_argument("--echo-class", default="vumi.demos.words.EchoWorker")
    arguments = parser.parse_args()
    variant = variants(arguments.echo_class)["echo"]
    samples: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        with RabbitMQServer(directory / "rabbitmq") as server:
            client = FastClient(server.url())
            for kind in ("inbound", "outbound", "event"):
                client.declare(f"{NAME}.{kind}")
            client.consume(f"{NAME}.outbound")
            messages = make_messages()
            client.send(messages[0])
            with processes(variant, server.url(), directory) as (pid,):
                wait_until(lambda: bool(client.receive(0.05)), 60, "no worker has answered")
                started = time.perf_counter()
                done = 0
                while done < arguments.number:
                    if time.perf_counter() - started > arguments.seconds:
                        print("the time is up")
                        break
                    saturate(client, messages, arguments.step, WINDOW)
                    done += arguments.step
                    samples.append((done, rss_megabytes(pid)))
                    if done % (arguments.step * 8) == 0:
                        rate = done / (time.perf_counter() - started)
                        print(f"{done:>9,} messages, {samples[-1][1]:.1f} MB, {rate:,.0f}/s",
                              flush=True)  # fmt: skip
            client.close()
    later = samples[len(samples) // 2 :]
    slope = statistics.linear_regression(*zip(*later, strict=True)).slope
    print(f"{samples[0][1]:.1f} MB at first, {samples[-1][1]:.1f} MB at the end; "
          f"{slope * 1_000_000:+.2f} MB per million messages in the second half")  # fmt: skip


if __name__ == "__main__":
    main()
