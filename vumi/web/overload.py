"""An HTTP front that says no in time: 503 instead of taking what can't be published.

A request that is taken becomes a message that waits in memory until the broker confirms it. While
the broker is away, blocked, or far behind, more of them would fill the memory without end, and the
gateway on the other side knows best when to try again. Knows the broker's counters and
twisted.web; no transport.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger
from twisted.web.http import SERVICE_UNAVAILABLE
from twisted.web.resource import IResource, Resource
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.web.server import Request

    from vumi.broker import IBroker

__all__ = ["DEFAULT_MAX_UNCONFIRMED", "OverloadGuard", "overload_reason"]

DEFAULT_MAX_UNCONFIRMED = 1_000
#: Seconds after which the other side is asked to try again.
RETRY_AFTER = 5


def overload_reason(broker: IBroker, max_unconfirmed: int = DEFAULT_MAX_UNCONFIRMED) -> str | None:
    """Why nothing more should be published now, or ``None`` if it may.

    :param broker: The connection that would publish.
    :param max_unconfirmed: How many publishes may wait for their confirmation.
    """
    if not broker.connected:
        return "the message broker is not connected"
    if broker.blocked:
        return "the message broker takes no messages for now"
    if broker.published - broker.confirmed >= max_unconfirmed:
        return "too many messages wait for the message broker"
    return None


@implementer(IResource)
class OverloadGuard:
    """Stands before a resource; answers 503 with ``Retry-After`` while nothing can be published.

    :param resource: What is served otherwise.
    :param broker: The connection that the resource publishes by.
    :param max_unconfirmed: How many publishes may wait for their confirmation.
    """

    log = Logger()

    def __init__(
        self,
        resource: IResource,
        broker: IBroker,
        max_unconfirmed: int = DEFAULT_MAX_UNCONFIRMED,
    ) -> None:
        self._resource = resource
        self._broker = broker
        self._max_unconfirmed = max_unconfirmed
        self._refusing = False

    @property
    def isLeaf(self) -> bool:
        return bool(self._resource.isLeaf)

    def putChild(self, path: bytes, child: IResource) -> None:
        """Add a child to the resource behind."""
        self._resource.putChild(path, child)

    def getChildWithDefault(self, path: bytes, request: Request) -> IResource:
        """Find a child of the resource behind; it is guarded too."""
        if self._refuses():
            return _Unavailable()
        child: IResource = self._resource.getChildWithDefault(path, request)
        return OverloadGuard(child, self._broker, self._max_unconfirmed)

    def render(self, request: Request) -> object:
        """Have the request answered by the resource behind, or refuse it."""
        if self._refuses():
            return _Unavailable().render(request)
        return self._resource.render(request)

    def _refuses(self) -> bool:
        reason = overload_reason(self._broker, self._max_unconfirmed)
        if reason is not None and not self._refusing:
            # Told once, not per request: an outage must not fill the log as well.
            self.log.warn(
                "Requests are answered 503: {reason}", event="http-overloaded", reason=reason
            )
        elif reason is None and self._refusing:
            self.log.info("Requests are taken again", event="http-no-longer-overloaded")
        self._refusing = reason is not None
        return self._refusing


class _Unavailable(Resource):
    isLeaf = True

    def render(self, request: Request) -> bytes:
        request.setResponseCode(SERVICE_UNAVAILABLE)
        request.setHeader(b"Retry-After", b"%d" % RETRY_AFTER)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return b"Overloaded: try again later.\n"
