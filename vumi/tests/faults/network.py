"""The phones: send numbered messages at a steady rate, and keep book of the answers."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.protocols.basic import LineReceiver

if TYPE_CHECKING:
    from twisted.internet.interfaces import ITCPTransport

__all__ = ["Book", "Phones"]

#: Seconds between the turns in which messages are sent.
TURN = 0.02
USERS = 12


@dataclass
class Book:
    """What was sent and what was answered.

    :ivar sent: Numbers sent, by user, in order.
    :ivar answered: Numbers answered, by user, in the order they came.
    """

    sent: dict[str, list[int]] = field(default_factory=dict)
    answered: dict[str, list[int]] = field(default_factory=dict)

    def note_sent(self, user: str, number: int) -> None:
        self.sent.setdefault(user, []).append(number)

    def note_answered(self, user: str, number: int) -> None:
        self.answered.setdefault(user, []).append(number)

    @property
    def sent_count(self) -> int:
        return sum(map(len, self.sent.values()))

    @property
    def answered_count(self) -> int:
        """How many different numbers were answered."""
        return sum(len(set(numbers)) for numbers in self.answered.values())

    @property
    def lost(self) -> list[tuple[str, int]]:
        """Numbers that were never answered."""
        return [
            (user, number)
            for user, numbers in self.sent.items()
            for number in sorted(set(numbers) - set(self.answered.get(user, ())))
        ]

    @property
    def duplicates(self) -> int:
        """How many answers came for numbers that were answered before."""
        return sum(len(numbers) - len(set(numbers)) for numbers in self.answered.values())

    @property
    def reordered(self) -> int:
        """How many numbers were first answered after a later one of the same user."""
        count = 0
        for numbers in self.answered.values():
            highest = -1
            for number in dict.fromkeys(numbers):
                count += number < highest
                highest = max(highest, number)
        return count


class _PhonesLine(LineReceiver):
    delimiter = b"\n"

    def __init__(self, phones: Phones) -> None:
        self.phones = phones

    def connectionMade(self) -> None:
        cast("ITCPTransport", self.transport).setTcpNoDelay(True)
        self.phones.connected(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.phones.disconnected(self)

    def lineReceived(self, line: bytes) -> None:
        verb, user, number = line.decode().split(" ")
        if verb == "ok":
            self.phones.was_taken(user, number)
        else:
            self.sendLine(f"got {user} {number}".encode())
            self.phones.answered(user, int(number))

    def say(self, user: str, number: str) -> None:
        self.sendLine(f"in {user} {number}".encode())


class Phones:
    """The network's side of the transport.

    What the transport has not taken (``ok``) is said again after a lost connection, in order.

    :param reactor: Twisted's reactor.
    :param port: Where the transport listens.
    :param prefix: What the users' numbers begin with.
    """

    def __init__(self, reactor: Any, port: int, prefix: str) -> None:
        self._prefix = prefix
        self.book = Book()
        self._reactor = reactor
        self._line: _PhonesLine | None = None
        self._untaken: dict[tuple[str, str], None] = {}
        self._to_send: deque[tuple[str, int]] = deque()
        self._next = Counter[str]()
        self._all_answered: Deferred[None] | None = None
        factory = Factory.forProtocol(lambda: _PhonesLine(self))
        factory.noisy = False
        self._service = ClientService(
            TCP4ClientEndpoint(reactor, "127.0.0.1", port),
            factory,
            retryPolicy=lambda _: 0.1,
            clock=reactor,
        )
        self._sending = LoopingCall(self._send_some)
        self._sending.clock = reactor
        self._per_turn = 1
        self._held = False

    def start(self) -> None:
        self._service.startService()

    def stop(self) -> Deferred[None]:
        if self._sending.running:
            self._sending.stop()
        stopped: Deferred[None] = self._service.stopService()
        return stopped

    def connected(self, line: _PhonesLine) -> None:
        self._line = line
        for user, number in self._untaken:
            line.say(user, number)

    def disconnected(self, line: _PhonesLine) -> None:
        if self._line is line:
            self._line = None

    def send(self, number: int, rate: int) -> None:
        """Start to send `number` messages, `rate` a second, from all users in turn."""
        users = [f"{self._prefix}{user:03}" for user in range(USERS)]
        for index in range(number):
            user = users[index % USERS]
            self._next[user] += 1
            self._to_send.append((user, self._next[user]))
        self._per_turn = max(1, round(rate * TURN))
        if not self._sending.running:
            _ = self._sending.start(TURN)

    def hold(self) -> None:
        """Send nothing for now."""
        self._held = True

    def go_on(self) -> None:
        """Send on."""
        self._held = False

    def _send_some(self) -> None:
        if self._held:
            return
        for _ in range(min(self._per_turn, len(self._to_send))):
            user, number = self._to_send.popleft()
            self.book.note_sent(user, number)
            self.say(user, str(number))

    def say(self, user: str, text: str) -> None:
        """Send one message, and again until the transport has taken it."""
        self._untaken[user, text] = None
        if self._line is not None:
            self._line.say(user, text)

    def was_taken(self, user: str, text: str) -> None:
        self._untaken.pop((user, text), None)

    def answered(self, user: str, number: int) -> None:
        self.book.note_answered(user, number)
        self._check()

    def all_answered(self, timeout: float) -> Deferred[None]:
        """Fires when everything was sent and answered, or after `timeout` seconds."""
        self._all_answered = Deferred()
        waiting = self._all_answered
        timer = self._reactor.callLater(
            timeout, lambda: None if waiting.called else waiting.callback(None)
        )

        def done(result: None) -> None:
            if timer.active():
                timer.cancel()

        self._check()
        return waiting.addCallback(done)

    def _check(self) -> None:
        waiting = self._all_answered
        if (
            waiting is not None
            and not waiting.called
            and (self._held or not self._to_send)
            and self.book.answered_count >= self.book.sent_count
            and not self.book.lost
        ):
            waiting.callback(None)
