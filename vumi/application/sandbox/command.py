"""What the worker and a sandboxed program say to each other: one JSON object a line.

Knows a command's fields and its line. Knows no process and no resource.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from vumi.errors import InvalidMessage
from vumi.message import Message, TransportMessage
from vumi.payload import JSONMessageEncoder, decode_payload

if TYPE_CHECKING:
    from vumi.payload import Payload

__all__ = ["SandboxCommand"]


class SandboxCommand(Message):
    """A request or a reply, in either direction.

    ``cmd`` is ``<resource>.<command>`` from the program, ``initialize``, ``inbound-message`` or
    ``inbound-event`` from the worker; ``cmd_id`` is what a reply repeats; ``reply`` tells which
    of both it is. All other fields are the command's own.

    :param fields: The fields; ``cmd``, ``cmd_id`` and ``reply`` have defaults.
    """

    @staticmethod
    def generate_id() -> str:
        """A new unique id: 32 hexadecimal digits."""
        return TransportMessage.generate_id()

    def process_fields(self, fields: Payload) -> Payload:
        fields.setdefault("cmd", "unknown")
        if "cmd_id" not in fields:
            fields["cmd_id"] = self.generate_id()
        fields.setdefault("reply", False)
        return fields

    def validate_fields(self) -> None:
        self.assert_field_present("cmd", "cmd_id", "reply")

    @classmethod
    def from_json(cls, json_string: bytes | str) -> Self:
        """Read a command. No text in it is taken for a date.

        :raises InvalidMessage: It is no command; the words say why.
        """
        payload = decode_payload(json_string)
        command = cls.__new__(cls)
        command.payload = payload
        command.validate_fields()
        if not isinstance(payload["cmd"], str):
            raise InvalidMessage("the command's 'cmd' is no text")
        return command

    def to_line(self) -> bytes:
        """The command as the program reads it: ASCII, with its newline.

        ASCII because runners of old read their input as such.

        :raises TypeError: A field can't be written as JSON.
        :raises ValueError: A number is infinite or none at all.
        """
        text = json.dumps(
            self.payload, cls=JSONMessageEncoder, allow_nan=False, separators=(",", ":")
        )
        return text.encode("ascii") + b"\n"

    def reply(self, **fields: Any) -> SandboxCommand:
        """The reply to this command.

        :param fields: Its own fields, ``success`` among them.
        """
        return SandboxCommand(
            **{**fields, "cmd": self["cmd"], "cmd_id": self["cmd_id"], "reply": True}
        )
