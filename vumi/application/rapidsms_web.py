"""The web server of the RapidSMS relay: what RapidSMS may ask for, who it is, what it is answered.

Knows HTTP and the form of requests. What a request leads to is the relay's business
(:mod:`vumi.application.rapidsms_relay`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IAnonymous, IUsernamePassword
from twisted.cred.portal import IRealm, Portal
from twisted.logger import Logger
from twisted.web.guard import BasicCredentialFactory, HTTPAuthSessionWrapper
from twisted.web.http import (
    BAD_REQUEST,
    INTERNAL_SERVER_ERROR,
    NOT_ALLOWED,
    REQUEST_ENTITY_TOO_LARGE,
    SERVICE_UNAVAILABLE,
)
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from vumi.errors import StoreError, VumiError
from vumi.tasks import in_background
from vumi.web.overload import RETRY_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure
    from twisted.web.server import Request

__all__ = [
    "BadRequestError",
    "HealthResource",
    "RapidSMSRelayAccessChecker",
    "RapidSMSRelayRealm",
    "SendResource",
    "parse_request",
    "protected",
]

REALM = b"RapidSMS Relay"
#: What the old Vumi took.
ALLOWED_METHODS = (b"GET", b"POST", b"PUT")


class BadRequestError(VumiError):
    """RapidSMS has asked for what can't be done; the error's words are the answer."""


def parse_request(body: bytes) -> dict[str, Any]:
    """Read what RapidSMS has posted.

    :returns: An object with a text ``content`` and a list of texts ``to_addr``, and perhaps with
        texts ``in_reply_to`` and ``endpoint``.
    :raises BadRequestError: It is not what it should be.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"The body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise BadRequestError("The body is not a JSON object.")
    for name in ("content", "to_addr"):
        if name not in data:
            raise BadRequestError(f"Field `{name}` is missing.")
    to_addrs = data["to_addr"]
    if not isinstance(to_addrs, list) or not all(isinstance(addr, str) for addr in to_addrs):
        raise BadRequestError("Field `to_addr` must be a list of texts.")
    if not isinstance(data["content"], str):
        raise BadRequestError("Field `content` must be a text.")
    for name in ("in_reply_to", "endpoint"):
        if not isinstance(data.get(name), str | None):
            raise BadRequestError(f"Field `{name}` must be a text.")
    return data


class HealthResource(Resource):
    """Tells a monitor that the process serves requests."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        """Say OK."""
        request.do_not_log = True  # type: ignore[attr-defined]  # LogFilterSite looks for it
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return b"OK"


class SendResource(Resource):
    """Takes what RapidSMS wants to be sent.

    :param application: A :class:`~vumi.application.rapidsms_relay.RapidSMSRelay`.
    """

    isLeaf = True

    log = Logger()

    def __init__(self, application: Any) -> None:
        super().__init__()
        self.application = application

    def render(self, request: Request) -> bytes | int:
        """Answer when the messages are safe with the broker."""
        if request.method not in ALLOWED_METHODS:
            request.setResponseCode(NOT_ALLOWED)
            request.setHeader(b"Allow", b", ".join(ALLOWED_METHODS))
            return b""
        in_background(self._render(request), self.log, "A request's answer")
        return NOT_DONE_YET

    async def _render(self, request: Request) -> None:
        gone: list[Failure] = []
        finished: Deferred[None] = request.notifyFinish()
        _ = finished.addErrback(gone.append)
        code, content_type, body = await self._answer(request)
        if gone:
            return
        request.setResponseCode(code)
        request.setHeader(b"Content-Type", f"{content_type}; charset=utf-8".encode("ascii"))
        if code == SERVICE_UNAVAILABLE:
            request.setHeader(b"Retry-After", b"%d" % RETRY_AFTER)
        request.write(body)
        request.finish()

    async def _answer(self, request: Request) -> tuple[int, str, bytes]:
        text = "text/plain"
        if getattr(request, "body_too_big", False):
            return REQUEST_ENTITY_TOO_LARGE, text, b"The request is too big."
        if self.application.web_resource is None:
            # Over a connection from before.
            return SERVICE_UNAVAILABLE, text, b"Stopping: try again later."
        try:
            sent = await self.application.handle_raw_outbound_message(request)
        except BadRequestError as error:
            return BAD_REQUEST, text, str(error).encode("utf-8", "replace")
        except StoreError as error:
            self.application.log.err(error, "Messages can't be looked up")
            return SERVICE_UNAVAILABLE, text, b"Messages can't be looked up: try again later."
        except Exception as error:  # noqa: BLE001 (the client needs an answer, whatever it is)
            self.application.log.err(error, "A request could not be answered")
            return INTERNAL_SERVER_ERROR, text, b"Something went wrong. The log says what."
        body = b"[" + b",".join(message.to_bytes() for message in sent) + b"]"
        return 200, "application/json", body


@implementer(IRealm)
class RapidSMSRelayRealm:
    """Lets everybody who is known use a resource.

    :param resource: The resource.
    """

    def __init__(self, resource: IResource) -> None:
        self.resource = resource

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> tuple[Any, Any, Any]:
        """Give the resource."""
        if IResource in interfaces:
            return IResource, self.resource, lambda: None
        raise NotImplementedError("There are resources only.")


@implementer(ICredentialsChecker)
class RapidSMSRelayAccessChecker:
    """Asks a callable who somebody is.

    :param get_avatar_id: Takes the credentials; gives the user's name, or a Deferred of it, or
        raises ``UnauthorizedLogin``.
    """

    credentialInterfaces = (IUsernamePassword, IAnonymous)

    def __init__(self, get_avatar_id: Callable[[Any], Any]) -> None:
        self._get_avatar_id = get_avatar_id

    def requestAvatarId(self, credentials: Any) -> Any:
        """Who somebody is."""
        return self._get_avatar_id(credentials)


def protected(resource: IResource, get_avatar_id: Callable[[Any], Any]) -> IResource:
    """Have a resource ask for a login by HTTP Basic.

    :param get_avatar_id: See :class:`RapidSMSRelayAccessChecker`.
    """
    portal = Portal(RapidSMSRelayRealm(resource), [RapidSMSRelayAccessChecker(get_avatar_id)])
    guarded: IResource = HTTPAuthSessionWrapper(portal, [BasicCredentialFactory(REALM)])
    return guarded
