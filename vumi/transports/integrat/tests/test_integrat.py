"""Integrat's gateway. The cases are in ``cases/``."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.tests.cases import TransportCases
from vumi.transports.integrat import IntegratTransport
from vumi.transports.integrat.wire import NotHigate, parse_answer, parse_event
from vumi.web.xml import parse_xml


class IntegratTests(TransportCases):
    transport_class = IntegratTransport
    config: ClassVar = {
        "web_path": "/higate",
        "url": "http://integrat.example/higate",
        "username": "user",
        "password": "pw-51cc",
    }


@given(st.binary())
def test_anything_is_read_or_refused(body: bytes) -> None:
    for parse in (parse_event, parse_answer):
        with pytest.raises(NotHigate):
            parse(body)


def test_an_answer_of_another_kind_is_told() -> None:
    with pytest.raises(NotHigate):
        parse_answer(b"<html><body>Busy</body></html>")


def test_a_refusal_without_a_reason_has_its_code() -> None:
    assert parse_answer(b'<Response status_code="-1"/>') == "status_code: -1"
    assert parse_xml(b"<Response/>").tag == "Response"
