"""What ESMEs have sent: texts put together from their parts, and kept to be looked at.

Knows how a text is in a PDU, and what is remembered of it. Knows no connection and no rules.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from vumi.codecs import VumiCodec
from vumi.transports.smpp.constants import EsmClass, Tag, status_name
from vumi.transports.smpp.text import DATA_CODING_ENCODINGS
from vumi.transports.smpp.udh import IncompleteMessage, Part, find_udh_part

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Archive", "Message", "Submission", "decode_text", "part_of"]

#: So many messages of which parts are missing are waited for.
MAX_INCOMPLETE = 1000


@dataclass
class Submission:
    """One PDU with a message or with a part of one.

    :ivar number: What the SMSC's id is made of.
    :ivar id: The id, as the ESME is told it.
    :ivar account: Whose it is: the system_id of the bind.
    :ivar part: Which part of the message it has.
    :ivar pdu: The PDU.
    :ivar status: What it was answered with.
    :ivar answered: Whether it has its answer.
    :ivar reports: The states that were reported, each with the status that answered the report.
    """

    number: int
    id: str
    account: str
    part: Part
    pdu: Any
    status: int = 0
    answered: bool = False
    reports: list[tuple[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """What is told of it."""
        return {
            "id": self.id,
            "part": self.part.number,
            "status": status_name(self.status),
            "answered": self.answered,
            "reports": [{"state": state, "answer": answer} for state, answer in self.reports],
        }


@dataclass
class Message:
    """A message, with all its parts; one that was refused is as it came.

    :ivar text: What it says.
    :ivar time: When its last part came, in seconds since the epoch.
    :ivar submissions: Its parts, in order.
    """

    text: str
    time: float
    submissions: list[Submission]

    def as_json(self) -> dict[str, Any]:
        """What is told of it."""
        first = self.submissions[0]
        return {
            "from": first.pdu.source_addr,
            "to": first.pdu.destination_addr,
            "text": self.text,
            "account": first.account,
            "data_coding": first.pdu.data_coding,
            "time": self.time,
            "parts": [submission.as_json() for submission in self.submissions],
        }


def part_of(pdu: Any) -> Part:
    """Which part of a message a PDU has; the whole is part 1 of 1."""
    payload: bytes = pdu.tlv(Tag.message_payload) or getattr(pdu, "short_message", b"")
    coding = pdu.data_coding
    total = pdu.tlv_int(Tag.sar_total_segments)
    reference = pdu.tlv_int(Tag.sar_msg_ref_num)
    number = pdu.tlv_int(Tag.sar_segment_seqnum)
    if total is not None and reference is not None and number is not None:
        part = Part(reference, total, number, payload, coding, "sar")
        if part.sensible:
            return part
    elif pdu.esm_class & EsmClass.UDHI:
        try:
            found, payload = find_udh_part(payload, coding)
        except IncompleteMessage:
            found = None
        if found is not None:
            return found
    return Part(0, 1, 1, payload, coding, "whole")


def decode_text(parts: list[Part], default_encoding: str) -> str:
    """The text of parts in order. What can't be read is shown as bytes.

    :param default_encoding: That of data coding 0.
    """
    payload = b"".join(part.payload for part in parts)
    coding = parts[0].data_coding
    encoding = DATA_CODING_ENCODINGS.get(coding) if coding else default_encoding
    try:
        text: str = VumiCodec().decode(payload, encoding or "latin-1")
    except (UnicodeError, LookupError):
        return payload.decode("ascii", "backslashreplace")
    return text


class Archive:
    """Puts messages together, and keeps them.

    :param keep: How many are kept.
    :param default_encoding: The encoding of data coding 0.
    """

    def __init__(self, keep: int, default_encoding: str) -> None:
        self._default_encoding = default_encoding
        #: The messages, the oldest first.
        self.messages: deque[Message] = deque(maxlen=keep)
        self._by_id: OrderedDict[str, Submission] = OrderedDict()
        self._keep = keep
        self._incomplete: OrderedDict[tuple[Any, ...], dict[int, Submission]] = OrderedDict()

    def add(self, submission: Submission, time: float) -> Message | None:
        """Keep what has come.

        :param time: When, in seconds since the epoch.
        :returns: The message, if all of it is there now, or if it was refused.
        """
        if submission.status:
            return self._whole([submission], time)
        self._by_id[submission.id] = submission
        if len(self._by_id) > self._keep:
            self._by_id.popitem(last=False)
        part = submission.part
        if part.total == 1:
            return self._whole([submission], time)
        pdu = submission.pdu
        key = (
            submission.account,
            pdu.source_addr,
            pdu.destination_addr,
            part.kind,
            part.reference,
            part.total,
        )
        parts = self._incomplete.setdefault(key, {})
        parts[part.number] = submission
        if len(parts) < part.total:
            if len(self._incomplete) > MAX_INCOMPLETE:
                self._incomplete.popitem(last=False)
            return None
        del self._incomplete[key]
        return self._whole([parts[number] for number in sorted(parts)], time)

    def find(self, message_id: str) -> Submission | None:
        """What the SMSC calls so."""
        return self._by_id.get(message_id)

    def latest(self, number: int) -> Iterator[Message]:
        """The latest messages, the oldest of them first."""
        return islice(self.messages, max(len(self.messages) - number, 0), None)

    def text_of(self, submission: Submission) -> str:
        """The text of a part alone."""
        return decode_text([submission.part], self._default_encoding)

    def _whole(self, submissions: list[Submission], time: float) -> Message:
        parts = [submission.part for submission in submissions]
        message = Message(decode_text(parts, self._default_encoding), time, submissions)
        self.messages.append(message)
        return message
