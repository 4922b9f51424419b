"""Delivery reports as an SMSC writes them.

Knows the text that appendix B of SMPP 3.4 suggests, and the optional parameters.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vumi.transports.smpp.constants import EsmClass, MessageState, Tag
from vumi.transports.smpp.pdu import DeliverSm, tlv
from vumi.transports.smpp.simulator.rules import STATES

if TYPE_CHECKING:
    from vumi.transports.smpp.simulator.messages import Submission

__all__ = ["is_wanted", "report_pdu"]

#: Bits of registered_delivery: reports are wanted; of failures only.
REPORT_WANTED, FAILURES_ONLY = 0x03, 0x02
FAILED_STATES = frozenset(
    (
        MessageState.EXPIRED,
        MessageState.DELETED,
        MessageState.UNDELIVERABLE,
        MessageState.REJECTED,
    )
)
DELIVERED = "DELIVRD"


def is_wanted(state: str, registered_delivery: int) -> bool:
    """Whether a message asks to be told of a state.

    :param state: One of :data:`~vumi.transports.smpp.simulator.rules.STATES`.
    :param registered_delivery: As in the message's PDU.
    """
    wanted = registered_delivery & REPORT_WANTED
    return bool(wanted) and (wanted != FAILURES_ONLY or STATES[state][1] in FAILED_STATES)


def report_pdu(
    submission: Submission, state: str, remote_id: str, text: str, form: str, now: float
) -> DeliverSm:
    """A report.

    :param submission: What it is about.
    :param state: One of :data:`~vumi.transports.smpp.simulator.rules.STATES`.
    :param remote_id: The message's id, as reports write it.
    :param text: What the message says.
    :param form: One of :data:`~vumi.transports.smpp.simulator.script.REPORT_FORMS`.
    :param now: The time, in seconds since the epoch.
    """
    word, number = STATES[state]
    pdu = submission.pdu
    return DeliverSm(
        source_addr=pdu.destination_addr,
        source_addr_ton=pdu.dest_addr_ton,
        source_addr_npi=pdu.dest_addr_npi,
        destination_addr=pdu.source_addr,
        dest_addr_ton=pdu.source_addr_ton,
        dest_addr_npi=pdu.source_addr_npi,
        esm_class=int(EsmClass.DELIVERY_RECEIPT),
        short_message=b"" if form == "tlv" else _report_text(word, number, remote_id, text, now),
        tlvs=()
        if form == "text"
        else (tlv(Tag.receipted_message_id, remote_id), tlv(Tag.message_state, number)),
    )


def _report_text(word: str, number: int, remote_id: str, text: str, now: float) -> bytes:
    date = datetime.fromtimestamp(now, UTC).strftime("%y%m%d%H%M")
    report = (
        f"id:{remote_id} sub:001 dlvrd:{'001' if word == DELIVERED else '000'} "
        f"submit date:{date} done date:{date} stat:{word} "
        f"err:{'001' if number in FAILED_STATES else '000'} text:{text[:20]}"
    )
    return report.encode("ascii", "replace")
