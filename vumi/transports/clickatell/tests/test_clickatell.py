"""Clickatell. The cases are in ``cases/``, those of the old API in ``cases/legacy/``."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.tests.cases import TransportCases
from vumi.transports.clickatell import ClickatellLegacyTransport, ClickatellTransport
from vumi.transports.clickatell.wire import (
    hex_ucs2,
    parse_legacy_answer,
    plain_number,
    unescape_text,
)


class ClickatellTests(TransportCases):
    transport_class = ClickatellTransport
    config: ClassVar = {"web_path": "/sms", "api_key": "key-7fd2"}


class ClickatellLegacyTests(TransportCases):
    transport_class = ClickatellLegacyTransport
    tables = Path(__file__).parents[1] / "cases" / "legacy"
    config: ClassVar = {
        "web_path": "/sms",
        "username": "user",
        "password": "pw-08e1",
        "api_id": "3344",
    }


@pytest.mark.parametrize(
    ("body", "message_id", "refusal"),
    [
        ("ID: ab12", "ab12", None),
        ("ID: ab12 To: 27831234567\nID: cd34 To: 27831234568", "ab12", None),
        ("ERR: 105, INVALID DESTINATION ADDRESS", None, "ERR 105: INVALID DESTINATION ADDRESS"),
        ("ERR: 301", None, "ERR 301: no reason given"),
        ("<html>", None, None),
        ("", None, None),
    ],
)
def test_answers_of_the_old_api(body: str, message_id: str | None, refusal: str | None) -> None:
    assert parse_legacy_answer(body) == (message_id, refusal)


@given(st.text(), st.sampled_from(["", "UTF-8", "ISO-8859-1", "UTF-16BE", "EBCDIC"]))
def test_any_text_is_read(text: str, charset: str) -> None:
    assert isinstance(unescape_text(text, charset), str)


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_sent(text: str) -> None:
    assert bytes.fromhex(hex_ucs2(text)).decode("utf-16-be") is not None


def test_numbers_have_no_plus_and_no_zeros() -> None:
    assert [plain_number(number) for number in ("+2783", "002783", "2783", "")] == [
        *["2783"] * 3,
        "",
    ]
