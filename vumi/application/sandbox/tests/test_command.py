from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.application.sandbox.command import SandboxCommand
from vumi.errors import InvalidMessage, MissingMessageField

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip


def test_a_command_has_defaults() -> None:
    command = SandboxCommand()
    assert (command["cmd"], command["reply"]) == ("unknown", False)
    assert len(command["cmd_id"]) == 32


def test_a_reply_repeats_name_and_id_whatever_its_fields_are() -> None:
    command = SandboxCommand(cmd="get", cmd_id="7", key="a")
    reply = command.reply(success=True, cmd="else", value=1)
    assert reply.payload == {
        "cmd": "get", "cmd_id": "7", "reply": True, "success": True, "value": 1,
    }  # fmt: skip


def test_a_line_is_ascii_for_runners_of_old() -> None:
    line = SandboxCommand(cmd="x", cmd_id="1", msg={"content": "ñ\u2028🦜"}).to_line()
    assert line.isascii()
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert json.loads(line)["msg"]["content"] == "ñ\u2028🦜"


def test_dates_are_written_as_messages_have_them_and_none_is_made_of_text() -> None:
    when = datetime(2024, 5, 6, 7, 8, 9, 123456)
    line = SandboxCommand(cmd="x", msg={"timestamp": when}, timestamp=when).to_line()
    command = SandboxCommand.from_json(line)
    assert command["timestamp"] == command["msg"]["timestamp"] == "2024-05-06 07:08:09.123456"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        SandboxCommand(cmd="x", value=value).to_line()


@pytest.mark.parametrize("line", [b"{}", b'{"cmd": "a"}', b'{"cmd": "a", "cmd_id": "b"}'])
def test_a_command_without_its_fields_is_none(line: bytes) -> None:
    with pytest.raises(MissingMessageField):
        SandboxCommand.from_json(line)


def test_a_name_must_be_a_text() -> None:
    with pytest.raises(InvalidMessage):
        SandboxCommand.from_json(b'{"cmd": 1, "cmd_id": "b", "reply": false}')


@given(st.dictionaries(st.text(), json_values))
def test_what_is_written_is_read(fields: dict[str, Any]) -> None:
    command = SandboxCommand(**{**fields, "cmd": "a.b", "cmd_id": "1", "reply": False})
    assert SandboxCommand.from_json(command.to_line()) == command


@given(st.binary())
def test_bytes_raise_nothing_but_the_declared_error(line: bytes) -> None:
    with suppress(InvalidMessage):
        SandboxCommand.from_json(line)
