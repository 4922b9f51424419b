"""The simulator as a service that listens, and as a worker beside others.

Knows endpoints. What is said there is :mod:`vumi.transports.smpp.simulator.smsc`'s.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString

from vumi.config import (
    ConfigList,
    ConfigPort,
    ConfigServerEndpoint,
    ConfigText,
    ServerEndpointFallback,
)
from vumi.transports.smpp.simulator.control import Control
from vumi.transports.smpp.simulator.script import SmscScript
from vumi.transports.smpp.simulator.smsc import Smsc
from vumi.web.same_origin import SameOriginGuard
from vumi.web.server import BoundedSite
from vumi.worker import BaseConfig, BaseWorker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint

__all__ = ["Listening", "SmscWorker", "SmscWorkerConfig"]


class Listening:
    """An SMSC that listens, for ESMEs and for HTTP.

    :param smsc: The SMSC.
    """

    def __init__(self, smsc: Smsc) -> None:
        self.smsc = smsc
        self._ports: list[IListeningPort] = []
        self._site: BoundedSite | None = None

    async def start(
        self,
        smpp: IStreamServerEndpoint,
        http: IStreamServerEndpoint | None,
        names: Iterable[str] = (),
    ) -> None:
        """Listen.

        :param smpp: Where ESMEs connect.
        :param http: Where the control is; ``None``: nowhere.
        :param names: The host names that it is asked for by, besides localhost and addresses.
        :raises CannotListenError: The port is somebody else's.
        """
        self.smsc.start()
        self._ports.append(await smpp.listen(self.smsc.factory))
        if http is not None:
            # A browser on this machine can reach it as well, for any page that it shows.
            guarded = SameOriginGuard(Control(self.smsc), names)
            self._site = BoundedSite(guarded, self.smsc.clock)
            self._ports.append(await http.listen(self._site))
        self.smsc.tell("listening")

    async def stop(self) -> None:
        """Listen no more, unbind everybody."""
        ports, self._ports = self._ports, []
        for port in ports:
            stopped = port.stopListening()
            if stopped is not None:
                await stopped
        await self.smsc.stop()
        if self._site is not None:
            await self._site.close()


class SmscWorkerConfig(BaseConfig, SmscScript):
    """Options of the SMSC as a worker; those of a script are among them."""

    twisted_endpoint = ConfigServerEndpoint(
        "Where ESMEs connect: a Twisted server endpoint such as tcp:2775:interface=127.0.0.1.",
        required=True,
        static=True,
        fallbacks=[ServerEndpointFallback("host", "port")],
    )
    host = ConfigText("The address to listen on, if there is no twisted_endpoint.", static=True)
    port = ConfigPort(
        "The port to listen on, if there is no twisted_endpoint.", static=True, any_free=True
    )
    http_endpoint = ConfigText(
        "Where the simulator is controlled over HTTP, by whoever can connect: a Twisted server "
        "endpoint. Without one it isn't.",
        static=True,
    )
    http_hosts = ConfigList(
        "The host names that the control is asked for by, besides localhost and addresses: a "
        "request with another name in its header Host is refused, so that no web page gets to it "
        "through the browser of somebody near it (DNS rebinding).",
        default=[],
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        if not all(isinstance(name, str) for name in self.http_hosts or ()):
            self.raise_config_error("Field 'http_hosts' must be a list of texts.")


class SmscWorker(BaseWorker):
    """A simulated SMSC, beside other workers. It has nothing to do with the broker."""

    CONFIG_CLASS: ClassVar[Any] = SmscWorkerConfig

    _listening: Listening | None = None

    @cached_property
    def smsc(self) -> Smsc:
        """The SMSC."""
        return Smsc(self.get_static_config(), self.clock)

    def setup_connectors(self) -> None:
        """It has none."""

    def setup_worker(self) -> Deferred[None]:
        """Listen."""
        config = self.get_static_config()
        self._listening = Listening(self.smsc)
        http = serverFromString(self.clock, config.http_endpoint) if config.http_endpoint else None
        names = config.http_hosts or []
        return Deferred.fromCoroutine(self._listening.start(config.twisted_endpoint, http, names))

    def teardown_worker(self) -> Any:
        """Listen no more."""
        if self._listening is None:
            return None
        return Deferred.fromCoroutine(self._listening.stop())
