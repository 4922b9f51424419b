"""Delivery reports: what a deliver_sm says of a message that was sent.

Knows the two forms they have, the states of SMPP 3.4 and the bases in which SMSCs write ids. Pure:
values in, values out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from vumi.transports.smpp.constants import MessageState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "DEFAULT_RECEIPT_REGEX",
    "DEFAULT_STATUS_MAPPING",
    "MAX_ID",
    "REMOTE_ID_FORMATS",
    "DeliveryStatus",
    "Receipt",
    "find_receipt",
    "known_word",
    "read_receipt",
    "remote_id_forms",
    "state_name",
    "vumi_status",
]

DeliveryStatus = Literal["pending", "failed", "delivered"]

_STATE_NAMES: Mapping[int, str] = {state.value: state.name for state in MessageState}

#: What becomes of each word for a state: the long ones of the TLV and the short ones of texts
#: (appendix B), and what SMSCs write besides.
DEFAULT_STATUS_MAPPING: Mapping[str, DeliveryStatus] = {
    "ENROUTE": "pending",
    "DELIVERED": "delivered",
    "EXPIRED": "failed",
    "DELETED": "failed",
    "UNDELIVERABLE": "failed",
    "ACCEPTED": "delivered",
    "UNKNOWN": "pending",
    "REJECTED": "failed",
    "DELIVRD": "delivered",
    "UNDELIV": "failed",
    "ACCEPTD": "pending",
    "REJECTD": "failed",
    "FAILED": "failed",
    "0": "delivered",
}

#: The text of appendix B, with those fields optional that some SMSCs leave out: what the old Vumi
#: looked for, more or less.
DEFAULT_RECEIPT_REGEX = (
    r"id:(?P<id>\S{1,65})"
    r"(?: +sub:(?P<sub>\S*))?"
    r"(?: +dlvrd:(?P<dlvrd>\S*))?"
    r"(?: +submit date:(?P<submit_date>\d*))?"
    r"(?: +done date:(?P<done_date>\d*))?"
    r" +stat:(?P<stat>[A-Z]{5,7}|\d{1,2})"
    r"(?: +err:(?P<err>\S*))?"
    r"(?: +[Tt]ext:(?P<text>.{0,20}))?"
)

#: The octets of an id, section 5.2.23, without its NUL.
MAX_ID = 65


@dataclass(frozen=True)
class Receipt:
    """What a delivery report says.

    :ivar remote_id: What the SMSC calls the message.
    :ivar state: Its word for what has become of it.
    :ivar is_word: Whether it is a word; else it is a number that stands for nothing.
    """

    remote_id: str
    state: str
    is_word: bool = True


def find_receipt(regex: re.Pattern[str], text: str) -> Receipt | None:
    """Find a delivery report in a text.

    A word that the regex cuts short, as many do after seven letters, is taken as a whole.

    :param regex: With the groups ``id`` and ``stat``.
    :returns: ``None`` if there is none in it.
    """
    match = regex.search(text)
    if match is None or not match["id"] or match["stat"] is None:
        return None
    rest = _LETTERS.match(text, match.end("stat")) if match["stat"].isalpha() else None
    return Receipt(match["id"], match["stat"] + (rest[0] if rest else ""))


_LETTERS = re.compile(r"[A-Za-z]+")
# An id is ASCII without separators.
_SEPARATOR, _BEGIN = r"\s*[:=]\s*[\"']?", r"(?<![A-Za-z0-9_])"
_ID = re.compile(
    rf"{_BEGIN}(?:(?:smsc?|message|msg)[ _-]?)?id{_SEPARATOR}([!#-&(-+\--:<-{{}}~]{{1,{MAX_ID}}})"
    r"(?=[\s,;|\"']|$)",
    re.IGNORECASE,
)
_STATE = re.compile(
    rf"{_BEGIN}(?:message[ _-]?)?(?:stat(?:us|e)?){_SEPARATOR}([A-Za-z][A-Za-z_-]*|\d{{1,3}})",
    re.IGNORECASE,
)
_TEXT = re.compile(rf"{_BEGIN}te?xt\s*[:=]", re.IGNORECASE)


def read_receipt(text: str) -> tuple[str | None, str | None]:
    """Read the fields of a delivery report: in any order, case and form of separators and dates.

    What is in the field ``text`` was written by a person: it is looked at only if there is
    nothing before it.

    :returns: The id and the word for the state, as far as they are there.
    """
    cut = _TEXT.search(text)
    head = text[: cut.start()] if cut else text
    found = []
    for field in (_ID, _STATE):
        match = field.search(head) or field.search(text)
        found.append(match[1] if match else None)
    return found[0], found[1]


def state_name(message_state: int) -> str:
    """The word for a message_state; the number itself if it is none of 5.2.28."""
    return _STATE_NAMES.get(message_state, str(message_state))


#: The long and the short form of each word, and other spellings that SMSCs use.
_SYNONYMS: tuple[tuple[str, ...], ...] = (
    ("DELIVERED", "DELIVRD", "DELIVERD", "DELIVRED"),
    ("UNDELIVERABLE", "UNDELIV", "UNDELIVERED", "UNDELIVRD", "UNDELIVERD"),
    ("REJECTED", "REJECTD"),
    ("ACCEPTED", "ACCEPTD"),
    ("EXPIRED", "EXPIRD"),
    ("DELETED", "DELETD"),
    ("ENROUTE",),
    ("UNKNOWN",),
)
#: So many letters are enough to tell the words from each other, if one was cut short.
_ENOUGH_LETTERS = 5


def known_word(mapping: Mapping[str, str], state: str) -> str | None:
    """The word of a mapping that a state is, in any case and in its long or short form.

    :returns: ``None`` if the mapping has none.
    """
    if state in mapping:
        return state
    word = state.upper().replace("_", "").replace("-", "")
    candidates = [word]
    for synonyms in _SYNONYMS:
        if word in synonyms or (len(word) >= _ENOUGH_LETTERS and synonyms[0].startswith(word)):
            candidates += synonyms
    by_upper = {key.upper(): key for key in mapping}
    return next((by_upper[name] for name in candidates if name in by_upper), None)


def vumi_status(mapping: Mapping[str, str], state: str) -> DeliveryStatus:
    """What applications are told of a state; those that nobody knows are ``pending``."""
    word = known_word(mapping, state)
    return "pending" if word is None else cast("DeliveryStatus", mapping[word])


# Ids


def _as_is(remote_id: str) -> str:
    return remote_id


def _loose(remote_id: str) -> str:
    return remote_id.lower().lstrip("0") or "0"


def _hex_to_decimal(remote_id: str) -> str:
    return str(int(remote_id, 16)) if _HEX.fullmatch(remote_id) else remote_id


def _decimal_to_hex(remote_id: str) -> str:
    return f"{int(remote_id):x}" if _DECIMAL.fullmatch(remote_id) else remote_id


_HEX = re.compile(r"[0-9A-Fa-f]{1,64}")
_DECIMAL = re.compile(r"[0-9]{1,64}")

#: What may be between the id of a submit_sm_resp and that of its report.
REMOTE_ID_FORMATS: Mapping[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "same": (_as_is, _as_is),
    "loose": (_loose, _loose),
    "hex_to_decimal": (_hex_to_decimal, _loose),
    "decimal_to_hex": (_decimal_to_hex, _loose),
}


def remote_id_forms(name: str) -> tuple[Callable[[str], str], Callable[[str], str]]:
    """How the SMSC's ids are made comparable.

    :param name: One of :data:`REMOTE_ID_FORMATS`.
    :returns: What to make of the id in a submit_sm_resp, and of that in a report.
    """
    return REMOTE_ID_FORMATS[name]
