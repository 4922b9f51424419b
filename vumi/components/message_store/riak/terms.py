"""The terms of secondary indexes, and ids as keys.

Pure: texts in, texts out. Index terms go through HTTP headers, where a comma ends a term and only
printable characters are allowed; all else is percent-encoded. The old Vumi sent terms unchanged,
so a term without ``%`` is read as it is.

Riak reads request lines of up to 8,192 octets, and a page of an index is asked for by such a line:
it has the bucket and the index (850 octets at most), the first and the last term of the range, and
the continuation, in which Riak puts the last term and key of the page before, as Base64. So the
parts of a term, and keys, have bounds: :data:`MAX_GROUP`, :data:`MAX_REST`, :data:`MAX_KEY`. A
longer text is replaced by its digest: ``%~`` and 32 hex digits, which is the escape of no other
text. With all parts at their bounds the line has 6,800 octets.
"""

from __future__ import annotations

import re
from calendar import timegm
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import quote

from vumi.errors import InvalidMessage
from vumi.payload import format_vumi_date, parse_timestamp

__all__ = [
    "CoarseHit",
    "Hit",
    "Index",
    "compound_term",
    "digest",
    "escape_key",
    "escape_term",
    "exact_term",
    "from_second",
    "group_prefix",
    "is_digest",
    "last_of_second",
    "object_key",
    "parse_forward",
    "parse_reverse",
    "quoted",
    "rest_term",
    "reverse_timestamp",
    "second_of",
    "split_forward",
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


def quoted(part: str) -> str:
    """A part of a path. Not even ``.`` stays, and ``+`` must not: Riak reads it as a space."""
    return quote(part, safe="", errors="surrogatepass").replace(".", "%2E")


# Bounds

#: Octets that the group of a term may have in a request line.
MAX_GROUP = 500
#: Characters that what follows the time may have in a term.
MAX_REST = 600
#: Octets that a key may have in a request line.
MAX_KEY = 1_200

_DIGEST = re.compile("%~[0-9a-f]{32}")


def digest(text: str) -> str:
    """What replaces a text that is too long."""
    octets = text.encode("utf-8", "surrogatepass")
    return f"%~{blake2b(octets, digest_size=16).hexdigest()}"


def is_digest(text: str) -> bool:
    """Whether a part of a term, or a key, replaces a text that is too long."""
    return _DIGEST.fullmatch(text) is not None


def _bounded(text: str, escaped: str, most: int) -> str:
    """A text as it is escaped, or its digest. A digest stays: what an index gives is found."""
    if is_digest(text):
        return text
    return escaped if len(quoted(escaped)) <= most else digest(text)


def object_key(text: str) -> str:
    """The key of an id."""
    return _bounded(text, escape_key(text), MAX_KEY)


def exact_term(text: str) -> str:
    """A term that is only this text, even if that is empty."""
    return _bounded(text, escape_term(text) or _EMPTY, MAX_GROUP)


def group_prefix(group: str) -> str:
    """What the terms of a group begin with, escaped."""
    # Its last character is a dollar sign: a space before that needs no escape.
    return f"{_bounded(group, escape_term(f'{group}$')[:-1], MAX_GROUP)}$"


def rest_term(rest: str) -> str:
    """What follows the time in a term, before it is escaped."""
    return rest if len(escape_term(rest)) <= MAX_REST else digest(rest)


def compound_term(group: str, time: str, rest: str) -> str:
    """A term ``<group>$<time>$<rest>``, escaped."""
    short = rest_term(rest)
    tail = f"{time}${short}" if short is not rest else escape_term(f"{time}${rest}")
    return group_prefix(group) + tail


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
    return _hit(*parts, key)


def split_forward(term: str, key: str) -> tuple[str, Hit] | None:
    """Read a term of any group whose rest has no ``$``.

    :returns: What the terms of its group begin with, as :func:`group_prefix` gives it, and the
        hit; ``None``: it is not such a term.
    """
    parts = term.rsplit("$", 2)
    hit = _hit(parts[1], parts[2], key) if len(parts) == 3 else None
    return None if hit is None else (f"{parts[0]}$", hit)


def _hit(timestamp: str, rest: str, key: str) -> Hit | None:
    try:
        timestamp = format_vumi_date(parse_timestamp(timestamp))
    except InvalidMessage:
        return None
    return Hit(timestamp, unescape_key(key), rest)


def parse_reverse(group: str, term: str, key: str) -> CoarseHit | None:
    """Read a term ``<group>$<reverse timestamp>$<rest>``; the same otherwise."""
    parts = _parts(group, term)
    if parts is None or not re.fullmatch("[0-9A-F]{10}", parts[0]):
        return None
    return CoarseHit(_REVERSE_ZERO - int(parts[0], 16), unescape_key(key), parts[1])


def _parts(group: str, term: str) -> tuple[str, str] | None:
    prefix = group_prefix(group)
    if term.startswith(prefix):
        rest = unescape_term(term[len(prefix) :])
    else:
        # The old Vumi did not escape.
        term = unescape_term(term)
        if not term.startswith(f"{group}$"):
            return None
        rest = term[len(group) + 1 :]
    timestamp, separator, rest = rest.partition("$")
    return (timestamp, rest) if separator else None
