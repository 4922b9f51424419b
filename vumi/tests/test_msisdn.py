"""Phone numbers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.msisdn import (
    cleanup_msisdn,
    get_operator_name,
    get_operator_number,
    normalize_msisdn,
)


@pytest.mark.parametrize(
    ("raw", "country_code", "expected"),
    [
        # short codes
        ("", "27", ""),
        ("1", "27", "1"),
        ("01234", "27", "01234"),
        ("12345", "", "12345"),
        ("+1234", "27", "+1234"),
        # international already
        ("+27761234567", "27", "+27761234567"),
        ("+27761234567", "", "+27761234567"),
        ("+41791234567", "27", "+41791234567"),
        ("0027761234567", "27", "+27761234567"),
        ("0027761234567", "", "+27761234567"),
        # national
        ("0761234567", "27", "+27761234567"),
        ("0761234567", "+27", "+27761234567"),
        ("0761234567", "", "0761234567"),
        # with the country code, without a sign
        ("27761234567", "27", "+27761234567"),
        ("27761234567", "", "+27761234567"),
        ("41791234567", "27", "41791234567"),
        # punctuation
        ("+27 (76) 123-4567", "27", "+27761234567"),
        ("tel:+27761234567", "", "+27761234567"),
        ("076 123 4567", "27", "+27761234567"),
        ("2776+1234567", "27", "+27761234567"),
        ("++27761234567", "27", "+27761234567"),
        # what is no number stays as it is
        ("VODACOM1", "", "VODACOM1"),
        ("username", "27", "username"),
        ("123456", "", "123456"),
        ("+12345", "27", "+12345"),
        ("001234", "27", "001234"),
        ("1234567890123456", "", "1234567890123456"),
        ("+1234567890123456", "27", "+1234567890123456"),
        ("+123456789012345", "27", "+123456789012345"),
        ("٠٧٦١٢٣٤٥٦٧", "27", "٠٧٦١٢٣٤٥٦٧"),
    ],
)
def test_numbers_are_normalized(raw: str, country_code: str, expected: str) -> None:
    assert normalize_msisdn(raw, country_code) == expected
    if not country_code:
        assert normalize_msisdn(raw) == expected


@given(st.text("0123456789+- ()a", max_size=20), st.sampled_from(["", "27", "1"]))
def test_a_sign_is_only_put_before_a_valid_number(raw: str, country_code: str) -> None:
    result = normalize_msisdn(raw, country_code)
    assert result == raw or re.fullmatch(r"\+[0-9]{7,15}|[0-9]+", result)


@given(st.text("0123456789+- ", max_size=20), st.sampled_from(["27", "1"]))
def test_a_normalized_number_stays_as_it_is(raw: str, country_code: str) -> None:
    result = normalize_msisdn(raw, country_code)
    if result.startswith("+"):
        assert normalize_msisdn(result, country_code) == result


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+27761234567", "27761234567"),
        ("0761234567", "27761234567"),
        ("27761234567", "27761234567"),
        ("++0761234567", "27761234567"),
        ("00761234567", "270761234567"),
        ("", ""),
    ],
)
def test_numbers_are_cleaned_up(number: str, expected: str) -> None:
    assert cleanup_msisdn(number, "27") == expected


OPERATORS: dict[Any, Any] = {
    "27": {"2782": "VODACOM", "27830": "MTN A", "2783": "MTN", "2784": "CELLC", "278": "OTHER"},
    "41": {"41": "CH"},
    4179: "SWISSCOM",
    "417": "SHORT",
    "99": {},
}


@pytest.mark.parametrize(
    ("msisdn", "expected"),
    [
        ("27821234567", "VODACOM"),
        ("27831234567", "MTN"),
        ("27830234567", "MTN A"),
        ("27891234567", "OTHER"),
        ("27761234567", "UNKNOWN"),
        ("41791234567", "SWISSCOM"),
        ("41781234567", "SHORT"),
        ("41441234567", "CH"),
        ("99123456789", "UNKNOWN"),
        ("", "UNKNOWN"),
    ],
)
def test_the_longest_prefix_names_the_operator(msisdn: str, expected: str) -> None:
    assert get_operator_name(msisdn, OPERATORS) == expected
    reordered = dict(reversed(OPERATORS.items()))
    assert get_operator_name(msisdn, reordered) == expected


@pytest.mark.parametrize(
    ("msisdn", "expected"),
    [
        ("0821234567", "8864"),
        ("+27821234567", "8864"),
        ("27841234567", None),
        ("27761234567", "0000"),
    ],
)
def test_our_number_with_an_operator_is_found(msisdn: str, expected: str | None) -> None:
    numbers = {"VODACOM": "8864", "UNKNOWN": "0000"}
    assert get_operator_number(msisdn, "27", OPERATORS, numbers) == expected
