"""Delivery reports: their texts, their states, and ids in other bases."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.transports.smpp.receipts import (
    DEFAULT_RECEIPT_REGEX,
    DEFAULT_STATUS_MAPPING,
    REMOTE_ID_FORMATS,
    Receipt,
    find_receipt,
    remote_id_forms,
    state_name,
    vumi_status,
)

REGEX = re.compile(DEFAULT_RECEIPT_REGEX)

TEXTS = [
    (
        "appendix B",
        "id:1b2c sub:001 dlvrd:001 submit date:2404011200 done date:2404011201 stat:DELIVRD "
        "err:000 text:hello",
        ("1b2c", "DELIVRD"),
    ),
    (
        "a text of several words",
        "id:7 sub:001 dlvrd:001 submit date:1 done date:2 stat:UNDELIV err:1 Text:a b c",
        ("7", "UNDELIV"),
    ),
    ("without what is optional", "id:0 stat:ACCEPTD text:", ("0", "ACCEPTD")),
    ("without even the text", "id:99 stat:EXPIRED", ("99", "EXPIRED")),
    ("after other words", "Report: id:5 stat:REJECTD err:0 text:", ("5", "REJECTD")),
    ("a number for the state", "id:5 sub:001 stat:0 err:0 text:x", ("5", "0")),
    (
        "an id with signs",
        "id:a-b.c_d/12 sub:1 dlvrd:1 submit date:1 done date:1 stat:UNKNOWN err:0 text:",
        ("a-b.c_d/12", "UNKNOWN"),
    ),
    ("an empty date", "id:1 submit date: done date: stat:DELETED text:", ("1", "DELETED")),
    ("no id", "id: stat:DELIVRD text:", None),
    ("no state", "id:1 sub:1 text:", None),
    ("something else", "hello", None),
    ("an id that is too long", "id:" + "1" * 66 + " stat:DELIVRD", None),
]


@pytest.mark.parametrize(("text", "expected"), [t[1:] for t in TEXTS], ids=[t[0] for t in TEXTS])
def test_texts(text: str, expected: tuple[str, str] | None) -> None:
    assert find_receipt(REGEX, text) == (None if expected is None else Receipt(*expected))


@given(st.text())
def test_any_text_is_a_report_or_none(text: str) -> None:
    receipt = find_receipt(REGEX, text)
    assert receipt is None or (receipt.remote_id and receipt.state)


@pytest.mark.parametrize(
    ("number", "word", "status"),
    [
        (1, "ENROUTE", "pending"),
        (2, "DELIVERED", "delivered"),
        (3, "EXPIRED", "failed"),
        (4, "DELETED", "failed"),
        (5, "UNDELIVERABLE", "failed"),
        (6, "ACCEPTED", "delivered"),
        (7, "UNKNOWN", "pending"),
        (8, "REJECTED", "failed"),
        (99, "99", "pending"),
    ],
)
def test_message_states(number: int, word: str, status: str) -> None:
    assert state_name(number) == word
    assert vumi_status(DEFAULT_STATUS_MAPPING, word) == status


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("DELIVRD", "delivered"),
        ("0", "delivered"),
        ("EXPIRED", "failed"),
        ("DELETED", "failed"),
        ("ACCEPTD", "pending"),
        ("UNKNOWN", "pending"),
        ("REJECTD", "failed"),
        ("FAILED", "failed"),
        ("WHATEVR", "pending"),
    ],
)
def test_words_for_states(word: str, status: str) -> None:
    assert vumi_status(DEFAULT_STATUS_MAPPING, word) == status


def test_undeliv_looked_pending_for_ever() -> None:
    assert vumi_status(DEFAULT_STATUS_MAPPING, "UNDELIV") == "failed"


@pytest.mark.parametrize(
    ("form", "answered", "reported"),
    [
        ("same", "0A1b", "0A1b"),
        ("loose", "0A1b", "a1B"),
        ("hex_to_decimal", "3B9ACA00", "1000000000"),
        ("hex_to_decimal", "3b9aca00", "0001000000000"),
        ("decimal_to_hex", "1000000000", "3B9ACA00"),
        ("decimal_to_hex", "1000000000", "03b9aca00"),
        ("hex_to_decimal", "no-number", "no-number"),
        ("decimal_to_hex", "no-number", "no-number"),
        ("loose", "0", "000"),
    ],
)
def test_ids_in_other_bases_are_the_same(form: str, answered: str, reported: str) -> None:
    of_answer, of_report = remote_id_forms(form)
    assert of_answer(answered) == of_report(reported)


@given(st.sampled_from(sorted(REMOTE_ID_FORMATS)), st.text())
def test_any_id_has_a_form(form: str, remote_id: str) -> None:
    for make in remote_id_forms(form):
        assert isinstance(make(remote_id), str)
