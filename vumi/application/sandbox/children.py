"""The processes that sandboxed programs run in: each for itself.

Knows processes, lines and bytes. What the lines say is :mod:`vumi.application.sandbox.protocol`'s;
what the process may do was settled by its command line
(:mod:`vumi.application.sandbox.rlimiter`); how many there are is that of
:mod:`vumi.application.sandbox.pool`.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import ProcessProtocol
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

__all__ = ["ChildListener", "ChildProcess", "Launch"]

#: Seconds from SIGTERM to SIGKILL.
KILL_GRACE = 0.5
#: What a child may say before it has a message, in bytes.
EARLY_LIMIT = 64 * 1024
#: What may wait to be read by a child, in bytes: one that asks and never listens fills our memory.
UNREAD_LIMIT = 16 * 1024 * 1024
#: How much of a child's last words is kept, in bytes.
STDERR_LIMIT = 64 * 1024
#: Seconds after which a child that says nothing counts as started.
READY_PATIENCE = 2.0


@dataclass(frozen=True)
class Launch:
    """How a child is started.

    :param command: The command line.
    :param env: Its whole environment.
    :param messages: How many messages it is good for.
    :param warm: Whether it can be started before there is a message.
    :param prepares: Whether it understands the command ``prepare``.
    :param stays: Whether it stays when a message is done, and says when that is: it is then told
        when one begins.
    :param owner: The sandbox that it is for, as no child serves two; empty: any, for children of
        one message that are told nothing before it.
    """

    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    messages: int = 1
    warm: bool = True
    prepares: bool = True
    stays: bool = False
    owner: str = ""


class ChildListener(Protocol):
    """Who listens to a child: the message that it was taken for."""

    def line_received(self, line: bytes) -> None:
        """The child wrote a line; it comes without its end."""

    def output_exceeded(self) -> None:
        """The child wrote more than it may. Nothing more will be heard of it."""

    def input_exceeded(self) -> None:
        """The child does not read what it is sent."""

    def child_ended(self, reason: Failure) -> None:
        """The child is no more: ``ProcessDone`` or ``ProcessTerminated``."""


@implementer(IPushProducer)
class ChildProcess(ProcessProtocol):
    """One process.

    :param clock: Twisted's reactor.
    :param on_ready: Called when it has started.
    :param on_end: Called when it is no more.

    :ivar served: How many messages it was taken for.
    :ivar ended: Why it is no more, once it isn't.
    """

    def __init__(
        self,
        clock: Any,
        on_ready: Callable[[ChildProcess], None],
        on_end: Callable[[ChildProcess, Failure], None],
    ) -> None:
        self.served = 0
        self.ended: Failure | None = None
        self._clock = clock
        self._on_ready: Callable[[ChildProcess], None] | None = on_ready
        self._on_end = on_end
        self._listener: ChildListener | None = None
        self._early: list[bytes] = []
        self._partial = b""
        self._unheard = 0
        self._received = 0
        self._limit = EARLY_LIMIT
        self._muted = False
        self._stderr: list[bytes] = []
        self._stderr_size = 0
        self._unread: int | None = None
        self._patience: IDelayedCall | None = None
        self._killing: IDelayedCall | None = None
        self._group: int | None = None

    @property
    def pid(self) -> int | None:
        """The process's id; ``None`` before it started and after it ended."""
        pid: int | None = getattr(self.transport, "pid", None)
        return pid

    # Its beginning and its end

    def connectionMade(self) -> None:
        transport: Any = self.transport
        self._group = transport.pid
        stdin = getattr(transport, "pipes", {}).get(0)
        if stdin is not None:
            stdin.registerProducer(self, True)
        self._patience = self._clock.callLater(READY_PATIENCE, self._ready)

    def _ready(self) -> None:
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        self._patience = None
        if self._on_ready is not None:
            on_ready, self._on_ready = self._on_ready, None
            on_ready(self)

    def kill(self) -> None:
        """End it, and all that it started: SIGTERM, and SIGKILL if it is still there then."""
        if self.ended is not None or self._killing is not None:
            return
        self._muted = True
        self._signal(signal.SIGTERM)
        self._killing = self._clock.callLater(KILL_GRACE, self._signal, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is None:
            return
        try:
            os.killpg(pid, number)
        except OSError:
            # It has no group of its own yet, as it has only just been started.
            with suppress(OSError):
                os.kill(pid, number)

    def processExited(self, reason: Failure) -> None:
        # What it has started and left behind would keep its output open, and go on.
        if self._group is not None:
            with suppress(OSError):
                os.killpg(self._group, signal.SIGKILL)

    def processEnded(self, reason: Failure) -> None:
        self.ended = reason
        self._on_ready = None
        for call in (self._patience, self._killing):
            if call is not None and call.active():
                call.cancel()
        if self._partial and not self._muted:
            partial, self._partial = self._partial, b""
            self._pass_on(partial)
        self._on_end(self, reason)
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.child_ended(reason)

    # What it says

    def attach(self, listener: ChildListener, limit: int) -> None:
        """Have a listener hear what it says, and what it has said since it started.

        :param limit: How many bytes it may say.
        """
        self._listener = listener
        self._limit = limit
        self._received = sum(map(len, self._early)) + len(self._partial)
        early, self._early = self._early, []
        for line in early:
            listener.line_received(line)

    def detach(self) -> None:
        """Have the listener hear no more: its message is done."""
        self._listener = None
        self._limit, self._received = EARLY_LIMIT, 0

    @property
    def quiet(self) -> bool:
        """Whether it has said nothing beyond what its listener has heard."""
        return not self._unheard and not self._stderr_size

    def take_stderr(self) -> str:
        """What it has written to stderr since this was last asked."""
        text = b"".join(self._stderr).decode("utf-8", "replace")
        if self._stderr_size > STDERR_LIMIT:
            text += f"\n... [{self._stderr_size - STDERR_LIMIT} bytes cut]"
        self._stderr, self._stderr_size = [], 0
        return text.rstrip("\n")

    def outReceived(self, data: bytes) -> None:
        if self._muted or not self._count(data):
            return
        if self._is_late():
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._unheard = len(lines) + bool(self._partial)
        for line in lines:
            self._unheard -= 1
            self._pass_on(line)
        self._unheard = bool(self._partial)
        self._ready()

    def _is_late(self) -> bool:
        """Whether its message is done: it has nothing to say then, so it is ended if it does."""
        late = self._listener is None and self.served > 0
        if late:
            self.kill()
        return late

    def _pass_on(self, line: bytes) -> None:
        if self._muted:
            # By what a line before this one said, in the same data.
            return
        if self._listener is not None:
            self._listener.line_received(line)
        elif not self._is_late():
            self._early.append(line)

    def errReceived(self, data: bytes) -> None:
        if not self._muted and not self._is_late():
            self._count(data)
        room = STDERR_LIMIT - self._stderr_size
        self._stderr_size += len(data)
        if room > 0:
            self._stderr.append(data[:room])

    def _count(self, data: bytes) -> bool:
        self._received += len(data)
        if self._received <= self._limit:
            return True
        if self._listener is not None:
            self._listener.output_exceeded()
        self.kill()
        return False

    # What it is told

    def write(self, data: bytes) -> None:
        """Send it something. Nothing happens if it is no more."""
        transport: Any = self.transport
        if self.ended is not None or transport is None:
            return
        if self._unread is not None:
            self._unread += len(data)
            if self._unread > UNREAD_LIMIT:
                self._unread = None
                if self._listener is not None:
                    self._listener.input_exceeded()
                self.kill()
                return
        transport.write(data)

    def pauseProducing(self) -> None:
        """What it was sent piles up. Twisted says so again at each write until it is read."""
        if self._unread is None:
            self._unread = 0

    def resumeProducing(self) -> None:
        """It has read what it was sent."""
        self._unread = None

    def stopProducing(self) -> None:
        """It reads no more."""
