"""The parameters of requests: query strings and forms, as browsers write them.

Knows ``application/x-www-form-urlencoded`` of the WHATWG's URL Standard, section 5.1: pairs end at
``&`` only. Twisted splits at ``;`` as well, as HTML 4 once proposed, so that a person whose text
has a semicolon would set further parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from twisted.web.server import Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    #: Name -> its values, in the order in which they came.
    Parameters = Mapping[bytes, Sequence[bytes]]

__all__ = ["ParameterRequest", "parse_parameters"]

FORM = b"application/x-www-form-urlencoded"


def parse_parameters(encoded: bytes) -> dict[bytes, list[bytes]]:
    """Read a query string or a form.

    :param encoded: It, without a question mark.
    :returns: Name to values. A name without ``=`` has an empty value.
    """
    found: dict[bytes, list[bytes]] = {}
    for pair in encoded.split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            found.setdefault(_decoded(name), []).append(_decoded(value))
    return found


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


class ParameterRequest(Request):
    """A request whose ``args`` are what :func:`parse_parameters` reads.

    As with Twisted, those of a form in the body of a POST replace those of the same name in the
    query string.
    """

    _target = b""

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All of the request is there."""
        self._target = path
        # Without its query string, which Twisted would read otherwise.
        super().requestReceived(command, path.partition(b"?")[0], version)

    def process(self) -> None:
        """Find what answers the request."""
        if self._target:
            self.uri = self._target
            self.args = self._read_parameters()
        super().process()

    def _read_parameters(self) -> dict[bytes, list[bytes]]:
        parameters = parse_parameters(self._target.partition(b"?")[2])
        content_type = self.getHeader(b"content-type") if self.method == b"POST" else None
        if content_type is None:
            return parameters
        if content_type.partition(b";")[0].strip().lower() == FORM:
            content: Any = self.content
            parameters.update(parse_parameters(content.read()))
            content.seek(0)
        else:
            # Twisted has read what is of several parts.
            parameters.update(self.args or {})
        return parameters
