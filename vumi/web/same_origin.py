"""Keeps web pages of strangers from using a server through the browser of somebody near it.

A server that listens on the own machine or in an inner network, and that asks for no login, trusts
who can connect. A browser there can, for any page that it shows: by a form or script that sends
requests (CSRF), or by a name that is made to point at the inner address (DNS rebinding), so that
the page can read the answers too. Browsers tell in the headers ``Host``, ``Origin`` and
``Sec-Fetch-Site`` what they do; other programs send no ``Origin``.

Knows those headers (RFC 9110 section 7.2, https://fetch.spec.whatwg.org/#origin-header,
https://www.w3.org/TR/fetch-metadata/); knows nothing of what is served.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from twisted.web.http import FORBIDDEN
from twisted.web.resource import IResource, Resource
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.web.server import Request

__all__ = ["SameOriginGuard", "refusal_of"]


def refusal_of(request: Any, names: Iterable[str] = ()) -> str | None:
    """Why a request is refused; ``None`` if it is not.

    :param names: The names, besides ``localhost`` and addresses, by which the server is reached.
        An address can't be made to point elsewhere, so it is always good.
    """
    headers = request.requestHeaders
    hosts = headers.getRawHeaders("host", [])
    if len(hosts) != 1 or not _is_own(hosts[0], names):
        return "The header Host names neither an address, nor localhost, nor a name known here."
    origins = headers.getRawHeaders("origin", [])
    schemes = ("http", "https")
    if any(
        origin.lower() not in {f"{s}://{hosts[0].lower()}" for s in schemes} for origin in origins
    ):
        return "The request is from a web page of another origin."
    sites = headers.getRawHeaders("sec-fetch-site", [])
    if any(site.lower() not in ("same-origin", "none") for site in sites):
        return "The request is from a web page of another site."
    return None


def _is_own(host: str, names: Iterable[str]) -> bool:
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        name = host
    elif not (port.isascii() and port.isdigit()):
        return False
    name = name.lower().removesuffix(".")
    if name in {"localhost", *(known.lower() for known in names)}:
        return True
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        ip_address(bare)
    except ValueError:
        return False
    return (":" in bare) == (bare != name)


@implementer(IResource)
class SameOriginGuard:
    """Stands before a resource and all below it; answers 403 to what strangers' pages send.

    :param resource: What is served otherwise.
    :param names: See :func:`refusal_of`.
    """

    def __init__(self, resource: IResource, names: Iterable[str] = ()) -> None:
        self._resource = resource
        self._names = tuple(names)

    @property
    def isLeaf(self) -> bool:
        return bool(self._resource.isLeaf)

    def putChild(self, path: bytes, child: IResource) -> None:
        """Add a child to the resource behind."""
        self._resource.putChild(path, child)

    def getChildWithDefault(self, path: bytes, request: Request) -> Any:
        """Find a child of the resource behind."""
        reason = refusal_of(request, self._names)
        if reason is not None:
            return _Refusal(reason)
        child: IResource = self._resource.getChildWithDefault(path, request)
        return child

    def render(self, request: Request) -> Any:
        """Have the request answered, or refused."""
        reason = refusal_of(request, self._names)
        if reason is not None:
            return _Refusal(reason).render(request)
        return self._resource.render(request)


class _Refusal(Resource):
    isLeaf = True

    def __init__(self, reason: str) -> None:
        super().__init__()
        self._reason = reason

    def render(self, request: Request) -> bytes:
        request.setResponseCode(FORBIDDEN)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return f"{self._reason}\n".encode()
