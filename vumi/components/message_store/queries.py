"""Searches as people and programs write them: texts that become a query.

Knows what each part may be and says what is wrong with it. Knows neither HTTP nor a terminal:
both get the same words.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vumi.components.message_store.base import DIRECTIONS
from vumi.components.message_store.interface import Kind, Query
from vumi.components.message_store.messages import as_tag
from vumi.errors import StoreError, VumiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["QUERY_PARTS", "STATUSES", "QueryError", "parse_query", "parse_time"]

#: What an outbound message's last event may be.
STATUSES = ("ack", "nack", "delivered", "failed", "pending", "none")


class QueryError(VumiError):
    """A part of a query can't be read.

    :param part: Its name.
    :param problem: What is wrong with it.
    """

    def __init__(self, part: str, problem: str) -> None:
        super().__init__(f"Invalid '{part}' parameter: {problem}")
        self.part = part
        self.problem = problem


def parse_query(parts: Mapping[str, str | None]) -> Query:
    """Make a query.

    :param parts: Texts by the names in :data:`QUERY_PARTS`; ``None`` is as good as absent.
    :raises QueryError: One of them can't be read.
    """
    fields: dict[str, Any] = {}
    for name, text in parts.items():
        if text is None:
            continue
        if name not in _READERS:
            raise QueryError(name, f"there are only {', '.join(QUERY_PARTS)}.")
        field, read = _READERS[name]
        try:
            fields[field] = read(text)
        except (StoreError, ValueError) as error:
            raise QueryError(name, str(error)) from None
    if fields.get("status") is not None:
        if fields.get("kinds") == frozenset({Kind.INBOUND}):
            raise QueryError("status", "only outbound messages have one.")
        fields["kinds"] = frozenset({Kind.OUTBOUND})
    start, end = fields.get("start"), fields.get("end")
    if start is not None and end is not None and start > end:
        raise QueryError("end", "it is before the start.")
    return Query(**fields)


def parse_time(text: str) -> datetime:
    """Read a time.

    :param text: ISO 8601: ``2026-03-01``, ``2026-03-01T12:00:00+02:00``. Without a zone it is UTC.
    :returns: A naive UTC datetime.
    :raises ValueError: It is none; with words for people.
    """
    text = text.strip()
    if len(text) > 6 and text[-6] == " " and ":" in text[:-6]:
        # A plus in a URL arrives as a space.
        text = f"{text[:-6]}+{text[-5:]}"
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            time = time.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a time such as 2026-03-01T12:00:00Z.") from None
    return time


def _one_of(choices: Mapping[str, Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if text not in choices:
            raise ValueError(f"{text!r} is none of {', '.join(choices)}.")
        return choices[text]

    return read


def _filled(text: str) -> str:
    if not text:
        raise ValueError("it is empty.")
    return text


#: Name -> the query's field, and what makes its value of a text.
_READERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "address": ("address", _filled),
    "batch": ("batch_id", _filled),
    "tag": ("tag", as_tag),
    "start": ("start", parse_time),
    "end": ("end", parse_time),
    "direction": (
        "kinds",
        _one_of({name: frozenset({kind}) for name, kind in DIRECTIONS.items()}),
    ),
    "status": ("status", _one_of({status: status for status in STATUSES})),
    "text": ("text", _filled),
}

QUERY_PARTS = tuple(_READERS)
