"""Messages as lines of a file that is served over HTTP: JSON and CSV.

Knows which fields go into which column. Knows nothing of where messages come from.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any, ClassVar
from unicodedata import normalize

from zope.interface import Interface, implementer

from vumi.damaged_text import mend_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.web.iweb import IRequest

    from vumi.message import Message, TransportEvent

__all__ = ["CsvEventFormatter", "CsvFormatter", "IMessageFormatter", "JsonFormatter"]

#: What makes a spreadsheet take a text for a formula, if the text begins with it; also the forms
#: that NFKC makes these signs of (full-width, small, superscript), and the minus sign.
FORMULA_STARTS = "=+-@\u2212"
#: What a spreadsheet may take away before the sign: spaces, controls and characters without width.
_IGNORED = "".join(
    chr(code)
    for first, last in (
        (0x00, 0x20),
        (0x7F, 0xA0),
        (0xAD, 0xAD),
        (0x61C, 0x61C),
        (0x1680, 0x1680),
        (0x180E, 0x180E),
        (0x2000, 0x200F),
        (0x2028, 0x202F),
        (0x205F, 0x206F),
        (0x3000, 0x3000),
        (0xFEFF, 0xFEFF),
        (0xFFFD, 0xFFFD),
    )
    for code in range(first, last + 1)
)
#: What may begin another cell, where a program splits before it looks for quotes.
_BREAKS = re.compile("([\n\r\t\v\f\x1c-\x1e\x85\u2028\u2029])")


class IMessageFormatter(Interface):
    """Writes messages to a response."""

    def add_http_headers(request: IRequest) -> None:
        """Say what the response's body will be."""

    def write_row_header(request: IRequest) -> None:
        """Write what comes before the first message."""

    def write_row(request: IRequest, message: Message) -> None:
        """Write one message."""


@implementer(IMessageFormatter)
class JsonFormatter:
    """One message as JSON on each line."""

    def add_http_headers(self, request: Any) -> None:
        """See :class:`IMessageFormatter`."""
        request.responseHeaders.setRawHeaders(
            b"Content-Type", [b"application/json; charset=utf-8"]
        )

    def write_row_header(self, request: Any) -> None:
        """JSON needs none."""

    def write_row(self, request: Any, message: Message) -> None:
        """See :class:`IMessageFormatter`."""
        request.write(message.to_bytes() + b"\n")


class _Csv:
    """Rows of comma-separated values (RFC 4180), UTF-8. Half a character becomes U+FFFD.

    :param escape_formulas: Put an apostrophe before texts, and before lines in them, that a
        spreadsheet would take for a formula and execute. Users can write such texts. A program
        that reads the file gets the apostrophes too, also before phone numbers with a plus.
    """

    FIELDS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, escape_formulas: bool = False) -> None:
        self._escape_formulas = escape_formulas

    def add_http_headers(self, request: Any) -> None:
        """See :class:`IMessageFormatter`."""
        request.responseHeaders.setRawHeaders(b"Content-Type", [b"text/csv; charset=utf-8"])

    def write_row_header(self, request: Any) -> None:
        """See :class:`IMessageFormatter`."""
        self._write(request, self.FIELDS)

    def write_row(self, request: Any, message: Any) -> None:
        """See :class:`IMessageFormatter`."""
        self._write(request, (self._field(message, name) for name in self.FIELDS))

    def _field(self, message: Any, name: str) -> Any:
        if name == "timestamp":
            return message["timestamp"].isoformat()
        return message.get(name)

    def _write(self, request: Any, values: Iterable[Any]) -> None:
        row = io.StringIO()
        csv.writer(row).writerow(map(self._text, values))
        request.write(row.getvalue().encode("utf-8"))

    def _text(self, value: Any) -> str:
        text = "" if value is None else mend_text(str(value))
        return _without_formulas(text) if self._escape_formulas else text


def _without_formulas(text: str) -> str:
    """A text with an apostrophe before what would be executed."""
    body = text.lstrip(_IGNORED)
    first, *lines = _BREAKS.split(body)
    escaped = "".join(f"'{line}" if _is_formula(line.lstrip(_IGNORED)) else line for line in lines)
    has_formula = _is_formula(first) or escaped != "".join(lines)
    if not has_formula and not _BREAKS.match(text):
        return text
    return f"'{text[: len(text) - len(body)]}{first}{escaped}"


def _is_formula(text: str) -> bool:
    return normalize("NFKC", text[:1]).startswith(tuple(FORMULA_STARTS))


@implementer(IMessageFormatter)
class CsvFormatter(_Csv):
    """User messages as CSV."""

    FIELDS: ClassVar[tuple[str, ...]] = (
        "timestamp",
        "message_id",
        "to_addr",
        "from_addr",
        "in_reply_to",
        "session_event",
        "content",
        "group",
    )


@implementer(IMessageFormatter)
class CsvEventFormatter(_Csv):
    """Events as CSV."""

    FIELDS = ("timestamp", "event_id", "status", "user_message_id", "nack_reason")

    def _field(self, message: TransportEvent, name: str) -> Any:
        return message.status() if name == "status" else super()._field(message, name)
