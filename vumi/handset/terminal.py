"""The terminal: a line being typed below what is shown, or plain lines where there is no terminal.

Knows keys, columns and how to draw. Knows nothing of what lines mean.

Both classes have the same things: ``on_line`` and ``on_end``, to be set, are called with each
line and at the end of input; ``show()`` shows lines; ``close()`` ends, and ``closed`` fires when
all was written.
"""

from __future__ import annotations

import codecs
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from twisted.conch.insults.insults import TerminalProtocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.protocols.basic import LineReceiver
from zope.interface import implementer

from vumi.handset.editing import LineEditor
from vumi.handset.screen import Line, styled
from vumi.printable import width_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["PlainLines", "TypedLines", "typing_mode", "wants_colours"]

CONTROL_D, CONTROL_L = b"\x04", b"\x0c"
ERASE_LINE, ERASE_SCREEN = "\r\x1b[K", "\x1b[2J\x1b[H"
MAX_LINE = 65536


class TypedLines(TerminalProtocol):
    """Lines typed at a terminal: with a prompt, editing and history.

    To be made by a :class:`twisted.conch.insults.insults.ServerProtocol`, which knows the keys'
    escape sequences.

    :param prompt: Gives what stands before the line.
    :param columns: Gives how many columns the terminal has.
    :param colours: Whether it shows colours.
    """

    def __init__(
        self, prompt: Callable[[], str], columns: Callable[[], int], colours: bool
    ) -> None:
        self.on_line: Callable[[str], None] = lambda line: None
        self.on_end: Callable[[], None] = lambda: None
        self.closed: Deferred[None] = Deferred()
        self._prompt = prompt
        self._columns = columns
        self._colours = colours
        self._editor = LineEditor()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._closed = False

    # From the terminal

    def connectionMade(self) -> None:
        editor, keys = self._editor, self.terminal
        self._keys: dict[bytes, Callable[[], object]] = {
            b"\r": self._entered,
            b"\n": self._entered,
            b"\x7f": editor.delete_before,
            b"\x08": editor.delete_before,
            keys.DELETE: editor.delete_after,
            keys.LEFT_ARROW: lambda: editor.move(-1),
            b"\x02": lambda: editor.move(-1),
            keys.RIGHT_ARROW: lambda: editor.move(1),
            b"\x06": lambda: editor.move(1),
            keys.HOME: editor.to_start,
            b"\x01": editor.to_start,
            keys.END: editor.to_end,
            b"\x05": editor.to_end,
            keys.UP_ARROW: editor.earlier,
            b"\x10": editor.earlier,
            keys.DOWN_ARROW: editor.later,
            b"\x0e": editor.later,
            b"\x15": editor.delete_to_start,
            b"\x0b": editor.delete_to_end,
            b"\x17": editor.delete_word,
            CONTROL_D: self._control_d,
            CONTROL_L: lambda: self._write(ERASE_SCREEN),
        }
        self.redraw()

    def keystrokeReceived(self, key: bytes, modifier: object) -> None:
        """Take a key."""
        if modifier is not None:
            return
        action = self._keys.get(key)
        if action is not None:
            action()
        elif len(key) == 1:
            # A byte of a character, maybe not the last one.
            self._editor.insert("".join(filter(str.isprintable, self._decoder.decode(key))))
        self.redraw()

    def unhandledControlSequence(self, sequence: bytes) -> None:
        """Take no notice of a key that means nothing here."""

    def connectionLost(self, reason: object) -> None:
        self._closed = True
        self.closed.callback(None)
        self.on_end()

    def _entered(self) -> None:
        self._write(ERASE_LINE)
        self.on_line(self._editor.finish())

    def _control_d(self) -> None:
        if self._editor.text:
            self._editor.delete_after()
        else:
            self.on_end()

    # To the terminal

    def show(self, lines: Iterable[Line]) -> None:
        """Show lines above the one being typed."""
        shown = "".join(f"{styled(line, self._colours)}\n" for line in lines)
        self._write(f"{ERASE_LINE}{shown}")
        self.redraw()

    def redraw(self) -> None:
        """Draw the prompt and the line being typed."""
        prompt = self._prompt()
        room = self._columns() - width_of(prompt) - 1
        text, cursor = self._editor.visible(room)
        column = width_of(prompt) + cursor
        shown = styled(Line("sent", prompt), self._colours)
        self._write(f"{ERASE_LINE}{shown}{text}\r" + (f"\x1b[{column}C" if column else ""))

    def close(self) -> None:
        """End."""
        self._write(ERASE_LINE)
        self._closed = True
        # The terminal's own method clears the screen first.
        self.terminal.transport.loseConnection()

    def _write(self, text: str) -> None:
        if not self._closed:
            self.terminal.write(text.encode("utf-8", "replace"))


@implementer(IHalfCloseableProtocol)
class PlainLines(LineReceiver):
    """Lines from a file or another program; what is shown are plain lines."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_LINE

    def __init__(self) -> None:
        self.on_line: Callable[[str], None] = lambda line: None
        self.on_end: Callable[[], None] = lambda: None
        self.closed: Deferred[None] = Deferred()

    def lineReceived(self, line: bytes) -> None:
        """Take a line."""
        self.on_line(line.decode("utf-8", "replace").rstrip("\r"))

    def readConnectionLost(self) -> None:
        """Take the end of input; what is still to be shown can be."""
        if rest := self.clearLineBuffer():
            self.lineReceived(rest)
        self.on_end()

    def writeConnectionLost(self) -> None:
        """Nobody reads any more."""
        self.on_end()

    def connectionLost(self, reason: object = None) -> None:
        self.closed.callback(None)
        self.on_end()

    def show(self, lines: Iterable[Line]) -> None:
        """Show lines."""
        for line in lines:
            self.sendLine(styled(line, colours=False).encode("utf-8", "replace"))

    def close(self) -> None:
        """End."""
        self.transport.loseConnection()  # type: ignore[union-attr]  # it is connected when it is used


@contextmanager
def typing_mode(terminal: int) -> Iterator[Callable[[], None]]:
    """Have a terminal give each key at once and show none; as before in the end.

    :param terminal: Its file descriptor.
    :returns: The context gives a function that sets the mode again, as it is lost when the program
        was stopped (Ctrl-Z) and goes on.
    """
    import termios
    import tty

    def set_mode() -> None:
        tty.setcbreak(terminal)

    before = termios.tcgetattr(terminal)
    set_mode()
    try:
        yield set_mode
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        # Twisted has made it non-blocking, for the shell too.
        os.set_blocking(terminal, True)


def wants_colours(stream: Any) -> bool:
    """Whether a stream is a terminal that shows colours.

    See https://no-color.org for ``NO_COLOR``.
    """
    return bool(
        stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )
