"""What a process of workers does when its terminal goes away (SIGHUP).

By default the signal ends a process at once, with messages in hand. ``nohup`` has it ignored; that
is inherited, and respected here.
"""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import Any

from twisted.internet.error import ReactorNotRunning

__all__ = ["stop_at_hangup"]


def stop_at_hangup(reactor: Any) -> None:
    """Have SIGHUP stop the reactor, as SIGTERM does: workers finish what is in hand.

    A handler that is there already, and one that ignores the signal, stay.

    :param reactor: Twisted's reactor, running or not.
    """

    def stop() -> None:
        # It may be stopping already.
        with suppress(ReactorNotRunning):
            reactor.stop()

    def hung_up(signal_number: int, frame: object) -> None:
        reactor.callFromThread(stop)

    def install() -> None:
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, hung_up)

    if hasattr(signal, "SIGHUP"):  # Windows has none.
        reactor.callWhenRunning(install)
