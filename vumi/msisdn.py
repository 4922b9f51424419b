"""Phone numbers: clean-up, and the operator by a number's prefix.

Knows how numbers are written, not which of them exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["cleanup_msisdn", "get_operator_name", "get_operator_number", "normalize_msisdn"]

# What is this short is a short code and stays as it is.
_SHORT_CODE_LENGTH = 5

# ITU-T E.164: at most fifteen digits, the country code included. The shortest international
# numbers in use have seven.
_MIN_INTERNATIONAL_DIGITS = 7
_MAX_INTERNATIONAL_DIGITS = 15

_UNKNOWN_OPERATOR = "UNKNOWN"


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
    ======================== =================== ===========================

    :param raw: The number; everything but its digits and a ``+`` before them is dropped.
    :param country_code: The country of numbers in national form: digits, ``+`` allowed.
    :returns: The international form, or `raw` itself where that would be no number (E.164: seven
        to fifteen digits).
    """
    if len(raw) <= _SHORT_CODE_LENGTH:
        return raw
    digits = "".join(char for char in raw if char in "0123456789")
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
    if not _MIN_INTERNATIONAL_DIGITS <= len(international) <= _MAX_INTERNATIONAL_DIGITS:
        return raw
    return f"+{international}"


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
