"""Messages out of logs, and into queues."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from typing import Any
from uuid import uuid4

import pika
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from vumi.errors import InvalidMessage
from vumi.scripts import parse_log_messages
from vumi.scripts.inject_messages import read_message
from vumi.scripts.parse_log_messages import FORMATS, read_log
from vumi.tests.servers import shared_rabbitmq

LOG = """
2026-03-01T10:00:00+0000 [-] Starting a EchoWorker
2026-03-01 10:00:01+0000 [-] Processed inbound message for sms: {"content": "one"}
2026-03-01T10:00:02+0000 [-] Processed outbound message for sms: {"content": "two: {3}"}
2026-03-01T10:00:03+0000 [-] Processed event message for sms: {"event_type": "ack"}
2012-03-01 10:00:04+0000 [Smpp,client] PUBLISHING INBOUND: {'content': u'four', 'x': None}
2026-03-01T10:00:05+0000 [-] Processed inbound message for sms: {broken
2012-03-01 10:00:06+0000 [Smpp,client] PUBLISHING INBOUND: {'x': __import__('os').getcwd()}
""".splitlines()


@pytest.mark.parametrize(
    ("format_name", "wanted"),
    [
        ("dispatcher_inbound_message", [{"content": "one"}]),
        ("dispatcher_outbound_message", [{"content": "two: {3}"}]),
        ("dispatcher_event", [{"event_type": "ack"}]),
        # What is code and no literal is left out, not executed.
        ("smpp_inbound", [{"content": "four", "x": None}]),
        ("smpp", [{"content": "four", "x": None}]),
        (
            "vumi",
            [
                {"content": "one"},
                {"content": "two: {3}"},
                {"event_type": "ack"},
                {"content": "four", "x": None},
            ],
        ),
    ],
)
def test_messages_are_found_in_each_format(format_name: str, wanted: list[Any]) -> None:
    assert list(read_log(LOG, format_name)) == wanted


def test_a_range_of_time_includes_its_ends() -> None:
    first, last = datetime(2026, 3, 1, 10, 0, 2), datetime(2026, 3, 1, 10, 0, 3)
    assert len(list(read_log(LOG, "vumi", first, last))) == 2


@given(st.text(), st.sampled_from(list(FORMATS)))
def test_no_log_breaks_it(text: str, format_name: str) -> None:
    lines = [text, f"2026-03-01 10:00:00 Processed inbound message for x: {{{text}}}"]
    assert all(isinstance(found, dict) for found in read_log(lines, format_name))


def test_the_command() -> None:
    result = CliRunner().invoke(
        parse_log_messages.main, ["-f", "2026-03-01 10:00:03"], input="\n".join(LOG)
    )
    assert result.stdout == '{"event_type":"ack"}\n'


def test_a_line_may_leave_out_what_has_a_default() -> None:
    message = read_message('{"content": "hi", "from_addr": "+271"}', "sms")
    assert (message["transport_name"], message["content"]) == ("sms", "hi")
    exported = json.dumps({"direction": "inbound", "message": message.payload}, default=str)
    assert read_message(exported, "x")["message_id"] == message["message_id"]
    for line in ("", "[]", "{", '{"session_event": "x"}', '{"timestamp": 1}'):
        with pytest.raises(InvalidMessage):
            read_message(line, "sms")


@pytest.mark.integration
def test_messages_are_put_into_a_queue() -> None:
    name, url = f"inject-{uuid4().hex}", shared_rabbitmq().url()
    result = subprocess.run(
        [
            *(sys.executable, "-m", "vumi.scripts.inject_messages"),
            *("--transport-name", name, "--broker", url, "-v"),
        ],
        input='{"content": "one"}\nnonsense\n\n{"content": "two"}\n',
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "Line 2: no JSON" in result.stderr
    assert "2 messages published" in result.stderr
    assert len(result.stdout.splitlines()) == 2
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    bodies = [channel.basic_get(f"{name}.inbound", auto_ack=True)[2] for _ in range(2)]
    connection.close()
    assert [json.loads(body)["content"] for body in bodies] == ["one", "two"]
