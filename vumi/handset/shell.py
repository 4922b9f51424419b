"""A person at the handset: lines typed become commands, what happens is shown.

Knows the order of things. How lines are typed and shown is the terminal's business, what commands
do is the handset's.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from vumi.errors import VumiError
from vumi.handset import commands
from vumi.handset.commands import parse_line
from vumi.handset.handset import Handset
from vumi.handset.happenings import Dead, Happening, Nacked, Note
from vumi.handset.phones import HandsetError
from vumi.handset.screen import Line, Screen, help_lines
from vumi.handset.script import script_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.internet.interfaces import IReactorTime

    from vumi.handset.switchboard import Switchboard

__all__ = ["Shell"]


class Shell:
    """Somebody at a terminal talks to an application.

    :param switchboard: Runs the application; not started yet.
    :param address: The first user's address.
    :param clock: Twisted's reactor.
    :param patience: After each line, how many seconds the application has to finish before the
        next one is looked at. 0 is not to wait: people see for themselves what happens.

    :ivar failed: Whether the application could not handle a message, or has sent one that could
        not be delivered.
    """

    def __init__(
        self, switchboard: Switchboard, address: str, clock: IReactorTime, patience: float = 0
    ) -> None:
        self.failed = False
        self._address = address
        self._clock = clock
        self._patience = patience
        self._handset = Handset(switchboard, address, self._happened)
        self._screen = Screen(switchboard.transport_type, address)
        self._happenings: list[Happening] = []
        self._lines: deque[str | None] = deque()
        self._waiter: Deferred[None] | None = None

    def prompt(self) -> str:
        """What stands before the line being typed."""
        phone = self._handset.phones.current
        return f"{phone.address} in session> " if phone.in_session else f"{phone.address}> "

    @property
    def terminal(self) -> Any:
        """One of :mod:`vumi.handset.terminal`: it gives lines and shows what happens.

        Set it before :meth:`run`, and before the terminal is connected: a file or a fast program
        has given all its lines before a slow application has started. They wait here.
        """
        return self._terminal

    @terminal.setter
    def terminal(self, terminal: Any) -> None:
        self._terminal = terminal
        terminal.on_line = self._typed
        terminal.on_end = self.end

    async def run(self, greeting: Iterable[Line] = ()) -> None:
        """Start the application, and do what is typed until that ends.

        :param greeting: What to show when the application runs.
        :raises VumiError: The application can't start.
        """
        try:
            await self._handset.start()
            self.terminal.show(greeting)
            while (line := await self._next_line()) is not None:
                if not await self._obey(line):
                    break
        finally:
            await self._handset.stop()

    def end(self) -> None:
        """No more lines will come."""
        self._typed(None)

    # Lines

    def _typed(self, line: str | None) -> None:
        self._lines.append(line)
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            waiter.callback(None)

    async def _next_line(self) -> str | None:
        if not self._lines:
            self._waiter = Deferred()
            await self._waiter
        return self._lines.popleft()

    async def _obey(self, line: str) -> bool:
        """Do what a line says; gives whether to go on."""
        try:
            command = parse_line(line)
            if not isinstance(command, commands.Say):
                # What is sent is shown when it is.
                self.terminal.show([Line("sent", line)])
            match command:
                case commands.Quit():
                    return False
                case commands.Help():
                    self.terminal.show(help_lines())
                case commands.Save(path):
                    self._save(path)
                case _:
                    await self._do(command)
        except VumiError as error:
            self.terminal.show([Line("error", f"! {error}")])
        return True

    async def _do(self, command: commands.Command) -> None:
        await self._handset.do(command)
        if not self._patience:
            return
        try:
            await self._handset.quiet().addTimeout(self._patience, self._clock)
        except DeferredTimeout:
            raise HandsetError(
                f"The application has not finished within {self._patience:g} s."
            ) from None

    def _save(self, name: str) -> None:
        path = Path(name).expanduser()
        lines = "".join(f"{line}\n" for line in script_of(self._happenings, self._address))
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(lines)
        except OSError as error:
            raise HandsetError(f"{path} can't be written: {error.strerror}.") from error
        self._happened(Note(f"Written to {path}."))

    # Happenings

    def _happened(self, happening: Happening) -> None:
        self._happenings.append(happening)
        if isinstance(happening, Dead) or (
            isinstance(happening, Nacked) and not happening.on_purpose
        ):
            self.failed = True
        self.terminal.show(self._screen.lines(happening))
