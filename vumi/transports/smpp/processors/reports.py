"""Delivery reports, as the SMPP specification has them.

Knows where in a PDU a report is and what its words mean to applications. Which message it is about
only the transport knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.logger import Logger
from zope.interface import implementer

from vumi.codecs.gsm_shifts import encode_gsm
from vumi.config import Config, ConfigBool, ConfigDict, ConfigRegex
from vumi.damaged_text import decode_text
from vumi.transports.smpp.constants import EsmClass, MessageState, Tag
from vumi.transports.smpp.data_coding import GSM_DEFAULT, encoding_of
from vumi.transports.smpp.iprocessors import IDeliveryReportProcessor
from vumi.transports.smpp.receipts import (
    DEFAULT_STATUS_MAPPING,
    MAX_ID,
    Receipt,
    find_receipt,
    known_word,
    read_receipt,
    state_name,
    vumi_status,
)
from vumi.transports.smpp.udh import read_payload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from twisted.internet.defer import Deferred

__all__ = ["DeliveryReportProcessor", "DeliveryReportProcessorConfig"]

#: The types of message that say what has become of another one. Of the others (acknowledgements
#: and aborts, 5.2.12) the text is a person's, if it isn't a report's.
_REPORT_TYPES = frozenset(range(EsmClass.DELIVERY_RECEIPT, EsmClass.TYPE_MASK + 1, 4)) - {
    EsmClass.DELIVERY_ACK,
    EsmClass.MANUAL_ACK,
    EsmClass.CONVERSATION_ABORT,
}
#: The word for a state that a report does not say.
_NO_STATE = state_name(MessageState.UNKNOWN)
#: So many unknown words are told to the log, each once.
_MAX_WORDS = 100
_STATES = frozenset(MessageState)


class _StatusMapping(ConfigDict):
    def clean(self, value: Any) -> dict[str, Any]:
        mapping = {str(state): status for state, status in super().clean(value).items()}
        if set(mapping.values()) - {"pending", "failed", "delivered"}:
            self.raise_config_error("has a status that is none of pending, failed, delivered.")
        return mapping


class DeliveryReportProcessorConfig(Config):
    """Options for delivery reports."""

    delivery_report_regex = ConfigRegex(
        "How a delivery report looks that is a text. It is searched for; its groups id and stat "
        "are taken. By default, and if it finds nothing in what the esm_class says is a report, "
        "the fields id and stat are read in any order, case and form.",
        static=True,
    )
    delivery_report_status_mapping = _StatusMapping(
        "What each word for a state means: pending, failed or delivered. Others are pending. The "
        "case does not matter, and the long and the short form of a word are the same unless both "
        "are given. If given, it replaces the default as a whole.",
        default=dict(DEFAULT_STATUS_MAPPING),
        static=True,
    )
    delivery_report_use_esm_class = ConfigBool(
        "Whether a text is a delivery report only if its esm_class says so. If not, the texts of "
        "all messages are searched.",
        default=True,
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        if self.delivery_report_status_mapping is None:
            self.raise_config_error("Field 'delivery_report_status_mapping' must not be null.")
        regex = self.delivery_report_regex
        missing = {"id", "stat"} - regex.groupindex.keys() if regex is not None else ()
        if missing:
            self.raise_config_error(
                f"Field 'delivery_report_regex' lacks the groups {', '.join(sorted(missing))}."
            )


@implementer(IDeliveryReportProcessor)
class DeliveryReportProcessor:
    """Recognises reports by their parameters, or by their text.

    :param transport: Is told of reports by its ``handle_delivery_report``.
    :param config: The options, see :class:`DeliveryReportProcessorConfig`.
    """

    CONFIG_CLASS: ClassVar[Any] = DeliveryReportProcessorConfig

    log = Logger()

    def __init__(self, transport: Any, config: Mapping[str, Any]) -> None:
        self.transport = transport
        self.config: Any = self.CONFIG_CLASS(config, static=True)
        self._regex = self.config.delivery_report_regex
        self._mapping = self.config.delivery_report_status_mapping
        self._use_esm_class = self.config.delivery_report_use_esm_class

        self._told_words: set[str] = set()

    def handle_delivery_report_pdu(self, pdu: Any) -> Any:
        """Take a PDU that has the parameters of a report, or is one by its esm_class.

        What the parameters say counts, as far as it can be; what they don't say is looked for in
        the text.
        """
        remote_id = (pdu.tlv_text(Tag.receipted_message_id) or "").strip()[:MAX_ID]
        state = pdu.tlv_int(Tag.message_state)
        if remote_id and state in _STATES:
            return self._handle(Receipt(remote_id, state_name(state)))
        message_type = pdu.esm_class & EsmClass.TYPE_MASK if self._use_esm_class else 0
        if not message_type and not remote_id:
            return False
        payload = read_payload(pdu)
        if payload.part is not None:
            # It is looked at again when all of it is there.
            return False
        text = ""
        for text in _texts(payload.octets, pdu.data_coding):
            receipt = self._receipt(text, remote_id)
            if receipt is not None:
                break
        else:
            if not remote_id or (not message_type and state is None):
                return self._not_understood(pdu, message_type)
            receipt = Receipt(remote_id, _NO_STATE)
            if state is not None:
                receipt = Receipt(remote_id, str(state), is_word=False)
        if state in _STATES:
            receipt = Receipt(receipt.remote_id, state_name(state))
        return self._handle(receipt)

    def handle_delivery_report_content(self, content: str) -> Any:
        """Take a text that looks like a report, unless it's the esm_class that says so."""
        if self._use_esm_class:
            return False
        if self._regex is None:
            receipt = self._read(content or "", "") or self._read(_as_ascii(content or ""), "")
        else:
            receipt = find_receipt(self._regex, content or "")
        return False if receipt is None else self._handle(receipt)

    def _receipt(self, text: str, remote_id: str) -> Receipt | None:
        """What a text says that is to be a report."""
        found = None if self._regex is None else find_receipt(self._regex, text)
        if found is None:
            return self._read(text, remote_id)
        return Receipt(remote_id or found.remote_id, found.state)

    def _read(self, text: str, remote_id: str) -> Receipt | None:
        found_id, found_state = read_receipt(text)
        remote_id = remote_id or found_id or ""
        if not remote_id or found_state is None:
            return None
        return Receipt(remote_id, found_state)

    def _not_understood(self, pdu: Any, message_type: int) -> Any:
        if message_type not in _REPORT_TYPES:
            # A message like others, for all that is known.
            return False
        text = next(_texts(read_payload(pdu).octets, pdu.data_coding))
        return self.transport.handle_unreadable_report(pdu, text)

    def _handle(self, receipt: Receipt) -> Deferred[bool]:
        word, status = receipt.state, "pending"
        if receipt.is_word:
            status = vumi_status(self._mapping, word)
            if status == "pending":
                self._note_word(word)
        handled: Deferred[Any] = self.transport.handle_delivery_report(
            receipted_message_id=receipt.remote_id,
            delivery_status=status,
            smpp_delivery_status=word,
        )
        return handled.addCallback(lambda _: True)

    def _note_word(self, word: str) -> None:
        """Tell the log of a word that the mapping does not have, once."""
        told = self._told_words
        if word in told or len(told) >= _MAX_WORDS or known_word(self._mapping, word) is not None:
            return
        told.add(word)
        self.log.warn(
            "Delivery reports say {word!r}, which delivery_report_status_mapping does not have: "
            "taken to be pending",
            event="smpp-report-word-unknown",
            word=word,
        )


def _as_ascii(text: str) -> str:
    """A text of ASCII that was read as GSM's alphabet, where a tab is a letter."""
    try:
        return encode_gsm(text).decode("latin-1")
    except UnicodeEncodeError:
        return ""


def _texts(octets: bytes, data_coding: int) -> Iterator[str]:
    """What the text of a report may be: by its data coding, and as SMSCs send it all the same."""
    encoding = encoding_of(data_coding)
    if encoding is None or encoding == GSM_DEFAULT:
        # They are ASCII even then: a tab is no letter.
        encoding = "latin-1"
    for candidate in dict.fromkeys((encoding, "latin-1", "utf-16-be", "utf-16-le")):
        yield decode_text(octets, candidate)
