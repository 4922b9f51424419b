"""Messages as lines of a file that is served over HTTP: JSON and CSV.

Knows which fields go into which column. Knows nothing of where messages come from.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, ClassVar

from zope.interface import Interface, implementer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.web.iweb import IRequest

    from vumi.message import Message, TransportEvent

__all__ = ["CsvEventFormatter", "CsvFormatter", "IMessageFormatter", "JsonFormatter"]

#: What makes a spreadsheet take a text for a formula, if the text begins with it.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


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
    """Rows of comma-separated values (RFC 4180), UTF-8.

    :param escape_formulas: Put an apostrophe before texts that a spreadsheet would take for a
        formula and execute. Users can write such texts; but who reads the file by a program gets
        the apostrophe too, also before phone numbers with a plus.
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
        request.write(row.getvalue().encode("utf-8", "surrogatepass"))

    def _text(self, value: Any) -> str:
        text = "" if value is None else str(value)
        if self._escape_formulas and text.startswith(FORMULA_STARTS):
            return f"'{text}"
        return text


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
