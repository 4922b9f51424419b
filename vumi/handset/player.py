"""Plays scripts: says what they say, and checks what is answered.

Knows steps, happenings and how long to wait. Knows no files and no terminal.

Nothing may happen that the script does not expect: a reply that it has no line for, a session that
is closed without ``/closed``, a message that the application can't handle or that can't reach
anybody. Before a user sends something, all that this user was sent must have been read; at the
end all that anybody was sent.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from vumi.errors import VumiError
from vumi.handset import commands, happenings
from vumi.handset.handset import Handset
from vumi.handset.phones import HandsetError
from vumi.handset.script import Expected, marked
from vumi.tasks import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from twisted.internet.interfaces import IReactorTime

    from vumi.handset.happenings import Happening
    from vumi.handset.phones import Phone
    from vumi.handset.script import Step
    from vumi.handset.switchboard import Switchboard

__all__ = ["Player", "ScriptFailed"]

#: Seconds that an application has to answer.
DEFAULT_TIMEOUT = 5.0


class ScriptFailed(VumiError):
    """The conversation did not go as the script says.

    :ivar line: Where in the script, counted from 1.
    :ivar details: Lines that show what was different.
    """

    def __init__(self, line: int, words: str, details: Iterable[str] = ()) -> None:
        super().__init__(words)
        self.line = line
        self.details = tuple(details)


class Player:
    """Plays one script.

    :param switchboard: Runs the application; not started yet.
    :param address: The first user's address.
    :param clock: Twisted's reactor.
    :param timeout: How many seconds the application has for each reply.
    :param tell: Called with all that happens, to show it.
    """

    def __init__(
        self,
        switchboard: Switchboard,
        address: str,
        clock: IReactorTime,
        timeout: float = DEFAULT_TIMEOUT,
        tell: Callable[[Happening], None] = lambda happening: None,
    ) -> None:
        self._handset = Handset(switchboard, address, self._happened)
        self._clock = clock
        self._timeout = timeout
        self._tell = tell
        self._line = 0
        #: The line that made the application do what it does now
        self._sent_line = 0
        self._unread: defaultdict[str, deque[str]] = defaultdict(deque)
        #: Users whose session the application has closed, while the script hasn't said /closed
        self._closed: set[str] = set()
        self._failure: ScriptFailed | None = None
        self._waiter: Deferred[None] | None = None

    async def play(self, steps: Sequence[Step]) -> None:
        """Start the application, play a script, and stop the application.

        :raises ScriptFailed: Something was not as the script says: the first such thing.
        :raises VumiError: The application can't start.
        """
        await self._handset.start()
        try:
            for step in steps:
                self._line = step.line
                await self._play(step)
            await self._end()
        finally:
            await self._handset.stop()

    async def _play(self, step: Step) -> None:
        phone = self._handset.phones.current
        what = step.what
        if isinstance(what, Expected):
            await self._expect(phone, what)
        elif isinstance(what, commands.Was):
            await self._quiet()
            self._check_session(phone, what.closed)
        else:
            if not isinstance(what, commands.Switch):
                await self._quiet()
                self._check_read(phone)
            self._sent_line = step.line
            try:
                await self._handset.do(what)
            except HandsetError as error:
                raise ScriptFailed(self._line, str(error)) from None

    async def _end(self) -> None:
        await self._quiet()
        for phone in self._handset.phones.all():
            self._check_read(phone)

    # What has happened

    def _happened(self, happening: Happening) -> None:
        match happening:
            case happenings.Heard(address, content, closes):
                self._unread[address].append(content)
                if closes:
                    self._closed.add(address)
            case happenings.Dead(queue, reason, error, traceback):
                self._fail(
                    f"The application could not handle a message of {queue} ({reason}): {error}",
                    traceback.splitlines(),
                )
            case happenings.Nacked(_, content, reason, on_purpose) if not on_purpose:
                self._fail(
                    f"The application has sent what can't be delivered: {reason}",
                    marked("+ ", content, "+ "),
                )
        self._tell(happening)
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            waiter.callback(None)

    def _fail(self, words: str, details: Iterable[str] = ()) -> None:
        # The first one counts: what comes after may follow from it.
        if self._failure is None:
            self._failure = ScriptFailed(self._sent_line, words, details)

    def _check_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    # What must be so

    async def _expect(self, phone: Phone, expected: Expected) -> None:
        """Wait for a reply and compare it."""
        unread = self._unread[phone.address]
        deadline = self._clock.seconds() + self._timeout
        while not unread:
            self._check_failure()
            await self._something_happens(deadline, expected)
        self._check_failure()
        difference = expected.difference(unread.popleft())
        if difference:
            raise ScriptFailed(
                self._line,
                "The reply is not the one expected (-) but another one (+).",
                difference,
            )

    async def _something_happens(self, deadline: float, expected: Expected) -> None:
        waiter: Deferred[None] = Deferred()
        self._waiter = waiter
        try:
            await waiter.addTimeout(deadline - self._clock.seconds(), self._clock)
        except DeferredTimeout:
            self._waiter = None
            raise ScriptFailed(
                self._line,
                f"No reply came within {self._timeout:g} s.",
                marked("- ", expected.text, "- "),
            ) from None

    async def _quiet(self) -> None:
        """Wait until the application has nothing in hand."""
        self._check_failure()
        quiet = self._handset.quiet()
        try:
            await settle(quiet.addTimeout(self._timeout, self._clock))
        except DeferredTimeout:
            raise ScriptFailed(
                self._line,
                f"The application has not finished with a message within {self._timeout:g} s.",
            ) from None
        self._check_failure()

    def _check_read(self, phone: Phone) -> None:
        unread = self._unread[phone.address]
        if unread:
            raise ScriptFailed(
                self._line,
                f"{phone.address} was sent a reply that the script does not expect.",
                marked("+ ", unread[0], "+ "),
            )
        if phone.address in self._closed:
            raise ScriptFailed(
                self._line,
                f"The application has closed the session of {phone.address}; where the script "
                "expects that it says /closed.",
            )

    def _check_session(self, phone: Phone, closed: bool) -> None:
        if closed and phone.address not in self._closed:
            raise ScriptFailed(self._line, "The application has not closed the session.")
        if not closed and not phone.in_session:
            raise ScriptFailed(self._line, f"{phone.address} is in no session.")
        self._closed.discard(phone.address)
