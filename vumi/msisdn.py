"""Phone numbers: clean-up, and the operator by a number's prefix.

Knows how numbers are written, and by the library phonenumbers how long those of each country are.
Does not know which of them are in use.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "cleanup_msisdn",
    "get_operator_name",
    "get_operator_number",
    "is_international_number",
    "normalize_msisdn",
    "restore_plus",
]

# What is this short is a short code and stays as it is.
_SHORT_CODE_LENGTH = 5

# ITU-T E.164: at most fifteen digits, the country code included. The shortest international
# numbers in use have seven.
_INTERNATIONAL = re.compile(r"\+[0-9]{7,15}")

# A number with what people write between its digits, and what documents add to show it from left
# to right. A letter, a star or a hash makes it something else: a name, a USSD code.
_LIKE_NUMBER = re.compile(
    r"(?:tel:)?[0-9+\s()./\u2010-\u2015\u200b-\u200f\u202a-\u202e\u2060\ufeff-]+", re.IGNORECASE
)
# One whose plus sign was not escaped in a URL or a form, where a plus sign is a space.
_LOST_PLUS = re.compile(r" +([1-9][0-9 ()./-]*)")

_UNKNOWN_OPERATOR = "UNKNOWN"


def is_international_number(number: str) -> bool:
    """Whether a number can be one of some country.

    :param number: A plus sign and digits.
    :returns: Whether the country code exists and that country has numbers of this length.
    """
    if not _INTERNATIONAL.fullmatch(number):
        return False
    # Here, for it reads its tables when it is imported: not every worker has numbers.
    from phonenumbers import (
        NumberParseException,
        ValidationResult,
        is_possible_number_with_reason,
        parse,
    )

    try:
        possible = is_possible_number_with_reason(parse(number))
    except NumberParseException:
        return False
    return bool(possible == ValidationResult.IS_POSSIBLE)


def restore_plus(address: str) -> str:
    """Take back the plus sign of a phone number that came as a space.

    ``from=+27761234567`` in a URL or a form means a space and a number; the sender has forgotten
    to escape the sign.

    :param address: A parameter. What is not a space and a number is returned as it is.
    :returns: The number with its plus sign; without it, and the space, if it can't have had one,
        as a short code.
    """
    lost = _LOST_PLUS.fullmatch(address)
    if lost is None:
        return address
    number = lost[1].rstrip(" ")
    return f"+{number}" if is_international_number(f"+{_digits(number)}") else number


def _digits(text: str) -> str:
    return "".join(char for char in text if char in "0123456789")


def normalize_msisdn(raw: str, country_code: str = "") -> str:
    """Write a phone number in its international form, with a leading ``+``.

    ======================== =================== ===========================
    number                   country code        result
    ======================== =================== ===========================
    ``12345`` (or shorter)   any                 unchanged: a short code
    ``+27 (76) 123-4567``    any                 ``+27761234567``
    ``0027761234567``        any                 ``+27761234567``
    ``0761234567``           ``27``              ``+27761234567``
    ``0761234567``           none                ``0761234567``: can't be known
    ``27761234567``          ``27`` or none      ``+27761234567``
    ``761234567``            ``27``              ``761234567``: can't be known
    ``INFO1234567``          any                 unchanged: a name
    ``*120*1234#``           any                 unchanged: a USSD code
    ======================== =================== ===========================

    :param raw: The number; of what looks like one, everything but its digits and a ``+`` before
        them is dropped. A space instead of the ``+`` is taken for it (:func:`restore_plus`).
    :param country_code: The country of numbers in national form: digits, ``+`` allowed.
    :returns: The international form, or `raw` itself where that would be no number of any country
        (:func:`is_international_number`).
    """
    raw = restore_plus(raw)
    if len(raw) <= _SHORT_CODE_LENGTH or not _LIKE_NUMBER.fullmatch(raw):
        return raw
    digits = _digits(raw)
    has_plus = "+" in raw[: _first_digit(raw)]
    code = country_code.lstrip("+")
    if has_plus:
        international = digits
    elif digits.startswith("00"):
        international = digits[2:]
    elif digits.startswith("0"):
        if not code:
            return digits
        international = code + digits[1:]
    elif digits.startswith(code):
        international = digits
    else:
        return digits or raw
    number = f"+{international}"
    return number if is_international_number(number) else raw


def _first_digit(text: str) -> int:
    return next((i for i, char in enumerate(text) if char in "0123456789"), len(text))


def cleanup_msisdn(number: str, country_code: str) -> str:
    """Write a phone number with its country code and no ``+``.

    :param number: The number; a leading ``0`` stands for the country code.
    :param country_code: The country code's digits.
    """
    number = number.replace("+", "")
    if number.startswith("0"):
        return f"{country_code}{number[1:]}"
    return number


def get_operator_name(msisdn: str, mapping: Mapping[Any, Any]) -> str:
    """The operator that a number belongs to, by the longest prefix that fits.

    :param msisdn: The number as :func:`cleanup_msisdn` writes it.
    :param mapping: Prefix to operator's name, or to a further mapping of (whole) prefixes. A
        prefix may be an integer, as YAML reads it.
    :returns: The operator's name, ``UNKNOWN`` if no prefix fits.
    """
    found = max(_matches(msisdn, mapping), key=lambda match: match[0], default=None)
    return _UNKNOWN_OPERATOR if found is None else found[1]


def _matches(msisdn: str, mapping: Mapping[Any, Any]) -> Iterator[tuple[int, str]]:
    for key, value in mapping.items():
        prefix = str(key)
        if not msisdn.startswith(prefix):
            continue
        if isinstance(value, dict):
            yield from _matches(msisdn, value)
        else:
            yield len(prefix), value


def get_operator_number(
    msisdn: str, country_code: str, mapping: Mapping[Any, Any], numbers: Mapping[str, str]
) -> str | None:
    """Our own number (short code) with the operator that a person's number belongs to.

    :param msisdn: The person's number.
    :param country_code: The country of a number in national form.
    :param mapping: Prefixes, as :func:`get_operator_name` takes them.
    :param numbers: Operator's name to our number there.
    :returns: ``None`` if `numbers` doesn't name the operator.
    """
    operator = get_operator_name(cleanup_msisdn(msisdn, country_code), mapping)
    return numbers.get(operator)
