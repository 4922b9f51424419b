"""What Riak's HTTP API answers, as values.

Pure: headers and bodies in, values out. Knows the API (of OpenRiak 3, and of Riak since 1.4),
not what is archived with it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from vumi.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "NOT_THERE",
    "Fetched",
    "IndexPage",
    "Missing",
    "RiakAnswer",
    "Sibling",
    "bucket_properties",
    "fetched",
    "index_page",
    "what_is_missing",
]


@dataclass(frozen=True, slots=True)
class RiakAnswer:
    """One answer.

    :param headers: By name in lower case; of several of one name the values are joined.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Sibling:
    """One version of an object.

    :param modified: When it was written, Unix time in whole seconds; 0: it is not said.
    :param etag: What names it, with its quotes.
    :param indexes: The names of the indexes it is in.
    """

    body: bytes
    modified: float = 0.0
    etag: str | None = None
    indexes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Fetched:
    """What there is under a key.

    :param siblings: Its versions; none: there is nothing, or what there was is deleted.
    :param vclock: What a write that replaces it must name; deleted objects have one too.
    :param tombstone: Whether one of the versions is that it is deleted.
    """

    siblings: tuple[Sibling, ...]
    vclock: str | None = None
    tombstone: bool = False

    @property
    def to_be_merged(self) -> bool:
        """Whether there are several versions, the deleted one counted."""
        return len(self.siblings) + self.tombstone > 1


NOT_THERE = Fetched(())


@dataclass(frozen=True, slots=True)
class IndexPage:
    """Some matches of an index query.

    :param hits: Term and key; the term is ``""`` where Riak does not say it.
    :param continuation: Riak's, for the rest; ``None``: there is none.
    """

    hits: tuple[tuple[str, str], ...]
    continuation: str | None = None


class Missing(Enum):
    """What an answer with status 404 says is missing."""

    OBJECT = "object"
    BUCKET_TYPE = "bucket type"
    #: Everything: so answers a node that is starting or stopping, and what is not Riak at all.
    API = "API"


def what_is_missing(answer: RiakAnswer) -> Missing:
    """What a 404 is about.

    Riak says in plain text that an object or a bucket type is not there. A page of HTML is the web
    server's: nobody has registered this path, for a while or for ever.
    """
    if "x-riak-deleted" in answer.headers:
        return Missing.OBJECT
    if answer.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/plain":
        body = answer.body.strip().lower()
        if body == b"not found":
            return Missing.OBJECT
        if body.startswith(b"unknown bucket type"):
            return Missing.BUCKET_TYPE
    return Missing.API


def fetched(answer: RiakAnswer) -> Fetched:
    """What a GET of an object says, with status 200, 300, or 404 about the object.

    :raises StoreError: It is not what Riak answers.
    """
    vclock = answer.headers.get("x-riak-vclock")
    if answer.status == 404:
        return Fetched((), vclock, vclock is not None)
    if answer.status == 200:
        return Fetched((_sibling(answer.headers, answer.body),), vclock)
    siblings, tombstone = [], False
    for headers, body in _parts(answer):
        if "x-riak-deleted" in headers:
            tombstone = True
        else:
            siblings.append(_sibling(headers, body))
    return Fetched(tuple(siblings), vclock, tombstone)


def _sibling(headers: Mapping[str, str], body: bytes) -> Sibling:
    begin = "x-riak-index-"
    return Sibling(
        body,
        _unix_time(headers.get("last-modified")),
        headers.get("etag"),
        frozenset(name[len(begin) :] for name in headers if name.startswith(begin)),
    )


def _unix_time(date: str | None) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() if date else 0.0
    except ValueError:
        return 0.0


def _parts(answer: RiakAnswer) -> list[tuple[dict[str, str], bytes]]:
    content_type = answer.headers.get("content-type", "")
    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    message: Any = BytesParser(policy=HTTP).parsebytes(head + answer.body)
    if not message.is_multipart():
        raise StoreError(
            f"Riak has several versions of an object, but does not show them: {content_type!r}."
        )
    return [
        (
            {name.lower(): str(value) for name, value in part.items()},
            part.get_payload(decode=True) or b"",
        )
        for part in message.get_payload()
    ]


def index_page(answer: RiakAnswer) -> IndexPage:
    """What an index query says.

    :raises StoreError: It is not what Riak answers.
    """
    data = _object(answer)
    try:
        hits = [("", str(key)) for key in data.get("keys", ())]
        for result in data.get("results", ()):
            # Each is an object of one term and its key.
            hits.extend((str(term), str(key)) for term, key in result.items())
    except (AttributeError, TypeError) as error:
        raise _not_riak(answer) from error
    continuation = data.get("continuation")
    return IndexPage(tuple(hits), None if continuation is None else str(continuation))


def bucket_properties(answer: RiakAnswer) -> dict[str, Any]:
    """What a GET of a bucket's properties says.

    :raises StoreError: It is not what Riak answers.
    """
    properties = _object(answer).get("props")
    if not isinstance(properties, dict):
        raise _not_riak(answer)
    return properties


def _object(answer: RiakAnswer) -> dict[str, Any]:
    try:
        data = json.loads(answer.body)
    except ValueError as error:
        raise _not_riak(answer) from error
    if not isinstance(data, dict):
        raise _not_riak(answer)
    return data


def _not_riak(answer: RiakAnswer) -> StoreError:
    return StoreError(f"This is not what Riak answers: {answer.body[:80]!r}.")
