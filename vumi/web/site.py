"""Web sites made of paths, and small parts of HTTP messages.

Knows Twisted's web server; knows nothing of what is served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import succeed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site
from zope.interface import implementer

from vumi.web.parameters import ParameterRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IConsumer
    from twisted.web.http import Request

__all__ = ["LogFilterSite", "StringProducer", "build_web_site", "mkheaders"]


class LogFilterSite(Site):
    """A site that leaves requests out of its access log if they ask for it.

    A resource sets ``request.do_not_log = True``, as those do that a monitor asks every second.
    """

    requestFactory = ParameterRequest

    def log(self, request: Request) -> None:
        """Write a line to the access log, unless the request asks not to."""
        if not getattr(request, "do_not_log", None):
            super().log(request)


class _Branch(Resource):
    """A place in a site that has nothing of its own."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        # Not the base's: it makes a page that Twisted itself has deprecated, with a warning.
        return notFound()


def build_web_site(
    resources: Mapping[str, IResource], site_class: Callable[[IResource], Site] | None = None
) -> Site:
    """Make a web site of resources at paths.

    :param resources: Path to resource. Slashes at the ends don't matter; ``a/b`` needs no ``a``;
        an empty path is the site's front page.
    :param site_class: Makes the site of its root resource; default :class:`LogFilterSite`.
    :raises ValueError: Two paths are the same, or a path lies below a resource that is a leaf and
        so answers for everything below itself.
    """
    root = _Branch()
    # Short paths first: a resource in the middle of a path is there before what is below it.
    split = [([part for part in path.split("/") if part], path) for path in resources]
    for parts, path in sorted(split, key=lambda item: len(item[0])):
        # Twisted asks for the child "" when a request is for the path with a slash at its end.
        *parents, name = (part.encode("utf-8") for part in parts or [""])
        node: IResource = root
        for parent in parents:
            node = _child(node, parent, path)
        if name in getattr(node, "children", {}):
            raise ValueError(f"two resources for the path {path!r}")
        node.putChild(name, resources[path])
    return (LogFilterSite if site_class is None else site_class)(root)


def _child(node: IResource, name: bytes, path: str) -> IResource:
    children: dict[bytes, IResource] = getattr(node, "children", {})
    child = children.get(name)
    if child is None:
        child = _Branch()
        node.putChild(name, child)
    elif child.isLeaf:
        raise ValueError(
            f"nothing can be served at {path!r}: the resource at {name.decode('utf-8')!r} is a "
            "leaf and answers for everything below itself"
        )
    return child


@implementer(IBodyProducer)
class StringProducer:
    """A request's body that is all there.

    :param body: Bytes, or text that goes out as UTF-8.
    """

    def __init__(self, body: bytes | str) -> None:
        self.body = body.encode("utf-8") if isinstance(body, str) else body
        self.length = len(self.body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write the body."""
        consumer.write(self.body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Nothing to pause: the body goes out in one piece."""

    def resumeProducing(self) -> None:
        """Nothing to resume."""

    def stopProducing(self) -> None:
        """Nothing to stop."""


def mkheaders(headers: Mapping[str, str | Sequence[str]]) -> Headers:
    """Make Twisted's headers of a dict.

    :param headers: Name to value, or to a list of values.
    """
    return Headers(
        {
            name: [value] if isinstance(value, str | bytes) else list(value)
            for name, value in headers.items()
        }
    )
