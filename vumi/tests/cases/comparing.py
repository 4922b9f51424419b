"""Requests, headers and what was published, compared with what is expected.

Knows HTTP and messages; knows nothing of how cases are played.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vumi.tests.cases.bodies import body_differences, form_differences
from vumi.tests.cases.matching import differences, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vumi.tests.cases.canned import MadeRequest
    from vumi.tests.cases.model import Request

__all__ = ["call_differences", "essence", "header_differences"]


def call_differences(request: Request, found: MadeRequest) -> Iterator[str]:
    """Say in what a request that went out differs from the one expected."""
    wanted, got = urlsplit(request.target), urlsplit(found.url)
    if request.method != found.method:
        yield f"the method {request.method} is expected, not {found.method}"
    if request.target:
        yield from differences(
            f"{wanted.scheme}://{wanted.netloc}{wanted.path or '/'}",
            f"{got.scheme}://{got.netloc}{got.path or '/'}",
            "URL",
        )
    if request.query is not None or wanted.query or not got.query:
        query = wanted.query if request.query is None else request.query
        yield from form_differences(query, got.query, "query")
    elif request.target:
        yield f"query: is not expected, but there is {shown(got.query)}"
    yield from header_differences(request.headers, found.header)
    if request.auth is not None:
        yield from _auth_differences(request.auth, found.header("Authorization"))
    if request.body is not None:
        yield from body_differences(request.body, found.body, request.body.kind)


def header_differences(
    expected: dict[str, str | None], header: Callable[[str], str | None]
) -> Iterator[str]:
    """Say in what headers differ from those expected.

    :param header: Gives the header of a name.
    """
    for name, value in expected.items():
        found = header(name)
        if value is None:
            if found is not None:
                yield f"header {name}: must not be there, but is {shown(found)}"
        elif found is None:
            yield f"header {name}: {shown(value)} is expected, but it is not there"
        else:
            yield from differences(value, found, f"header {name}")


def _auth_differences(expected: tuple[str, str], found: str | None) -> Iterator[str]:
    login = base64.b64encode(":".join(expected).encode("utf-8")).decode("ascii")
    if found != f"Basic {login}":
        yield f"auth: {':'.join(expected)} is expected, not {shown(found)}"


_ESSENCE: dict[str, Iterable[str]] = {
    "message": (
        *("content", "session_event", "from_addr", "to_addr", "provider"),
        *("transport_type", "transport_metadata", "helper_metadata"),
    ),
    "event": (
        *("event_type", "user_message_id", "sent_message_id"),
        *("nack_reason", "delivery_status"),
    ),
    "failure": ("failure_code", "reason"),
    "status": ("component", "status", "type", "message", "reasons", "details"),
}


def essence(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    """What matters of something published."""
    return {name: payload[name] for name in _ESSENCE[kind] if payload.get(name) is not None}
