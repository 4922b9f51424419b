"""Steps of the system's clock: timers don't mind, the time of day follows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet.task import Clock

import vumi
from vumi.steady_clock import steady, wall_seconds

ROOT = Path(vumi.__file__).parents[1]

#: A worker in a process whose clock is set while its handler works. The clock is patched before
#: Twisted takes it.
CHILD = """
import sys, time

real, step = time.time, [0.0]
time.time = lambda: real() + step[0]

from twisted.internet.task import deferLater
from vumi.cli.in_reactor import run_in_reactor
from vumi.message import TransportUserMessage
from vumi.service import Worker, WorkerCreator
from vumi.steady_clock import wall_seconds

async def work(reactor):
    creator = WorkerCreator({"broker": "memory:"})
    worker = creator.create_worker_by_class(Worker, {})
    assert worker.clock is reactor
    await worker.broker.start()

    async def handle(message):
        step[0] = float(sys.argv[1])
        await deferLater(reactor, 0.2)
        print("time of day", round(wall_seconds(reactor) - real()))

    consumer = await worker.consume("x.inbound", handle, handler_timeout=50)
    publisher = await worker.publish_to("x.inbound")
    message = TransportUserMessage(
        from_addr="1", to_addr="2", transport_name="x", transport_type="sms"
    )
    await publisher.publish_message(message)
    while consumer.flow.counters.in_flight or not consumer.flow.counters.consumed:
        await deferLater(reactor, 0.01)
    print("dead letters", consumer.flow.counters.dead_lettered)
    await worker.stopService()

run_in_reactor(work)
"""


@pytest.mark.parametrize("step", [1200, -3600])
def test_a_step_of_the_clock_ended_healthy_handlers_or_stopped_timers(step: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(step)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines() == [f"time of day {step}", "dead letters 0"], done.stderr


class FakeReactor(Clock):
    """A reactor whose time is that of day."""


def test_the_time_of_a_reactor_goes_on_as_it_was() -> None:
    reactor = FakeReactor()
    reactor.advance(1e9)
    assert steady(reactor) is reactor
    first = reactor.seconds()
    assert steady(reactor).seconds() >= first > 1.7e9
    assert wall_seconds(reactor) == 1e9


def test_a_clock_has_one_time_only() -> None:
    clock = Clock()
    clock.advance(5)
    assert wall_seconds(clock) == clock.seconds() == 5
