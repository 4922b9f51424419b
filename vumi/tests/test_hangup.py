"""A terminal that goes away lets workers finish."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from vumi.hangup import stop_at_hangup


class FakeReactor:
    """Runs already; remembers whether it was stopped."""

    stopped = 0

    def callWhenRunning(self, call: Any) -> None:
        call()

    def callFromThread(self, call: Any) -> None:
        call()

    def stop(self) -> None:
        self.stopped += 1


@pytest.fixture
def _handler() -> Any:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_handler")
@pytest.mark.parametrize(("before", "stopped"), [(signal.SIG_DFL, 1), (signal.SIG_IGN, 0)])
def test_a_hangup_stops_unless_it_is_ignored(before: Any, stopped: int) -> None:
    signal.signal(signal.SIGHUP, before)
    reactor = FakeReactor()
    stop_at_hangup(reactor)
    signal.raise_signal(signal.SIGHUP)
    assert reactor.stopped == stopped
