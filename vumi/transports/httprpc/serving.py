"""An HTTP server in a transport: what it serves, its life, and how it takes requests.

Knows the options of :class:`~vumi.transports.httprpc.HttpRpcTransportConfig`. What is done with a
request that was taken, and how it is answered, is for subclasses.
"""

from __future__ import annotations

from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from vumi.broker import Publication
from vumi.tasks import on_outcome, settle
from vumi.transports.base import Transport
from vumi.transports.httprpc.answers import Answer, Refused, json_body
from vumi.transports.httprpc.handover import new_instance_id
from vumi.transports.httprpc.held import HeldRequests
from vumi.transports.httprpc.options import PERMISSIVE, STRICT, HttpRpcTransportConfig
from vumi.transports.httprpc.resources import (
    BasicAuthResource,
    HttpRpcHealthResource,
    HttpRpcResource,
)
from vumi.transports.httprpc.statuses import StatusBoard
from vumi.web.overload import overload_reason
from vumi.web.server import BoundedSite, bounded_site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.interfaces import IListeningPort
    from twisted.web.resource import IResource
    from twisted.web.server import Site

    from vumi.transports.httprpc.held import HeldRequest

__all__ = ["HttpServing"]

NO_ANSWER_YET = Answer("Not available: the transport is stopping.\n", 503, {"Retry-After": "5"})


class HttpServing(Transport):
    """Serves, and takes requests. A part of :class:`~vumi.transports.httprpc.HttpRpcTransport`."""

    CONFIG_CLASS: ClassVar[Any] = HttpRpcTransportConfig

    #: The transport type of messages, unless there is an option of this name.
    transport_type: str | None = None

    #: The content type of answers.
    content_type = "text/plain"

    STRICT_MODE, PERMISSIVE_MODE = STRICT, PERMISSIVE
    DEFAULT_VALIDATION_MODE = STRICT
    KNOWN_VALIDATION_MODES = (STRICT, PERMISSIVE)

    #: Whether to open a socket. With ``False`` there is only :attr:`web_site`.
    listen = True

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        #: This process's part of its requests' ids.
        self.instance_id = new_instance_id()
        #: The site that is served; ``None`` while the transport isn't up.
        self.web_site: Site | None = None
        #: The socket that is listened on, if any.
        self.web_resource: IListeningPort | None = None
        self.request_gc: LoopingCall | None = None
        self._requests = HeldRequests(self._client_gone)
        self._statuses = StatusBoard(self._publish_status)
        self._clock: Any = None
        self._runs_as_service = False
        self._stopping = False
        self._refuses = False

    # Life

    def _validate_config(self) -> Any:
        config = self.get_static_config()
        # Read once: looking options up for every request costs more than all else.
        self.web_path: str = config.web_path
        self.web_port: int = config.web_port or 0
        self.web_username: str | None = config.web_username
        self.web_password: str | None = config.web_password
        self.web_auth_domain: str = config.web_auth_domain or ""
        self.health_path: str = (config.health_path or "").lstrip("/")
        self.request_timeout: float = config.request_timeout
        self.request_timeout_status_code: int = config.request_timeout_status_code
        self.request_timeout_body: str = config.request_timeout_body or ""
        self.gc_requests_interval: float = config.request_cleanup_interval
        self.noisy: bool = config.noisy
        self.validation_mode: str = config.validation_mode
        self.response_time_down: float = config.response_time_down
        self.response_time_degraded: float = config.response_time_degraded
        self._max_held: int = config.max_held_requests
        self._transport_type: str | None = (
            getattr(config, "transport_type", None) or self.transport_type
        )
        return super()._validate_config()

    @property
    def clock(self) -> Any:
        """What timers run on: Twisted's reactor, or a clock."""
        return super().clock if self._clock is None else self._clock

    @clock.setter
    def clock(self, clock: Any) -> None:
        self._clock = clock

    def get_clock(self) -> Any:
        """The clock to use. Overridden in tests of transports for the old Vumi."""
        return super().clock if self._clock is None else self._clock

    def startService(self) -> None:
        self._runs_as_service = True
        super().startService()

    def setup_transport(self) -> Any:
        """Start to serve. Prefer :meth:`setup_provider`, which needs no ``super()``."""
        return Deferred.fromCoroutine(self._open())

    async def _open(self) -> None:
        self._stopping = False
        self._clock = self.get_clock()
        await settle(self.setup_provider())
        await self._open_handover()
        config = self.get_static_config()
        self.request_gc = LoopingCall(self.manually_close_requests)
        self.request_gc.clock = self.clock
        if self.gc_requests_interval:
            on_outcome(
                self.request_gc.start(self.gc_requests_interval, now=False),
                lambda _: None,
                lambda failure: self.log.err(failure, "Looking for overdue requests failed"),
            )
        site = bounded_site(
            {path: resource for resource, path in self.get_resources()},
            self.clock,
            body_limit=config.max_body_bytes,
            max_headers=config.max_headers,
            access_log=config.access_log,
        )
        self.web_site = site
        if self.listen:
            try:
                await self._listen(site, config.twisted_endpoint)
            except BaseException:
                # Nobody else will: a transport that is not up is not torn down.
                await self._close()
                raise

    async def _listen(self, site: Site, endpoint: Any) -> None:
        if endpoint is None:
            # Not by `clock`, which a test may have replaced by one without a network.
            port = self.broker.clock.listenTCP(self.web_port, site)
        else:
            port = await endpoint.listen(site)
        self.web_resource = port
        self.log.info("Listening on", port.getHost())

    def setup_provider(self) -> Any:
        """Called before the first request; may return a Deferred or be ``async``.

        What is raised keeps the transport from starting.
        """

    def teardown_provider(self) -> Any:
        """Called after the last request and message; may return a Deferred or be ``async``."""

    def get_resources(self) -> list[tuple[IResource, str]]:
        """What is served: pairs of a resource and its path. Override it to add more.

        :meth:`serve` makes a resource of a hook such as :meth:`receive`.
        """
        return [
            (self.get_authenticated_resource(HttpRpcResource(self)), self.web_path),
            (HttpRpcHealthResource(self), self.health_path),
        ]

    def get_authenticated_resource(self, resource: IResource) -> IResource:
        """Put a resource behind the user name and password, if the config has them."""
        if self.web_username is None:
            return resource
        return BasicAuthResource(
            resource, self.web_username, self.web_password or "", self.web_auth_domain
        )

    async def drain_connectors(self) -> None:
        """Take no more requests, and give those that wait some time for their replies."""
        self._stopping = True
        port, self.web_resource = self.web_resource, None
        if port is not None:
            await settle(port.stopListening())
        if self._runs_as_service and self._requests:
            try:
                await self._requests.when_empty().addTimeout(self.drain_timeout / 2, self.clock)
            except DeferredTimeout:
                self.log.warning(len(self._requests), "requests are answered 503: no reply came")
        await super().drain_connectors()

    def teardown_transport(self) -> Any:
        """Stop serving. Prefer :meth:`teardown_provider`, which needs no ``super()``."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if self.request_gc is not None and self.request_gc.running:
            self.request_gc.stop()
        await self._close_handover()
        for held in self._requests:
            self._finish(held.id, NO_ANSWER_YET)
        site, self.web_site = self.web_site, None
        if isinstance(site, BoundedSite):
            await site.close()
        await settle(self.teardown_provider())

    def get_transport_url(self, suffix: str = "") -> str:
        """The URL of a path on this server, as seen from this machine.

        :raises ValueError: It doesn't listen.
        """
        if self.web_resource is None:
            raise ValueError("the transport does not listen")
        address: Any = self.web_resource.getHost()
        return f"http://{address.host}:{address.port}/{suffix.lstrip('/')}"

    def get_health_response(self) -> str | bytes:
        """The body of the health page."""
        return json_body({"pending_requests": len(self._requests)})

    # Taking requests

    def generate_request_id(self) -> str:
        """An id for a request and its message, which tells who holds it."""
        return self.instance_id + self.generate_message_id()[len(self.instance_id) :]

    def refusal(self) -> str | None:
        """Why no request is taken for now; ``None`` if one is. Called for every request."""
        reason: str | None
        if self._stopping:
            reason = "the transport is stopping"
        elif len(self._requests) >= self._max_held:
            reason = "too many requests are waiting for their answer"
        else:
            reason = overload_reason(self.broker)
        if reason is not None and not self._refuses:
            # Told once, not per request: an outage must not fill the log as well.
            self.log.warning("Requests are answered 503:", reason)
            self._statuses.request_refused("overloaded", {"reason": reason})
        elif reason is None and self._refuses:
            self.log.info("Requests are taken again")
        self._refuses = reason is not None
        return reason

    def take_request(
        self, request_id: str, request: Any, handler: Callable[[str, Any], Any] | None = None
    ) -> None:
        """Hold a request and have it handled. Called by the resource.

        :param handler: Takes its id and the request; :meth:`handle_raw_inbound_message` if left
            out. If it fails the request is answered 500.
        """
        request.responseHeaders.setRawHeaders("Content-Type", [self.content_type])
        self.set_request(request_id, request)
        try:
            result = (handler or self.handle_raw_inbound_message)(request_id, request)
        except Exception:  # noqa: BLE001 (whatever a provider's code raises, the client hears of it)
            self._request_failed(Failure(), request_id)
            return
        if iscoroutine(result):
            result = Deferred.fromCoroutine(result)
        if isinstance(result, Deferred) and not (
            isinstance(result, Publication) and not result.has_listeners()
        ):
            on_outcome(
                result,
                lambda _: None,
                lambda failure: self._request_failed(failure, request_id),
            )

    def _request_failed(self, failure: Failure, request_id: str) -> None:
        error = failure.value
        if isinstance(error, UnicodeDecodeError):
            # Transports for the old Vumi decode what the client has sent.
            self.log.info("Request", request_id, "is refused: it is no", error.encoding)
            error = Refused({"invalid_parameter": [""]}, type="invalid_encoding")
        if isinstance(error, Refused):
            self._statuses.request_refused(error.type, error.details)
            self._finish(request_id, error.answer)
            return
        traceback = self.scrub(failure.getTraceback())
        if traceback == failure.getTraceback():
            self.log.err(failure, f"Request {request_id} failed")
        else:
            # The failure itself holds a secret: only its cleaned text may be logged.
            self.log.warning("Request", request_id, "failed:", traceback)
        self._statuses.request_refused("request_failed", {})
        self._finish(request_id, self.make_error_answer())

    def make_error_answer(self) -> Answer:
        """The answer for a request whose handling has failed with an error of ours."""
        return Answer("Internal Server Error\n", 500)

    # For subclasses

    def _client_gone(self, held: HeldRequest) -> None:
        """The client of a request has hung up."""
        raise NotImplementedError

    def _publish_status(self, **status: Any) -> None:
        """Publish a status that is news."""
        raise NotImplementedError

    def _finish(self, request_id: str, answer: Answer) -> Any:
        """Answer a request; gives Twisted's object, or ``None`` if it isn't held."""
        raise NotImplementedError

    def set_request(self, request_id: str, request: Any, timestamp: float | None = None) -> Any:
        """Hold a request."""
        raise NotImplementedError

    def manually_close_requests(self) -> None:
        """Answer the requests that have waited too long. Called every so often."""
        raise NotImplementedError

    def handle_raw_inbound_message(self, message_id: str, request: Any) -> Any:
        """Handle one request."""
        raise NotImplementedError

    async def _open_handover(self) -> None:
        """Called before the first request."""

    async def _close_handover(self) -> None:
        """Called after the last message."""
