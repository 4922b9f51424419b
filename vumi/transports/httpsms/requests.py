"""The usual forms of a request to a network's API. Pure: makes requests, sends none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from vumi.damaged_text import mend_data
from vumi.payload import encode_payload
from vumi.web.outgoing import OutgoingRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    #: Pairs, where a name may come several times, or a mapping. Values that are ``None`` are left
    #: out.
    Parameters = Mapping[str, Any] | Sequence[tuple[str, Any]]

__all__ = ["form_request", "json_request", "query_request"]

FORM = "application/x-www-form-urlencoded; charset=utf-8"
JSON = "application/json; charset=utf-8"


def _encoded(parameters: Parameters, encoding: str = "utf-8") -> str:
    pairs = parameters if isinstance(parameters, list | tuple) else parameters.items()  # type: ignore[union-attr]  # the other one is a mapping
    given = [(name, mend_data(value)) for name, value in pairs if value is not None]
    return urlencode(given, encoding=encoding, errors="replace")


def query_request(
    url: str,
    parameters: Parameters,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
) -> OutgoingRequest:
    """A request with everything in its query string.

    :param url: One with a query string keeps it.
    :param parameters: Name to value; texts go out as UTF-8.
    """
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, _encoded(parameters))))
    return OutgoingRequest(
        method, urlunsplit(parts._replace(query=query)), headers=dict(headers or {})
    )


def form_request(
    url: str,
    parameters: Parameters,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
) -> OutgoingRequest:
    """A request whose body is a form, as a browser sends it, in UTF-8."""
    return OutgoingRequest(
        method,
        url,
        _encoded(parameters).encode("ascii"),
        {"Content-Type": FORM, **(headers or {})},
    )


def json_request(
    url: str, data: Any, headers: Mapping[str, str] | None = None, method: str = "POST"
) -> OutgoingRequest:
    """A request whose body is JSON."""
    return OutgoingRequest(
        method, url, encode_payload(mend_data(data)), {"Content-Type": JSON, **(headers or {})}
    )
