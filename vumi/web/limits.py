"""A bound on the bodies of requests that come in.

Knows Twisted's web server, which by itself takes bodies of any size.
"""

from __future__ import annotations

from typing import Any

from twisted.web.server import Request, Site

__all__ = ["DEFAULT_BODY_LIMIT", "BoundedRequest", "limit_bodies"]

DEFAULT_BODY_LIMIT = 1024 * 1024


class BoundedRequest(Request):
    """A request whose body is kept only up to a limit.

    What comes after it is read and forgotten, so that the client gets to read the answer.
    """

    #: How many bytes a body may have.
    body_limit = DEFAULT_BODY_LIMIT

    #: The body has more than that; what :attr:`content` has of it is of no use.
    body_too_big = False

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a piece of the body, if there is room."""
        content: Any = self.content
        if self.body_too_big or content.tell() + len(data) > self.body_limit:
            self.body_too_big = True
        else:
            super().handleContentChunk(data)


def limit_bodies(site: Site, body_limit: int = DEFAULT_BODY_LIMIT) -> None:
    """Have a site's requests be :class:`BoundedRequest`.

    :param body_limit: How many bytes a body may have.
    """
    bounded: Any = type("BoundedRequest", (BoundedRequest,), {"body_limit": body_limit})
    site.requestFactory = bounded
