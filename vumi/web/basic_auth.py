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

__all__ = ["BasicAuthGuard", "BasicLogin", "quoted_realm"]


class BasicLogin:
    """A user name and a password that requests must have.

    :param username: The user's name, without a colon.
    :param password: The password.
    """

    def __init__(self, username: str, password: str) -> None:
        self._expected = _digest(f"{username}:{password}".encode())

    def is_given_by(self, request: Any) -> bool:
        """Whether a request has it. That it hasn't takes no less time, however wrong it is."""
        (header, *_) = request.requestHeaders.getRawHeaders(b"authorization", [b""])
        scheme, _, given = header.partition(b" ")
        try:
            login = b64decode(given.strip(), validate=True)
        except ValueError:
            login = b""
        # Digests have one length: how long it takes tells nothing of the password's.
        same = hmac.compare_digest(_digest(login), self._expected)
        return same and bool(scheme.lower() == b"basic")


def quoted_realm(realm: str) -> str:
    """A realm as the header ``WWW-Authenticate`` has it (RFC 9110, section 5.6.4)."""
    escaped = realm.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


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
        self._login = BasicLogin(username, password)
        self._realm = realm

    @property
    def isLeaf(self) -> bool:
        return bool(self._resource.isLeaf)

    def putChild(self, path: bytes, child: IResource) -> None:
        """Add a child to the resource behind."""
        self._resource.putChild(path, child)

    def getChildWithDefault(self, path: bytes, request: Request) -> Any:
        """Find a child of the resource behind, for who has the login."""
        if not self._login.is_given_by(request):
            return _Refusal(self._realm)
        # What is below has been asked for with the login already.
        child: IResource = self._resource.getChildWithDefault(path, request)
        return child

    def render(self, request: Request) -> Any:
        """Have the request answered, or refused."""
        if not self._login.is_given_by(request):
            return _Refusal(self._realm).render(request)
        return self._resource.render(request)


class _Refusal(Resource):
    isLeaf = True

    def __init__(self, realm: str) -> None:
        super().__init__()
        self._challenge = f'Basic realm={quoted_realm(realm)}, charset="UTF-8"'.encode(
            "ascii", "replace"
        )

    def render(self, request: Request) -> bytes:
        request.setResponseCode(UNAUTHORIZED)
        request.setHeader(b"WWW-Authenticate", self._challenge)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return b"Unauthorized\n"


def _digest(login: bytes) -> bytes:
    return hashlib.sha256(login).digest()
