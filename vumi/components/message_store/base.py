"""What the parts of a message store have in common: the archive, the cache, and dates.

Knows :class:`~vumi.components.message_store.interface.IMessageArchive` and the cache. Knows no
operation of the store.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from vumi.components.message_store.interface import Kind
from vumi.errors import StoreError
from vumi.message import format_vumi_date, parse_vumi_date

if TYPE_CHECKING:
    from vumi.components.message_store.cache import MessageStoreCache

__all__ = [
    "DIRECTIONS",
    "StorePart",
    "as_datetime",
    "from_reverse_timestamp",
    "to_reverse_timestamp",
]

#: The old Vumi's words for the kinds of user messages.
DIRECTIONS = {"inbound": Kind.INBOUND, "outbound": Kind.OUTBOUND}

#: Reversed timestamps count backwards from here, in seconds.
_REVERSE_EPOCH = 0xFFFFFFFFFF

P = ParamSpec("P")
T = TypeVar("T")


class StorePart:
    """Some operations of a message store.

    :param archive: Provides :class:`~vumi.components.message_store.interface.IMessageArchive`,
        opened.
    :param cache: The figures kept in Redis; ``None``: figures are counted in the archive.
    """

    #: How many entries a page has by default.
    DEFAULT_MAX_RESULTS = 1000

    def __init__(self, archive: Any, cache: MessageStoreCache | None = None) -> None:
        self.archive = archive
        self.cache: Any = cache


def as_datetime(value: datetime | str | None) -> datetime | None:
    """A time as the archive takes it.

    :param value: A Vumi date in UTC (``2015-01-02 23:14:11.000000``), or a datetime; one without a
        zone is UTC.
    :raises StoreError: It is not a date.
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            return parse_vumi_date(value)
        except ValueError:
            raise StoreError(
                f"{value!r} is not a date like '2015-01-02 23:14:11.000000'."
            ) from None
    if value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def to_reverse_timestamp(vumi_timestamp: str) -> str:
    """A date as an old index has it that is sorted from the newest to the oldest.

    :param vumi_timestamp: A Vumi date. Of its seconds the fraction is lost.
    """
    timestamp = parse_vumi_date(vumi_timestamp).replace(tzinfo=UTC)
    return f"{_REVERSE_EPOCH - int(timestamp.timestamp()):X}"


def from_reverse_timestamp(reverse_timestamp: str) -> str:
    """The Vumi date of what :func:`to_reverse_timestamp` gave, in whole seconds."""
    seconds = _REVERSE_EPOCH - int(reverse_timestamp, 16)
    return format_vumi_date(datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None))
