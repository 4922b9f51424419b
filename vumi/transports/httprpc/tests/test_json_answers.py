"""The content type of answers in JSON."""

from __future__ import annotations

from vumi.transports.httprpc.answers import JSON, Answer, Refused


def test_json_is_answered_as_json_and_not_as_plain_text() -> None:
    assert Answer.json({"a": 1}).headers == {"Content-Type": JSON}
    assert Refused({"missing_parameter": ["to"]}).answer.headers == {"Content-Type": JSON}


def test_a_content_type_that_is_given_stays() -> None:
    headers = {"Content-Type": "application/problem+json"}
    assert Answer.json({}, 400, headers).headers == headers
