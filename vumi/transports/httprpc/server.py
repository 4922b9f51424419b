"""The HTTP server of a transport: what it listens on, and the URLs that the provider must know.

Knows sites, endpoints and addresses. Knows no transport and no messages.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from vumi.tasks import settle
from vumi.web.server import BoundedSite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.internet.interfaces import IListeningPort
    from twisted.web.http import Request
    from twisted.web.resource import IResource

    from vumi.transports.httprpc.options import HttpRpcTransportConfig

__all__ = ["HttpServer", "TellingSite"]

#: Addresses that mean "all of this machine".
ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 (compared with, not listened on)


class TellingSite(BoundedSite):
    """A site that tells of each request that was answered with an error."""

    #: Called with the request.
    on_error: Callable[[Any], None] | None = None

    def log(self, request: Request) -> None:
        """A request was answered."""
        super().log(request)
        if request.code >= 400 and self.on_error is not None:
            self.on_error(request)


class HttpServer:
    """Listens for a site.

    :param reactor: Twisted's; it listens on ``web_port``.
    :param name: The transport's name, for the log.
    """

    log = Logger()

    def __init__(self, reactor: Any, name: str) -> None:
        self._reactor = reactor
        self._name = name
        #: The site that is served; ``None`` while it isn't up.
        self.site: TellingSite | None = None
        #: The socket that is listened on, if any.
        self.port: IListeningPort | None = None

    async def listen(self, config: HttpRpcTransportConfig) -> None:
        """Open the socket."""
        site, endpoint = self.site, config.twisted_endpoint
        assert site is not None  # noqa: S101 (set by the only caller)
        if endpoint is None:
            # Not by the clock, which a test may have replaced by one without a network.
            self.port = self._reactor.listenTCP(config.web_port or 0, site)
        else:
            self.port = await endpoint.listen(site)
        self.log.info(
            "{transport_name}: Listening on {where}",
            event="http-listening",
            transport_name=self._name,
            where=self.base_url(),
        )

    def tell_urls(
        self, resources: Iterable[tuple[IResource, str]], public_url: str | None, needs: str
    ) -> None:
        """Log which URLs the provider must send its requests to.

        :param resources: What is served to the provider, and where.
        :param public_url: How the provider reaches this server, if that is known.
        :param needs: What requests must have besides.
        """
        for _, path in resources:
            self.log.info(
                "{transport_name}: register this URL with the provider: {url}{needs}",
                event="http-url",
                transport_name=self._name,
                url=f"{public_url or self.base_url()}".rstrip("/") + "/" + path.lstrip("/"),
                needs=f" ({needs})" if needs else "",
            )

    def base_url(self) -> str:
        """Where the server is, as seen from other machines as far as it listens there."""
        address: Any = self.port.getHost() if self.port is not None else None
        host = getattr(address, "host", None)
        if host is None:
            return "http://localhost"
        if host in ANY_ADDRESS:
            host = platform.node() or "localhost"
        elif ":" in host:
            host = f"[{host}]"
        return f"{self._scheme()}://{host}:{address.port}"

    def _scheme(self) -> str:
        # A port for TLS wraps the site in a factory of TLS's.
        factory = getattr(self.port, "factory", None)
        return "https" if type(factory).__name__ == "TLSMemoryBIOFactory" else "http"

    async def stop_listening(self) -> None:
        """Take no further connections."""
        port, self.port = self.port, None
        if port is not None:
            await settle(port.stopListening())

    async def close(self) -> None:
        """Close the connections after what was written to them."""
        site, self.site = self.site, None
        if site is not None:
            await site.close()
