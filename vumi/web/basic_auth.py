"""HTTP Basic authentication (RFC 7617): nobody gets to a resource without the login.

Knows one login. What it protects is as safe as the connection is: use TLS outside of a machine.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from twisted.web.http import UNAUTHORIZED
from twisted.web.resource import IResource, Resource
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.web.server import Request

__all__ = ["BasicAuthGuard"]


@implementer(IResource)
class BasicAuthGuard:
    """Stands before a resource and all below it.

    :param resource: What is served to who has the login.
    :param username: The user's name, without a colon.
    :param password: The password.
    :param realm: What clients are told that the login is for.
    """

    def __init__(
        self, resource: IResource, username: str, password: str, realm: str = "vumi"
    ) -> None:
        self._resource = resource
        self._login = (username, password)
        self._expected = _digest(f"{username}:{password}".encode())
        self._realm = realm

    @property
    def isLeaf(self) -> bool:
        return bool(self._resource.isLeaf)

    def putChild(self, path: bytes, child: IResource) -> None:
        """Add a child to the resource behind."""
        self._resource.putChild(path, child)

    def getChildWithDefault(self, path: bytes, request: Request) -> Any:
        """Find a child of the resource behind; it is behind the guard too."""
        if not self._knows(request):
            return _Refusal(self._realm)
        child: IResource = self._resource.getChildWithDefault(path, request)
        return BasicAuthGuard(child, *self._login, self._realm)

    def render(self, request: Request) -> Any:
        """Have the request answered, or refused."""
        if not self._knows(request):
            return _Refusal(self._realm).render(request)
        return self._resource.render(request)

    def _knows(self, request: Request) -> bool:
        (header, *_) = request.requestHeaders.getRawHeaders(b"authorization", [b""])
        scheme, _, given = header.partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            login = b64decode(given.strip(), validate=True)
        except ValueError:
            return False
        # Digests have one length: how long it takes tells nothing of the password's.
        return hmac.compare_digest(_digest(login), self._expected)


class _Refusal(Resource):
    isLeaf = True

    def __init__(self, realm: str) -> None:
        super().__init__()
        self._challenge = f'Basic realm="{realm}", charset="UTF-8"'.encode("ascii", "replace")

    def render(self, request: Request) -> bytes:
        request.setResponseCode(UNAUTHORIZED)
        request.setHeader(b"WWW-Authenticate", self._challenge)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return b"Unauthorized\n"


def _digest(login: bytes) -> bytes:
    return hashlib.sha256(login).digest()
