"""What an HTTP transport serves. Knows Twisted's web server and HTTP Basic; knows no messages.

A refusal here costs nothing: no id is made and nothing is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.web.http import NOT_ALLOWED, OK, SERVICE_UNAVAILABLE, UNAUTHORIZED
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from vumi.web.basic_auth import BasicLogin, quoted_realm

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.web.server import Request

    from vumi.transports.httprpc.http_transport import HttpTransport

__all__ = ["BasicAuthResource", "HttpRpcHealthResource", "HttpRpcResource"]

#: Seconds after which a client is asked to come back.
RETRY_AFTER = 5
TEXT = b"text/plain; charset=utf-8"


def refuse(request: Request, code: int, body: bytes) -> bytes:
    """Answer with an error in plain text, to be returned from a ``render`` method."""
    request.setResponseCode(code)
    request.setHeader(b"Content-Type", TEXT)
    if code == SERVICE_UNAVAILABLE:
        request.setHeader(b"Retry-After", b"%d" % RETRY_AFTER)
    return body


class HttpRpcHealthResource(Resource):
    """Tells that the transport is there.

    :param transport: The transport.
    """

    isLeaf = True

    def __init__(self, transport: HttpTransport) -> None:
        super().__init__()
        self.transport = transport

    def render_GET(self, request: Request) -> bytes:
        request.setResponseCode(OK)
        # A monitor asks every few seconds.
        request.do_not_log = True  # type: ignore[attr-defined]  # the site looks for it
        request.setHeader(b"Content-Type", b"application/json; charset=utf-8")
        health = self.transport.get_health_response()
        return health.encode("utf-8") if isinstance(health, str) else health


class HttpRpcResource(Resource):
    """Takes the network's requests.

    :param transport: The transport.
    :param handler: Called with the request's id and the request;
        :meth:`~.HttpTransport.handle_raw_inbound_message` if left out.
    """

    isLeaf = True

    METHODS = (b"GET", b"POST", b"PUT")

    def __init__(
        self,
        transport: HttpTransport,
        handler: Callable[[str, Request], Any] | None = None,
    ) -> None:
        super().__init__()
        self.transport = transport
        self.handler = handler

    def render(self, request: Request) -> Any:
        if request.method not in self.METHODS:
            # Not by UnsupportedMethod: Twisted would make a GET, and so a message, of a HEAD.
            request.setHeader(b"Allow", b", ".join(self.METHODS))
            body = refuse(request, NOT_ALLOWED, b"Method Not Allowed")
            return b"" if request.method == b"HEAD" else body
        return self.render_(request)

    def render_(self, request: Request, request_id: str | None = None) -> Any:
        """Take a request.

        :param request_id: Its id; a new one if left out.
        """
        transport = self.transport
        reason = transport.refusal()
        if reason is not None:
            return refuse(request, SERVICE_UNAVAILABLE, b"Overloaded: try again later.\n")
        transport.take_request(
            request_id or transport.generate_request_id(), request, self.handler
        )
        return NOT_DONE_YET

    # For resources of the old Vumi that call them.

    def render_GET(self, request: Request, request_id: str | None = None) -> Any:
        return self.render_(request, request_id)

    def render_POST(self, request: Request, request_id: str | None = None) -> Any:
        return self.render_(request, request_id)

    def render_PUT(self, request: Request, request_id: str | None = None) -> Any:
        return self.render_(request, request_id)


@implementer(IResource)
class BasicAuthResource:
    """Lets requests with the right user name and password through, and no others.

    :param resource: What they get to.
    :param realm: What clients are told that the user name is for.
    """

    isLeaf = True

    def __init__(self, resource: IResource, username: str, password: str, realm: str) -> None:
        self._resource = resource
        self._login = BasicLogin(username, password)
        self._challenge = f"basic realm={quoted_realm(realm)}".encode()

    def putChild(self, path: bytes, child: IResource) -> None:
        """There are no children: everything is behind the same password."""
        raise NotImplementedError("a resource behind HTTP Basic has no children")

    def getChildWithDefault(self, path: bytes, request: Request) -> IResource:
        """Itself."""
        return self

    def render(self, request: Request) -> Any:
        """Let a request through, or answer 401."""
        if self._login.is_given_by(request):
            return self._resource.render(request)
        request.setHeader(b"WWW-Authenticate", self._challenge)
        return refuse(request, UNAUTHORIZED, b"Unauthorized")
