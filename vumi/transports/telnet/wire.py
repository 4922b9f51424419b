"""The text that goes over a telnet connection: bytes to lines, texts to bytes.

Knows where a line ends and how it is encoded. Knows nothing of telnet's commands (they are taken
out before), of sockets or of messages.
"""

from __future__ import annotations

import re

__all__ = ["LineSplitter", "decode_line", "encode_text"]

_LINE_END = re.compile(rb"\r\n|\r|\n")


class LineSplitter:
    """Makes lines of chunks, wherever a chunk begins or ends.

    A line ends with CR, LF or CR LF. NUL means nothing (RFC 854) and is left out, so CR NUL ends
    a line as well. A CR ends its line at once; if LF follows, in the next chunk too, it belongs
    to that CR.

    :param max_length: How many bytes a line may have, its end not counted.
    """

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        #: A line was too long. Nothing after that is read.
        self.overflowed = False
        self._parts: list[bytes] = []
        self._length = 0
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk.

        :returns: The lines that are complete now, without their ends. If :attr:`overflowed` is
            set, they are those before the line that is too long.
        """
        chunk = chunk.replace(b"\0", b"")
        if not chunk or self.overflowed:
            return []
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        *ended, rest = _LINE_END.split(chunk)
        lines: list[bytes] = []
        for piece in ended:
            if not self._keep(piece):
                return lines
            lines.append(self.rest())
        self._keep(rest)
        return lines

    def rest(self) -> bytes:
        """What has come of a line without an end; it is forgotten here."""
        rest = b"".join(self._parts)
        self._parts.clear()
        self._length = 0
        return rest

    def _keep(self, piece: bytes) -> bool:
        """Add to the line that has no end yet, if it isn't too long then."""
        self._length += len(piece)
        if self._length > self.max_length:
            self.overflowed = True
            self.rest()
            return False
        if piece:
            self._parts.append(piece)
        return True


def decode_line(line: bytes) -> str:
    """The text of a line: UTF-8, or Latin-1 if it is not valid UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def encode_text(text: str | None) -> bytes:
    """The bytes that show a text: its lines in UTF-8, each ended by LF.

    :param text: The text; ``None`` and ``""`` give an empty line.
    """
    # A text from JSON may hold half of a surrogate pair, which has no UTF-8.
    return "\n".join((text or "").splitlines()).encode("utf-8", "replace") + b"\n"
