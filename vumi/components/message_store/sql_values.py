"""Values as SQL databases keep them.

Knows which texts databases refuse, and how times and lists are written; knows no SQL.

Ids and addresses are compared by the database, so they are kept as they are, but for what
PostgreSQL or UTF-8 can't hold: NUL and lone surrogates are written with an escape character, as is
that character itself. Times are microseconds since 1970, UTC.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "from_column",
    "from_list",
    "from_micros",
    "to_column",
    "to_list",
    "to_micros",
]

_ESCAPE = "\x1a"
_UNFIT = re.compile("[\0\x1a\ud800-\udfff]")
_ESCAPED = re.compile("\x1a([0-9a-f]{4})")

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_SECONDS_A_DAY = 86_400
_MICROS = 1_000_000


def to_column(text: str) -> str:
    """A text that every database takes; different texts stay different."""
    return _UNFIT.sub(lambda match: f"{_ESCAPE}{ord(match[0]):04x}", text)


def from_column(text: str) -> str:
    """The text that :func:`to_column` was given."""
    if _ESCAPE not in text:
        return text
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def to_list(values: Iterable[str]) -> str:
    """Column values as one text; sorted, each once."""
    return json.dumps(sorted(set(values)), ensure_ascii=False) if values else "[]"


def from_list(text: str) -> list[str]:
    """The column values that :func:`to_list` was given."""
    if text == "[]":
        return []
    values: list[str] = json.loads(text)
    return values


def to_micros(time: datetime) -> int:
    """Microseconds since 1970.

    :param time: Naive UTC, or aware of its zone.
    """
    if time.tzinfo is not None:
        time = time.astimezone(UTC).replace(tzinfo=None)
    since = time - _EPOCH
    return (since.days * _SECONDS_A_DAY + since.seconds) * _MICROS + since.microseconds


def from_micros(micros: int) -> datetime:
    """Naive UTC."""
    return _EPOCH + int(micros) * _MICROSECOND
