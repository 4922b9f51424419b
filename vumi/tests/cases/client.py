"""Requests to a site, byte by byte over a connection in memory, and what it answers.

Knows HTTP as it is written; knows no cases.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Protocol, connectionDone

from vumi.tests.cases.bodies import encode_body, encode_form
from vumi.tests.cases.pretend import CLIENT, Connection

if TYPE_CHECKING:
    from twisted.web.server import Site

    from vumi.tests.cases.model import Request
    from vumi.tests.cases.pretend import PretendReactor

__all__ = ["Exchange", "GotResponse", "RawRequest", "raw_request"]


@dataclass
class RawRequest:
    """A request as it is to be written.

    :ivar target: What stands after the method, encoded.
    :ivar headers: Further ones; ``Host``, ``Content-Length`` and ``Connection`` come of
        themselves.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    def encoded(self) -> bytes:
        """All of it."""
        headers = {
            "Host": "transport.example",
            "Connection": "close",
            **({"Content-Length": str(len(self.body))} if self.body else {}),
            **self.headers,
        }
        lines = [f"{self.method} {self.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("utf-8") + self.body


def raw_request(request: Request, path: str) -> RawRequest:
    """A request that a table describes.

    :param path: Where it goes to if the table doesn't say.
    """
    data, content_type = encode_body(request.body)
    headers = {} if content_type is None else {"Content-Type": content_type}
    if request.auth is not None:
        login = base64.b64encode(":".join(request.auth).encode("utf-8")).decode("ascii")
        headers["Authorization"] = f"Basic {login}"
    for name, value in request.headers.items():
        for known in [known for known in headers if known.lower() == name.lower()]:
            del headers[known]
        if value is not None:
            headers[name] = value
    target = request.target or path
    charset = "utf-8" if request.body is None else request.body.charset
    query = encode_form(request.query, charset)
    if query:
        target += ("&" if "?" in target else "?") + query
    if request.body is None and request.method in ("POST", "PUT", "PATCH"):
        headers.setdefault("Content-Length", "0")
    return RawRequest(request.method, target, headers, data)


@dataclass(frozen=True)
class GotResponse:
    """What came back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """A header's value; several are joined by commas."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None


class _Caller(Protocol):
    def __init__(self) -> None:
        self.received = b""
        self.is_closed = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Any = connectionDone) -> None:
        self.is_closed = True


class Exchange:
    """One request to a site, and its response once that is there.

    :param request: What to write.
    """

    def __init__(self, reactor: PretendReactor, site: Site, request: RawRequest) -> None:
        self._method = request.method
        self._caller = _Caller()
        channel: Any = site.buildProtocol(CLIENT)
        words = f"the connection of {request.method} {request.target}"
        self.connection = Connection(reactor, self._caller, channel, words)
        self.has_hung_up = False
        transport: Any = self._caller.transport
        transport.write(request.encoded())

    @property
    def is_over(self) -> bool:
        """Whether the server has said all it will."""
        return self._caller.is_closed or self.has_hung_up

    def hang_up(self) -> None:
        """Close the connection without waiting."""
        self.has_hung_up = True
        self.connection.close_client()

    def response(self) -> GotResponse:
        """The response.

        :raises ValueError: What came is no HTTP; the words say what it was.
        """
        parsed = HTTPResponse(_Socket(self._caller.received), method=self._method)  # type: ignore[arg-type]  # only makefile() is called
        try:
            parsed.begin()
            body = parsed.read()
        except (HTTPException, ValueError) as error:
            received = self._caller.received[:200]
            raise ValueError(f"no HTTP response ({error!r}): {received!r}") from error
        return GotResponse(parsed.status, tuple(parsed.getheaders()), body)


class _Socket:
    """As much of a socket as the parser of responses asks for."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        """What was received."""
        return io.BytesIO(self._data)
