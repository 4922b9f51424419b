"""Where a redirect leads, what of a request goes there, and which URLs can be asked for.

Knows URLs and headers. Makes no request: that is :mod:`vumi.web.client`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urljoin, urlsplit

from hyperlink import EncodedURL
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed
from twisted.web.error import InfiniteRedirection, PageRedirect, RedirectWithNoLocation
from twisted.web.http_headers import Headers

if TYPE_CHECKING:
    from twisted.web.iweb import IResponse

__all__ = ["Hop", "requestable"]

#: Statuses that are followed for GET and HEAD, by the same method.
SAME_METHOD = frozenset((301, 302, 307, 308))
#: The status that is followed for every method, by GET and without the body.
SEE_OTHER = 303
MAX_REDIRECTS = 20
#: What may be told to another origin. All other headers may be credentials: not only
#: ``Authorization`` and ``Cookie``, but ``X-Api-Key``, ``X-Auth-Token`` and whatever a service
#: has made up.
HARMLESS = frozenset(
    (
        b"accept",
        b"accept-charset",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"content-language",
        b"content-type",
        b"dnt",
        b"if-modified-since",
        b"if-none-match",
        b"if-unmodified-since",
        b"pragma",
        b"range",
        b"user-agent",
    )
)
DEFAULT_PORTS = {"http": 80, "https": 443}


class _AsItIs(EncodedURL):
    """A URL that is ready to be sent."""

    def to_uri(self) -> EncodedURL:
        return self


def requestable(url: str) -> EncodedURL:
    """A URL as treq takes it, with what is not ASCII in its path and query percent-encoded.

    treq has every host encoded by the rules of internationalised names (IDNA), which refuse
    IPv6 addresses, and names that work all the same, such as ``my_service``. A host in ASCII
    stays as it is.

    :raises ValueError: It is no URL, or its host can't be encoded.
    """
    parsed = EncodedURL.from_text(url)
    host: str = parsed.host
    if not host.isascii():
        return parsed
    encoded = parsed.replace(host="host").to_uri().replace(host=host)
    return _AsItIs.from_text(encoded.to_text())


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)


class Hop:
    """One request of those that a redirect makes of one.

    :param method: In capital letters.
    :param url: Where to.
    :param headers: What is sent.
    :param count: How many redirects there were before.
    """

    def __init__(self, method: str, url: str, headers: Headers, count: int = 0) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self._count = count

    def after(self, response: IResponse) -> Hop | None:
        """The request that its response asks for; ``None`` if that is no redirect.

        To another origin (scheme, host or port) only headers go that are known to be harmless.

        :raises ResponseFailed: It must not be followed: another method than GET or HEAD, no
            location, or one redirect too many.
        :raises ValueError: The location is no URL.
        """
        code = int(response.code)
        if code not in SAME_METHOD and code != SEE_OTHER:
            return None
        here = self.url.encode("utf-8", "replace")
        if code != SEE_OTHER and self.method not in ("GET", "HEAD"):
            _refuse(PageRedirect(code, location=here), response)
        if self._count >= MAX_REDIRECTS:
            problem = InfiniteRedirection(code, b"Infinite redirection detected", location=here)
            _refuse(problem, response)
        locations = response.headers.getRawHeaders(b"location") or []
        if not locations:
            _refuse(RedirectWithNoLocation(code, b"No location header field", here), response)
        url = urljoin(self.url, locations[0].decode("utf-8", "replace").strip())
        headers = self.headers
        if _origin(url) != _origin(self.url):
            headers = Headers(
                {
                    name: values
                    for name, values in headers.getAllRawHeaders()
                    if name.lower() in HARMLESS
                }
            )
        method = "GET" if code == SEE_OTHER else self.method
        return Hop(method, url, headers, self._count + 1)


def _refuse(problem: Any, response: IResponse) -> NoReturn:
    raise ResponseFailed([Failure(problem)], response)
