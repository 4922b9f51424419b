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
    "REMOTE_ID_FORMATS",
    "DeliveryStatus",
    "Receipt",
    "find_receipt",
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

#: The text of appendix B, with those fields optional that some SMSCs leave out.
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


@dataclass(frozen=True)
class Receipt:
    """What a delivery report says.

    :ivar remote_id: What the SMSC calls the message.
    :ivar state: Its word for what has become of it.
    """

    remote_id: str
    state: str


def find_receipt(regex: re.Pattern[str], text: str) -> Receipt | None:
    """Find a delivery report in a text.

    :param regex: With the groups ``id`` and ``stat``.
    :returns: ``None`` if there is none in it.
    """
    match = regex.search(text)
    if match is None or not match["id"] or match["stat"] is None:
        return None
    return Receipt(match["id"], match["stat"])


def state_name(message_state: int) -> str:
    """The word for a message_state; the number itself if it is none of 5.2.28."""
    return _STATE_NAMES.get(message_state, str(message_state))


def vumi_status(mapping: Mapping[str, str], state: str) -> DeliveryStatus:
    """What applications are told of a state; those that nobody knows are ``pending``."""
    return cast("DeliveryStatus", mapping.get(state, "pending"))


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
