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
    is_international_number,
    normalize_msisdn,
    restore_plus,
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
        # a name, a USSD code and digits of no country became numbers
        ("INFO1234567", "", "INFO1234567"),
        ("INFO1234567", "27", "INFO1234567"),
        ("0800FLOWERS", "27", "0800FLOWERS"),
        ("*120*1234#", "", "*120*1234#"),
        ("*120*1234#", "27", "*120*1234#"),
        ("*120*27761234567#", "", "*120*27761234567#"),
        ("#0027761234567", "27", "#0027761234567"),
        ("27761234567@example.org", "", "27761234567@example.org"),
        ("999123456789", "", "999123456789"),
        ("00999123456789", "27", "00999123456789"),
        ("1234567", "", "1234567"),
        ("2776123456789012", "27", "2776123456789012"),
        # with zeros and the country code
        ("00 27 76 123 4567", "27", "+27761234567"),
        ("0041791234567", "27", "+41791234567"),
        # as phones and documents show it
        ("\u202a+27 76 123 4567\u202c", "", "+27761234567"),
        ("+27\u00a076\u2011123\u20114567", "", "+27761234567"),
        # the plus sign came as a space
        (" 27761234567", "", "+27761234567"),
        (" 41791234567", "27", "+41791234567"),
        (" 8123", "27", "8123"),
    ],
)
def test_numbers_are_normalized(raw: str, country_code: str, expected: str) -> None:
    assert normalize_msisdn(raw, country_code) == expected
    if not country_code:
        assert normalize_msisdn(raw) == expected


@given(st.text("0123456789+- ()a*#", max_size=20), st.sampled_from(["", "27", "1"]))
def test_a_sign_is_only_put_before_a_valid_number(raw: str, country_code: str) -> None:
    result = normalize_msisdn(raw, country_code)
    assert (
        result in (raw, restore_plus(raw))
        or re.fullmatch(r"[0-9]+", result)
        or is_international_number(result)
    )


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (" 27761234567", "+27761234567"),
        ("  27 76 123 4567", "+27 76 123 4567"),
        (" 8123", "8123"),
        (" 999123456789", "999123456789"),
        ("27761234567", "27761234567"),
        ("+27761234567", "+27761234567"),
        (" INFO1234567", " INFO1234567"),
        (" *120*1234#", " *120*1234#"),
        (" 0761234567", " 0761234567"),
        ("", ""),
        (" ", " "),
    ],
)
def test_a_plus_sign_that_was_not_escaped_is_taken_back(address: str, expected: str) -> None:
    assert restore_plus(address) == expected


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
