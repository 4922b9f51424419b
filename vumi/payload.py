"""Messages as JSON: one object of plain Python data, UTF-8, dates as text in UTC.

Knows the encoding, not what a message is (that is :mod:`vumi.message`).

How decoding works: orjson does the work; where it refuses what Python's own ``json`` takes (lone
surrogates, NaN), ``json`` is asked before the text is called invalid, so that a stricter parser
never costs a message. Where orjson would change a value without a word (an integer over 64 bits
becomes a float when read, NaN and infinity become null when written), ``json`` does it instead.
"""

from __future__ import annotations

import json
import reprlib
from datetime import UTC, datetime
from typing import Any

import orjson

from vumi.errors import InvalidMessage, InvalidMessageField

__all__ = [
    "VUMI_DATE_FORMAT",
    "JSONMessageEncoder",
    "Payload",
    "copy_payload",
    "date_time_decoder",
    "decode_payload",
    "encode_payload",
    "format_vumi_date",
    "from_json",
    "parse_timestamp",
    "parse_vumi_date",
    "short_repr",
    "to_json",
    "utc_now",
]

VUMI_DATE_FORMAT = "%Y-%m-%d %H:%M:%S.%f"
_DATE_FORMAT_NO_MICROSECONDS = "%Y-%m-%d %H:%M:%S"
_CANONICAL_DATE_LENGTH = len("2015-01-02 23:14:11.000000")

Payload = dict[str, Any]


# Dates


def utc_now() -> datetime:
    """The time now, naive UTC, as message timestamps are."""
    return datetime.now(UTC).replace(tzinfo=None)


def format_vumi_date(timestamp: datetime) -> str:
    """Write a date as messages carry it.

    :param timestamp: Naive UTC, or aware of its zone (it is then converted to UTC).
    :returns: ``YYYY-MM-DD HH:MM:SS.ffffff``, always with six digits of microseconds.
    """
    if timestamp.tzinfo is not None:
        timestamp = timestamp.astimezone(UTC).replace(tzinfo=None)
    return timestamp.isoformat(" ", "microseconds")


def parse_vumi_date(value: str) -> datetime:
    """Read a date as messages carry it, with or without microseconds.

    :returns: A naive UTC datetime.
    :raises ValueError: The text is no such date.
    :raises TypeError: The value is not a text.
    """
    if not isinstance(value, str):
        raise TypeError(f"a date is a string, not {type(value).__name__}")
    date_format = VUMI_DATE_FORMAT if "." in value[-10:] else _DATE_FORMAT_NO_MICROSECONDS
    return datetime.strptime(value, date_format)


def parse_timestamp(value: Any) -> datetime:
    """Read a message's timestamp: the canonical form fast, all others leniently."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise InvalidMessageField(f"'timestamp' is not a date: {short_repr(value)}")
    # fromisoformat is some twenty times faster than strptime but takes more forms than ours.
    if len(value) == _CANONICAL_DATE_LENGTH and value[10] == " " and value[19] == ".":
        try:
            timestamp = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            if timestamp.tzinfo is None:
                return timestamp
    try:
        return parse_vumi_date(value)
    except ValueError:
        pass
    try:
        timestamp = datetime.fromisoformat(value)
        if timestamp.tzinfo is not None:
            timestamp = timestamp.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        # OverflowError: a date at the end of the calendar whose zone carries it over the edge.
        raise InvalidMessageField(f"'timestamp' is not a date: {short_repr(value)}") from None
    return timestamp


# JSON


def date_time_decoder(json_object: Payload) -> Payload:
    """Turn every text in a JSON object that is a date into a datetime, in place.

    For callers of :func:`from_json`; messages don't use it (see :meth:`Message.from_json`).
    """
    for key, value in json_object.items():
        try:
            json_object[key] = parse_vumi_date(value)
        except (ValueError, TypeError):
            continue
    return json_object


class JSONMessageEncoder(json.JSONEncoder):
    """A :class:`json.JSONEncoder` that writes datetimes as messages carry them."""

    def default(self, o: Any) -> Any:
        return _encode_extra(o)


def _encode_extra(value: Any) -> str:
    if isinstance(value, datetime):
        return format_vumi_date(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable: {value!r}")


_ORJSON_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS


# A float beyond these is NaN, infinite, or may have been an integer too big for orjson.
_INT64_LIMIT = 2.0**63
#: The types of values that orjson never changes, nor anything in them.
_NEVER_FALSIFIED = frozenset([str, int, bool, type(None), datetime])


def _has_extreme_float(data: Any) -> bool:
    """Whether JSON-like data without cycles holds a float that orjson may have falsified."""
    # A list that grows while it is walked, not recursion: the data may be nested deeply.
    containers: list[Any] = [(data,)]
    for container in containers:
        values = container.values() if isinstance(container, dict) else container
        # By far the most are texts and such: dropped in the quickest way.
        for value in [value for value in values if type(value) not in _NEVER_FALSIFIED]:
            if type(value) is float:
                if not -_INT64_LIMIT < value < _INT64_LIMIT:
                    return True
            elif value and isinstance(value, (dict, list, tuple)):
                containers.append(value)
    return False


def encode_payload(payload: Any) -> bytes:
    """Encode plain Python data as UTF-8 JSON, datetimes as messages carry them.

    :raises TypeError: The data holds what JSON can't, or is nested deeper than about 900 levels.
    """
    try:
        encoded = orjson.dumps(payload, _encode_extra, _ORJSON_OPTIONS)
    except TypeError:
        # Integers over 64 bits and lone surrogates: the standard library escapes them as ASCII.
        return _encode_with_json(payload)
    # Looked for after encoding: by then the data is known to have no cycles.
    return _encode_with_json(payload) if _has_extreme_float(payload) else encoded


def _encode_with_json(payload: Any) -> bytes:
    try:
        return json.dumps(payload, cls=JSONMessageEncoder).encode("ascii")
    except (ValueError, RecursionError) as error:
        raise TypeError(f"not JSON serializable: {error}") from None


def decode_payload(data: bytes | str) -> Payload:
    """Decode one message's JSON object. Dates stay texts.

    :param data: JSON as UTF-8 bytes or text.
    :raises InvalidMessage: It is not JSON, or JSON but not an object.
    """
    try:
        payload = orjson.loads(data)
    except ValueError:
        payload = _decode_with_json(data)
    else:
        if _has_extreme_float(payload):
            payload = _decode_with_json(data)
    if not isinstance(payload, dict):
        raise InvalidMessage(f"JSON, but not an object: {_excerpt(data)}")
    return payload


def _decode_with_json(data: bytes | str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage(f"not JSON ({error}): {_excerpt(data)}") from None


def short_repr(value: Any) -> str:
    """What a value from the wire looks like, for error texts: short, however big or deep it is."""
    return reprlib.repr(value)


def _excerpt(data: bytes | str, length: int = 80) -> str:
    return repr(data) if len(data) <= length else f"{data[:length]!r}..."


def from_json(json_string: bytes | str) -> Any:
    """Decode JSON, turning every text at any depth that is a date into a datetime.

    Kept for programs that rely on it. Messages convert their ``timestamp`` only.

    :raises ValueError: It is not JSON.
    """
    return json.loads(json_string, object_hook=date_time_decoder)


def to_json(obj: Any) -> str:
    """Encode plain Python data as JSON text, datetimes as messages carry them.

    :raises TypeError: The data holds what JSON can't.
    """
    return encode_payload(obj).decode("utf-8")


def copy_payload(value: Any) -> Any:
    """A deep copy of JSON-like data; a good deal faster than :func:`copy.deepcopy`."""
    if isinstance(value, dict):
        return {key: copy_payload(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [copy_payload(item) for item in value]
    return value
