"""Messages as lines of JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from typing import Any
from unicodedata import normalize

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from zope.interface.verify import verifyObject

from vumi.components.message_formatters import (
    CsvEventFormatter,
    CsvFormatter,
    IMessageFormatter,
    JsonFormatter,
)
from vumi.message import TransportUserMessage
from vumi.tests.helpers import MessageHelper

TIMESTAMP = datetime(2024, 2, 10, 12, 30, 1, 5)


class FakeRequest:
    """Keeps what is written to a response."""

    def __init__(self) -> None:
        self.responseHeaders = Headers()
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


def written(formatter: Any, *messages: Any, header: bool = True) -> str:
    request = FakeRequest()
    if header:
        formatter.write_row_header(request)
    for message in messages:
        formatter.write_row(request, message)
    return request.written.decode("utf-8")


class FormatterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.helper = MessageHelper()

    def test_they_are_formatters_and_say_what_they_write(self) -> None:
        formatters: list[tuple[Any, bytes]] = [
            (JsonFormatter(), b"application/json; charset=utf-8"),
            (CsvFormatter(), b"text/csv; charset=utf-8"),
            (CsvEventFormatter(), b"text/csv; charset=utf-8"),
        ]
        for formatter, content_type in formatters:
            verifyObject(IMessageFormatter, formatter)
            request = FakeRequest()
            formatter.add_http_headers(request)
            self.assertEqual(
                request.responseHeaders.getRawHeaders(b"Content-Type"), [content_type]
            )

    def test_json_is_one_message_a_line(self) -> None:
        messages = [self.helper.make_inbound("hällo\nworld"), self.helper.make_ack()]
        lines = written(JsonFormatter(), *messages).splitlines()
        self.assertEqual(lines, [message.to_json() for message in messages])
        self.assertEqual(json.loads(lines[0])["content"], "hällo\nworld")

    def test_messages_as_csv(self) -> None:
        message = self.helper.make_inbound(
            'say "hi",\nall ✓',
            message_id="m1",
            in_reply_to="m0",
            session_event="new",
            timestamp=TIMESTAMP,
        )
        plain = self.helper.make_inbound(None, message_id="m2", group="#x", timestamp=TIMESTAMP)
        self.assertEqual(
            written(CsvFormatter(), message, plain),
            "timestamp,message_id,to_addr,from_addr,in_reply_to,session_event,content,group\r\n"
            "2024-02-10T12:30:01.000005,m1,9292,+41791234567,m0,new,"
            '"say ""hi"",\nall ✓",\r\n'
            "2024-02-10T12:30:01.000005,m2,9292,+41791234567,,,,#x\r\n",
        )

    def test_events_as_csv(self) -> None:
        fields: dict[str, Any] = {"user_message_id": "m1", "timestamp": TIMESTAMP}
        events = [
            self.helper.make_event("ack", event_id="e1", sent_message_id="s", **fields),
            self.helper.make_event("nack", event_id="e2", nack_reason="no, never", **fields),
            self.helper.make_event(
                "delivery_report", event_id="e3", delivery_status="failed", **fields
            ),
        ]
        time = "2024-02-10T12:30:01.000005"
        self.assertEqual(
            written(CsvEventFormatter(), *events),
            "timestamp,event_id,status,user_message_id,nack_reason\r\n"
            f"{time},e1,ack,m1,\r\n"
            f'{time},e2,nack,m1,"no, never"\r\n'
            f"{time},e3,delivery_report.failed,m1,\r\n",
        )

    def test_what_a_spreadsheet_would_execute_can_be_escaped(self) -> None:
        for content in ('=HYPERLINK("http://x")', "+1", "-1", "@SUM(1)", "\t=1", "\r=1"):
            message = self.helper.make_inbound(content)
            plain = written(CsvFormatter(), message, header=False)
            escaped = written(CsvFormatter(escape_formulas=True), message, header=False)
            self.assertEqual(content_of(plain), content)
            self.assertEqual(content_of(escaped), f"'{content}")
        for content in ("1+1=2", "a - b", "a\nb", "", "x=\ny", "\N{SNOWMAN}=1"):
            harmless = self.helper.make_inbound(content)
            row = written(CsvFormatter(escape_formulas=True), harmless, header=False)
            self.assertEqual(content_of(row), content)

    def test_a_formula_in_disguise_is_escaped_too(self) -> None:
        # A full-width sign, or a space, a line end or a character without width before it.
        signs = [
            chr(code)
            for code in range(0x11000)
            if normalize("NFKC", chr(code))[:1] in ("=", "+", "-", "@", "\u2212")
        ]
        self.assertGreater(len(signs), 14)
        for sign in signs:
            for before in (
                "",
                " ",
                "\n",
                "\r\n",
                "\u3000",
                "\u200b",
                "\ufeff",
                "\xa0\n\t",
                "\0",
                "\ud83d",
            ):
                message = self.helper.make_inbound(f"{before}{sign}1")
                row = written(CsvFormatter(escape_formulas=True), message, header=False)
                self.assertEqual(content_of(row)[:1], "'", repr(before + sign))

    def test_a_formula_in_a_later_line_of_a_cell_is_escaped(self) -> None:
        for text, escaped in (
            ("x\n=1", "'x\n'=1"),
            ("x\r\n =1", "'x\r\n' =1"),
            ("x\t\uff1d1", "'x\t'\uff1d1"),
            ("a\u2028@b", "'a\u2028'@b"),
            ("=1\n+2", "'=1\n'+2"),
        ):
            message = self.helper.make_inbound(text)
            row = written(CsvFormatter(escape_formulas=True), message, header=False)
            self.assertEqual(content_of(row), escaped)

    def test_half_a_character_leaves_the_file_utf_8(self) -> None:
        message = self.helper.make_inbound("half \ud83d", from_addr="\udca9")
        for formatter in (CsvFormatter(), CsvFormatter(escape_formulas=True)):
            row = written(formatter, message, header=False)
            self.assertEqual(content_of(row), "half \ufffd")
        event = self.helper.make_event(
            "nack", event_id="e", user_message_id="m", nack_reason="\ud83d"
        )
        self.assertIn("\ufffd", written(CsvEventFormatter(), event, header=False))


def content_of(row: str) -> str:
    [fields] = csv.reader(io.StringIO(row, newline=""))
    return fields[6]


@given(st.text())
def test_any_text_can_be_read_again(content: str) -> None:
    message: TransportUserMessage = MessageHelper().make_inbound(content)
    assert content_of(written(CsvFormatter(), message, header=False)) == content
    line = written(JsonFormatter(), message)
    assert TransportUserMessage.from_json(line)["content"] == content
