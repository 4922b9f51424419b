"""Where a page ended, as a text that can be in a URL.

Knows positions (lists of plain values) and what they are positions in; knows no archive. The text
carries a fingerprint of the question that it is the continuation of, so that one that strayed
from another page is refused instead of giving a page with holes.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from vumi.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_limit", "continuation", "position"]

_FINGERPRINT_BYTES = 6


def continuation(question: Sequence[Any], where: Sequence[int | str]) -> str:
    """Make a continuation.

    :param question: What the page is one of: all that was asked but the limit. Plain values,
        enums and datetimes; the same in every process.
    :param where: The last entry's place.
    :returns: Letters, digits, ``-`` and ``_``.
    """
    text = json.dumps([_fingerprint(question), *where], separators=(",", ":"))
    return urlsafe_b64encode(text.encode("ascii")).decode("ascii").rstrip("=")


def position(question: Sequence[Any], text: str, *types: type[int | str]) -> tuple[Any, ...]:
    """Read a continuation.

    :param question: As it was when it was made.
    :param types: What the place consists of.
    :returns: The place.
    :raises StoreError: It is none, or none of this question.
    """
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        decoded = json.loads(urlsafe_b64decode(padded))
        fingerprint, *where = decoded
        # Base64 decoders skip what they don't know; a place is taken only as it was given.
        intact = urlsafe_b64encode(urlsafe_b64decode(padded)).rstrip(b"=") == text.encode("ascii")
    except (ValueError, TypeError):
        raise StoreError("This is not a continuation: it was cut or changed.") from None
    if not intact or [type(value) for value in where] != list(types):
        raise StoreError("This is not a continuation: it was cut or changed.")
    if fingerprint != _fingerprint(question):
        raise StoreError("This continuation belongs to another page: start again without it.")
    return tuple(where)


def check_limit(limit: int) -> None:
    """Refuse a limit of a page that is below 1.

    :raises StoreError: It is.
    """
    if limit < 1:
        raise StoreError(f"The limit of a page is at least 1, not {limit}.")


def _fingerprint(question: Sequence[Any]) -> str:
    digest = blake2b(repr(tuple(question)).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[: 2 * _FINGERPRINT_BYTES]
