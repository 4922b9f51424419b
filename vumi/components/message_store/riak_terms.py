"""The terms of secondary indexes, and ids as keys.

Pure: texts in, texts out. Index terms go through HTTP headers, where a comma ends one and what
isn't printable has no place: that is percent-encoded. The old Vumi sent everything as it was, so a
term without ``%`` is read as it is.
"""

from __future__ import annotations

import re
from calendar import timegm
from datetime import datetime, timedelta
from typing import NamedTuple

from vumi.errors import InvalidMessage
from vumi.payload import format_vumi_date, parse_timestamp

__all__ = [
    "CoarseHit",
    "Hit",
    "Index",
    "escape_key",
    "escape_term",
    "exact_term",
    "from_second",
    "last_of_second",
    "parse_forward",
    "parse_reverse",
    "reverse_timestamp",
    "second_of",
    "unescape_key",
    "unescape_term",
]


class Index:
    """Names of secondary indexes."""

    # The old Vumi's.
    BATCHES = "batches_bin"
    CURRENT_BATCH = "current_batch_bin"
    MESSAGE = "message_bin"
    #: ``<message id>$<timestamp>$<status>``
    MESSAGE_STATUS = "message_with_status_bin"
    #: ``<batch>$<timestamp>$<address>``
    BATCH_ADDRESSES = "batches_with_addresses_bin"
    #: ``<batch>$<reverse timestamp>$<address>``
    BATCH_ADDRESSES_REVERSE = "batches_with_addresses_reverse_bin"
    #: ``<batch>$<reverse timestamp>$<status>``
    BATCH_STATUSES_REVERSE = "batches_with_statuses_reverse_bin"

    # Ours.
    #: Of events, ``<batch>$<timestamp>$<status>``
    BATCH_STATUSES = "batches_with_statuses_bin"
    #: ``$<timestamp>$``, as if all were in one batch without a name.
    TIMESTAMPS = "timestamps_bin"
    #: The user's: ``<address>$<timestamp>$``
    ADDRESSES = "addresses_bin"
    #: The other side's: ``<address>``
    OTHER_ADDRESSES = "other_addresses_bin"
    #: Of batches: ``<pool>:<tag>``
    TAGS = "tags_bin"

    # Riak's.
    KEY = "$key"
    BUCKET = "$bucket"


# Texts

_UNFIT_FOR_TERM = re.compile(r"[^\x20-\x7e]|[%,]|^ | \Z")
_UNFIT_FOR_KEY = re.compile("[\x00-\x1f\x7f\ud800-\udfff]|%(?=[0-9A-F]{2})")
_ESCAPES = re.compile(r"(?:%[0-9A-F]{2})+")
#: Nothing has no place in a path or a header.
_EMPTY = "%"


def escape_term(text: str) -> str:
    """A term, or its beginning, as it goes into a header: printable ASCII without commas."""
    return _UNFIT_FOR_TERM.sub(_percent, text)


def unescape_term(text: str) -> str:
    """The term that was escaped; one of the old Vumi's as it is."""
    return _ESCAPES.sub(_unpercent, text)


def escape_key(text: str) -> str:
    """An id as a key. Almost all are their own; Riak's JSON has no place for half characters."""
    if text in ("", _EMPTY):
        return "%25" if text else _EMPTY
    return _UNFIT_FOR_KEY.sub(_percent, text)


def unescape_key(key: str) -> str:
    """The id of a key."""
    return "" if key == _EMPTY else _ESCAPES.sub(_unpercent, key)


def exact_term(text: str) -> str:
    """A term that is only this text, even if that is empty."""
    return escape_term(text) or _EMPTY


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _unpercent(match: re.Match[str]) -> str:
    try:
        return bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        # None of ours.
        return match[0]


# Times

_EPOCH = datetime(1970, 1, 1)
_REVERSE_ZERO = 0xFFFFFFFFFF
_FIRST_MOMENT = "0001-01-01 00:00:00.000000"


def second_of(timestamp: str) -> int:
    """The Unix time of a Vumi date, whole seconds; 0 for what was before 1970.

    A reverse timestamp has no place for less: it would get longer, and be out of order.
    """
    return max(0, timegm(parse_timestamp(timestamp).timetuple()))


def from_second(second: int) -> str:
    """The first moment of a second, as a Vumi date; second 0 has all before it."""
    if second <= 0:
        return _FIRST_MOMENT
    return format_vumi_date(_EPOCH + timedelta(seconds=second))


def last_of_second(second: int) -> str:
    """The last moment of a second, as a Vumi date."""
    return format_vumi_date(_EPOCH + timedelta(seconds=second, microseconds=999_999))


def reverse_timestamp(second: int) -> str:
    """What sorts backwards: upper-case hex digits, precise to the second."""
    return f"{_REVERSE_ZERO - second:010X}"


# Index terms


class Hit(NamedTuple):
    """What a term of an index that sorts forwards says.

    :param timestamp: A Vumi date.
    :param key: The id.
    :param term: An address or a status.
    """

    timestamp: str
    key: str
    term: str


class CoarseHit(NamedTuple):
    """What a term of a reverse index says, where the time is whole seconds."""

    second: int
    key: str
    term: str


def parse_forward(group: str, term: str, key: str) -> Hit | None:
    """Read a term ``<group>$<timestamp>$<rest>``.

    :returns: ``None`` for that of another group: ``a$b`` is in the range of ``a``.
    """
    parts = _parts(group, term)
    if parts is None:
        return None
    try:
        timestamp = format_vumi_date(parse_timestamp(parts[0]))
    except InvalidMessage:
        return None
    return Hit(timestamp, unescape_key(key), parts[1])


def parse_reverse(group: str, term: str, key: str) -> CoarseHit | None:
    """Read a term ``<group>$<reverse timestamp>$<rest>``; the same otherwise."""
    parts = _parts(group, term)
    if parts is None or not re.fullmatch("[0-9A-F]{10}", parts[0]):
        return None
    return CoarseHit(_REVERSE_ZERO - int(parts[0], 16), unescape_key(key), parts[1])


def _parts(group: str, term: str) -> tuple[str, str] | None:
    begin = f"{group}$"
    term = unescape_term(term)
    if not term.startswith(begin):
        return None
    timestamp, separator, rest = term[len(begin) :].partition("$")
    return (timestamp, rest) if separator else None
